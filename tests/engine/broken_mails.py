"""A corpus of mails that are broken, huge or strange: name → bytes. Written for the tests, none is anybody's mail."""

from __future__ import annotations

import base64


def nested(depth: int) -> bytes:
    """A multipart in a multipart in a multipart …, with "the bottom" in the innermost."""
    head = b"From: a@b.example\nSubject: nested\nMIME-Version: 1.0\n"
    body = b""
    for level in range(depth):
        body += b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (level, level)
    return head + body + b"Content-Type: text/plain\n\nthe bottom\n"


def mail(headers: str, body: bytes | str) -> bytes:
    return b"From: a@b.example\n" + headers.encode() + b"\n\n" + (body.encode() if isinstance(body, str) else body)


HTML = "Content-Type: text/html; charset=utf-8\nMIME-Version: 1.0"
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "only a newline": b"\n",
    "only headers": b"From: a@b.example\nSubject: nothing more",
    "no boundary": mail("Content-Type: multipart/mixed", "--x\n\nhello there\n--x--\n"),
    "boundary never ends": mail('Content-Type: multipart/mixed; boundary="x"', "--x\n\nhello there"),
    "boundary missing": mail('Content-Type: multipart/mixed; boundary="x"', "hello there"),
    "wrong charset": mail("Content-Type: text/plain; charset=utf-8", b"caf\xe9 hello there"),
    "no such charset": mail("Content-Type: text/plain; charset=klingon-7", "hello there"),
    "charset is a codec": mail("Content-Type: text/plain; charset=rot13", "hello there"),
    "charset idna": mail("Content-Type: text/plain; charset=idna", "hello there" + "." * 3000),
    "bad base64": mail("Content-Transfer-Encoding: base64", "aGVsbG8g#dGhlcmU!!=\n==="),
    "bad quoted-printable": mail("Content-Transfer-Encoding: quoted-printable", "hello=ZZ there=\n=3"),
    "no such encoding": mail("Content-Transfer-Encoding: x-none", "hello there"),
    "uuencoded": mail("Content-Transfer-Encoding: x-uuencode", "begin 644 a\n#86)C\n`\nend\n"),
    "NUL bytes": mail("Subject: a\0b", b"hel\0lo the\0re"),
    "bare CR": b"From: a@b.example\rSubject: x\r\rhello there\r",
    "nested 40": nested(40),
    "nested 1,000": nested(1000),
    "nested 20,000": nested(20_000),
    "messages in messages": b"From: a@b.example\n"
    + b"Content-Type: message/rfc822\n\n" * 900
    + b"Subject: in\n\nhello",
    "a header of 1 MB": mail("Subject: " + "very " * 200_000, "hello there"),
    "a To of 1 MB": mail("To: " + ", ".join(["<x@y.example>"] * 70_000), "hello there"),
    "a folded header of 1 MB": mail("Subject: " + "\n very" * 170_000, "hello there"),
    "100,000 headers": mail("\n".join(f"X-{n}: y" for n in range(100_000)), "hello there"),
    "encoded words": mail("Subject: " + "=?utf-8?q?=C3=A9?= " * 2000, "hello there"),
    "broken encoded words": mail("Subject: =?utf-8?b?////?= =?x?q?a?= =?utf-8?q?=F?=", "hello there"),
    "8-bit headers": b"From: J\xe9r\xf4me <j@b.example>\nSubject: caf\xc3\xa9\n\nhello there",
    "From is rubbish": b"From: <<<>>>,;:@@\nReply-To: (((\nSubject: x\n\nhello there",
    "From is a group": b"From: undisclosed:;\nSubject: x\n\nhello there",
    "deep parentheses": b"From: " + b"(" * 5000 + b"a@b.example\nSubject: x\n\nhello there",
    "content type is rubbish": mail("Content-Type: ;;==\nContent-Disposition: ;;;", "hello there"),
    "file name is rubbish": mail("Content-Type: a/b; name*0*=utf-8''%FF; name*1=\"\\", "x"),
    "unclosed tags": mail(HTML, "<div><p><a href='http://x.example'>hello <b>there<table><td>"),
    "deep HTML": mail(HTML, "<div>" * 200_000 + "hello there"),
    "deep short tags": mail(HTML, "<b>" * 300_000 + "hello there"),
    "many attributes": mail(HTML, "<p " + " ".join(f"a{n}=b" for n in range(50_000)) + ">hello there"),
    "a style of 1 MB": mail(HTML, "<style>" + ".a{display:none}" * 60_000 + "</style><p class=a>x</p>hello there"),
    "a style without end": mail(HTML, "<style>@media x {" + ".a{" * 100_000),
    "links in links": mail(HTML, "<a href=http://x.example>" * 5000 + "hello there"),
    "half a comment": mail(HTML, "hello there <!-- " + "-" * 200_000),
    "a script": mail(HTML, "<script>alert('x')</script><form><input type=password></form>hello there"),
    "one long word": mail("Subject: x", "a" * 3_000_000),
    "dots": mail("Subject: x", "a." * 500_000),
    "spaces": mail("Subject: x", " " * 1_000_000 + "hello there"),
    "digits": mail("Subject: x", "1 " * 500_000),
    "at signs": mail("Subject: x", "a@" * 500_000),
    "figures and dots": mail("Subject: x", "$1.1,1" * 200_000),
    "slashes": mail("Subject: x", "http://" * 200_000),
    "signs only": mail("Subject: x", "$$$/x !!!-y +++ |||.z $$$$"),
    "open brackets": mail("Subject: x", "<" * 1_000_000),
    "combining marks": mail("Content-Type: text/plain; charset=utf-8", "a" + "\u0301" * 500_000),
    "one expanding sign": mail("Content-Type: text/plain; charset=utf-8", "\ufdfa" * 100_000),
    "zero-width": mail("Content-Type: text/plain; charset=utf-8", "h\u200be\u200bl\u200blo " * 50_000),
    "escape sequences": mail("Subject: \x1b[2J", "\x1b]0;evil\x07hello \x9b31mthere"),
    "an attachment of 10 MB": mail(
        'Content-Type: multipart/mixed; boundary="x"',
        b"--x\n\nhello there\n--x\nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(b"\1\2\3" * 3_300_000)
        + b"\n--x--\n",
    ),
    "PGP": mail(
        "Subject: x", "-----BEGIN PGP MESSAGE-----\n\n" + "hQEMA1234567890abcdef\n" * 400 + "-----END PGP MESSAGE-----"
    ),
    "PGP/MIME": mail('Content-Type: multipart/encrypted; boundary="x"', "--x\n\nVersion: 1\n--x--"),
    "Chinese": mail(
        "Content-Type: text/plain; charset=gb2312", "您好，这是一封关于明天会议的邮件。".encode("gb2312") * 20
    ),
    "Russian": mail(
        "Content-Type: text/plain; charset=koi8-r", ("Здравствуйте, встреча завтра утром. " * 20).encode("koi8-r")
    ),
    "UTF-16": "Subject: x\n\nhello there".encode("utf-16"),
    "UTF-7": mail("Content-Type: text/plain; charset=utf-7", "hello +AGEAYgBj- there"),
    "a program": bytes(range(256)) * 400,
    "a GIF": b"GIF89a" + bytes(200) + bytes(range(256)) * 20,
}
