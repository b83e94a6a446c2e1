"""The normaliser on mails written by hand, on broken ones, and on whatever hypothesis makes."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.email_text.colours import parse_colour
from engine.email_text.edits import lead_back, substitute
from engine.email_text.normalise import EmailText, for_model, normalise
from engine.email_text.plain import ESCAPE
from engine.email_text.tokens import domain_of, host_of, url_token
from tests.engine.broken_mails import BROKEN, HTML, mail

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def kinds(email: EmailText) -> set[str]:
    return {finding.kind for finding in email.findings}


def check(email: EmailText) -> None:
    """What holds of every mail."""
    assert not UNSAFE.search(email.shown)
    assert not UNSAFE.search(email.text)
    for finding in email.findings:
        assert -1 <= finding.start <= finding.end <= len(email.shown)
        assert -1 <= finding.weight <= 1
        assert finding.sentence.endswith(".")
        assert not UNSAFE.search(finding.sentence)
    assert -2 <= email.beside <= 3
    assert len(email.text) < 60_000
    for start in range(0, len(email.text), max(1, len(email.text) // 20)):
        at, end = email.where(start, start + 1)
        assert 0 <= at <= end <= len(email.shown)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_mails_are_read_in_time(name: str) -> None:
    began = time.process_time()
    email = normalise(BROKEN[name])
    assert time.process_time() - began < 2, "the promise is two seconds of work a mail"
    check(email)
    for words in (b"hello there", b"the bottom"):
        if words in BROKEN[name] and "deep" not in name and "spaces" not in name:
            assert words.decode() in email.shown


@given(st.binary(max_size=3000))
@settings(max_examples=150, deadline=None)
def test_any_bytes(raw: bytes) -> None:
    check(normalise(raw))


PIECES = st.sampled_from(
    [
        *(
            "From: a <a@b.example>\n",
            "Subject: ",
            "=?utf-8?q?=C3=A9?=",
            "Content-Type: multipart/mixed; boundary=x\n",
            "\n\n",
        ),
        *(
            "--x\n",
            "--x--\n",
            "Content-Type: text/html\n",
            "Content-Transfer-Encoding: base64\n",
            "aGVsbG8=\n",
            "<a href=",
        ),
        *(
            "http://x.example/",
            ">",
            "</a>",
            "<p style='font-size:0'>",
            "$1,000",
            "v1agra ",
            "f r e e ",
            "раураl ",
            "\u200b",
            "=\n",
        ),
        *(
            "Reply-To: ;;\n",
            "Authentication-Results: a; spf=fail\n",
            "\x1b[0m",
            "<style>.a{",
            "}",
            "\udcff",
            "Content-Type: x\n",
        ),
    ]
)


@given(st.lists(PIECES | st.text(max_size=20), max_size=40))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_mixture_of_what_mails_are_made_of(pieces: list[str]) -> None:
    check(normalise("".join(pieces)))


@given(st.text(st.characters(max_codepoint=0x2FFF), max_size=300))
@settings(max_examples=150, deadline=None)
def test_the_classifier_reads_the_same_from_parts_and_from_a_message(text: str) -> None:
    """Training data has text and subject apart: it must meet the same text in use."""
    text = "".join(c for c in text if unicodedata.category(c)[0] not in "C" or c == "\n")
    whole = normalise(f"Subject: hello\nContent-Type: text/plain; charset=utf-8\n\n{text}")
    if "</" not in text and "PGP" not in text and "\u2028" not in text and "\u2029" not in text:
        assert whole.text == for_model(text, "hello")


def test_tokens_keep_what_matters() -> None:
    text = for_model(
        "Win $1,250,000 or 2 million dollars! See http://www.shop.example/a?b, call 0800 555 1234, "
        "bob@firm.example, 45678"
    )
    assert text == (
        "Win <money 7> or <money 7>! See <url www.shop.example>, call <phone>, <email firm.example>, <number 5>"
    )
    assert for_model("2 for 1, 24/7, in 2003") == "2 for 1, 24/7, in <year>"


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("http://1.2.3.4/x.exe", "<url figures program>"),
        ("HTTPS://Bit.ly/x", "<url bit.ly short>"),
        ("http://paypal.com@evil.example:8080/", "<url evil.example port at>"),
        ("http://xn--pypl-53dc.com/", "<url xn--pypl-53dc.com punycode>"),
        ("hxxp://a.example", "<url a.example>"),
        ("http://[", "<url empty>"),
    ],
)
def test_urls(url: str, token: str) -> None:
    assert url_token(url) == token


def test_hosts_and_domains() -> None:
    assert host_of("http://user@A.B.co.uk:80/x") == "a.b.co.uk"
    assert domain_of("a.b.co.uk") == "b.co.uk"
    assert domain_of("a.b.example") == "b.example"


@pytest.mark.parametrize(
    ("disguised", "plain", "kind"),
    [
        ("buy v1agra and V!AGRA now", "buy viagra and VIAGRA now", "leetspeak"),
        ("m0ney for fr33", "money for free", "leetspeak"),
        ("c l i c k here", "click here", "spaced-out"),
        ("F R E E  M O N E Y today", "FREE MONEY today", "spaced-out"),
        ("vi-ag-ra", "viagra", "broken-up"),
        ("\u0440\u0430\u0443\u0440\u0430l account", "paypal account", "look-alike"),
        ("\U0001d42f\U0001d422\U0001d41a\U0001d420\U0001d42b\U0001d41a", "viagra", "look-alike"),
        ("ca\u200bsi\u200bno", "casino", "zero-width"),
        ("vïágrà", "viagra", None),
    ],
)
def test_disguises_are_folded_and_reported(disguised: str, plain: str, kind: str | None) -> None:
    email = normalise(f"Hello, I write to you today about this: {disguised}")
    assert email.text.endswith(plain)
    assert kinds(email) == ({kind} if kind else set())
    for finding in email.findings:
        assert email.shown[finding.start : finding.end] in email.shown[41 - 2 :]


@pytest.mark.parametrize(
    "honest",
    [
        "The mp3s are on a h264 box running win32 with base64, sha256sum and i18n",
        "Section A. B. C. D. is in the U.S.A., i.e. at 5 p.m.",
        "well-known long-term don't self_test foo.bar and/or",
        "x = a + b - c * d / e",
    ],
)
def test_honest_words_stay(honest: str) -> None:
    assert for_model(honest) == honest
    assert not kinds(normalise(honest))


def test_another_alphabet_is_no_disguise() -> None:
    email = normalise(BROKEN["Russian"])
    assert "встреча завтра" in email.text
    assert "look-alike" not in kinds(email)
    assert email.language == "not en"
    assert any("English" in note for note in email.notes)


def test_findings_of_a_phishing_mail() -> None:
    raw = (
        b'From: "service@bank.example" <x@evil.example>\nReply-To: bob@gmail.com\nSubject: Act now\n'
        b"Authentication-Results: mx.example; spf=pass; dkim=none; dmarc=fail\n"
        b"Authentication-Results: forged.example; dmarc=pass\n"
        b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="q"\n\n--q\nContent-Type: text/html\n\n'
        b'<p>Please verify your account at <a href="http://1.2.3.4/">www.bank.com</a> within 24 hours.</p>'
        b'<div style="display:none">lunch minutes agenda</div><form><input type="password"></form>\n'
        b"--q\nContent-Type: application/octet-stream\nContent-Disposition: attachment; "
        b'filename="bill.pdf.exe"\n\nAAAA\n'
        b"--q--\n"
    )
    email = normalise(raw)
    assert email.fields.authentication == {"spf": "pass", "dkim": "none", "dmarc": "fail"}
    assert [a.name for a in email.attachments] == ["bill.pdf.exe"]
    assert {"link-mismatch", "link-in-figures", "hidden-text", "password-field", "program", "reply-to"} <= kinds(email)
    assert {"urgency", "asks-for-secrets", "authentication", "from-name"} <= kinds(email)
    mismatch = next(f for f in email.findings if f.kind == "link-mismatch")
    assert email.shown[mismatch.start : mismatch.end] == "www.bank.com"
    assert "lunch" not in email.text
    assert "lunch" in email.shown


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("<font color=white>secret</font>", "same colour"),
        ("<table><td bgcolor='#000'><b style='color:rgb(5,5,5)'>secret</b></table>", "same colour"),
        ("<span style='font-size:1px'>secret</span>", "tiny"),
        ("<span style='visibility: hidden'><b>secret</b></span>", "hidden"),
        ("<style>.h{display:none}</style><p class='h'>secret</p>", "hidden"),
        ("<p hidden>secret</p>", "hidden"),
        ("<div style='position:absolute;left:-9999px'>secret</div>", "hidden"),
    ],
)
def test_what_cannot_be_seen_is_kept_out_and_told(html: str, why: str) -> None:
    email = normalise(
        mail(HTML, f"<p>What everybody can see in this mail is here and it is plain.</p>{html}<p>the end</p>")
    )
    assert "secret" not in email.text
    assert f"[{why} text: secret]" in email.shown
    assert "hidden-text" in kinds(email)


def test_visible_styles_are_no_finding() -> None:
    html = "<body bgcolor=black><font color=white>seen</font><p style='font-size:9px;background:#fff'>seen too</p>"
    email = normalise(mail(HTML, html))
    assert "seen\nseen too" in email.text
    assert not kinds(email)


def test_words_split_by_markup_are_whole() -> None:
    html = (
        "<p>Cheap vi<!-- x -->ag<b></b>ra and cas<span style='display:none'>xyz</span>ino for all of you my friends</p>"
    )
    assert "Cheap viagra and casino for all" in normalise(mail(HTML, html)).text


def test_a_mail_that_is_only_hidden_is_read() -> None:
    html = f"<div style='color:#fff'>{'Buy the cheapest watches in town now. ' * 5}</div>"
    assert "cheapest watches" in normalise(mail(HTML, html)).text


def test_image_only() -> None:
    email = normalise(mail(HTML, "<img src=x.png alt='Our best offer'><img src=dot.gif width=1 height=1>"))
    assert "image-only" in kinds(email)
    assert "[image: Our best offer]" in email.shown


def test_of_alternatives_the_one_people_see() -> None:
    raw = mail(
        'MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="q"',
        "--q\nContent-Type: text/plain\n\nonly the plain one\n"
        "--q\nContent-Type: text/html\n\n<p>only the rich one</p>\n--q--",
    )
    text = normalise(raw).text
    assert "rich" in text
    assert "plain" not in text


def test_long_mail_keeps_head_and_tail_and_says_so() -> None:
    email = normalise("begin " + "middle words of it " * 2000 + "the very end")
    assert email.text.startswith("begin")
    assert email.text.endswith("the very end")
    assert email.cut > 20_000
    assert any("middle" in note and "not read" in note for note in email.notes)
    start = email.text.index("very end")
    assert email.shown[slice(*email.where(start, start + 8))] == "very end"


def test_places_lead_back_to_what_is_shown() -> None:
    email = normalise("Subject: hi\nFrom: a@b.example\n\nplain $5,000 then v1agra then c l i c k and café done")
    for made, shown in (
        ("<money 4>", "$5,000"),
        ("viagra", "v1agra"),
        ("click", "c l i c k"),
        ("cafe", "café"),
        ("done", "done"),
    ):
        start = email.text.index(made)
        assert email.shown[slice(*email.where(start, start + len(made)))].strip() == shown


@given(st.text("ab1 ", max_size=60))
def test_edits_lead_back(text: str) -> None:
    made, edits = substitute(re.compile(r"\d+"), lambda match: "<n>", text)
    for match in re.finditer("[ab]", made):
        start, end = lead_back([edits], *match.span())
        assert text[start:end] == match[0]


def test_escape_sequences_written_as_entities_are_none_either() -> None:
    email = normalise(
        b"Content-Type: text/html\n\n<p>hi &#27;[2J &#x7; <a href='http://a.example/&#27;x'>here</a>"
        b"<img src=q alt='&#27;y'></p><p style='display:none'>un&#27;seen</p>"
    )
    assert not UNSAFE.search(email.shown)
    assert f"hi {ESCAPE}[2J" in email.shown
    assert "terminal" in kinds(email)


def test_escape_sequences_are_shown_not_obeyed() -> None:
    email = normalise(BROKEN["escape sequences"])
    assert ESCAPE in email.shown
    assert "terminal" in kinds(email)


def test_colours() -> None:
    assert parse_colour("#FFF") == parse_colour("white") == parse_colour("rgb(255, 255,255)") == (255, 255, 255)
    assert parse_colour("no such") is None
