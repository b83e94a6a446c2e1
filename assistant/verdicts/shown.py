"""What a verdict looks like: bar, sentences, and the mail with the passages that moved it. Content, no widgets.

Colours are the theme's variables. Everything here is bounded: of a long mail the parts that were read are shown.
"""

from __future__ import annotations

from textual.content import Content

from assistant.storage.verdicts import SPAM_TASK, Kept, Listed
from assistant.text import ago
from assistant.verdicts.findings import together
from assistant.verdicts.settings import per_cent, written_rate

HEAD_SHOWN, TAIL_SHOWN = 8000, 2600  # characters of a long mail; a little more than the classifier reads
MOST_FINDINGS, MOST_PASSAGES = 14, 8
MUTED = "$foreground 60%"
LEAST = 0.05  # log-odds; passages that moved less are not pointed out
COLOURS = {"spam": "$text-error", "not spam": "$text-success", "unsure": "$text-warning"}
NAMES = {"spam": "SPAM", "not spam": "not spam", "unsure": "unsure", "": "not judged"}


def heading(kept: Kept) -> Content:
    """The answer, how likely it is, and what the person said of it."""
    style = f"bold {COLOURS.get(kept.answer, '$text-primary')}"
    parts: list[Content] = [Content.styled(NAMES.get(kept.answer, kept.answer), style)]
    if kept.answer and kept.task == SPAM_TASK:
        parts.append(Content.styled(f"  {per_cent(kept.probability)} likely to be spam", style.removeprefix("bold ")))
    elif kept.answer:
        parts.append(Content.styled(f"  {per_cent(kept.probability)}", style))
    if kept.label:
        parts.append(Content.styled(f"  · you said: {kept.label}", "$text-accent"))
    return Content.assemble(*parts)


def bar(probability: float, threshold: float | None, width: int, style: str) -> Content:
    """`width` cells, filled as far as `probability`; a mark where spam begins."""
    width = max(width, 10)
    filled = round(probability * width)
    if 0 < probability < 1:
        filled = min(max(filled, 1), width - 1)
    line = Content.assemble(Content.styled("█" * filled, style), Content.styled("░" * (width - filled), MUTED))
    if threshold is None:
        return line
    mark = min(round(threshold * width), width - 1)
    return Content.assemble(line[:mark], Content.styled("┃", "bold $text-warning"), line[mark + 1 :])


def under_the_bar(kept: Kept) -> Content:
    """By which scorer, from where on it is spam, and what the other scorer says."""
    details = kept.details
    lines = []
    if "threshold" in details:
        rate = written_rate(details["false_alarms"])
        lines.append(f"┃ spam from {per_cent(details['threshold'])} on, for at most {rate} false alarms")
    if "scorer" in details:
        by = f"by {details['scorer']} ({details['kind']})"
        if beside := details.get("beside"):
            said = f"{NAMES[beside['answer']]} {per_cent(beside['probability'])}"
            by += f" · beside it {beside['kind']}: {said}"
        lines.append(by)
    return Content.styled("\n".join(lines), MUTED)


def bars_of_labels(kept: Kept, width: int) -> Content:
    """A bar for every label, the likeliest first."""
    rows = kept.details.get("labels", [])[:12]
    longest = min(max((len(label) for label, _ in rows), default=0), 20)
    lines = []
    for place, (label, probability) in enumerate(rows):
        style = "$text-primary" if place == 0 else MUTED
        name = f"{label[:20]:{longest}s} {per_cent(probability):>7s} "
        lines.append(Content.assemble(Content.styled(name, style), bar(probability, None, width - len(name), style)))
    return Content("\n").join(lines)


def reasons(kept: Kept, again: str = "") -> Content:
    """Notes, findings with their weights, and the passages that spoke most for and against; `again` is a key."""
    lines: list[Content] = []
    details = kept.details
    if details.get("error"):
        tries = f" {again} tries again." if again else ""
        lines.append(Content.styled(f"It could not be judged: {details['error']}{tries}", "$text-error"))
    first = [details[name] for name in ("scorer_note", "reading") if details.get(name)]
    notes = [*first, *details.get("notes", [])]
    told = details.get("label_notes", [])
    if kept.task != SPAM_TASK:
        notes = [*(note for note in notes if "the classifier has learned" not in note), *filter(_warns, told)]
    lines += [Content.styled(f"! {note}", "$text-warning") for note in notes]
    lines += [Content.styled(note, MUTED) for note in told if not _warns(note)]
    if kept.task == SPAM_TASK:
        findings = together((sentence, weight) for _, sentence, weight, *_ in details.get("findings", []))
        lines += [Content.assemble(_dots(weight), " ", sentence) for sentence, weight in findings[:MOST_FINDINGS]]
        if len(findings) > MOST_FINDINGS:
            lines.append(Content.styled(f"    and {len(findings) - MOST_FINDINGS} more findings", MUTED))
    for sign, title, style in ((1, "For spam:", "$text-error"), (-1, "Against: ", "$text-success")):
        words = _passages(kept, sign)
        if words:
            lines.append(Content.assemble(Content.styled(f"{title} ", f"bold {style}"), " · ".join(words)))
    return Content("\n").join(lines)


def _warns(note: str) -> bool:
    """Whether a note on labels is about something left out, not about how they were found."""
    return note.startswith("It is long")


def _dots(weight: float) -> Content:
    """How much a finding speaks for spam; below 0 against it."""
    count = 3 if abs(weight) >= 0.7 else 2 if abs(weight) >= 0.4 else 1
    style = "$text-error" if weight >= 0 else "$text-success"
    return Content.assemble(Content.styled("●" * count, style), Content.styled("○" * (3 - count), MUTED))


def _passages(kept: Kept, sign: int) -> list[str]:
    """The heaviest passages for spam (`sign` 1) or against it, each wording once."""
    found: dict[str, str] = {}
    for start, end, weight in kept.details.get("evidence", []):
        if weight * sign >= LEAST:
            words = " ".join(kept.shown[start:end].split())[:40]
            found.setdefault(words.lower(), f"{words} {weight:+.1f}")
    return list(found.values())[:MOST_PASSAGES]


def mail(kept: Kept) -> Content:
    """The mail; what moved the verdict is coloured, its weight behind it, and what was found is underlined."""
    shown = Content(kept.shown)
    for _, _, _, start, end in kept.details.get("findings", []) if kept.task == SPAM_TASK else []:
        if 0 <= start < end:
            shown = shown.stylize("underline", start, end)
    passages = sorted(
        (e for e in kept.details.get("evidence", []) if e[0] < e[1] and abs(e[2]) >= LEAST), key=lambda e: (e[0], e[1])
    )
    heaviest = max((abs(weight) for _, _, weight in passages), default=1.0)
    pieces: list[Content] = []
    at = 0
    for start, end, weight in passages:
        if start < at:
            continue  # within the one before
        colour = "$error" if weight > 0 else "$success"
        depth = 25 + round(45 * abs(weight) / heaviest)
        text = "$text-error" if weight > 0 else "$text-success"
        pieces += [shown[at:start], shown[start:end].stylize(f"bold on {colour} {depth}%")]
        pieces.append(Content.styled(f"{weight:+.1f}", f"{text} italic"))
        at = end
    pieces.append(shown[at:])
    return _shortened(pieces, len(kept.shown))


def _shortened(pieces: list[Content], length: int) -> Content:
    """The pieces put together, without the middle of a long mail."""
    whole = Content.assemble(*pieces)
    if len(whole) <= HEAD_SHOWN + TAIL_SHOWN + 400:
        return whole
    left_out = f"\n\n  ⋯ {length - HEAD_SHOWN - TAIL_SHOWN:,} characters in the middle are not shown ⋯\n\n"
    return Content.assemble(whole[:HEAD_SHOWN], Content.styled(left_out, "$text-warning"), whole[-TAIL_SHOWN:])


def line(listed: Listed) -> Content:
    """One verdict in the history: two lines."""
    title = listed.subject or " ".join(listed.shown.split()) or listed.name or "nothing"
    mark = NAMES.get(listed.answer, listed.answer)
    said = f" → {listed.label}" if listed.label and listed.label != listed.answer else ""
    style = COLOURS.get(listed.answer, "$text-primary" if listed.answer else MUTED)
    second = Content.assemble(
        Content.styled(mark, style),
        Content.styled(said, "$text-accent"),
        Content.styled(f" · {ago(listed.created)}", MUTED),
    )
    return Content.assemble(Content(title[:80]), "\n", second)
