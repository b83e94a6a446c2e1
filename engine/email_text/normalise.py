"""A mail, or a text somebody pasted, → what the classifier reads and what a person is shown: the one normaliser.

The same function in training and in use. Its VERSION is stored with every model that was trained on its output: when
what it makes of a mail changes, the number goes up. Torch-free. It never raises on any bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from engine.email_text import findings as finder
from engine.email_text.body import Body, read
from engine.email_text.edits import Edits, lead_back
from engine.email_text.finding import Finding
from engine.email_text.html_text import Rendered
from engine.email_text.letters import Spot, fold, respell
from engine.email_text.mime import Attachment, Fields, Parsed, parse
from engine.email_text.plain import OVERRIDES, squeeze
from engine.email_text.readings import Reading, beyond
from engine.email_text.tokens import tokenise

__all__ = ["VERSION", "EmailText", "Reading", "for_model", "normalise", "squeeze"]

VERSION = 1
HEAD, TAIL = 6000, 2000  # characters of subject and body that the classifier is given of a long mail
LONGEST_SHOWN = 200_000  # characters
LONGEST_HIDDEN = 2000  # characters of hidden text that are shown
_FREQUENT = "the to and of a in is you for it that this on your with are be we have not or at from as i my me"
_ENGLISH = frozenset(_FREQUENT.split())


@dataclass(frozen=True)
class EmailText:
    """One mail, normalised."""

    text: str  # for the classifier: subject and body, folded and with tokens
    shown: str  # for people: safe on a terminal; findings point into it
    fields: Fields
    attachments: tuple[Attachment, ...]
    findings: tuple[Finding, ...]  # the weightiest first
    notes: tuple[str, ...]  # what was cut or could not be read, a sentence each
    language: str  # "en", "not en", or "" when there is too little to say
    cut: int  # characters of the middle that the classifier is not given
    version: int = VERSION
    passes: tuple[Edits, ...] = field(default=(), repr=False)
    offset: int = field(default=0, repr=False)  # where in `shown` the classifier's text begins
    others: tuple[Reading, ...] = field(default=(), repr=False)  # what else it says, where `text` leaves it out

    @property
    def beside(self) -> float:
        """Log-odds of spam that its findings add to what is said of the text."""
        return finder.beside(self.findings)

    def where(self, start: int, end: int) -> tuple[int, int]:
        """The span of `shown` that text[start:end] was made from."""
        start, end = lead_back(list(self.passes), start, end)
        return min(start + self.offset, len(self.shown)), min(end + self.offset, len(self.shown))


def normalise(mail: bytes | str) -> EmailText:
    """`mail`, an RFC 5322 message or a text without headers, as EmailText."""
    parsed = parse(mail.encode("utf-8", "replace") if isinstance(mail, str) else mail)
    whole = read(parsed.parts)
    body, renders = whole.text, whole.renders
    notes = [*parsed.notes, *whole.notes]
    if len(body) > LONGEST_SHOWN:
        notes.append(f"Only the first {LONGEST_SHOWN:,} characters are shown and read.")
        body = body[:LONGEST_SHOWN]
    head = _head_lines(parsed.fields) if parsed.has_headers else ""
    subject = ""
    if parsed.fields.subject:
        head += "Subject: "  # the word itself is no part of what is judged: it would only say that this is a mail
        subject = f"{parsed.fields.subject}\n\n"
    source = OVERRIDES.sub("", subject + body)
    text, passes, spots = _for_model(source)
    cut = passes[0].source[0][1] - passes[0].source[0][0] if passes[0].source else 0
    if cut:
        notes.append(f"It is long: {cut:,} characters in its middle were not read, its beginning and its end were.")
    if parsed.encrypted:
        notes.append("Its content is encrypted; only what is outside could be read.")
    if not source.strip():
        notes.append("There is no text in it.")
    shown = head + source + _appendix(renders, parsed.attachments)
    language = _language(text)
    if language == "not en":
        notes.append("It does not seem to be English, which is what the classifier has learned.")
    return EmailText(
        text=text,
        shown=shown,
        fields=parsed.fields,
        attachments=tuple(parsed.attachments),
        findings=finder.find(shown, len(head), len(source), parsed, renders, spots, OVERRIDES.search(body) is not None),
        notes=tuple(dict.fromkeys(notes)),
        language=language,
        cut=cut,
        passes=tuple(passes),
        offset=len(head),
        others=_others(parsed, whole, subject, source[HEAD:-TAIL] if cut else ""),
    )


def _others(parsed: Parsed, whole: Body, subject: str, middle: str) -> tuple[Reading, ...]:
    """The other readings of a mail, as the classifier gets them, the same way as the mail itself."""
    found = beyond(whole, parsed.asides, middle, HEAD)
    return tuple(Reading(what, _for_model(OVERRIDES.sub("", subject + text))[0]) for what, text in found)


def for_model(text: str, subject: str = "") -> str:
    """What `normalise` gives a classifier of a mail whose text and subject have been taken apart already."""
    source = (f"{' '.join(subject.split())}\n\n" if subject.strip() else "") + squeeze(text)
    return _for_model(OVERRIDES.sub("", source))[0]


def _for_model(source: str) -> tuple[str, list[Edits], list[Spot]]:
    """The classifier's text, the edits that led there, and what was found where in `source`."""
    middle = Edits()
    text = source
    if len(source) > HEAD + TAIL + 200:
        text = f"{source[:HEAD]}\n\n…\n\n{source[-TAIL:]}"
        middle.add(HEAD, len(source) - TAIL, HEAD, 5)
    passes, spots = [middle], []
    text, more, found = fold(text)
    spots += [(kind, *lead_back(passes, start, end)) for kind, start, end in found]
    passes += more
    text, edits = tokenise(text)
    passes.append(edits)
    text, more, found = respell(text)
    spots += [(kind, *lead_back(passes, start, end)) for kind, start, end in found]
    return text, [*passes, *more], spots


def _head_lines(fields: Fields) -> str:
    sender = f"{fields.from_name} <{fields.from_address}>" if fields.from_name else fields.from_address
    reply = fields.reply_to if fields.reply_to != fields.from_address else ""
    lines = (("From", sender), ("Reply-To", reply), ("To", fields.to), ("Date", fields.date))
    return OVERRIDES.sub("", "".join(f"{name}: {value}\n" for name, value in lines if value))


def _appendix(renders: list[Rendered], attachments: list[Attachment]) -> str:
    """What is not in the text: hidden passages and attachments."""
    lines = [
        f"[{hidden.why} text: {OVERRIDES.sub('', hidden.text)[:LONGEST_HIDDEN]}]"
        for r in renders
        for hidden in r.hidden
    ]
    lines += [f"[attachment: {OVERRIDES.sub('', a.name) or 'without a name'} ({a.type})]" for a in attachments[:50]]
    return "\n\n" + "\n".join(lines[:60]) if lines else ""


def _language(text: str) -> str:
    tokens = re.findall(r"[^\W\d_]+", re.sub(r"<[^>]*>", "", text[:4000].lower()))
    letters = sum(map(len, tokens))
    strange = sum(letter > "\u024f" for token in tokens for letter in token)  # no Latin letters
    if letters >= 12 and strange > 0.5 * letters:
        return "not en"
    if len(tokens) < 40 and letters < 120:
        return ""
    if sum(len(t) for t in tokens if t.isascii()) < 0.7 * letters:
        return "not en"
    return "en" if sum(t in _ENGLISH for t in tokens) >= 0.05 * len(tokens) else "not en"
