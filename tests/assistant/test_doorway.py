"""The outline that is on screen before the window is: in real terminals, and in every size."""

import json
import signal
import termios
import time
from contextlib import closing
from pathlib import Path

import pyte
import pytest

from assistant import doorway
from assistant.errors import StorageError
from assistant.screens.chat.screen import ChatScreen
from assistant.screens.help import HelpScreen
from assistant.settings.themes import DARK
from assistant.storage.store import Store
from tests.assistant.terminal import READY, Terminal

TRUE_COLOUR = {"COLORTERM": "truecolor", "NO_COLOR": ""}


HELD = """
import sys, time
from pathlib import Path

class Held:
    def find_spec(self, name, *_):
        while name == "assistant.app" and not Path(__file__).with_name("go").exists():
            time.sleep(0.01)

sys.meta_path.insert(0, Held())
"""


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH: with it the window is not imported before there is a file `go` in it.

    However late a busy machine lets the test look, it finds the doorway still open.
    """
    folder = tmp_path / "held"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HELD)
    return folder


def attributes(terminal: Terminal) -> list[object]:
    return termios.tcgetattr(terminal._master)


@pytest.mark.parametrize(
    ("arguments", "opens"),
    [
        ([], True),
        (["--model", "x", "--data-dir=/tmp/y", "--compile"], True),
        (["--model", "x", "ask", "hello"], False),
        (["--plain"], False),
        (["--help"], False),
        (["--model"], False),
        (["--data-dir="], False),
        (["models"], False),
    ],
)
def test_only_a_window_has_a_doorway(arguments: list[str], opens: bool) -> None:
    assert (doorway.options(arguments) is not None) is opens


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 8), (20, 5), (71, 15), (72, 16), (80, 24), (200, 60)])
@pytest.mark.parametrize("side", [True, False])
def test_the_outline_stays_within_the_terminal(size: tuple[int, int], side: bool) -> None:
    class Watched(pyte.Screen):
        def index(self) -> None:
            raise AssertionError("it scrolls")

    screen = Watched(*size)
    pyte.Stream(screen).feed(doorway.outline(*size, {**doorway.COLOURS, "side": side}))
    rows = screen.display
    assert size[1] == 1 or rows[-2].startswith("  opening …"[: size[0]])
    assert size[1] < doorway.SHORT or [row.rstrip()[-1] for row in rows[-5:-2]] == ["╮", "│", "╯"]


def test_it_has_the_colours_of_the_theme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours = {name: getattr(DARK, name) for name in ("background", "surface", "panel", "primary")}
    assert ours.items() <= doorway.COLOURS.items()
    looks = tmp_path / "looks.json"
    doorway.remember(looks, False, background="#112233")
    assert "48;2;17;34;51m" in doorway.outline(80, 24, doorway._read(looks))
    for broken in ("", "[]", '{"background": 7}', '{"background": "\\u001b]0;x"}', "{"):
        looks.write_text(broken)
        assert "\x1b]" not in doorway.outline(80, 24, doorway._read(looks)), broken
    monkeypatch.setenv("NO_COLOR", "1")
    assert "48;2" not in doorway.outline(80, 24, doorway._read(looks))


def test_keys_are_not_echoed_and_the_terminal_is_left_as_it_was(data: Path, held: Path) -> None:
    with Terminal(data, PYTHONPATH=str(held), **TRUE_COLOUR) as it:
        before = attributes(it)
        it.shows("opening …")
        assert READY not in it.raw, "the outline comes before the window"
        outline = [row.find("─") for row in it.text.splitlines()]
        it.type("tea, please")
        (held / "go").touch()
        it.shows("tea, please")
        assert READY in it.raw, "only the window shows what is typed"
        it.begin()
        assert [row.find("─") for row in it.text.splitlines()] == outline, "the window stands where its outline was"
        assert it.leave() == 0
        assert attributes(it) == before
        assert it.raw.rstrip().count(b"\x1b[?1049l") == 1
    assert set(json.loads((data / "looks.json").read_text())) == {"side", *doorway.COLOURS}


async def test_every_theme_has_an_outline(opened, data: Path) -> None:
    async with opened() as it:
        for theme in it.app.available_themes:
            it.app.theme = theme
            await it.pilot.pause()
            (data / "looks.json").write_bytes(b"\xff\xfe")  # as a crash may leave it
            it.app._remember_looks()
            assert doorway.outline(80, 24, doorway._read(data / "looks.json"))
            assert set(json.loads((data / "looks.json").read_text())) == {"side", *doorway.COLOURS}


async def test_a_chat_that_cannot_be_opened_leaves_the_keys_alive(opened, monkeypatch) -> None:
    async def fails(*_: object) -> None:
        raise StorageError("The disk is gone.")

    monkeypatch.setattr(ChatScreen, "open_chat", fails)
    async with opened() as it:
        await it.until(lambda: "The disk is gone." in it.notified)
        await it.pilot.press("f1")
        await it.until(lambda: isinstance(it.app.screen, HelpScreen))


def test_what_is_wrong_is_said_where_it_stays(data: Path) -> None:
    with Terminal(data, "--model", "nowhere") as it:
        before = attributes(it)
        assert it.process.wait(30) == 2
        it._reader.join(2)
        assert "nowhere" in it.raw.decode().rpartition("\x1b[?1049l")[2], "after the other screen was left"
        assert attributes(it) == before


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_doorway_ends_it(data: Path, held: Path, how: signal.Signals, status: int) -> None:
    with Terminal(data, PYTHONPATH=str(held)) as it:
        before = attributes(it)
        it.shows("opening …")
        it.process.send_signal(how)
        assert it.process.wait(30) == status
        it._reader.join(2)
        assert attributes(it) == before
        assert b"Traceback" not in it.raw
        assert it.raw.rindex(b"\x1b[?1049l") > it.raw.rindex(b"\x1b[?1049h")


@pytest.mark.parametrize("tenths", range(0, 10))
def test_a_signal_at_any_moment_of_the_start_ends_it_cleanly(data: Path, tenths: int) -> None:
    how = signal.SIGINT if tenths % 2 else signal.SIGTERM
    with Terminal(data) as it:
        before = attributes(it)
        it.until(lambda: b"opening" in it.raw)
        time.sleep(tenths / 16)  # in an import, in the window's birth, half mounted, or open
        it.process.send_signal(how)
        assert it.process.wait(30) in (0, 128 + how)
        it._reader.join(2)
        assert attributes(it) == before
        assert b"Traceback" not in it.raw


def test_a_window_that_is_told_to_end_keeps_its_draft_and_leaves_the_terminal_as_it_was(data: Path) -> None:
    with Terminal(data) as it:
        before = attributes(it)
        it.begin()
        it.type("half a thought")
        it.shows("half a thought")
        it.process.terminate()
        assert it.process.wait(30) == 0
        assert attributes(it) == before
    with closing(Store(data / "chats.db")) as store:
        assert store.draft(None) == "half a thought"
