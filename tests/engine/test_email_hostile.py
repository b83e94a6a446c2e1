"""Mails that are made to stop the normaliser, to take its time, or to pass for confirmed; beside them, honest ones."""

from __future__ import annotations

import base64
import time

import pytest

from engine.email_text import mime
from engine.email_text.normalise import EmailText, normalise
from engine.email_text.plain import decode

SHORT = "From: a@b.example\nSubject: s\nMIME-Version: 1.0\n"
MIXED = f'{SHORT}Content-Type: multipart/mixed; boundary="x"\n\n'
PILLS = "Buy cheap pills online now, no prescription is needed."


def attached(header: str) -> EmailText:
    return normalise(f"{MIXED}--x\n\nhello\n--x\n{header}\n\nTVqQAAMA\n--x--\n".encode())


def checked(headers: str) -> tuple[dict[str, str], tuple[str, ...]]:
    fields = normalise(f"{headers}From: Paypal <service@paypal.com>\nSubject: hi\n\nhello\n".encode()).fields
    return fields.authentication, fields.signed_by


# 1. What must never raise


@pytest.mark.parametrize("sign", ["(", '"', "=?", "[", "<", "\\", ";", "a=b;", "*0*="])
@pytest.mark.parametrize("name", ["Content-Type", "Content-Disposition", "Content-Transfer-Encoding", "From", "Date"])
def test_headers_full_of_one_sign(name: str, sign: str) -> None:
    for value in (sign * 500, f"text/plain; {sign * 500}", f"attachment; filename={sign * 500}"):
        assert "hello" in normalise(f"{name}: {value}\nSubject: s\n\nhello\n".encode()).text
        normalise(f"{MIXED}--x\n{name}: {value}\n\nhello\n--x--\n".encode())


def test_whatever_fails_the_mail_is_read_as_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(mime, "walk", fail)
    assert PILLS in normalise(f"{SHORT}\n{PILLS}".encode()).shown


# 2. Who confirmed the sender

GMAIL = """Delivered-To: me@gmail.com
Received: by 2002:a05:6402:1234:b0:5c4:1234:abcd with SMTP id x1csp12345;
        Mon, 1 Jan 2024 00:00:00 -0800 (PST)
X-Received: by 2002:a17:906:1234:b0:a26:1:2 with SMTP id y2;
        Mon, 01 Jan 2024 00:00:00 -0800 (PST)
ARC-Seal: i=1; a=rsa-sha256; t=1700000000; cv=none; d=google.com; s=arc-20160816; b=abc
ARC-Authentication-Results: i=1; mx.google.com;
       dkim=pass header.i=@other.example header.s=s1 header.b=abc; dmarc=pass header.from=other.example
Return-Path: <service@paypal.com>
Received: from mx1.paypal.com (mx1.paypal.com. [66.211.170.86])
        by mx.google.com with ESMTPS id a1si1234567edb.1.2024.01.01
        for <me@gmail.com>
        (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256);
        Mon, 01 Jan 2024 00:00:00 -0800 (PST)
Received-SPF: pass (google.com: domain of service@paypal.com designates 66.211.170.86 as permitted sender)
Authentication-Results: mx.google.com;
       dkim=pass header.i=@paypal.com header.s=pp-dkim1 header.b="AB/c;d=e";
       spf=pass (google.com: domain of service@paypal.com designates 66.211.170.86 as permitted sender)
       smtp.mailfrom=service@paypal.com;
       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=paypal.com
Authentication-Results: evil.example; dmarc=fail
Received: from evil.example by mx1.paypal.com; Mon, 01 Jan 2024 00:00:00 -0800
Authentication-Results: mx.google.com; dmarc=fail
"""
OUTLOOK = """Received: from AM0PR01MB1.eurprd01.prod.exchangelabs.outlook.com (2603:10a6:208:1::12)
 by DB7PR01MB2.eurprd01.prod.outlook.com with HTTPS; Mon, 1 Jan 2024 00:00:00 +0000
Received: from DB8EUR05FT003.eop-eur05.prod.protection.outlook.com
 (2603:10a6:10:1:cafe::1) by AM0PR01CA1.outlook.com
 (2603:10a6:208:1::2) with Microsoft SMTP Server; Mon, 1 Jan 2024 00:00:00 +0000
Authentication-Results: spf=pass (sender IP is 66.211.170.86)
 smtp.mailfrom=paypal.com; dkim=pass (signature was verified)
 header.d=paypal.com;dmarc=pass action=none header.from=paypal.com;compauth=pass reason=100
Received-SPF: Pass (protection.outlook.com: domain of paypal.com designates 66.211.170.86 as permitted sender)
Received: from mx1.paypal.com (66.211.170.86) by
 DB8EUR05FT003.mail.protection.outlook.com (10.233.238.1) with Microsoft SMTP
 Server; Mon, 1 Jan 2024 00:00:00 +0000
"""
FASTMAIL = """Return-Path: <service@paypal.com>
Received: from compute5.internal (compute5.nyi.internal [10.202.2.45])
\t by sloti22t02 (Cyrus 3.9.0) with LMTPA; Mon, 01 Jan 2024 00:00:00 -0500
Received: from mx6 ([10.202.2.205]) by compute5.internal (LMTPProxy); Mon, 01 Jan 2024 00:00:00 -0500
Received: from mx6.messagingengine.com (localhost [127.0.0.1])
\tby mailmx.nyi.internal (Postfix) with ESMTP id 123; Mon, 1 Jan 2024 00:00:00 -0500 (EST)
ARC-Authentication-Results: i=1; mx6.messagingengine.com; dmarc=fail header.from=x.example
Authentication-Results: mx6.messagingengine.com;
    arc=none (no signatures found);
    dkim=pass (2048-bit rsa key sha256) header.d=paypal.com
    header.i=@paypal.com header.b=abc header.a=rsa-sha256 header.s=pp x-bits=2048;
    dmarc=pass policy.published-domain-policy=reject policy.evaluated-disposition=none header.from=paypal.com;
    iprev=pass smtp.remote-ip=66.211.170.86 (mx1.paypal.com);
    spf=pass smtp.mailfrom=service@paypal.com smtp.helo=mx1.paypal.com
Received: from mx1.paypal.com (mx1.paypal.com [66.211.170.86])
\tby mx6.messagingengine.com (Postfix) with ESMTPS; Mon, 1 Jan 2024 00:00:00 -0500 (EST)
"""
PROTON = """Authentication-Results: mail.protonmail.ch; dmarc=pass (p=reject dis=none) header.from=paypal.com
Authentication-Results: mail.protonmail.ch; spf=pass smtp.mailfrom=paypal.com
Authentication-Results: mail.protonmail.ch; arc=none smtp.remote-ip=66.211.170.86
Authentication-Results: mail.protonmail.ch;
 dkim=pass (2048-bit key) header.d=paypal.com header.i=@paypal.com header.b="Ab/c"
Received: from mx1.paypal.com (mx1.paypal.com [66.211.170.86]) by mail.protonmail.ch (Postfix) with ESMTPS; Mon
Authentication-Results: forged.example; dmarc=fail
"""
RSPAMD = """Received: from mail.me.org
\tby mail.me.org with LMTP
\tid abc (envelope-from <service@paypal.com>); Mon, 1 Jan 2024 00:00:00 +0000
Authentication-Results: mail.me.org;
\tdkim=pass header.d=paypal.com header.s=pp header.b=abc;
\tdmarc=pass (policy=reject) header.from=paypal.com;
\tspf=pass (mail.me.org: domain of service@paypal.com designates 66.211.170.86) smtp.mailfrom=service@paypal.com
Received: from mx1.paypal.com (mx1.paypal.com [66.211.170.86]) by mail.me.org (Postfix) with ESMTPS; Mon
"""
PASSED = ({"dkim": "pass", "spf": "pass", "dmarc": "pass"}, ("paypal.com",))


@pytest.mark.parametrize("headers", [GMAIL, OUTLOOK, FASTMAIL, PROTON, RSPAMD])
def test_what_mailboxes_write(headers: str) -> None:
    assert checked(headers) == PASSED


@pytest.mark.parametrize(
    ("results", "found"),
    [
        (  # in a comment, and as a mailbox's name
            "a.example; spf=pass (a.example: domain of dmarc=pass@evil.top designates 1.2.3.4 as permitted) "
            "smtp.mailfrom=dmarc=pass@evil.top; dmarc=fail (p=NONE) header.from=paypal.com",
            ({"spf": "pass", "dmarc": "fail"}, ()),
        ),
        ("a.example; spf=pass smtp.mailfrom=dkim=pass.header.d=paypal.com@evil.top", ({"spf": "pass"}, ())),
        ('a.example; spf=pass smtp.mailfrom="x; dmarc=pass"@evil.top', ({"spf": "pass"}, ())),
        ("a.example; spf=pass (a (; dmarc=pass) b); dmarc=fail", ({"spf": "pass", "dmarc": "fail"}, ())),
        (
            'a.example; spf=pass (domain of "x); dmarc=pass ("@evil.top designates); dmarc=fail',
            ({"spf": "pass", "dmarc": "fail"}, ()),
        ),
        (r"a.example; spf=pass (a\); dmarc=pass); dmarc=fail", ({"spf": "pass", "dmarc": "fail"}, ())),
        (  # of another signature than the one that was right
            "a.example; dkim=pass header.d=evil.top; dkim=fail header.d=paypal.com",
            ({"dkim": "pass"}, ("evil.top",)),
        ),
        ("a.example; dkim=pass header.i=header.d=paypal.com@evil.top", ({"dkim": "pass"}, ("evil.top",))),
        ("a.example 1; dkim = pass header.i = joe@paypal.com", ({"dkim": "pass"}, ("paypal.com",))),
        ("a.example; none", ({}, ())),
    ],
)
def test_what_a_sender_writes_into_the_results(results: str, found: object) -> None:
    assert checked(f"Authentication-Results: {results}\n") == found


OUTSIDE = "Received: from evil.top (evil.top [66.6.6.6]) by mx.mine.org; Mon, 1 Jan 2024 00:00:00 +0000\n"


@pytest.mark.parametrize(
    "headers",
    [
        OUTSIDE + "Authentication-Results: whatever; dmarc=pass\n",
        OUTSIDE + "Authentication-Results: org; dmarc=pass\n",
        OUTSIDE + "Received: by x.evil.top; Mon\nAuthentication-Results: mx.mine.org; dmarc=pass\n",
        OUTSIDE.replace("from evil.top", "from [10.0.0.1]") + "Authentication-Results: whatever; dmarc=pass\n",
        OUTSIDE.replace("from evil.top", "from mx.mine.org") + "Authentication-Results: whatever; dmarc=pass\n",
        "Received: from mx.mine.org by mx.mine.org with SMTP; Mon\nAuthentication-Results: whatever; dmarc=pass\n",
        OUTSIDE.replace("from evil.top", "from a.outlook.com") + "Authentication-Results: spf=pass; dmarc=pass\n",
    ],
)
def test_results_of_the_senders_own_count_for_nothing(headers: str) -> None:
    assert checked(headers) == ({}, ())


def test_several_results_of_one_server() -> None:
    own = "Authentication-Results: mx.mine.org; dkim=none\nAuthentication-Results: mx.mine.org; dmarc=fail; dkim=pass\n"
    other = "Authentication-Results: other.example; spf=pass\n"
    assert checked(own + other + OUTSIDE) == ({"dkim": "none", "dmarc": "fail"}, ())
    assert checked(OUTSIDE + own + other) == ({"dkim": "none", "dmarc": "fail"}, ())
    assert checked(OUTSIDE + own.replace("mx.mine.org", "mine.org")) == ({"dkim": "none", "dmarc": "fail"}, ())


def test_a_copy_without_received_headers_believes_the_topmost() -> None:
    topmost = "Authentication-Results: mx.example; dmarc=fail\n"
    assert checked(topmost + "Authentication-Results: mx.example; spf=pass\n") == ({"dmarc": "fail"}, ())


# 3. Time

SLOW = {
    "parts": MIXED + "--x\n\n" * 100_000,
    "parameters": MIXED + "--x\nContent-Type: text/plain; " + "a=b; " * 20_000 + "\n\nhi\n--x--\n",
    "file name, encoded words": MIXED
    + f'--x\nContent-Disposition: attachment; filename="{"=?utf-8?q?a?= " * 50_000}"\n\nhi',
    "file name, RFC 2231": f"{MIXED}--x\nContent-Disposition: attachment; "
    + "".join(f"filename*{i}*=a; " for i in range(50_000))
    + "\n\nhi\n--x--\n",
    "quotes": SHORT + "Content-Type: text/plain; a=" + '"' * 7_900 + "\n\nhello",
    "punycode": f"{SHORT}Content-Type: text/plain; charset=punycode\n\nx\x1b{'a' * 150_000}-{'b' * 150_000}é",
    "idna": f"{SHORT}Content-Type: text/plain; charset=idna\n\n{'a.' * 150_000}é",
    "pictures": MIXED + "--x\nContent-Type: image/png\n\nx\n--x\n\n" + "[image:" * 28_000 + "\n--x--\n",
    "line ends": f"{SHORT}\n" + "\r" * 8_000_000,
    "line ends in parts": MIXED + "--x\r" * 1_000_000,
    "headers of a part": MIXED + "--x\n" + "A: b\n" * 1_000_000 + "\nhi\n--x--\n",
    "delivery status": f"{SHORT}Content-Type: message/delivery-status\n\n" + "A: b\n\n" * 80_000,
    "lines in many parts": SHORT
    + "".join(f'Content-Type: multipart/mixed; boundary="b{i}"\n\n--b{i}\n' for i in range(55))
    + "\n"
    + "hello\n" * 90_000,
}


@pytest.mark.parametrize("name", SLOW)
def test_no_mail_takes_long(name: str) -> None:
    raw = SLOW[name].encode()
    start = time.process_time()
    normalise(raw)
    assert time.process_time() - start < 2


def test_too_many_parts_are_still_read() -> None:
    email = normalise((MIXED + f"--x\n\n{PILLS}\n" * 1_500 + "--x--\n").encode())
    assert PILLS in email.text
    assert any("too many parts" in note for note in email.notes)
    many = normalise((MIXED + "".join(f"--x\n\nnote {i} is here\n" for i in range(900)) + "--x--\n").encode())
    assert "note 899 is here" in many.shown
    assert not any("parts" in note for note in many.notes)


def test_many_headers_of_a_part_do_not_hide_how_to_read_it() -> None:
    part = "A: b\n" * 2_000 + "Content-Transfer-Encoding: base64\n\n" + base64.b64encode(PILLS.encode()).decode()
    assert PILLS in normalise(f"{MIXED}--x\n{part}\n--x--\n".encode()).text


def test_many_line_ends_do_not_hide_a_text() -> None:
    body = base64.b64encode(PILLS.encode()).decode() + "\n" * 600_000
    assert PILLS in normalise(f"{SHORT}Content-Transfer-Encoding: base64\n\n{body}".encode()).text


# 4. What stands before the headers


@pytest.mark.parametrize(
    "before", ["\ufeff", "\n\n", "  \n", "\ufeff\r\n", ">From a@b.example Mon Jan  1 00:00:00 2024\n", "From a@b Mon\n"]
)
def test_before_the_headers(before: str) -> None:
    email = normalise(f"{before}{SHORT}Content-Transfer-Encoding: base64\n\nQnV5IHBpbGxz\n".encode())
    assert email.fields.from_address == "a@b.example"
    assert email.text.split() == ["s", "Buy", "pills"]


def test_a_text_that_begins_so_stays_a_text() -> None:
    assert ">From the desk of Mr. Abu" in normalise(b">From the desk of Mr. Abu: dear friend\n\nI am writing").shown
    assert not normalise(b"\n   From: me\n   Subject: lunch\n\n   hello").fields.from_address


# 5. Charsets that say less than they mean


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("iso-8859-1", "cp1252", "don’t know—perhaps for €100"),
        ("ISO-8859-1", "latin-1", "Grüße, señor"),
        ("gb2312", "gb18030", "这是一个測試镕"),
        ("ks_c_5601-1987", "cp949", "똠방각하"),
        ("shift_jis", "cp932", "①会議㈱"),
        ("us-ascii (Plain text)", "utf-8", "é"),
        ("koi8-r", "koi8-r", "Привет"),
        ("utf-16-le", "utf-16-le", "Grüße"),
        ("iso-2022-jp", "iso-2022-jp", "会議"),
        ("unicode_escape", "utf-8", r"\x41é"),
    ],
)
def test_charsets(charset: str, codec: str, text: str) -> None:
    assert decode(text.encode(codec), charset) == text


# 6. Programs


@pytest.mark.parametrize(
    "header",
    [
        "Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=my invoice.exe",
        "Content-Disposition: attachment; filename==?utf-8?b?aW52b2ljZS5leGU=?=",
        'Content-Disposition: attachment; filename="=?utf-8?b?aW52b2ljZS5leGU=?="',
        'Content-Disposition: attachment; filename="inv.exe. ."',
        "Content-Disposition: attachment;\n filename*0*=utf-8''inv%C3%B6;\n filename*1*=ice.exe",
        f'Content-Disposition: attachment; filename="{"a" * 300}.exe"',
        "Content-Type: text/plain; name=run.exe\nContent-Transfer-Encoding: base64",
    ],
)
def test_programs(header: str) -> None:
    assert [f.kind for f in attached(header).findings if f.log_odds > 0] == ["program"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('Content-Type: application/pdf; name="Rechnung (März).pdf"', "Rechnung (März).pdf"),
        ("Content-Type: application/pdf; name=report (1).pdf", "report (1).pdf"),
        (
            "Content-Type: application/pdf\n"
            "Content-Disposition: =?utf-8?q?attachment=3B_filename=3D=22M=C3=A4rz=2Epdf=22?=",
            "März.pdf",
        ),
    ],
)
def test_names_of_documents(header: str, name: str) -> None:
    email = attached(header)
    assert [a.name for a in email.attachments] == [name]
    assert not [f for f in email.findings if f.kind == "program"]


def test_a_text_with_a_name_is_no_attachment() -> None:
    assert not attached('Content-Type: text/plain; name="notes.txt"').attachments
