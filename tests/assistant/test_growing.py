"""Markdown that grows is, in the end, what it would have been at once; and a long one is made of parts."""

from __future__ import annotations

import random

import pytest
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownBlock

from assistant.widgets.growing import PART, GrowingMarkdown, Part, next_part, parser, pieces_of

PIECE = """## A heading

A paragraph with *emphasis* and `code` that goes on for about as long as people write paragraphs.

1. one thing

   and more of the first thing
2. a second **thing**

| name | value |
|------|-------|
| a    | 1     |

```python
def add(a: int, b: int) -> int:

    return a + b
```

> Somebody said that.

"""
TEXT = PIECE * 12


class Page(App[None]):
    def __init__(self, *bodies: Markdown | GrowingMarkdown) -> None:
        super().__init__()
        self.bodies = bodies
        for body in bodies:
            body.styles.height = "auto"

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield from self.bodies


def blocks_of(body: Markdown | GrowingMarkdown) -> list[tuple[str, str]]:
    """(kind, text) of every block, in order."""
    return [(type(b).__name__.removeprefix("Markdown"), b._content.plain) for b in body.query(MarkdownBlock)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_grown_in_pieces_of_any_size_it_is_what_it_would_have_been_at_once(seed: int) -> None:
    luck = random.Random(seed)
    grown, at_once, plain = GrowingMarkdown(""), GrowingMarkdown(TEXT), Markdown(TEXT, parser_factory=parser)
    app = Page(grown, at_once, plain)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        at = 0
        while at < len(TEXT):
            size = luck.randrange(1, 160)
            await grown.append(TEXT[at : at + size])
            at += size
        await grown.finish()
        await pilot.pause()
        assert grown.source == at_once.source == TEXT
        assert len(grown.query(Part)) > 2
        assert len(at_once.query(Part)) > 2
        assert blocks_of(at_once) == blocks_of(plain)
        assert blocks_of(grown) == blocks_of(plain)
        assert plain.size.height > 12 * 15
        assert grown.size.height == at_once.size.height


async def test_what_was_begun_in_the_midst_of_a_list_goes_on_as_one() -> None:
    text = "1. one thing\n\n   and more of it\n2. a second thing\n"
    begun, plain = GrowingMarkdown(text[:14]), Markdown(text)
    async with Page(begun, plain).run_test() as pilot:
        await pilot.pause()
        await begun.append(text[14:])
        await begun.finish()
        await pilot.pause()
        assert blocks_of(begun) == blocks_of(plain)


async def test_it_can_become_another_text_and_grow_on() -> None:
    body = GrowingMarkdown(TEXT)
    async with Page(body).run_test() as pilot:
        await pilot.pause()
        await body.replace("Short.")
        assert body.source == "Short."
        await pilot.pause()
        await body.append(" And more.")
        await body.finish()
        assert body.source == "Short. And more."
        assert len(body.query(Part)) == 1


def test_parts_begin_at_blocks_and_are_the_text() -> None:
    parts = list(pieces_of(TEXT))
    assert "".join(parts) == TEXT
    assert all(len(part) >= PART for part in parts[:-1])
    assert all(part.startswith(("A paragraph", "1. one", "| name")) for part in parts[1:])
    assert list(pieces_of("")) == [""]
    fence = "```\n" + "line\n\n" * 900 + "```\n"
    assert list(pieces_of(fence)) == [fence], "a block is never cut"
    assert next_part("word " * 600, 0) == 0
