"""A mail's headers → the few that a reader or a finding asks for.

Owns what is done about headers that are folded, encoded, raw or rubbish, on the standard library's `email`, and which
of a mail's Authentication-Results (RFC 8601) the server that received it wrote: the sender can write some too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email import policy
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

from engine.email_text.plain import clean, decode

T = TypeVar("T")
MOST_RESULTS, MOST_HOPS = 10, 30  # headers of Authentication-Results and Received that are read
_RESULT = re.compile(r"\s*(spf|dkim|dmarc)\s*(?:/\s*\d+\s*)?=\s*([a-z]+)", re.IGNORECASE)
_SIGNER = re.compile(r"header\.[di]=(?:\S*@)?([\w.-]{1,200})", re.IGNORECASE)
_BY = re.compile(r"(?:^|\s)by\s+([\w.:-]+)", re.IGNORECASE)
_PRIVATE = [
    ip_network(net)
    for net in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
]
_QUOTED_MAILBOX = re.compile(r'"(?:[^"\\]|\\.)*"@')
_NUMBERS = re.compile(r"[0-9a-f.:]{2,45}", re.IGNORECASE)  # what may be an IP address


@dataclass(frozen=True)
class Fields:
    """The headers that a reader or a finding asks for; "" where there is none."""

    from_name: str = ""
    from_address: str = ""
    reply_to: str = ""  # an address
    to: str = ""
    subject: str = ""
    date: str = ""
    authentication: dict[str, str] = field(default_factory=dict)  # spf, dkim, dmarc → pass, fail, softfail, none, …
    signed_by: tuple[str, ...] = ()  # hosts whose signatures (DKIM) the server that received it found right


def attempt(make: Callable[[], T], otherwise: T) -> T:
    """What `make` gives. The standard library's parsers raise errors of many kinds on malformed mail, among them
    AttributeError, IndexError and RecursionError; whichever it is, this piece cannot be read."""
    try:
        return make()
    except Exception:  # noqa: BLE001 - see above; a mail must never stop a batch
        return otherwise


def values_of(message: Message, name: str) -> list[str]:
    """The values of header `name`, each on one line."""
    return [unfolded(str(value)) for key, value in message.raw_items() if key.lower() == name]


def unfolded(value: str) -> str:
    """A header's raw value on one line; bytes beyond ASCII as UTF-8 or else Windows-1252."""
    return re.sub(r"\r?\n|\r", "", decode(value.encode("utf-8", "surrogateescape"), None))


def in_words(value: str) -> str:
    """`value` with its encoded words (RFC 2047) decoded."""
    return attempt(lambda: str(make_header(decode_header(value))), value) if "=?" in value else value


def file_name(part: Message) -> str:
    """The name that `part` has as a file, as mail programs read it: also unquoted with blanks, also encoded in the way
    of texts; "" where it has none."""
    return in_words(str(attempt(part.get_filename, None) or ""))


def _header(message: Message, name: str) -> Any:
    """Header `name` as the policy understands it; None when there is none."""
    values = values_of(message, name)
    if not values:
        return None
    return attempt(lambda: policy.default.header_factory(name, values[0]), values[0])


def _text_of(message: Message, name: str) -> str:
    value = _header(message, name)
    return " ".join(clean(str(value)).split())[:1000] if value is not None else ""


def _address(message: Message, name: str) -> tuple[str, str]:
    """(display name, address) of the first address in header `name`."""
    value = _header(message, name)
    if value is None:
        return "", ""
    none: list[tuple[str, str]] = []
    found = attempt(lambda: [(str(a.display_name), str(a.addr_spec)) for a in value.addresses], none)
    name_, address = (
        found[0] if found and found[0][1] not in ("", "<>") else attempt(lambda: parseaddr(str(value)), ("", ""))
    )
    return " ".join(clean(name_).split())[:300], clean(address).strip().lower()[:300]


def _bare(value: str) -> str:
    """`value` without its comments, which nest, and its quoted strings: what stands there is anybody's (RFC 5322)."""
    kept, depth, quoted, escaped = [], 0, False, False
    # First the names of mailboxes: servers repeat them in comments, where a sender's ")" would end these.
    for sign in _QUOTED_MAILBOX.sub("@", value):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif quoted:
            quoted = sign != '"'
        elif sign == '"' and not depth:
            quoted = True
        elif sign in "()":
            depth = max(depth + (1 if sign == "(" else -1), 0)
            kept.append(" ")
        elif not depth:
            kept.append(sign)
    return "".join(kept)


def _by(received: str) -> str:
    found = _BY.search(_bare(received))
    return found[1].lower().rstrip(".") if found else ""


def _within(received: str) -> bool:
    """Whether a header Received tells of a hop within the receiver's own house, which no sender can have written if all
    above it are such: from no other machine, or from one with a private address, which the receiving machine saw."""
    origin, here = re.split(r"\sby\s", received, maxsplit=1, flags=re.IGNORECASE)[0], _by(received)
    words = _bare(origin).lower().split()
    if words[:1] != ["from"]:
        return True
    there = words[1].rstrip(".") if len(words) > 1 else ""
    # Microsoft's machines speak with each other by public addresses. It always writes results of its own, above others.
    if there.endswith(".outlook.com") and here.endswith(".outlook.com"):
        return True
    seen = [_is_private(numbers) for numbers in _NUMBERS.findall(origin)]
    addresses = [private for private in seen if private is not None]
    return all(addresses) if addresses else bool(here) and there == here and "lmtp" in received.lower()


def _is_private(numbers: str) -> bool | None:
    """Whether `numbers` is an IP address of a private net; None where it is none at all."""
    try:
        address = ip_address(numbers)
    except ValueError:
        return None
    return any(address in net for net in _PRIVATE)


def _results(message: Message) -> tuple[list[str], str]:
    """(the Authentication-Results, the Received-SPF) that the server wrote which received `message` from outside.

    They stand above the Received header of that hop; Gmail's stand just below it, and bear the name of that header's
    machine. In a copy that has lost its Received headers, the topmost one counts.
    """
    above: list[str] = []
    below: list[str] = []
    spf, border, hops = "", None, 0
    for key, raw in message.raw_items():
        name = key.lower()
        if name not in ("received", "received-spf", "authentication-results"):
            continue
        value = unfolded(str(raw))
        if name == "received":
            hops += 1
            if border is not None or hops > MOST_HOPS:
                break  # from here on a sender may have written everything
            border = None if _within(value) else _by(value)
        elif name == "received-spf":
            spf = spf or value
        elif len(above) + len(below) < MOST_RESULTS:
            (above if border is None else below).append(value)
    if not above and border:
        above = [value for value in below if _is_of(border, _server(value))]
    if not values_of(message, "received"):
        above = above[:1]
    return [value for value in above if _server(value) == _server(above[0])], spf


def _is_of(host: str, server: str) -> bool:
    """Whether `server` is `host` or a domain that it is in."""
    return "." in server and f".{host}".endswith(f".{server}")


def _server(results: str) -> str:
    """Who wrote an Authentication-Results header; "" where it does not say, as Microsoft's."""
    said = _bare(results).partition(";")[0].split()
    return "" if not said or "=" in said[0] or "=" in said[-1] else said[0].lower().rstrip(".")


def _authentication(message: Message) -> tuple[dict[str, str], tuple[str, ...]]:
    """(results by method, hosts whose signatures were found right)."""
    found: dict[str, str] = {}
    signed = []
    results, spf = _results(message)
    for value in results:
        for result in re.sub(r"\s*=\s*", "=", _bare(value)).split(";"):
            said = _RESULT.match(result)
            if said is None:
                continue
            method, word = said[1].lower(), said[2].lower()
            found.setdefault(method, word)
            signers = filter(None, map(_SIGNER.match, result.split())) if (method, word) == ("dkim", "pass") else ()
            signed += [signer[1].lower() for signer in signers][:1]
    if "spf" not in found and spf.split():
        found["spf"] = spf.split()[0].lower()[:20]
    return found, tuple(signed)


def fields_of(message: Message) -> Fields:
    """What `message` says of itself. Never raises."""
    name, address = _address(message, "from")
    nothing: tuple[dict[str, str], tuple[str, ...]] = ({}, ())
    authentication, signed_by = attempt(lambda: _authentication(message), nothing)
    return Fields(
        from_name=name,
        from_address=address,
        reply_to=_address(message, "reply-to")[1],
        to=_text_of(message, "to")[:300],
        subject=_text_of(message, "subject"),
        date=_text_of(message, "date")[:100],
        authentication=authentication,
        signed_by=signed_by,
    )
