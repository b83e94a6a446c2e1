"""What a mail's sender adds to the verdict: whether it is named by a mail that writes as a service does."""

from __future__ import annotations

import pytest

from engine.email_text.destinations import CHEAP, COSTS_NOTHING, HOSTED, PASSES_ON, elsewhere, passed_on
from engine.email_text.findings import LEAST, MOST, beside
from engine.email_text.normalise import EmailText, normalise
from engine.email_text.sender import (
    CONFIRMED,
    NAMED,
    NAMED_AWAY,
    OWN_WORD,
    POSES,
    REFUTED,
    UNNAMED,
    UNNAMED_AWAY,
    names,
)

RECEIPT = "Thank you for your order with Quillstone. Invoice 4471: total 24.90, paid by card. Your parcel has shipped."
ALARM = "Your mailbox password expires today. Please verify your account to avoid suspension."
OFFER = "Last chance! Thirty percent off every kettle at Quillstone this weekend."
PERSONAL = "Shall we meet at the station? I have the tickets and Ann brings the cake."
PASSED, FAILED = "mx.homestead.org; spf=pass; dkim=pass; dmarc=pass", "mx.homestead.org; spf=pass; dmarc=fail"
SIGNED = "mx.homestead.org; dkim=pass (2048-bit key) header.d=quillstone.com header.s=k1; spf=none"


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


def page(sender: str, text: str, *links: str, subject: str = "News", checked: str = "") -> EmailText:
    """A mail in HTML with links that do not show where they lead."""
    results = f"Authentication-Results: {checked}\n" if checked else ""
    head = f"{results}From: {sender}\nTo: jo@homestead.org\nSubject: {subject}\nContent-Type: text/html\n\n"
    return normalise(head + f"<p>{text}</p>" + " ".join(f'<a href="{link}">See more</a>' for link in links))


OWN, OTHERS = "https://click.quillstone.com/?a=1", "https://sunny-valley.org/login"


@pytest.mark.parametrize(
    ("email", "adds"),
    [
        (page("Quillstone <a@quillstone.com>", RECEIPT, OWN), NAMED),
        (page("Quillstone <a@quillstone.com>", RECEIPT, OTHERS, OWN), NAMED),  # a bank links to others as well
        (page("Quillstone <a@quillstone.com>", RECEIPT, OTHERS), NAMED_AWAY),
        (page("Quillstone <a@quillstone.com>", RECEIPT, OTHERS, checked=PASSED), NAMED_AWAY + CONFIRMED),
        (page("Quillstone <a@quillstonemail.com>", RECEIPT, OWN), UNNAMED),  # the same house, and still not named
        (page("Quillstone <a@fuse.net>", RECEIPT, OTHERS), UNNAMED_AWAY),
        (page("Quillstone <a@fuse.net>", RECEIPT, "https://u1.ct.sendgrid.net/x"), UNNAMED),  # it may lead anywhere
        (page("Quillstone <a@fuse.net>", RECEIPT, "mailto:b@sunny-valley.org"), UNNAMED),
        (page("Quillstone <a@gmail.com>", RECEIPT, OTHERS), UNNAMED),  # somebody without a shop of his own
        (page("Quillstone <a@fuse.net>", RECEIPT, OTHERS, subject="Re: News"), UNNAMED),  # whose words and links?
        (page("Quillstone <a@fuse.net>", RECEIPT, OTHERS, subject="[users] News"), UNNAMED),
        (page("Quillstone <a@fuse.net>", RECEIPT + " It goes on about cakes and kites." * 40, OTHERS), UNNAMED),
        (page("Ann <ann@fuse.net>", PERSONAL, OTHERS), 0.0),
        (page("Ann <ann@bunny.quest>", PERSONAL), COSTS_NOTHING),
        (page("Ann <ann@fuse.net>", PERSONAL, "http://bunny.icu/a", "http://honey.autos/b"), COSTS_NOTHING),
        (page("Ann <ann@fuse.net>", PERSONAL, "https://ann.web.app/"), 0.0),  # a page of one's own is nothing bad
        (page("Quillstone <a@fuse.net>", RECEIPT, "https://quill.web.app/"), UNNAMED_AWAY + COSTS_NOTHING),
        (
            page("Quillstone <a@quillstone.com>", RECEIPT, OWN, "https://storage.googleapis.com/q/x"),
            NAMED + COSTS_NOTHING,
        ),
        (page("Quillstone <a@quillstone.com>", RECEIPT, OWN, "https://maps.googleapis.com/q"), NAMED),
        (page("Quillstone <a@quillstone.com>", OFFER, OWN, checked=PASSED), OWN_WORD),
        (page("Quillstone <a@mail.quillstone.com>", OFFER, OTHERS, OWN, checked=SIGNED), OWN_WORD),
        (page("Quillstone <a@quillstone.com>", OFFER, OWN), 0.0),  # anybody can write that
        (page("Quillstone <a@quillstone.com>", OFFER, OTHERS, checked=PASSED), 0.0),
        (page("Quillstone <a@sunny-valley.org>", OFFER, OTHERS, checked=PASSED), 0.0),  # a spammer's domain passes, too
        (page("Quillstone <a@quillstone.com>", OFFER, OWN, checked=SIGNED.replace("quillstone", "fuse")), 0.0),
        (page("Quillstone <a@quillstone.com>", OFFER, OWN, checked=f"{SIGNED}; dmarc=fail"), 0.0),
        (page("Quillstone <a@quillstone.com>", RECEIPT, OWN, checked=SIGNED), NAMED + CONFIRMED),
        (page("Weebly <a@weebly.com>", RECEIPT, "https://ann.weebly.com/"), NAMED),
    ],
)
def test_where_links_lead_adds_to_what_a_sender_does(email: EmailText, adds: float) -> None:
    assert email.beside == pytest.approx(adds)
    assert all((finding.log_odds > 0) == (finding.weight > 0) for finding in email.findings if finding.log_odds)


def test_links_of_a_plain_text_without_headers_are_looked_at() -> None:
    bare = normalise(f"{ALARM} https://mailbox.r2.dev/a or hxxps://sunny.xyz/b")
    assert {f.kind for f in bare.findings if f.log_odds} == {"cheap-domain", "hosted-page"}
    assert bare.beside == pytest.approx(2 * COSTS_NOTHING)
    assert {bare.shown[f.start : f.end] for f in bare.findings if f.log_odds} == {"mailbox.r2.dev", "sunny.xyz"}
    assert normalise("See notes.zip and the end.top of it, www.sunny.org").beside == 0.0  # words are no links


def test_the_lists_of_domains_are_of_domains() -> None:
    assert all(ending.isalpha() and ending.islower() for ending in CHEAP)
    assert all(domain.count(".") == 1 for domain in HOSTED | PASSES_ON)
    assert not HOSTED & PASSES_ON


SAFE = "https://eur03.safelinks.protection.outlook.com/?url=https%3A%2F%2F{}%2Fa%3Fb%3D1&data=05%7C02&reserved=0"


def test_what_a_mailbox_puts_before_links_is_looked_through() -> None:
    assert passed_on(SAFE.format("click.quillstone.com")) == "https://click.quillstone.com/a?b=1"
    assert passed_on("https://www.google.com/url?q=http://sunny.xyz/&sa=D") == "http://sunny.xyz/"
    for other in (
        "https://www.google.com/search?q=cats",
        "https://sunny.org/?url=https://quillstone.com",
        "http://[::1",
    ):
        assert passed_on(other) == other
    assert page("Quillstone <a@quillstone.com>", RECEIPT, SAFE.format("quillstone.com")).beside == pytest.approx(NAMED)
    assert page("Quillstone <a@fuse.net>", RECEIPT, SAFE.format("sunny.org")).beside == pytest.approx(UNNAMED_AWAY)
    hidden = "https://urldefense.com/v3/__https://sunny.org__;!!abc"  # may lead anywhere
    assert page("Quillstone <a@fuse.net>", RECEIPT, hidden).beside == pytest.approx(UNNAMED)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("https://www.quillstone.com/a", ""),
        (SAFE.format("www.quillstone.com"), ""),
        (SAFE.format("sunny.org"), "link-mismatch"),
        ("https://sunny.org/quillstone.com", "link-mismatch"),
        ("https://shop.us1.list-manage.com/track?u=1", "link-through"),
    ],
)
def test_a_link_that_says_another_address_is_told_unless_it_only_passes_through(target: str, kind: str) -> None:
    head = "From: Quillstone <a@quillstone.com>\nSubject: News\nContent-Type: text/html\n\n"
    email = normalise(f'{head}<p>The new books: <a href="{target}">www.quillstone.com</a></p>')
    assert {f.kind for f in email.findings if f.kind.startswith("link-")} == ({kind} if kind else set())


def test_most_links_tell_where_they_lead() -> None:
    assert elsewhere("quillstone.com", ["a.sunny.org", "b.fuse.net", "c.fuse.net"]) == "b.fuse.net"
    assert elsewhere("facebookmail.com", ["www.facebook.com"]) == ""
    assert elsewhere("pay-quillstone.com", ["quillstone.com"]) == "quillstone.com"  # who only begins like it is another
    assert elsewhere("quillstone.com", []) == ""
