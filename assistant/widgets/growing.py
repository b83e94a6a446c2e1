"""GrowingMarkdown: Markdown that grows at its end, and costs about the same to grow when it is long.

Textual lays a Markdown out anew, all of it, whenever it has grown. So a long one is made of parts, of which only the
last one grows; and what does not grow remembers its height. Owns nothing of whose text it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from markdown_it import MarkdownIt
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.widget import AwaitMount, Widget
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownBlock, MarkdownStream

from assistant.widgets.code import Fence

PART = 1500  # characters, from which on a part ends at the next block
# Blocks that may begin a part: those that stand as far from what is above them wherever they are.
BEGINNINGS = ("paragraph_open", "bullet_list_open", "ordered_list_open", "table_open")


class Lasting(Widget):
    """A widget of widgets whose height Textual need not find out anew whenever something below it has changed.

    It remembers the arrangement of children by the size of what holds them all; but only that one's width matters.
    """

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return super().get_content_height(Size(container.width, viewport.height), viewport, width)


def lasting(kind: type[MarkdownBlock]) -> type[MarkdownBlock]:
    return type(kind.__name__, (kind, Lasting), {"__module__": kind.__module__})  # styles come from the first


OF_BLOCKS = ("blockquote_open", "bullet_list_open", "ordered_list_open", "table_open")


class Part(Markdown, Lasting):
    """Some blocks of Markdown; blocks of code can be copied.

    The last block carries the class `-last`: with `:last-child` in the styles, Textual would style all blocks anew for
    each that is added.
    """

    BLOCKS = {  # noqa: RUF012 - Textual's own name and type
        **Markdown.BLOCKS,
        **{name: lasting(Markdown.BLOCKS[name]) for name in OF_BLOCKS},
        **dict.fromkeys(("fence", "code_block"), lasting(Fence)),
    }

    def __init__(self, text: str) -> None:
        super().__init__(text, open_links=False, classes="words", parser_factory=parser)

    def mount(
        self, *widgets: Widget, before: int | str | Widget | None = None, after: int | str | Widget | None = None
    ) -> AwaitMount:
        if widgets and before is None and after is None:
            if self.children:
                self.children[-1].remove_class("-last")
            widgets[-1].add_class("-last")
        return super().mount(*widgets, before=before, after=after)


class GrowingMarkdown(Vertical, Lasting):
    """`text` as Markdown, to which more can be appended."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._make(text)
        self._stream: MarkdownStream | None = None

    def _make(self, text: str) -> None:
        self._text = text
        *pieces, last = pieces_of(text)
        self._parts = [*(Part(piece) for piece in pieces), Part("")]
        for part in self._parts[:-1]:
            part.add_class("-more")
        self._start = len(text) - len(last)  # where the last part begins

    def compose(self) -> ComposeResult:
        yield from self._parts

    async def on_mount(self) -> None:
        await self._fill()

    async def _fill(self) -> None:
        """Append to the last part what it begins with: what it was made with would go on wrongly in a list."""
        await self._parts[-1].append(self._text[self._start :])

    @property
    def source(self) -> str:
        """What is on screen."""
        return "".join(part.source for part in self._parts)

    @property
    def ready(self) -> bool:
        """Whether it can grow: before it is mounted, Textual would forget what is appended."""
        return self._parts[-1].is_mounted and self.is_attached

    async def append(self, more: str) -> None:
        """Add `more` at the end."""
        given, self._text = len(self._text), self._text + more
        cut = self._start + next_part(self._text[self._start :], given - self._start)
        if cut > self._start:
            await self._write(self._text[given:cut])
            await self.finish()
            self._parts[-1].add_class("-more")
            self._start = cut
            self._parts.append(Part(""))
            await self.mount(self._parts[-1])
            await self._fill()
        else:
            await self._write(more)

    async def _write(self, more: str) -> None:
        self._stream = self._stream or Markdown.get_stream(self._parts[-1])
        await self._stream.write(more)

    async def finish(self) -> None:
        """Have all of it on screen."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.stop()

    async def replace(self, text: str) -> None:
        """Be `text` instead."""
        await self.finish()
        self._make(text)
        async with self.batch():
            await self.remove_children()
            await self.mount_all(self._parts)
            await self._fill()


def pieces_of(text: str) -> Iterator[str]:
    """`text` in parts, at least one."""
    while cut := next_part(text, 0):
        yield text[:cut]
        text = text[cut:]
    yield text


def next_part(text: str, given: int) -> int:
    """Where in `text` a new part may begin, not before `given`, which is on screen already; 0: nowhere yet."""
    if len(text) <= PART:
        return 0
    offsets = [0]
    for line in text.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    starts = (t.map[0] for t in blocks().parse(text) if t.level == 0 and t.map and t.type in BEGINNINGS)
    return next((offsets[line] for line in starts if offsets[line] >= max(given, PART)), 0)


@cache
def parser() -> MarkdownIt:
    """Textual's own, made once."""
    return MarkdownIt("gfm-like")


@cache
def blocks() -> MarkdownIt:
    """The same, without a look into the blocks."""
    return MarkdownIt("gfm-like").disable(["inline", "linkify"])
