"""Plain findings: what anybody can check in the mail, each as one sentence with a weight and a place.

They explain. The probability is the classifier's, who reads the text; what few findings add to its log-odds, as they
tell what no text does, stands in the finding (`log_odds`) and is added up here (`beside`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.email_text.destinations import PASSES_ON, linked_hosts, passed_on
from engine.email_text.finding import Finding
from engine.email_text.html_text import Link, Rendered
from engine.email_text.letters import UNSEEN, Spot
from engine.email_text.mime import Attachment, Parsed
from engine.email_text.parts import PROGRAM
from engine.email_text.plain import ESCAPE
from engine.email_text.sender import of_sender
from engine.email_text.tokens import IN_WORDS, SHORTENERS, domain_of, host_of

MOST_OF_A_KIND = 5
HARMFUL = 1.5  # log-odds that a program, two endings or a field for a password add
LEAST, MOST = -2.0, 3.0  # log-odds that all findings together may add: the text always counts
_URGENT = re.compile(
    r"\b(?:act (?:now|immediately|fast|today)|urgent(?:ly)?|immediate(?:ly)? (?:action|attention|response)"
    r"|expires? (?:today|soon|in \d+ hours?)|(?:within|in) (?:24|48|72) ?(?:hours|hrs)|last (?:chance|warning|notice)"
    r"|final (?:notice|warning)|limited[- ]time|don'?t (?:delay|miss)|hurry|before it'?s too late"
    r"|(?:will be|has been|is) (?:suspended|terminated|deactivated|locked|limited)"
    r"|as soon as possible|call now|order now|only today|while supplies last)\b",
    re.IGNORECASE,
)
_SECRETS = re.compile(
    r"\b(?:(?:verify|confirm|update|validate|re-?activate) (?:your|the) (?:[a-z]+ ){0,2}"
    r"(?:account|password|identity|information|details|billing|payment|card)"
    r"|(?:enter|send|provide|give) (?:us |me )?your (?:[a-z]+ ){0,2}(?:password|pin|card|bank|social security|account)"
    r"|(?:gift cards?|wire transfer|western union|next of kin|seed phrase|bitcoin wallet))\b",
    re.IGNORECASE,
)
_WRAPPED = re.compile(r"\.(?:html?|shtml|svg|iso|img|vhd|one|docm|xlsm|pptm|xll|zip|rar|7z|ace|gz|cab)$", re.IGNORECASE)
_DOUBLE = re.compile(r"\.(?:pdf|docx?|xlsx?|jpe?g|png|txt|gif|mp[34])\s*\.\w{2,4}$", re.IGNORECASE)
_IMAGE = re.compile(r"\[image:[^\]]{0,210}\]")  # as `html_text` writes it
_LETTER_SENTENCES = {
    "look-alike": ("Letters of another alphabet stand in for Latin ones", 0.8),
    "zero-width": ("Invisible characters stand inside a word", 0.8),
    "leetspeak": ("Figures or signs stand in for letters", 0.5),
    "spaced-out": ("A word is spelled with gaps between its letters", 0.6),
    "broken-up": ("A word is broken up by signs", 0.4),
}


def find(
    shown: str, body: int, length: int, parsed: Parsed, renders: list[Rendered], spots: list[Spot], overrides: bool
) -> tuple[Finding, ...]:
    """Everything found in a mail, the weightiest first.

    Args:
        shown: the text for people, in which shown[body:body + length] is subject and text.
        spots: of letters that are not what they look like, with places in that part.
        overrides: whether characters that reverse the direction of reading were taken out.
    """
    end = body + length
    found = [
        *_of_letters(shown, body, spots),
        *_of_words(shown, body, end),
        *of_sender(parsed.fields, shown[body:end], shown, linked_hosts(shown[body:end], renders)),
    ]
    found += _of_attachments(shown, parsed.attachments)
    for rendered in renders:
        found += [*_of_links(shown, body, end, rendered), *_of_html(shown, end, rendered)]
    pictures = sum(r.images for r in renders) + sum(a.type.startswith("image/") for a in parsed.attachments)
    if pictures and len(re.findall(r"[^\W\d_]{2,}", _IMAGE.sub("", shown[body:end]))) < 12:
        found.append(Finding("image-only", "It says almost nothing in text: what it says is in a picture.", 0.6))
    if overrides:
        found.append(Finding("direction", "Characters that reverse the direction of reading were in it.", 0.7))
    if ESCAPE in shown:
        at = shown.index(ESCAPE)
        found.append(Finding("terminal", "It holds escape sequences, which steer a terminal.", 0.7, at, at + 1))
    return tuple(sorted(_few(found), key=lambda f: (-abs(f.weight), f.start)))


def beside(found: Sequence[Finding]) -> float:
    """The log-odds that findings add to the text's, each kind once."""
    counts = {finding.kind: finding.log_odds for finding in found}
    return min(max(sum(counts.values()), LEAST), MOST)


def _few(found: list[Finding]) -> list[Finding]:
    """At most MOST_OF_A_KIND of each kind."""
    counts: dict[str, int] = {}
    kept = []
    for finding in found:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
        if counts[finding.kind] <= MOST_OF_A_KIND:
            kept.append(finding)
    return kept


def _of_letters(shown: str, body: int, spots: list[Spot]) -> list[Finding]:
    found = []
    for kind, start, end in spots:
        start, end = start + body, end + body
        sentence, weight = _LETTER_SENTENCES[kind]
        word = UNSEEN.sub("·", shown[start:end])[:60]
        found.append(Finding(kind, f"{sentence}: “{word}”.", weight, start, end))
    return found


def _of_words(shown: str, start: int, end: int) -> list[Finding]:
    found = [
        Finding("urgency", f"It presses for haste: “{m[0]}”.", 0.3, *m.span())
        for m in _URGENT.finditer(shown, start, end)
    ]
    found += [
        Finding("asks-for-secrets", f"It is about accounts, secrets or hard-to-trace money: “{m[0]}”.", 0.5, *m.span())
        for m in _SECRETS.finditer(shown, start, end)
    ]
    return found


def _of_attachments(shown: str, attachments: list[Attachment]) -> list[Finding]:
    found = []
    for attachment in attachments:
        name = attachment.name
        ending = name.rstrip(". ")  # Windows leaves these out
        at = shown.find(f"[attachment: {name}") if name else -1
        span = (at + 13, at + 13 + len(name)) if at >= 0 else (-1, -1)
        if PROGRAM.search(name) or attachment.type in ("application/x-msdownload", "application/x-dosexec"):
            found.append(Finding("program", f"The attachment “{name}” is a program.", 0.9, *span, log_odds=HARMFUL))
        elif _DOUBLE.search(ending):
            found.append(
                Finding(
                    "double-ending",
                    f"The attachment “{name}” hides what it is behind two endings.",
                    0.8,
                    *span,
                    log_odds=HARMFUL,
                )
            )
        elif _WRAPPED.search(ending):
            found.append(Finding("wrapped", f"The attachment “{name}” can hold a program or a false page.", 0.3, *span))
    return found


def _of_links(shown: str, body: int, end: int, rendered: Rendered) -> list[Finding]:
    found, place = [], body
    for link in rendered.links[:500]:
        at = shown.find(link.text, place, end) if link.text else -1
        span = (at, at + len(link.text)) if at >= 0 else (-1, -1)
        place = at + len(link.text) if at >= 0 else place
        found += [Finding(kind, sentence, weight, *span) for kind, sentence, weight in _of_link(link)]
    return found


def _of_link(link: Link) -> list[tuple[str, str, float]]:
    target = passed_on(link.target)
    host = host_of(target)
    found = []
    named = IN_WORDS.search(link.text) if "@" not in link.text else None
    if named and host and domain_of(named[1].lower().removeprefix("www.")) != domain_of(host):
        if domain_of(host) in PASSES_ON:  # newsletters count clicks, mailboxes check links
            found.append(("link-through", f"A link says {named[1]} and goes through {host[:80]}.", 0.2))
        else:
            found.append(("link-mismatch", f"A link says {named[1]} but leads to {host[:80]}.", 0.9))
    if re.fullmatch(r"[\d.]+", host):
        found.append(("link-in-figures", f"A link leads to a bare number, {host}.", 0.6))
    if "xn--" in host or not host.isascii():
        found.append(("look-alike-domain", f"A link leads to a domain in other letters: {host[:80]}.", 0.7))
    if "@" in target.partition("://")[2].partition("/")[0]:
        found.append(("link-with-name", f"A link hides where it leads behind an @: {host[:80]}.", 0.8))
    if domain_of(host) in SHORTENERS:
        found.append(("short-link", f"A link goes through {host}, so that its target cannot be seen.", 0.3))
    return found


def _of_html(shown: str, end: int, rendered: Rendered) -> list[Finding]:
    found = []
    for hidden in rendered.hidden:
        words = len(hidden.text.split())
        at = shown.find(f"[{hidden.why} text: {hidden.text[:40]}", end)
        span = (at, min(at + len(hidden.text) + len(hidden.why) + 9, len(shown))) if at >= 0 else (-1, -1)
        # Newsletters hide a line or two, which the list of mails shows as a preview.
        weight = 0.2 if words <= 25 and hidden.why == "hidden" else 0.7
        what = {"tiny": "too small to read", "same colour": "in the colour of its background"}.get(hidden.why, "hidden")
        found.append(Finding("hidden-text", f"{words} word{'s' * (words != 1)} in it are {what}.", weight, *span))
    if rendered.password:
        found.append(Finding("password-field", "It has a field for a password.", 0.9, log_odds=HARMFUL))
    elif rendered.forms:
        found.append(Finding("form", "It has a form to fill in.", 0.4))
    if rendered.scripts:
        found.append(Finding("script", "It carries a script.", 0.4))
    return found
