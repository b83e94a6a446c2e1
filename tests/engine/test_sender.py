"""What a mail's sender adds to the verdict: whether it is named by a mail that writes as a service does."""

from __future__ import annotations

import pytest

from engine.email_text.findings import LEAST, MOST, beside
from engine.email_text.normalise import EmailText, normalise
from engine.email_text.sender import CONFIRMED, NAMED, POSES, REFUTED, UNNAMED, names

RECEIPT = "Thank you for your order with Quillstone. Invoice 4471: total 24.90, paid by card. Your parcel has shipped."
ALARM = "Your mailbox password expires today. Please verify your account to avoid suspension."
PERSONAL = "Shall we meet at the station? I have the tickets and Ann brings the cake."
PASSED, FAILED = "mx.homestead.org; spf=pass; dkim=pass; dmarc=pass", "mx.homestead.org; spf=pass; dmarc=fail"


def mail(sender: str, text: str, checked: str = "", to: str = "jo@homestead.org") -> EmailText:
    results = f"Authentication-Results: {checked}\n" if checked else ""
    return normalise(f"{results}From: {sender}\nTo: {to}\nSubject: News\n\n{text}\n")


@pytest.mark.parametrize(
    ("sender", "text", "checked", "adds"),
    [
        ("Quillstone <orders@mail.quillstone.com>", RECEIPT, "", NAMED),
        ("Quillstone <orders@quillstone.co.uk>", RECEIPT, PASSED, NAMED + CONFIRMED),
        ("Quillstone <orders@quillstone.com>", RECEIPT, FAILED, REFUTED),  # no bonus for a name that others can write
        ("Quillstone <baseball@fuse.net>", RECEIPT, "", UNNAMED),
        ("Quillstone <baseball@fuse.net>", RECEIPT, PASSED, UNNAMED),  # a spammer's domain passes, too
        ("Quillstone <someone@gmail.com>", RECEIPT + " Your Gmail address is kept.", PASSED, UNNAMED),
        ("homestead.org team <info@fuse.net>", ALARM, "", UNNAMED + POSES),
        ("homestead.org team <info@fuse.net>", PERSONAL, "", POSES),
        ("Desk <desk@homestead.org>", ALARM, "", 0.0),  # its own house, or who pretends that: nothing tells
        ("Ann <ann@fuse.net>", PERSONAL, "", 0.0),
        ("Ann <ann@fuse.net>", PERSONAL, FAILED, 0.0),  # mailing lists break DMARC
    ],
)
def test_a_service_is_judged_by_where_it_writes_from(sender: str, text: str, checked: str, adds: float) -> None:
    email = mail(sender, text, checked)
    assert email.beside == pytest.approx(adds)
    told = [finding for finding in email.findings if finding.log_odds]
    assert all(f"{finding.log_odds:+.1f}" in finding.told for finding in told)
    assert all((finding.log_odds > 0) == (finding.weight > 0) for finding in told)


def test_a_text_without_headers_gets_nothing() -> None:
    assert normalise(ALARM).beside == 0.0


def test_whom_a_calendar_writes_for_is_not_taken_for_a_pretender() -> None:
    invitation = mail('"ann@gmail.com (Calendar)" <notify@google.com>', PERSONAL, to="jo@gmail.com")
    assert invitation.beside == 0.0
    assert "from-name" in {finding.kind for finding in invitation.findings}


@pytest.mark.parametrize(
    ("text", "domain", "named"),
    [
        ("Your DHL parcel", "dhl.com", True),
        ("a windhl parcel", "dhl.com", False),  # a short name has to stand alone
        ("Dot & Daughter's jam", "dotdaughter.com", True),
        ("Bank of Ruritania", "bankofruritania.com", True),
        ("see https://evil.net/evil and evil@evil.net", "evil.net", False),  # anybody's link leads to themselves
        ("admin of your mail server", "admin.com", False),
        ("", "shop.com", False),
    ],
)
def test_a_domain_is_named_in_words(text: str, domain: str, named: bool) -> None:
    assert names(text, domain) is named


def test_findings_never_count_without_end() -> None:
    worst = normalise(
        b"From: homestead.org <x@fuse.net>\nTo: jo@homestead.org\nSubject: verify your account password\n"
        b"Authentication-Results: mx.homestead.org; dmarc=fail\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="q"\n\n--q\nContent-Type: text/html\n\n'
        b'<p>mailbox quota</p><form><input type="password"></form>\n--q\nContent-Type: application/octet-stream\n'
        b'Content-Disposition: attachment; filename="a.exe"\n\nAAAA\n--q\nContent-Type: application/octet-stream\n'
        b'Content-Disposition: attachment; filename="b.exe"\n\nAAAA\n--q--\n'
    )
    counted = {finding.kind: finding.log_odds for finding in worst.findings if finding.log_odds}
    assert len(counted) == 5
    assert sum(counted.values()) > MOST
    assert worst.beside == MOST
    assert beside([]) == 0.0
    assert LEAST <= NAMED + CONFIRMED < 0
