"""Which parts of a mail are its text, what else it says (`EmailText.others`), and encodings that are a little wrong."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.email_text.normalise import HEAD, EmailText, for_model, normalise, squeeze
from engine.email_text.readings import MOST
from tests.engine.broken_mails import BROKEN, HTML, mail

SOLD = "Order cheap pills online today, our licensed pharmacy ships them to your door overnight without any questions."
KIND = (
    "Thanks for sending the minutes of our meeting, I have read through them and have two small corrections only. "
    "The schedule of the garden work looks fine to me, could you ask Karen whether the school hall is free that day?"
)
PLAIN, PAGE = "Content-Type: text/plain; charset=utf-8", "Content-Type: text/html; charset=utf-8"
ATTACHED = "Content-Disposition: attachment; filename="
EVENT = (
    "BEGIN:VEVENT\nSUMMARY:Order cheap pills online today\\, our licensed\n  pharmacy\nDTSTART:20260512T091403Z\n"
    "DESCRIPTION;LANGUAGE=en:ships them to your door\\novernight without any questions.\nEND:VEVENT"
)


def page(text: str) -> str:
    return f"<html><body><p>{text}</p></body></html>"


def multi(kind: str, *parts: tuple[str, str], mark: str = "q") -> tuple[str, str]:
    """(header, body) of a multipart."""
    body = "".join(f"--{mark}\n{header}\n\n{text}\n" for header, text in parts)
    return f'Content-Type: multipart/{kind}; boundary="{mark}"', f"{body}--{mark}--\n"


def read(part: tuple[str, str | bytes]) -> EmailText:
    return normalise(mail(f"Subject: hello\nMIME-Version: 1.0\n{part[0]}", part[1]))


def others(email: EmailText) -> dict[str, str]:
    return {other.what: other.text for other in email.others}


VERSIONS = {
    "long honest plain text": (multi("alternative", (PLAIN, KIND * 4), (PAGE, page(SOLD * 2))), "PAGE"),
    "two pages": (multi("alternative", (PLAIN, KIND), (PAGE, page(KIND)), (PAGE, page(SOLD))), "PAGE"),
    "two plain texts": (multi("alternative", (PLAIN, KIND), (PLAIN, SOLD)), "PAGE"),
    "AMP": (multi("alternative", ("Content-Type: text/x-amp-html", page(KIND)), (PAGE, page(SOLD))), "PAGE"),
    "AMP last": (multi("alternative", (PAGE, page(SOLD)), ("Content-Type: text/x-amp-html", page(KIND))), "PAGE"),
    "related": (
        multi("alternative", (PLAIN, KIND), multi("related", (PAGE, page(SOLD)), (PAGE, page(KIND)), mark="r")),
        "PAGE",
    ),
    "related with a named root": (
        multi(
            "alternative",
            (PLAIN, KIND),
            tuple(  # type: ignore[arg-type]
                text.replace('"r"', '"r"; start="<b>"')
                for text in multi("related", (PAGE, page(KIND)), (f"{PAGE}\nContent-ID: <b>", page(SOLD)), mark="r")
            ),
        ),
        "PAGE",
    ),
    "XHTML": (multi("alternative", (PLAIN, KIND), ("Content-Type: application/xhtml+xml", page(SOLD * 2))), "PAGE"),
    "a choice within a choice": (
        multi("alternative", (PLAIN, KIND), multi("alternative", (PLAIN, KIND), (PAGE, page(SOLD)), mark="r")),
        "PAGE",
    ),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_of_several_versions_the_last_that_people_see(name: str) -> None:
    text = read(VERSIONS[name][0]).text
    assert "licensed pharmacy" in text
    assert "minutes of our meeting" not in text


@pytest.mark.parametrize("header", [PLAIN, PAGE])
@pytest.mark.parametrize("kind", ["mixed", "signed"])
def test_all_of_a_version_is_read_in_order(header: str, kind: str) -> None:
    wrap = page if header == PAGE else str
    text = read(
        multi("alternative", (PLAIN, "Stub"), multi(kind, (header, wrap(KIND)), (header, wrap(SOLD)), mark="r"))
    ).text
    assert 0 < text.index("minutes of our meeting") < text.index("licensed pharmacy")
    assert "Stub" not in text


@pytest.mark.parametrize(
    ("rich", "kept"),
    [
        (page("<img src=a.png alt='our logo'>"), "minutes of our meeting"),  # a picture only: the text says more
        (page("nearly as few words"), "nearly as few"),
        ("<html></html>", "minutes of our meeting"),
    ],
)
def test_a_page_that_says_little(rich: str, kept: str) -> None:
    plain = "Just a few words" if "nearly" in rich else KIND * 3
    assert kept in read(multi("alternative", (PLAIN, plain), (PAGE, rich))).text


SOLE = {
    "attached page": (f"{PAGE}\nContent-Disposition: attachment", page(SOLD)),
    "attached text": (f"{PLAIN}\n{ATTACHED}a.txt", SOLD),
    "octets": ("Content-Type: application/octet-stream", SOLD),
    "unknown type": ("Content-Type: application/text", SOLD),
    "XHTML": ("Content-Type: application/xhtml+xml", page(SOLD)),
    "calendar": ("Content-Type: text/calendar", EVENT),
    "calendar in a multipart": multi("mixed", ("Content-Type: text/calendar", EVENT)),
    "attached page in a multipart": multi("mixed", (f"{PAGE}\n{ATTACHED}a.html", page(SOLD))),
    "declared as encrypted": multi("encrypted", (PLAIN, SOLD)),
    "no such boundary, base64": (
        "Content-Type: multipart/mixed; boundary=z",
        f"--q\n{PAGE}\nContent-Transfer-Encoding: base64\n\n{base64.encodebytes(page(SOLD).encode()).decode()}",
    ),
}


@pytest.mark.parametrize("name", SOLE)
def test_the_sole_part_is_the_body_whatever_it_is_called(name: str) -> None:
    email = read(SOLE[name])
    assert "licensed pharmacy" in email.text
    assert not email.others


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Content-Type: application/pdf", b"%PDF-1.4 words in a document of text"),
        ("Content-Type: application/octet-stream", bytes(range(256)) * 20),
        ("Content-Type: image/svg+xml", b"<svg><text>words in a picture</text></svg>"),
        ("Content-Type: application/pkcs7-mime", bytes(range(256))),
    ],
)
def test_what_is_no_text_stays_unread(header: str, body: bytes) -> None:
    email = read((header, body))
    assert email.text.strip() == "hello"
    assert not email.others


BESIDE: dict[str, tuple[tuple[str, str], str]] = {
    "an attached text": ((f"{PLAIN}\n{ATTACHED}a.txt", SOLD), "a.txt"),
    "an attached web page": ((f"{PAGE}\n{ATTACHED}a.html", page(SOLD)), "a.html"),
    "an attached calendar entry": (("Content-Type: text/calendar", EVENT), ""),
    "an attached mail": (
        (
            f"Content-Type: application/octet-stream\n{ATTACHED}a.eml",
            f"From: a@b.example\nSubject: inner\n{PAGE}\n\n{page(SOLD)}",
        ),
        "a.eml",
    ),
}


@pytest.mark.parametrize("what", BESIDE)
def test_attached_texts_are_other_readings(what: str) -> None:
    part, name = BESIDE[what]
    email = read(multi("mixed", (PLAIN, KIND), part))
    assert email.text == for_model(KIND, "hello")
    assert [attachment.name for attachment in email.attachments] == [name]
    found = others(email)
    assert list(found) == [what]
    assert found[what].startswith("hello\n\n")
    assert "licensed pharmacy" in found[what].replace("\n\n", " ")


def test_a_web_page_is_known_without_a_type_or_a_name() -> None:
    part = f"Content-Type: application/octet-stream\n{ATTACHED}invoice", page(SOLD)
    assert list(others(read(multi("mixed", (PLAIN, KIND), part)))) == ["an attached web page"]


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (f"{PLAIN}\n{ATTACHED}a.txt", KIND),  # says the same again
        (f"{PLAIN}\n{ATTACHED}a.txt", "Five words and no more"),
        (f"Content-Type: text/csv\n{ATTACHED}a.csv", "one,two,three,four\n" * 20),
        (f"Content-Type: application/pdf\n{ATTACHED}a.pdf", SOLD),
        (f"Content-Type: text/html\nContent-Transfer-Encoding: base64\n{ATTACHED}a.html", "/9j/4AAQSkZJRgABAQ" * 50),
        (f"Content-Type: application/pgp-signature\n{ATTACHED}signature.asc", SOLD),
    ],
)
def test_other_attachments_are_none(header: str, body: str) -> None:
    email = read(multi("mixed", (PLAIN, KIND), (header, body)))
    assert not email.others
    assert len(email.attachments) == 1


@pytest.mark.parametrize(
    "raw",
    [
        mail(PLAIN, KIND),
        mail(HTML, page(KIND) + "<div style='display:none'>A preview of this mail in a line or two</div>"),
        mail(*multi("alternative", (PLAIN, KIND), (PAGE, page(KIND.replace("Karen", "<b>Karen</b>"))))),
        mail(*multi("mixed", (PLAIN, KIND), (f"Content-Type: image/png\n{ATTACHED}a.png", "PNG"))),
        mail(*multi("signed", (PLAIN, KIND), ("Content-Type: application/pgp-signature", "-----BEGIN PGP"))),
        mail(*multi("alternative", (PLAIN, KIND), (PAGE, page(KIND)), ("Content-Type: text/calendar", "SUMMARY:x"))),
    ],
)
def test_an_ordinary_mail_has_no_other_readings(raw: bytes) -> None:
    assert normalise(raw).text.strip() == for_model(KIND)
    assert not normalise(raw).others


def test_versions_that_say_something_else_are_other_readings() -> None:
    found = others(read(multi("alternative", (PLAIN, SOLD), (PAGE, page(SOLD.upper() * 2)), (PAGE, page(KIND)))))
    assert list(found) == [
        "its plain text, which mail programs do not show",
        "another version of it, which mail programs do not show",
    ]
    assert all("pharmacy" in text.lower() for text in found.values())


def test_unseen_parts_of_a_version_are_other_readings() -> None:
    related = multi("related", (PAGE, page(KIND)), (PAGE, page(SOLD)), mark="r")
    amp = "Content-Type: text/x-amp-html", page(SOLD)
    assert list(others(read(multi("alternative", (PLAIN, KIND), related)))) == ["an embedded web page"]
    assert list(others(read(multi("alternative", amp, (PAGE, page(KIND)))))) == ["a seldom shown web page"]


def test_much_hidden_text_is_another_reading() -> None:
    hidden = f"<div style='display:none'>{SOLD}</div><p>So far</p><div hidden>{SOLD}</div>"
    assert others(read((PAGE, page(KIND) + hidden)))["its hidden text"] == for_model(f"{SOLD} {SOLD}", "hello")


@pytest.mark.parametrize(("words", "windows"), [(500, 1), (2000, 1), (4000, 3), (30_000, 4)])
def test_the_middle_of_a_long_mail_is_read_in_windows(words: int, windows: int) -> None:
    filler = ["word"] * (words - 40)
    before, after = filler[: int(HEAD / 5) + 10], filler[int(HEAD / 5) + 10 :]
    email = normalise(" ".join([*before, SOLD, *after, *["end"] * 600]))
    middle = [other for other in email.others if other.what == "the middle of it"]
    assert len(middle) == (windows if email.cut else 0)
    assert "licensed pharmacy" in (middle[0].text if middle else email.text)
    assert all(len(other.text) <= HEAD + 10 for other in middle)


def test_other_readings_are_few() -> None:
    parts: list[tuple[str, str]] = [(f"{PLAIN}\n{ATTACHED}{n}.txt", SOLD) for n in range(30)]
    hidden = page(f"<div hidden>{SOLD * 2}</div>" + "kind words " * 4000)
    versions = multi("alternative", *[(PLAIN, SOLD)] * 30, (PLAIN, "so far"), mark="r")
    email = read(multi("mixed", (PAGE, hidden), versions, *parts))
    assert len(email.others) == MOST
    assert {"the middle of it", "its hidden text", "an attached text"} < {other.what for other in email.others}
    assert all(len(other.text) < 10_000 for other in email.others)
    assert len(email.attachments) == 30


PGP = "-----BEGIN PGP MESSAGE-----"
SHOWN = {
    "an armour without end": (PLAIN, f"{KIND}\n{PGP}\n{SOLD}"),
    "an armour in an attribute": (PAGE, page(f"{KIND}</p><p title='{PGP}'></p><p>{SOLD}")),
    "an armour with nothing in it": (PLAIN, f"{PGP}\nVersion: 1\n\n{SOLD}\n-----END PGP MESSAGE-----"),
    "a comment in plain text": (PLAIN, f"<p></p>\n{KIND}\n<!--\n{SOLD}\n-->"),
    "a tag without end in plain text": (PLAIN, f"<p></p>{KIND}\n<a {SOLD}"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_nothing_that_is_shown_is_swallowed(name: str) -> None:
    assert "licensed pharmacy" in read(SHOWN[name]).text


@pytest.mark.parametrize("mark", ["", "> "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_is_encrypted_is_left_out(mark: str, end: str) -> None:
    armour = [
        PGP,
        "Version: GnuPG v1",
        "Comment: see http://gnupg.example",
        "",
        *["hQEMA123+/" * 6] * 9,
        "hQ==",
        "=Ab1+",
    ]
    lines = ["Before it", *(mark + line for line in [*armour, PGP.replace("BEGIN", "END")]), "", "after it"]
    email = read((PLAIN, end.join(lines)))
    assert email.text.replace(">", "").split() == ["hello", "Before", "it", "after", "it"]
    assert any("encrypted" in note for note in email.notes)


@pytest.mark.parametrize("start", ["<!DOCTYPE html>\n<html>", "\n  <html lang=en>", "\ufeff<HTML>"])
def test_a_page_that_is_declared_as_plain_text(start: str) -> None:
    text = read((PLAIN, f"{start}<body><p>{KIND}</p></body></html>")).text
    assert text.split() == for_model(KIND, "hello").split()


def test_pasted_html_is_html() -> None:
    assert normalise(f"<div>{KIND}</div>").text == for_model(KIND)
    assert normalise(f"Subject: hello\n\n<div>{KIND}</div>").text == for_model(KIND, "hello")


def b64(text: str) -> str:
    return base64.encodebytes(text.encode()).decode()


PADDED = "Hello to all of you!!"  # 21 bytes and one line end: padding follows
ENCODED: dict[str, tuple[str, str]] = {
    "a comment": ("base64 (x)", b64(SOLD)),
    "a semicolon": ("base64;", b64(SOLD)),
    "quotes": ('"base64"', b64(SOLD)),
    "two headers": ("7bit\nContent-Transfer-Encoding: base64", b64(SOLD)),
    "padding in the middle": ("base64", b64(PADDED + "\n") + b64(SOLD)),
    "one letter too many": ("base64", b64(SOLD + " " * (-len(SOLD) % 3)) + "P"),
    "no padding": ("base64", b64(SOLD).rstrip("=\n")),
    "other signs": ("base64", b64(SOLD).replace("c", "!c*")),
    "not encoded at all": ("base64", SOLD),
    "blanks behind soft breaks": ("Quoted-Printable ", " = \n".join(SOLD.split(" ")).replace(" = \n", " =  \n")),
}


@pytest.mark.parametrize("name", ENCODED)
def test_encodings_that_are_a_little_wrong(name: str) -> None:
    encoding, body = ENCODED[name]
    assert "licensed pharmacy" in read((f"{PLAIN}\nContent-Transfer-Encoding: {encoding}", body)).text


def test_a_mailing_lists_footer_behind_base64_is_no_base64() -> None:
    footer = "_______________________________\nchoir mailing list\nchoir@lists.example\n"
    header = f"{PLAIN}\nContent-Transfer-Encoding: base64"
    assert read((header, b64(PADDED + "\n") + footer)).text == for_model(PADDED, "hello")


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64"])
def test_right_encodings(encoding: str) -> None:
    text = "Grüße aus Köln = 100 % schön\n"
    encoded = b64(text) if encoding == "base64" else "Gr=C3=BC=C3=9Fe aus K=C3=B6ln =3D 100 % =\nsch=C3=B6n\n"
    assert read((f"{PLAIN}\nContent-Transfer-Encoding: {encoding}", encoded)).text == for_model(text, "hello")


def test_words_about_boundaries_do_not_nest() -> None:
    header, body = multi("alternative", (PLAIN, KIND), (f"{PAGE}\nContent-Transfer-Encoding: base64", b64(page(SOLD))))
    email = read((f"X-Note: {'boundary= ' * 70}\n{header}", f"{'boundary=x ' * 70}\n{body}"))
    assert email.text == for_model(SOLD, "hello")
    assert not email.notes


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_what_nests_too_deep_is_decoded_all_the_same(encoding: str) -> None:
    text = b64(SOLD) if encoding == "base64" else SOLD.replace("a", "=61")
    levels = "".join(f"--b{n}\nContent-Type: multipart/mixed; boundary=b{n + 1}\n\n" for n in range(70))
    body = f"{levels}--b70\n{PLAIN}\nContent-Transfer-Encoding: {encoding}\n\n{text}\n--b70--\n"
    email = read(("Content-Type: multipart/mixed; boundary=b0", body))
    assert any("flat" in note for note in email.notes)
    assert "licensed pharmacy" in email.text


@pytest.mark.parametrize("charset", ["cp037", "cp500", "utf-16", "utf-16le", "utf-32", "idna", "us-ascii", "klingon"])
def test_ascii_is_ascii_whatever_is_declared(charset: str) -> None:
    header = f"Content-Type: text/plain; charset={charset}"
    assert read((header, SOLD)).text == for_model(SOLD, "hello")
    assert "licensed pharmacy" in read((header, f"\x1b\x0e{SOLD}")).text


@pytest.mark.parametrize(
    ("charset", "encoded"),
    [("utf-7", b"caf+AOk-"), ("hz", b"~{;,~}"), ("iso-2022-jp", "会議".encode("iso-2022-jp"))],
)
def test_charsets_that_are_written_in_ascii(charset: str, encoded: bytes) -> None:
    email = read((f"Content-Type: text/plain; charset={charset}", encoded))
    assert email.shown.endswith(encoded.decode(charset))


@pytest.mark.parametrize("charset", ["utf-16", "utf-16le", "utf-32be"])
def test_wide_charsets(charset: str) -> None:
    header = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: base64"
    body = base64.encodebytes(SOLD.encode(charset)).decode()
    assert read((header, body)).text == for_model(SOLD, "hello")


@pytest.mark.parametrize("gap", ["\x0b", "\x0c", "\u2028", "\u2029"])
@pytest.mark.parametrize("header", [PLAIN, PAGE])
def test_rare_gaps_are_gaps(gap: str, header: str) -> None:
    assert read((header, SOLD.replace(" ", gap))).text.split() == for_model(SOLD, "hello").split()


@pytest.mark.parametrize("text", ["a  b\t\tc\n\n\n\nd ", "one\n \ntwo\xa0\xa0three", SOLD])
def test_squeezing_is_what_it_was(text: str) -> None:
    assert squeeze(text) in ("a b c\n\nd", "one\n\ntwo three", SOLD)


@pytest.mark.parametrize(
    "pattern", ["=", "a=", "= ", "=\n", PGP + "\n", "SUMMARY:x\\n\n", "https://", "> ", "\\", "--q\n"]
)
@pytest.mark.parametrize(
    "header",
    [
        PLAIN,
        "Content-Type: text/calendar",
        "Content-Type: application/octet-stream",
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: quoted-printable",
        "Content-Type: multipart/mixed; boundary=z",
    ],
)
def test_a_megabyte_of_anything_in_time(pattern: str, header: str) -> None:
    raw = mail(header, (pattern * (1_000_000 // len(pattern))))
    began = time.process_time()
    normalise(raw)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("name", BROKEN)
def test_broken_mails_as_attachments(name: str) -> None:
    head, body = multi("mixed", (PLAIN, KIND), (f"Content-Type: application/octet-stream\n{ATTACHED}a.eml", "BROKEN"))
    encoded = base64.encodebytes(BROKEN[name][:700_000]).decode()
    body = body.replace("a.eml\n\nBROKEN", f"a.eml\nContent-Transfer-Encoding: base64\n\n{encoded}")
    began = time.process_time()
    email = read((head, body))
    assert time.process_time() - began < 2
    assert email.text == for_model(KIND, "hello")
    assert len(email.others) <= 1


@given(st.binary(max_size=2000))
@settings(max_examples=60, deadline=None)
def test_any_bytes_attached(raw: bytes) -> None:
    for kind in ("text/html", "text/calendar", "message/rfc822", "application/octet-stream; name=a.eml"):
        part = (
            (b"--q\n\nhello there\n--q\nContent-Type: %s\n" % kind.encode()) + (ATTACHED + "a.eml").encode() + b"\n\n"
        )
        email = read(("Content-Type: multipart/mixed; boundary=q", part + raw))
        assert len(email.others) <= MOST


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("会議は木曜日の十時からです。", "not en"),
        ("اجتماع المشروع يوم الخميس", "not en"),
        ("Встреча в четверг", "not en"),
        ("Réunion jeudi à dix heures", ""),
        ("Lunch? 好", ""),
        ("☺☺☺☺☺☺☺☺☺☺☺☺☺☺☺☺☺", ""),
    ],
)
def test_a_few_letters_of_another_script_are_enough_to_tell_its_language(text: str, language: str) -> None:
    assert normalise(text).language == language


@pytest.mark.parametrize("kind", ["text/enriched", "text/markdown", "text/watch-html"])
def test_what_is_seldom_shown_is_read_where_there_is_nothing_else(kind: str) -> None:
    head = "MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=x\n\n"
    plain = "--x\nContent-Type: text/plain\n\nThank you\n"
    other = f"--x\nContent-Type: {kind}\n\n<bold>Thanks a lot</bold>\n--x--\n"
    assert normalise(f"{head}{plain}{other}").text == "Thank you"
    assert "Thanks a lot" in normalise(f"{head}{other}").text
