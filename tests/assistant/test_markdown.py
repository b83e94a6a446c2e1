"""Markdown on screen: what its lines are, that a grown text has the same as one made at once, copying and selecting."""

from __future__ import annotations

import random

import pytest
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll

from assistant.markdown.blocks import Growing
from assistant.markdown.lines import Line
from assistant.markdown.page import Page
from assistant.widgets.page_view import PageView

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


def page_of(body: Growing, width: int) -> Page:
    page = Page()
    page.put(0, [block.rows for block in body.blocks])
    page.fit(width)
    return page


def lines(source: str, width: int = 60) -> list[str]:
    """What a page shows."""
    shown = page_of(Growing(source), width).lines
    return [(line.lead.plain + " " * line.row.indent + line.text.plain).rstrip() for line in shown]


def spans(lines: list[Line]) -> list[object]:
    return [(line.text.plain, line.text.spans, line.row.style, line.row.code, line.at, line.number) for line in lines]


@pytest.mark.parametrize("seed", range(12))
def test_grown_in_pieces_of_any_size_it_is_what_it_would_have_been_at_once(seed: int) -> None:
    luck = random.Random(seed)
    body = Growing("")
    page = page_of(body, 50)
    at = 0
    while at < len(TEXT):
        size = luck.randrange(1, 5 + 8 * seed)
        before = list(page.lines)
        stay = body.append(TEXT[at : at + size])
        top = page.put(stay, [block.rows for block in body.blocks[stay:]])
        assert page.lines[:top] == before[:top]
        at += size
    assert body.source == TEXT
    at_once = page_of(Growing(TEXT), 50)
    assert spans(page.lines) == spans(at_once.lines)
    assert page.text == at_once.text


def test_only_the_end_is_read_anew() -> None:
    body = Growing(TEXT + "A last paragraph")
    count = len(body.blocks)
    assert body.append(" that grows.") == count - 1


def test_lists_are_indented_and_numbered_as_they_were_written() -> None:
    assert lines("9. nine\n10. ten is long enough to go on\n\n    apart\n    - in it\n", 20) == [
        "  9. nine",
        " 10. ten is long",
        "     enough to go on",
        "",
        "     apart",
        "     ▪ in it",
    ]
    assert lines("- [ ] a task\n- [X] *done*\n-\n- [x]no\n\nend") == ["☐ a task", "☑ done", "•", "• [x]no", "", "end"]
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
        self.view, self.copied = PageView(), ""
        self.show(source)

    def show(self, source: str) -> None:
        self.view.put(0, [block.rows for block in Growing(source).blocks])

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield self.view

    def on_page_view_copied(self, event: PageView.Copied) -> None:
        self.copied = event.text


async def test_it_changes_on_screen() -> None:
    app = Window("One")
    async with app.run_test(size=(40, 12)) as pilot:
        for source, height in (("One and two.", 1), ("One and two.\n\nThree.", 3), ("Short.", 1)):
            app.show(source)
            await pilot.pause()
            assert app.view.size.height == height
            drawn = app.view.render_lines(app.view.size.region)
            assert [strip.text.strip(" ▎") for strip in drawn] == source.split("\n")


async def test_it_is_as_wide_as_there_is_room_however_little() -> None:
    app = Window(PIECE)
    async with app.run_test(size=(60, 12)) as pilot:
        for width in (1, 4, 5, 6, 60):
            await pilot.resize_terminal(width, 12)
            await pilot.pause()
            drawn = app.view.render_lines(app.view.size.region)
            assert {strip.cell_length for strip in drawn} == {app.view.size.width}


async def test_code_and_addresses_are_copied_by_a_click() -> None:
    app = Window("Go [there](https://example.com/it's?a=b).\n\n```sh\nls\t-l\n```\n")
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.click(PageView, offset=(6, 0))
        assert app.copied == "https://example.com/it's?a=b"
        await pilot.click(PageView, offset=(10, 2))
        assert app.copied == "ls\t-l"
        app.copied = ""
        await pilot.click(PageView, offset=(10, 4))
        assert not app.copied


async def test_what_the_mouse_selects_is_the_text_without_the_ends_of_lines() -> None:
    app = Window("- A paragraph that is long enough to be wrapped here.\n- second\n")
    async with app.run_test(size=(33, 12)) as pilot:
        assert app.view.size.height == 3
        await pilot.mouse_down(PageView, offset=(6, 0))
        await pilot.hover(PageView, offset=(6, 2))
        await pilot.mouse_up(PageView, offset=(6, 2))
        assert app.screen.get_selected_text() == "paragraph that is long enough to be wrapped here.\n• sec"
        marked = app.view.render_lines(app.view.size.region)[2]
        assert len({segment.style.bgcolor for segment in marked}) == 2
        app.view.text_select_all()
        assert app.screen.get_selected_text() == "• A paragraph that is long enough to be wrapped here.\n• second"
