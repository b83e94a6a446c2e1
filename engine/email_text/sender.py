"""What the headers say of a mail's sender, and whether it is who the text says: some of it adds to the verdict.

The classifier judges the text. Of mails that write as a service does (accounts, orders, bookings, codes) it hardly says
which are genuine, since who pretends to be a bank copies its words. But a bank's own mail comes from a domain that it
names, and a pretender's most often from one that nothing in the mail speaks of. NAMED and UNNAMED lie between what
logistic regression beside the text's log-odds gives them on mail of 2002 and on mail of 2009 to 2026, by scorers that
had not learned from it (training/LOG.md, 2026-12-01); the others are guesses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.email_text.destinations import elsewhere, leads_to, of_destinations
from engine.email_text.finding import Finding
from engine.email_text.mime import Fields
from engine.email_text.tokens import IN_WORDS, domain_of

# Log-odds. Of what writes as a service does: its sender's domain is named, also confirmed by the server that received
# it, not named, refuted by that server. Of any mail: its sender's name is the recipient's own domain.
NAMED, CONFIRMED, UNNAMED, REFUTED, POSES = -1.1, -0.5, 0.4, 1.0, 1.5
# Of what does not (newsletters, offers, notes): its sender is named, linked to and confirmed. Without that server's
# word nothing follows: advertisers named themselves and linked to themselves in 2002, and pretenders can.
OWN_WORD = -1.5
# The same where no link leads to the sender: it is named by others' leave, or nothing in it is the sender's.
NAMED_AWAY, UNNAMED_AWAY = -0.5, 1.5
ENOUGH = 3  # different words of SERVICE that make a mail write as a service does
DENSE, BEGINNING = 0.04, 1000  # and the share of them in so many characters that makes it speak of nothing else
READ = 4000  # characters of a text's beginning, and of its end
SHORT = 4  # letters of a name that has to stand as a word of its own
_SERVICE = """
    account accounts billing blocked confirm confirmation deactivate deactivated expire expired expires identity limited
    locked log-in login mailbox password passwords pin quota restricted secure security sign-in signin storage suspend
    suspended suspension suspicious unauthorised unauthorized unusual update updated username validate verification
    verify courier customs delivered delivery dispatch dispatched package packages parcel redelivery shipment shipped
    tracking balance billed charged gst invoice invoices order ordered paid payment payments purchase qty receipt
    receipts refund refunded refunds renewal renewed renews statement subscription subtotal total transaction
    transactions vat arrival baggage booked booking bookings check-in check-out departure e-ticket fare flight gate
    guest guests itinerary nights passenger passengers reservation terminal attempt authenticator code device one-time
    otp passcode recognise recognize reset sign signed two-factor two-step cheque credit credited debit debited deposit
    iban imps neft transfer upi withdrawal download downloads pending undelivered retrieve notifications preferences
    subscribed webmail administrator renew acct ach
"""
# Names that are no firm's, and providers of mail for everybody: to come from there says nothing of who it is.
_ANYBODY = """
    account accounts admin contact email info mail mailer mailserver message messages news noreply notification online
    secure security sender server service services support system update webmail
    aol att cox gmail gmx googlemail hotmail icloud live msn outlook proton protonmail yahoo yandex
"""
SERVICE, ANYBODY = frozenset(_SERVICE.split()), frozenset(_ANYBODY.split())
_FAILED = ("fail", "permerror", "softfail")
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
_LINKS = re.compile(r"(?:https?://|www\.)\S+|(?<![\w.+-])[\w.+-]{1,64}@[\w.-]{1,200}")
_ADDRESS = re.compile(r"[\w.+-]{1,64}@([\w-][\w.-]{0,200})")
_ODD = re.compile(r"[^a-z0-9]+")
# An answer, something passed on, a list's mail: its links and its words are not all of one hand.
_MANY_HANDS = re.compile(
    r"^[ \t]{0,9}[>|]|wrote:|forwarded message|mailing list|\A(?:re|fwd?|aw|wg):|\A\S{0,20} ?\[[^\]\n]{1,40}\]",
    re.IGNORECASE | re.MULTILINE,
)


def of_sender(fields: Fields, text: str, shown: str, hosts: Sequence[str]) -> list[Finding]:
    """What is found of a mail's sender.

    Args:
        text: subject and body.
        shown: the text for people, which begins with headers where there are any.
        hosts: that its links lead to.
    """
    sender, found = _domain(fields.from_address), []
    reply = _domain(fields.reply_to)
    if sender and reply and sender != reply:
        at = shown.find("Reply-To: ")
        span = (at, at + len("Reply-To: ") + len(fields.reply_to)) if at >= 0 else (-1, -1)
        sentence = f"Answers would go to {reply}, but it says it is from {sender}."
        found.append(Finding("reply-to", sentence, 0.7 if _owner(reply) in ANYBODY else 0.4, *span))
    if not fields.from_address and (fields.subject or fields.date):
        found.append(Finding("no-sender", "It does not say whom it is from.", 0.3))
    if "xn--" in sender or not fields.from_address.isascii():
        found.append(Finding("look-alike-domain", f"The sender's domain is written in other letters: {sender}.", 0.6))
    text = text if len(text) <= 2 * READ else f"{text[:READ]}\n{text[-READ:]}"
    serves = len(SERVICE.intersection(_WORD.findall(text.lower()))) >= ENOUGH
    found += of_destinations(sender, hosts, serves, shown)
    if (
        not serves
        and leads_to(sender, hosts)
        and confirmed(fields, sender)
        and names(f"{fields.from_name} {text}", sender)
    ):
        sentence = f"It names what it is from, {sender}, links there, and the server that received it confirmed that."
        found.append(Finding("own-word", sentence, OWN_WORD / 2, log_odds=OWN_WORD))
    away = elsewhere(sender, hosts) if serves and _speaks_of_nothing_else(text) else ""
    return found + _standing(fields, sender, text, shown, serves, away)


def confirmed(fields: Fields, sender: str) -> bool:
    """Whether the server that received a mail says that it is of the domain `sender`: by DMARC (RFC 7489), or where it
    has no word on that, by a signature of that domain."""
    if "dmarc" in fields.authentication:
        return fields.authentication["dmarc"] == "pass"
    return any(domain_of(host) == sender for host in fields.signed_by)


def _standing(fields: Fields, sender: str, text: str, shown: str, serves: bool, away: str) -> list[Finding]:
    """Whether the domain `sender` is the one that the mail speaks of, and what the server that received it says.

    Args:
        away: a host that links of a service's mail lead to instead; "" where that does not show.
    """
    houses = {domain_of(house) for house in _ADDRESS.findall(fields.to.lower())}
    failed = sorted(kind for kind, result in fields.authentication.items() if result in _FAILED)
    found = []
    spoken_of = _domain_in(fields.from_name)
    if sender and spoken_of and _owner(spoken_of) != _owner(sender):
        span = (6, 6 + len(fields.from_name)) if shown.startswith("From: ") else (-1, -1)
        sentence = f"The sender's name speaks of another address than {sender}."
        # Of a provider for everybody, an address in the name may be that of whom a service writes for.
        poses = spoken_of in houses and not ("@" in fields.from_name and _owner(spoken_of) in ANYBODY)
        counts = POSES if poses else 0.0
        found.append(Finding("from-name", sentence, 0.6, *span, log_odds=counts))
    if failed:
        checks = " and ".join(kind.upper() for kind in failed)
        sentence = f"The server that received it could not confirm the sender ({checks})."
        counts = REFUTED if serves and "dmarc" in failed else 0.0
        found.append(Finding("authentication", sentence, 0.8 if "dmarc" in failed else 0.5, log_odds=counts))
    if not serves or not sender or sender in houses:  # its own house's mail, or somebody pretends that: nothing tells
        return found
    if not names(f"{fields.from_name} {text}", sender):
        sentence, counts = f"It writes as a service does, and nothing in it names what it is from, {sender}.", UNNAMED
        if away and _owner(sender) not in ANYBODY:
            sentence, counts = f"{sentence[:-1]}; its links lead to {away[:80]}.", UNNAMED_AWAY
        found.append(Finding("unnamed-sender", sentence, 0.3 if counts == UNNAMED else 0.7, log_odds=counts))
    elif not failed:
        passed = confirmed(fields, sender)
        seal = ", which the server that received it confirmed" if passed else ""
        counts = (NAMED_AWAY if away else NAMED) + (CONFIRMED if passed else 0.0)
        lead = f"; no link leads there, but to {away[:80]}" if away else ""
        sentence = f"It names what it is from: {sender}{seal}{lead}."
        found.append(Finding("named-sender", sentence, counts / 2, log_odds=counts))
    return found


def _speaks_of_nothing_else(text: str) -> bool:
    """Whether a mail is one hand's and its beginning is full of the words of services."""
    words = _WORD.findall(text[:BEGINNING].lower())
    return sum(word in SERVICE for word in words) >= DENSE * len(words) and _MANY_HANDS.search(text) is None


def names(text: str, sender: str) -> bool:
    """Whether `text` names the domain `sender` by its owner's part ("dhl" of dhl.com), links and addresses aside."""
    name, said = _owner(sender), _LINKS.sub(" ", text.lower())
    if name in ANYBODY:
        return False
    if len(name) <= SHORT:
        return re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", said) is not None
    return _ODD.sub("", name) in _ODD.sub("", said)


def _domain_in(name: str) -> str:
    """The domain of an address or a host that a sender's name holds; "" where it holds none."""
    if address := _ADDRESS.search(name.lower()):
        return domain_of(address[1])
    host = IN_WORDS.search(name.lower())
    return domain_of(host[1].removeprefix("www.")) if host else ""


def _domain(address: str) -> str:
    return domain_of(address.rpartition("@")[2].lower()) if "@" in address else ""


def _owner(domain: str) -> str:
    """What tells whose `domain` is: amazon.com and amazon.co.uk are both amazon's."""
    return domain.partition(".")[0]
