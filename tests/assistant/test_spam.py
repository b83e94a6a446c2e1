"""`homespun spam` as people run it: a process, its output, its exit status, and files that move and come back."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.errors import UsageError
from assistant.paths import Paths
from assistant.verdicts import command, moves
from assistant.verdicts.settings import CLASSICAL, SpamSettings
from engine.email_text.normalise import EmailText, normalise
from engine.email_text.sources import Item
from engine.questions import Classify, Verdicts

SPAM = (
    "From: x@y.example\nReply-To: z@gmail.com\nSubject: FREE V1AGRA\n\nBuy cheap v1agra and c.i.a.l.i.s now! 100% "
    "guaranteed, click http://cheap.example.com/x to order today. To unsubscribe click here. "
    "Make $5,000 a week from home!\n"
)
HAM = (
    "From: anna@b.example\nSubject: lunch\n\nHi Tom, shall we meet for lunch tomorrow at the usual place? Let me know "
    "if the project meeting moves. Anna\n"
)


YARDSTICK = ("--scorer", "homespun-spam-classical")  # it answers sooner than the default, which needs torch


def run(*arguments: str | Path, stdin: bytes = b"", scorer: tuple[str, ...] = YARDSTICK) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "assistant.cli", "spam", "--false-alarms", "1", *scorer, *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != "HOMESPUN_WORKER"}
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=100)


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("cur", "new", "tmp"):
        (tmp_path / "mail" / name).mkdir(parents=True)
    (tmp_path / "mail/cur/1.host:2,S").write_text(HAM)
    (tmp_path / "mail/cur/2.host:2,").write_text(SPAM)
    (tmp_path / "mail/new/3.host").write_text(SPAM)
    return tmp_path / "mail"


def test_one_mail_with_its_reasons() -> None:
    done = run("-", stdin=SPAM.encode())
    text = done.stdout.decode()
    assert done.returncode == 1
    assert text.startswith("SPAM: ")
    assert "classical scorer" in text
    assert "V1AGRA" in text
    assert "Answers would go to gmail.com" in text
    assert run("-", stdin=HAM.encode()).returncode == 0


def test_whose_a_mail_is_counts_and_is_told(tmp_path: Path) -> None:
    words = "Your Quillstone order is paid. Confirm the payment of your invoice here, your account will be billed."
    found = {}
    for name, sender, checked in (("own", "shop@quillstone.com", "pass"), ("other", "ann@fuse.net", "fail")):
        mail = f"Authentication-Results: mx.example; dmarc={checked}\nFrom: Quillstone <{sender}>\n\n{words}\n"
        (tmp_path / name).write_text(mail)
        found[name] = json.loads(run("--json", tmp_path / name).stdout)
    plain = json.loads(run("--json", "-", stdin=words.encode()).stdout)["probability"]
    assert found["own"]["probability"] < plain < found["other"]["probability"]
    assert [(f["kind"], f["log_odds"]) for f in found["own"]["findings"] if f["log_odds"]] == [("named-sender", -1.6)]
    text = run("--details", tmp_path / "other").stdout.decode()
    assert "nothing in it names what it is from, fuse.net.\xa0+0.4" in text
    assert "could not confirm the sender (DMARC).\xa0+1.0" in text


def test_spam_that_is_attached_or_hidden_beside_an_honest_text_decides() -> None:
    ham, spam = (text.partition("\n\n")[2] for text in (HAM, SPAM))
    head = "From: a@b.example\nSubject: notes\nContent-Type: multipart/mixed; boundary=b\n\n"
    part = "--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\n"
    attached = f"{head}--b\n\n{ham}\n{part}{spam}\n--b--\n"
    done = run("-", "--json", stdin=attached.encode())
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["answer"] == "spam"
    assert told["notes"][0].startswith("What decided is an attached text.")
    assert [each["name"] for each in told["attachments"]] == ["a.txt"]
    honest = attached.replace(
        SPAM.partition("\n\n")[2], "Minutes of the project meeting: Tom moves it to the big room."
    )
    assert run("-", stdin=honest.encode()).returncode == 0


def test_the_default_scorer_judges_and_says_which_it_is() -> None:
    done = run("-", stdin=SPAM.encode(), scorer=())
    text = done.stdout.decode()
    assert done.returncode == 1
    assert "neural scorer homespun-spam;" in text
    assert "What speaks for spam" in text
    quiet = run("--json", "-", stdin=HAM.encode(), scorer=())
    assert (quiet.returncode, json.loads(quiet.stdout)["scorer"]) == (0, "homespun-spam")
    assert json.loads(quiet.stdout)["evidence"], "a single mail says why, honest or not"


def test_many_mails_in_lines_and_in_json(tmp_path: Path) -> None:
    box = tmp_path / "in.mbox"
    envelope = "From a@b Mon Jan  1 00:00:00 2020\n"
    box.write_text("\n".join(envelope + mail for mail in (HAM, SPAM, HAM)))
    done = run(box)
    assert [line.split()[0] for line in done.stdout.decode().splitlines()] == ["not", "SPAM", "not"]
    assert done.returncode == 1
    assert "3 mails: 2 not spam, 1 spam." in done.stderr.decode()
    rows = [json.loads(line) for line in run("--json", box).stdout.splitlines()]
    assert [row["answer"] for row in rows] == ["not spam", "spam", "not spam"]
    assert rows[1]["name"] == f"{box}#2"
    assert [bool(row["evidence"]) for row in rows] == [False, True, False], "it takes ten times as long as a verdict"
    rows = [json.loads(line) for line in run("--json", "--details", box).stdout.splitlines()]
    assert all(row["evidence"] for row in rows)
    assert rows[1]["scorer_kind"] == "classical"
    assert any("v1agra" in passage["text"].lower() for passage in rows[1]["evidence"])
    assert {"leetspeak", "spaced-out", "reply-to"} <= {finding["kind"] for finding in rows[1]["findings"]}


@pytest.mark.parametrize(
    ("mails", "options", "expected"),
    [
        (3, {}, {(False, False)}),
        (3, {"as_json": True}, {(True, False)}),
        (3, {"details": True}, {(True, True)}),
        (1, {}, {(True, True)}),
        (1, {"as_json": True}, {(True, True)}),
    ],
)
def test_an_mbox_is_not_explained_where_nobody_reads_it(
    mails: int, options: dict, expected: set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For evidence a mail is judged a dozen times: an mbox of thousands once took ten times as long as its verdicts."""
    box, asked = tmp_path / "in.mbox", set()
    box.write_text("\n".join(["From a@b Mon Jan  1 00:00:00 2020\n" + HAM] * mails))

    class Client:
        def __init__(self, _: Path) -> None: ...

        async def ask(self, message: Classify) -> Verdicts:
            asked.add((message.evidence, message.honest and message.evidence))
            row = {"answer": "not spam", "probability": 0.1, "threshold": 0.9, "evidence": []}
            return Verdicts("", (row,) * len(message.texts), "fake", "classical")

        async def close(self) -> None: ...

    monkeypatch.setattr(command, "EngineClient", Client)
    assert asyncio.run(command.run(command.SpamWishes((str(box),), data_dir=tmp_path, **options))) == command.NOT_SPAM
    assert asked == expected


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text(HAM)
    done = run("--json", tmp_path / "none.eml", tmp_path / "a.eml")
    assert done.returncode == 2
    assert [list(json.loads(line))[1] for line in done.stdout.splitlines()] == ["error", "answer"]
    assert "no such file" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name a mail"),
        (["--false-alarms", "200", "-"], "between 0 and 100"),
        (["--scorer", "/nowhere", "-"], "/nowhere"),
        (["--undo", "/nowhere"], "Nothing was moved to /nowhere"),
        (["--undo", "/nowhere", "-"], "stands alone"),
    ],
)
def test_bad_input_is_a_sentence(arguments: list[str], sentence: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize(
    ("redirected", "status"),
    [
        ("{ham} 2>&-", 0),
        ("{ham} 2>/dev/full", 0),
        ("{ham} <&-", 0),
        ("{ham} >&-", 0),
        ("{spam} 2>&-", 1),
        ("{none} 2>/dev/full", 2),
        ("{ham} >/dev/full", 2),
        ("{spam} | true", 2),
    ],
)
def test_a_filter_gets_its_status_whatever_becomes_of_the_streams(tmp_path: Path, redirected: str, status: int) -> None:
    (tmp_path / "ham").write_text(HAM)
    (tmp_path / "spam").write_text(SPAM)
    names = {name: tmp_path / name for name in ("ham", "spam", "none")}
    command = f"{sys.executable} -m assistant.start spam --false-alarms 1 --scorer homespun-spam-classical "
    script = f"set -o pipefail; {command}{redirected.format(**names)}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=100, stdin=subprocess.DEVNULL)
    assert done.returncode == status
    assert b"Traceback" not in done.stderr


def test_ctrl_c_ends_waiting_for_a_pipe_that_says_nothing() -> None:
    ours, theirs = os.pipe()
    command = [sys.executable, "-m", "assistant.start", "spam", "-"]
    process = subprocess.Popen(command, stdin=ours, stderr=subprocess.PIPE, start_new_session=True)
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(theirs, b"a line of a mail that does not end\n" * 100)
    assert select.select([], [theirs], [], 60)[1], "it reads: there is room again"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr is not None
    assert b"Fatal" not in process.stderr.read()


def test_a_mail_that_cannot_be_normalised_is_told_and_the_rest_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(raw: bytes) -> EmailText:
        if b"bad" in raw:
            raise RecursionError
        return normalise(raw)

    monkeypatch.setattr(command, "normalise", broken)
    pairs = [pair for batch in command.batches(iter([Item("a", b"bad"), Item("b", b"good")])) for pair in batch]
    assert [(item.error, email is None) for item, email in pairs] == [
        ("a cannot be read (RecursionError).", True),
        ("", False),
    ]


def test_escape_sequences_never_reach_the_terminal() -> None:
    done = run("-", stdin=b"Subject: \x1b[2Jhello\n\nhi \x1b]0;evil\x07 there \xc2\x9b31m")
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\x07" not in done.stdout
    assert b"\xc2\x9b" not in done.stdout


def test_move_and_undo(maildir: Path, tmp_path: Path) -> None:
    before = {path.relative_to(maildir): path.read_text() for path in maildir.rglob("*") if path.is_file()}
    junk = tmp_path / "junk"
    done = run(maildir, "--move", junk)
    assert done.returncode == 1
    assert "2 moved" in done.stderr.decode()
    assert sorted(p.name for p in maildir.rglob("*") if p.is_file()) == ["1.host:2,S"]
    assert (junk / "cur/2.host:2,").read_text() == SPAM
    (junk / "cur/2.host:2,").rename(junk / "cur/2.host:2,S")  # a mail reader marks it as read
    undone = run("--undo", junk)
    assert undone.stdout == b"2 mails moved back.\n"
    after = {path.relative_to(maildir): path.read_text() for path in maildir.rglob("*") if path.is_file()}
    assert after == before
    assert not (junk / moves.JOURNAL).exists()


def test_moving_overwrites_nothing(maildir: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    moves.prepare(junk)
    (junk / "cur/2.host:2,").write_text("somebody else's")
    moved = moves.move(maildir / "cur/2.host:2,", junk)
    assert moved.name == "2.host.1:2,"
    assert (junk / "cur/2.host:2,").read_text() == "somebody else's"
    (maildir / "cur/2.host:2,").write_text("a new one in its place")
    back, stays = moves.undo(junk)
    assert back == 0
    assert "already" in stays[0]
    assert moved.read_text() == SPAM
    assert (junk / moves.JOURNAL).exists(), "what could not go back can be tried again"


def test_half_a_move_is_none(maildir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full, and a folder that may not be written."""
    target, mail = tmp_path / "junk", maildir / "new" / "3.host"
    moves.prepare(target)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        patch.setattr(os, "fsync", lambda number: None)
        patch.setattr(os, "rename", full)
        with pytest.raises(OSError, match="No space"):
            moves.move(mail, target)
    with monkeypatch.context() as patch:
        unlink = os.unlink
        patch.setattr(os, "unlink", lambda path: full() if path == mail else unlink(path))
        with pytest.raises(OSError, match="No space"):
            moves.move(mail, target)
    assert mail.is_file()
    assert [path.name for path in target.rglob("*") if path.is_file()] == [moves.JOURNAL]


def test_a_journal_that_was_cut_brings_back_the_rest(maildir: Path, tmp_path: Path) -> None:
    target, mail = tmp_path / "junk", maildir / "new" / "3.host"
    moves.prepare(target)
    moves.move(mail, target)
    with (target / moves.JOURNAL).open("a") as file:
        file.write('{"from": "x"}\n{"from": "')
    back, stays = moves.undo(target)
    assert back == 1
    assert mail.is_file()
    assert len(stays) == 2
    assert all("cannot be read" in each for each in stays)


def test_a_folder_that_is_no_maildir_is_not_moved_into(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="no Maildir"):
        moves.prepare(tmp_path / "photos")


def test_the_command_imports_no_numpy_and_no_torch() -> None:
    heavy = {"torch", "numpy", "tiktoken", "safetensors"}
    code = f"import sys, assistant.verdicts.command; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_a_failing_engine_is_never_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 means spam to procmail, so that whatever goes wrong has to be a 2."""
    (tmp_path / "a.eml").write_text(HAM)
    for worker in (f"{sys.executable} -c pass", f"{sys.executable} -c 'print(1)'", "/nowhere/worker"):
        monkeypatch.setenv("HOMESPUN_WORKER", worker)
        done = subprocess.run(
            [sys.executable, "-m", "assistant.cli", "spam", str(tmp_path / "a.eml")], capture_output=True, timeout=100
        )
        assert done.returncode == 2, worker
        assert done.stdout == b""
        assert done.stderr.startswith(b"Error: The engine")
        assert done.stderr.count(b"\n") == 1


def test_the_rate_and_the_scorer_that_were_set_in_the_app_hold_here(tmp_path: Path) -> None:
    settings = SpamSettings(Paths(tmp_path))
    settings.set_rate("5 %")
    folder = settings.next_folder()
    shutil.copytree(CLASSICAL, folder)
    settings.adopt(folder)
    command = [sys.executable, "-m", "assistant.cli", "--data-dir", str(tmp_path), "spam", "--json", "-"]
    row = json.loads(subprocess.run(command, input=HAM.encode(), capture_output=True, timeout=100).stdout)
    assert row["scorer"] == "spam-1"
    stricter = json.loads(run("--json", "-", stdin=HAM.encode()).stdout)
    assert row["threshold"] < stricter["threshold"]
    (folder / "config.json").write_text("{")
    done = subprocess.run(command, input=HAM.encode(), capture_output=True, timeout=100)
    assert json.loads(done.stdout)["scorer"] != "spam-1"
    assert b"spam-1 cannot be read; the one that comes with homespun judges." in done.stderr


def test_spam_that_cannot_be_moved_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text(SPAM)
    done = run("--move", tmp_path / "junk", tmp_path / "a.eml")
    assert done.returncode == 1
    assert b"1 spam mail stays: only mail of another Maildir is moved." in done.stderr
    assert (tmp_path / "a.eml").exists()
