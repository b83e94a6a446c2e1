"""Markdown on screen: what its lines are, that a grown text has the same as one made at once, copying and selecting."""

from __future__ import annotations

import random

import pytest
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll

from assistant.markdown.page import Page
from assistant.widgets.markdown import MarkdownView

PIECE = """## A heading

A paragraph with *emphasis* and `code` that goes on for about as long as people write paragraphs.

1. one thing

   and more of the first thing
2. a second **thing**
   - with a [link](https://example.com/a)

| name | value |
|------|------:|
| a    | 1     |

```python
def add(a: int, b: int) -> int:

    return a + b
```
> Somebody said that,
and went on.

- one
+ another list
+5 more

Setext
---

<div>
"""
TEXT = PIECE * 4


def lines(source: str, width: int = 60) -> list[str]:
    """What a page shows."""
    page = Page(source)
    page.fit(width)
    return [(line.lead.plain + " " * line.row.indent + line.text.plain).rstrip() for line in page.lines]


@pytest.mark.parametrize("seed", range(12))
def test_grown_in_pieces_of_any_size_it_is_what_it_would_have_been_at_once(seed: int) -> None:
    luck = random.Random(seed)
    grown, at_once = Page(""), Page(TEXT)
    grown.fit(50)
    at_once.fit(50)
    at = 0
    while at < len(TEXT):
        size = luck.randrange(1, 5 + 8 * seed)
        before = list(grown.lines)
        top = grown.append(TEXT[at : at + size])
        assert grown.lines[:top] == before[:top]
        at += size
    assert grown.source == TEXT
    assert grown.lines == at_once.lines
    assert [line.row for line in grown.lines] == [line.row for line in at_once.lines]
    assert grown.text == at_once.text


def test_only_the_end_is_read_anew() -> None:
    page = Page(TEXT + "A last paragraph")
    page.fit(50)
    assert page.append(" that grows.") > len(page.lines) - 4


def test_lists_are_indented_and_numbered_as_they_were_written() -> None:
    assert lines("9. nine\n10. ten is long enough to go on\n\n    apart\n    - in it\n", 20) == [
        "  9. nine",
        " 10. ten is long",
        "     enough to go on",
        "",
        "     apart",
        "     ▪ in it",
    ]
    assert lines("- [ ] a task\n-\n\nend") == ["• [ ] a task", "•", "", "end"]
    assert lines("> a quote\n>\n> - b") == ["▌ a quote", "▌", "▌ • b"]


def test_a_table_takes_what_it_needs_or_what_there_is() -> None:
    table = "|a|b|c|\n|-|-:|:-:|\n|1|22|333|\n|one<br>two|`x`|a long cell of words|\n"
    assert lines(table) == [
        "a   │  b │          c",
        "────┼────┼─────────────────────",
        "1   │ 22 │         333",
        "────┼────┼─────────────────────",
        "one │  x │ a long cell of words",
        "two │    │",
    ]
    assert lines(table, 20)[-3:] == ["one │  x │  a long", "two │    │  cell of", "    │    │   words"]
    assert len(lines(table, 1)) > 10, "however narrow"


def test_code_is_never_joined_and_html_is_shown() -> None:
    assert lines("```py\nif a:\n\n    b = '" + "x" * 20 + "'\n```", 20)[2:-1] == [
        "  if a:",
        "",
        "      b = 'xxxxxxx",
        "  xxxxxxxxxxxxx'",
    ]
    assert lines("<b>bold</b> &amp; <div>\n\n<table>\n<tr>") == ["<b>bold</b> & <div>", "", "<table>", "<tr>"]


class Window(App[None]):
    def __init__(self, source: str) -> None:
        super().__init__()
        self.view, self.copied = MarkdownView(source), ""

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield self.view

    def on_markdown_view_copied(self, event: MarkdownView.Copied) -> None:
        self.copied = event.text


async def test_it_grows_and_becomes_another_text_on_screen() -> None:
    app = Window("One")
    async with app.run_test(size=(40, 12)) as pilot:
        app.view.append(" and two.")
        await pilot.pause()
        assert app.view.render_line(0).text.rstrip() == "One and two."
        app.view.append("\n\nThree.")
        await pilot.pause()
        assert app.view.size.height == 3
        app.view.replace("Short.")
        await pilot.pause()
        assert app.view.size.height == 1
        assert app.view.source == app.view.render_line(0).text.rstrip() == "Short."


async def test_code_and_addresses_are_copied_by_a_click() -> None:
    app = Window("Go [there](https://example.com/it's?a=b).\n\n```sh\nls\t-l\n```\n")
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.click(MarkdownView, offset=(5, 0))
        assert app.copied == "https://example.com/it's?a=b"
        await pilot.click(MarkdownView, offset=(10, 2))
        assert app.copied == "ls\t-l"
        app.copied = ""
        await pilot.click(MarkdownView, offset=(10, 4))
        assert not app.copied


async def test_what_the_mouse_selects_is_the_text_without_the_ends_of_lines() -> None:
    app = Window("- A paragraph that is long enough to be wrapped here.\n- second\n")
    async with app.run_test(size=(30, 12)) as pilot:
        assert app.view.size.height == 3
        await pilot.mouse_down(MarkdownView, offset=(4, 0))
        await pilot.hover(MarkdownView, offset=(4, 2))
        await pilot.mouse_up(MarkdownView, offset=(4, 2))
        assert app.screen.get_selected_text() == "paragraph that is long enough to be wrapped here.\n• sec"
        app.view.text_select_all()
        assert app.screen.get_selected_text() == "• A paragraph that is long enough to be wrapped here.\n• second"
