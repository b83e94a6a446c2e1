"""Reading mail from files, mboxes, Maildirs and pipes."""

from __future__ import annotations

import io
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.email_text.normalise import normalise
from engine.email_text.sources import LONGEST, Item, gather, is_binary, read_all, read_path, total_size
from tests.engine.broken_mails import BROKEN

ONE = b"From: a@b.example\nSubject: one\n\nfirst body\n"
TWO = b"From: c@d.example\nSubject: two\n\n>From here on it is quoted\nFrom now on this is no envelope\nsecond body\n"
MBOX = b"From a@b Mon Jan  1 00:00:00 2020\n" + ONE + b"\nFrom c@d Mon Jan  1 00:00:00 2020\n" + TWO


def subjects(items: Iterator[Item]) -> list[str]:
    return [normalise(item.raw).fields.subject or item.error or "?" for item in items]


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new"):
        (tmp_path / "mail" / name).mkdir(parents=True)
    (tmp_path / "mail/cur/1:2,S").write_bytes(ONE)
    (tmp_path / "mail/new/2").write_bytes(TWO)
    (tmp_path / "mail/tmp/3").write_bytes(ONE)
    (tmp_path / "mail/.Sent/cur/4").write_bytes(ONE)
    (tmp_path / "mail/dovecot.index").write_bytes(b"x")
    return tmp_path / "mail"


def test_a_file_is_one_mail(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(ONE)
    items = list(read_path(tmp_path / "a.eml"))
    assert [(item.raw, item.path, item.size) for item in items] == [(ONE, tmp_path / "a.eml", len(ONE))]


def test_an_mbox_is_many(tmp_path: Path) -> None:
    (tmp_path / "in.mbox").write_bytes(MBOX)
    items = list(read_path(tmp_path / "in.mbox"))
    assert subjects(iter(items)) == ["one", "two"]
    assert [item.name for item in items] == [f"{tmp_path / 'in.mbox'}#1", f"{tmp_path / 'in.mbox'}#2"]
    assert b"\nFrom here on" in items[1].raw
    assert b"no envelope\nsecond body" in items[1].raw
    assert all(item.path is None for item in items), "a part of an mbox must not be moved as a file"


@pytest.mark.parametrize(
    "line", ["From today: buy cheap pills", "From the desk of: Ann, ann@b.example", "From 10:30 on I am at the lake"]
)
def test_sentences_are_no_envelopes(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.mbox").write_bytes(MBOX + b"\n" + line.encode() + b"\nand more\n")
    items = list(read_path(tmp_path / "a.mbox"))
    assert len(items) == 2
    assert line.encode() in items[1].raw
    (tmp_path / "b.txt").write_text(f"{line}\n\nHello")
    assert [item.raw for item in read_path(tmp_path / "b.txt")] == [f"{line}\n\nHello".encode()]


@pytest.mark.parametrize(
    "line",
    [
        "From ann@b.example Thu Dec 24 10:30 2026",
        "From MAILER-DAEMON Tue Dec  1 09:00:00 2026",
        "From - Tue Dec 01 09:00:00 2026",
        '"From "me"@b.example Tue Dec  1 09:00:00 UTC 2026'[1:],
        "From 1234@xxx Tue Dec 01 09:00:00 +0000 2026",
    ],
)
def test_envelopes_as_programs_write_them(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.mbox").write_bytes(line.encode() + b"\n" + ONE + b"\n" + line.encode() + b"\n" + TWO)
    assert subjects(read_path(tmp_path / "a.mbox")) == ["one", "two"]


def test_marks_before_a_mail_are_none_of_it(tmp_path: Path) -> None:
    for name, before, content in (
        ("a.eml", b"\xef\xbb\xbf", ONE),
        ("b.mbox", b"\xef\xbb\xbf", MBOX),
        ("c.emlx", b"54\n", ONE),
    ):
        (tmp_path / name).write_bytes(before + content)
    assert subjects(read_path(tmp_path)) == ["one", "one", "two", "one"]


def test_what_says_nothing_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.eml")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "b.eml").write_bytes(ONE)
    found = list(read_path(tmp_path))
    assert [item.error for item in found] == [f"{tmp_path / 'a.eml'} is no file.", ""]


@pytest.mark.parametrize("end", range(0, len(MBOX), 7))
def test_an_mbox_that_is_cut_anywhere(end: int) -> None:
    items = list(read_all(["-"], lambda: io.BytesIO(MBOX[:end])))
    assert len(items) in (1, 2)
    assert not any(item.error for item in items)


def test_a_maildir_with_its_folders(maildir: Path) -> None:
    items = list(read_path(maildir))
    assert sorted(item.name for item in items) == sorted(
        str(maildir / n) for n in (".Sent/cur/4", "cur/1:2,S", "new/2")
    )
    assert total_size([str(maildir)]) == 2 * len(ONE) + len(TWO)


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.eml").write_bytes(ONE)
    (tmp_path / "b.mbox").write_bytes(MBOX)
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    assert subjects(read_path(tmp_path)) == ["one", "two", "one"]


def test_what_cannot_be_read_is_a_sentence_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(ONE)
    (tmp_path / "b.bin").write_bytes(BROKEN["a program"])
    (tmp_path / "empty").mkdir()
    names = [str(tmp_path / n) for n in ("none.eml", "b.bin", "empty", "a.eml")] + [os.devnull]
    items = list(read_all(names, io.BytesIO))
    assert [bool(item.error) for item in items] == [True, True, True, False, True]
    assert "no such file" in items[0].error
    assert "neither text nor a mail" in items[1].error
    assert "no mail in it" in items[2].error
    assert all(item.error.endswith(".") and item.raw == b"" for item in items if item.error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(ONE)
    (tmp_path / "a.eml").chmod(0)
    assert "permission denied" in next(read_path(tmp_path / "a.eml")).error


def test_an_attachment_of_50_mb_takes_little_memory() -> None:
    head = b"From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n"
    head += b"--x\n\nhello there\n--x\nContent-Type: a/b\n\n"
    lines = [head, *([b"QUJD" * 19 + b"\n"] * 650_000), b"--x\nContent-Type: a/c; name=last.exe\n\nx\n--x--\n"]
    tracemalloc.start()
    raw, size, note = gather(lines)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 50_000_000
    assert peak < 3 * LONGEST
    assert "MB" in note
    email = normalise(raw)
    assert "hello there" in email.shown
    assert "last.exe" in [a.name for a in email.attachments], "what comes after the bulk is still seen"


def test_binary_and_text() -> None:
    assert is_binary(BROKEN["a GIF"])
    assert not is_binary(BROKEN["UTF-16"])
    assert not is_binary(BROKEN["NUL bytes"])
    assert not is_binary("Grüße\n\tan alle \x1b[1m".encode("cp1252"))
