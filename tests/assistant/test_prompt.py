"""The prompt: folded pastes, files that go along, completions, vim's keys, its height and its keys in the footer."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Static

from assistant.errors import UsageError
from assistant.prompting.attaching import files_in, mentions, with_files
from assistant.prompting.completing import offers
from assistant.prompting.costs import Cost, Pieces, told
from assistant.prompting.folding import Folds, unfolded
from assistant.prompting.vim_motions import move
from assistant.storage.store import Store
from assistant.widgets.completions import Completions
from tests.assistant.terminal import READY, Terminal

BOOK = "\n".join(f"line {i}" for i in range(40))


def paste(it, text: str) -> None:
    it.prompt.post_message(events.Paste(text))


def popup(it) -> list[str]:
    shown = it.screen.query_one(Completions)
    return [offer.text for offer in shown.offers] if shown.display else []


def cost(it) -> str:
    line = it.screen.query_one("#cost", Static)
    return str(line.content) if line.display else ""


# Folds


def test_a_draft_knows_where_its_folds_were() -> None:
    folds = Folds()
    shown = f"before {folds.fold(BOOK)} and {folds.fold('x' * 500)} after"
    assert shown == "before [pasted: 40 lines #1] and [pasted: 500 characters #2] after"
    draft = folds.draft(shown)
    assert unfolded(draft) == folds.whole(shown) == f"before {BOOK} and {'x' * 500} after"
    again = Folds()
    assert again.from_draft(draft) == shown
    assert again.whole(shown) == folds.whole(shown)


async def test_a_fold_is_deleted_as_a_whole_and_never_cut_into(opened) -> None:
    async with opened() as it:
        await it.pilot.press(*"see ")
        paste(it, BOOK)
        await it.until(lambda: "[pasted: 40 lines #1]" in it.prompt.text)
        await it.pilot.press("left", "left", "x")
        assert it.prompt.whole == f"see {BOOK}x", "what is typed inside of the mark goes behind it"
        await it.pilot.press("backspace", "backspace")
        assert it.prompt.text == "see "
        await it.pilot.press("ctrl+z")
        assert BOOK in it.prompt.whole, "undo brings it back, with its text"


async def test_a_folded_draft_survives_leaving_and_is_sent_whole(opened, data) -> None:
    async with opened() as it:
        await it.pilot.press(*"Read: ")
        paste(it, BOOK)
        await it.until(lambda: "pasted" in it.prompt.text)
        await it.pilot.pause()
    async with opened() as it:
        assert it.prompt.text == "Read: [pasted: 40 lines #1]"
        await it.pilot.press("enter")
        await it.until(lambda: it.screen._live is None and it.texts)
    assert Store(data / "chats.db").history(1)[0].content == f"Read: {BOOK}"


# Files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "letters").mkdir(parents=True)
    (home / "notes.txt").write_text("milk and \x1b[31mbread")
    (home / "my list.md").write_text("one\ntwo")
    (home / ".hidden").write_text("x")
    (home / "picture.png").write_bytes(b"\x89PNG\0")
    monkeypatch.chdir(home)
    return home


def test_mentions_are_of_files_that_are_there(folder) -> None:
    text = 'Compare @notes.txt, @"my list.md" and @alice; mail me@notes.txt or @nowhere.txt (@notes.txt).'
    assert [m.written for m in mentions(text)] == ["notes.txt", "my list.md"]
    words, files = files_in(with_files(text))
    assert words == text
    assert files == [("notes.txt", "milk and [31mbread"), ("my list.md", "one\ntwo")]
    with pytest.raises(UsageError, match="no text file"):
        with_files("@picture.png")


def test_names_of_files_complete(folder) -> None:
    assert [o.text for o in offers("@", first=True, arguments={})] == [
        "@letters/",
        '@"my list.md" ',
        "@notes.txt ",
        "@picture.png ",
    ]
    assert [o.text for o in offers("@.h", first=True, arguments={})] == ["@.hidden "]
    assert [o.text for o in offers(f"/export {folder}/le", first=True, arguments={})] == [f"{folder}/letters/"]
    assert offers("@nowhere/x", first=True, arguments={}) == []
    assert [o.text for o in offers("see @my", first=False, arguments={})] == ['@"my list.md" ']
    assert [o.text for o in offers('see @"my l', first=False, arguments={})] == ['@"my list.md" ']
    assert offers("me@no", first=True, arguments={}) == []


async def test_a_file_goes_along_and_its_cost_is_told(opened, folder) -> None:
    async with opened((100, 30)) as it:
        await it.until(lambda: it.screen.status.ready)
        await it.pilot.press(*"What is in @no")
        assert popup(it) == ["@notes.txt "]
        await it.pilot.press("tab")
        assert it.prompt.text == "What is in @notes.txt "
        await it.until(lambda: "@notes.txt 5" in cost(it))
        assert cost(it).endswith("together 11 tokens of the 1,024 that the model can read")
        await it.pilot.press("enter")
        await it.until(lambda: it.screen._live is None and it.texts)
        assert files_in(it.texts[0]) == ("What is in @notes.txt ", [("notes.txt", "milk and [31mbread")])
        assert any("notes.txt went along: 1 lines" in note for note in it.notes)
        await it.until(lambda: cost(it) == "")
        await it.pilot.press("up")
        assert it.prompt.text == "What is in @notes.txt ", "going back brings the words, not the file's"


async def test_a_file_that_is_no_text_is_a_sentence_and_the_text_stays(opened, folder) -> None:
    async with opened() as it:
        await it.send("Look at @picture.png")
        assert "picture.png is no text file." in it.notified
        assert it.prompt.text == "Look at @picture.png"
        assert it.texts == []


def test_costs_are_told() -> None:
    pieces = Pieces(("", "@a"), ("12345678", "x" * 41))
    assert told(pieces.costs(None), False, 12) == (
        "@a 11 · together about 13 tokens of the 12 that the model can read: too many",
        False,
    )
    assert told([Cost("@b", None, "b cannot be read: gone.")], True, 12) == ("b cannot be read: gone.", False)


# Completions


async def test_commands_complete_in_a_list(opened) -> None:
    async with opened() as it:
        await it.pilot.press("/")
        assert "/system " in popup(it)
        await it.pilot.press("t", "e", "m")
        assert popup(it) == ["/temp ", "/temporary"]
        await it.pilot.press("down", "tab")
        assert it.prompt.text == "/temporary"
        it.prompt.fill("")
        await it.pilot.press(*"/pers", "enter")
        assert it.prompt.text == "/persona ", "it wants an argument, so Enter completes it"
        await it.pilot.press(*"bri", "enter")
        await it.until(lambda: "Brief" in str(it.screen.query_one("#title", Static).content))
        assert it.screen.wishes.system.startswith("Answer in one")
        await it.pilot.press("/", "t", "escape")
        assert popup(it) == []
        assert it.prompt.text == "/t"


# Looks and keys


async def test_it_grows_to_ten_lines(opened) -> None:
    async with opened() as it:
        assert it.prompt.content_size.height == 1
        it.prompt.fill("a\n" * 30)
        await it.pilot.pause()
        assert it.prompt.content_size.height == 10


async def test_the_footer_shows_the_newline_key(opened) -> None:
    async with opened() as it:
        shown = [b.binding.description for b in it.screen.active_bindings.values() if b.binding.show and b.enabled]
        assert shown[:2] == ["Send", "New line"]
        assert "Stop" not in shown, "there is nothing to stop"


def test_vim_motions() -> None:
    lines = ["one two.three", "", "  four"]
    assert move(lines, (0, 0), "w") == (0, 4)
    assert move(lines, (0, 0), "w", 2) == (0, 7)
    assert move(lines, (0, 8), "w") == (2, 2)
    assert move(lines, (2, 2), "b") == (0, 8)
    assert move(lines, (0, 0), "e") == (0, 2)
    assert move(lines, (2, 5), "^") == (2, 2)
    assert move(lines, (0, 0), "G") == (2, 0)
    assert move(lines, (2, 0), "gg", 2, counted=True) == (1, 0)


async def test_vim_keys(opened) -> None:
    async with opened() as it:
        it.app.config.set("vim_keys", True)
        it.app.apply_settings()
        await it.pilot.press(*"one two three", "escape")
        assert it.prompt.border_title == "NORMAL"
        for keys, text in (
            ("0dw", "two three"),
            ("u", "one two three"),
            ("$x", "one two thre"),
            ("bD", "one two "),
            ("ccfour", "four"),
        ):
            await it.pilot.press(*keys)
            assert it.prompt.text == text, keys
        await it.pilot.press("escape", *"yyp")
        assert it.prompt.text == "four\nfour"
        await it.pilot.press(*"kOzero", "escape", *"j2dd", "enter")
        await it.until(lambda: it.texts[:1] == ["zero"])
        assert it.prompt.border_title == "", "a new message begins inserting"


async def test_what_is_deleted_may_be_gone_already(opened) -> None:
    async with opened() as it:
        it.prompt.fill("one\ntwo")
        it.prompt.delete((0, 2), (5, 0))
        assert it.prompt.text == "on"
        it.prompt.delete((3, 0), (4, 7))
        assert it.prompt.text == "on"


async def test_a_key_right_after_enter_is_not_lost(opened) -> None:
    async with opened() as it:
        for words in ("Hello", "/temp 0.5"):
            it.prompt.fill(words)
            it.prompt.action_send()
            it.prompt.insert("k")  # before what was sent is taken
            await it.until(lambda: it.prompt.text == "k")
            await it.until(lambda: it.screen._live is None)
        assert it.texts[0] == "Hello"
        it.prompt.fill("/nothing")
        it.prompt.action_send()
        it.prompt.insert("k")
        await it.until(lambda: "nothing" in it.notified)
        assert it.prompt.text == "/nothingk"


def test_words_typed_before_the_first_frame_are_in_the_prompt(data: Path) -> None:
    words = ""
    with Terminal(data) as terminal:
        while READY not in terminal.raw or "Search" not in terminal.text:  # while Python, Textual and the screen begin
            terminal.type(f"w{len(words)} ")
            words += f"w{len(words)} "
            time.sleep(0.02)
        terminal.shows(words.split()[-1])
        assert terminal.leave() == 0
    store = Store(data / "chats.db")
    assert store.draft(None) == words
    store.close()


def test_keys_of_a_burst_take_effect_in_their_order(data: Path) -> None:
    burst = "abc\x7f\x7fde\x1b[D\x1b[DY\x1b[F."  # Backspace twice, Left twice, End
    with Terminal(data) as terminal:
        terminal.begin()
        terminal.type(f"lost\x15{burst}")
        terminal.shows("aYde.")
        terminal.type("\x06")  # the search, which has a field of one line
        terminal.shows("Search all chats")
        terminal.type(f"one {burst}")
        terminal.shows("one aYde.")
        terminal.type("\x1b")
        terminal.until(lambda: "one aYde." not in terminal.text)
        assert terminal.leave() == 0


async def test_cutting_a_fold_keeps_its_text(opened) -> None:
    async with opened() as it:
        await it.pilot.press(*"see ")
        paste(it, BOOK)
        await it.until(lambda: "[pasted: 40 lines #1]" in it.prompt.text)
        it.prompt.select_all()
        await it.pilot.press("ctrl+x")
        assert it.prompt.text == ""
        assert it.app.clipboard == f"see {BOOK}"
        it.prompt.fill("short")
        it.prompt.select_all()
        it.prompt.action_copy()
        assert it.app.clipboard == "short"


def test_blanks_and_joiners_of_other_scripts_are_typed(data: Path) -> None:
    """Japanese and no-break spaces, joined emoji, Persian; what turns a line around is not."""
    words = "A\u3000B\u00a0C \U0001f469\u200d\U0001f467 می\u200cروم"
    with Terminal(data) as it:
        it.begin()
        it.type(f"{words}\u202e")
        it.shows("A")
        it.type("!")
        it.until(lambda: "!" in it.text)
        assert it.leave() == 0
    with closing(Store(data / "chats.db")) as store:
        assert store.draft(None) == f"{words}!"


async def test_what_was_typed_stays_the_draft_while_one_looks_back(opened) -> None:
    async with opened() as it:
        await it.ask("The first")
        it.prompt.fill("half a thought")
        await it.pilot.press("up")
        await it.until(lambda: it.prompt.text == "The first")
        await it.screen.open_chat(None)
        await it.screen.open_chat(1)
        assert it.prompt.text == "half a thought"


async def test_two_thousand_keys_start_no_two_thousand_workers(opened) -> None:
    async with opened() as it:
        before = len(it.app.workers)
        for _ in range(2000):
            it.screen._count_soon()
        assert len(it.app.workers) <= before + 1
