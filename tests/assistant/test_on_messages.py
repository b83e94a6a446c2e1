"""What one does with a message in the transcript, by keyboard and mouse."""

from __future__ import annotations

import time

from assistant.storage.store import Store
from assistant.text import code_blocks
from assistant.widgets.key_line import KeyLine
from assistant.widgets.message import MessageView, QuestionView
from assistant.widgets.prompt import Prompt
from assistant.widgets.reply import ReplyView
from assistant.widgets.transcript import PAGE


async def to_messages(it) -> None:
    """From the prompt to the transcript, as Tab does."""
    await it.pilot.press("shift+tab")
    await it.until(lambda: it.transcript.has_focus)
    await it.pilot.pause()


def footer(it) -> list[str]:
    return [b.binding.description for b in it.screen.active_bindings.values() if b.binding.show]


async def test_tab_selects_the_last_message_and_j_k_walk(opened) -> None:
    async with opened() as it:
        await it.ask("One")
        await it.ask("Two")
        await to_messages(it)
        assert it.transcript.message.content == "You said: **Two**"
        await it.pilot.press("k", "k", "k", "k", "k")
        assert it.transcript.message.content == "One"
        await it.pilot.press("j")
        assert it.transcript.message.content == "You said: **One**"
        await it.pilot.press("escape")
        assert it.prompt.has_focus


async def test_a_click_selects_a_message_and_the_footer_has_its_keys(opened) -> None:
    async with opened((120, 40)) as it:
        await it.ask("One")
        assert "Edit" not in footer(it)
        await it.pilot.click(QuestionView)
        await it.pilot.pause()
        assert it.transcript.message.content == "One"
        assert {"Edit", "Again", "Fork", "Delete"} <= set(footer(it))
        assert not {"‹", "›", "Continue", "Code", "Undo"} & set(footer(it)), "only what can be done"
        assert it.screen.query_one(KeyLine).region.bottom <= 40


async def test_editing_a_question_makes_a_branch_and_the_switcher_walks_back(opened) -> None:
    async with opened() as it:
        await it.ask("One")
        await it.ask("Two")
        await to_messages(it)
        await it.pilot.press("k", "k", "k", "e")
        await it.pilot.pause()
        editor = it.app.screen.query_one(Prompt)
        assert editor.text == "One"
        editor.fill("Other one")
        await it.pilot.press("enter")
        await it.until(lambda: it.texts == ["Other one", "You said: **Other one**"] and it.screen._live is None)
        await it.pilot.pause()
        assert it.screen.query(MessageView).first().text.startswith("You   ‹ 2/2 › \n")
        it.transcript.focus()
        await it.transcript.go(it.screen.history()[0].id)
        await it.pilot.press("left")
        await it.until(lambda: it.texts == ["One", "You said: **One**", "Two", "You said: **Two**"])
        await it.pilot.press("right")
        await it.until(lambda: it.texts[0] == "Other one")


async def test_the_switcher_works_by_mouse(opened) -> None:
    async with opened((120, 40)) as it:
        await it.ask("One")
        await it.pilot.press("f5")
        await it.until(lambda: it.screen._live is None and len(it.app.store.tree(1)) == 3)
        await it.pilot.pause()
        view = it.screen.query_one(ReplyView)
        assert "2/2" in view.text
        await it.pilot.click(view, offset=(view.render_line(0).text.index("‹"), 0))
        await it.until(lambda: "1/2" in it.screen.query_one(ReplyView).text)


async def test_leaving_the_editor_changes_nothing(opened) -> None:
    async with opened() as it:
        await it.ask("One")
        await to_messages(it)
        await it.pilot.press("e")
        await it.pilot.pause()
        await it.pilot.press("escape")
        await it.pilot.pause()
        assert len(it.app.store.tree(1)) == 2


async def test_a_reply_may_be_changed_by_hand(opened) -> None:
    async with opened() as it:
        await it.ask("One")
        await to_messages(it)
        await it.pilot.press("e")
        await it.pilot.pause()
        it.app.screen.query_one(Prompt).fill("What it should have said")
        await it.pilot.press("enter")
        await it.until(lambda: it.replies == ["What it should have said"])
        await it.ask("Two")
        assert it.texts[1] == "What it should have said"


async def test_stop_then_continue_goes_on_with_the_same_reply(opened, data, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    async with opened() as it:
        await it.send("Tell me")
        await it.until(lambda: "more" in "".join(it.replies))
        began = time.monotonic()
        await it.pilot.press("escape")
        await it.until(lambda: it.screen._live is None, 3)
        stopped_in = time.monotonic() - began
        await it.until(lambda: any(note.startswith("stopped") for note in it.notes))
        before = it.texts[1]
        assert it.replies == [before], f"after {stopped_in:.2f} s all that came is on screen"
        await it.pilot.press("f6")
        await it.until(lambda: "continued:" in it.replies[0] and "more" in it.replies[0].split("continued:")[1])
        await it.pilot.press("escape")
        await it.until(lambda: it.screen._live is None, 3)
        assert it.texts[1].startswith(before + "continued:" + before[-5:])
    assert len(Store(data / "chats.db").history(1)) == 2


async def test_a_finished_reply_is_not_continued(opened) -> None:
    async with opened() as it:
        await it.ask("One")
        await it.pilot.press("f6")
        await it.pilot.pause()
        assert it.screen._live is None
        assert "Go on with the reply, which ended early" not in {c.title for c in it.app.get_system_commands(it.screen)}


async def test_fork(opened) -> None:
    async with opened() as it:
        await it.ask("One")
        await it.ask("Two")
        await to_messages(it)
        await it.pilot.press("k", "k", "f")
        await it.until(lambda: it.screen.chat == 2)
        assert it.texts == ["One", "You said: **One**"]
        assert it.app.store.chat(2).title == "One (fork)"


async def test_deleting_and_undoing(opened) -> None:
    async with opened() as it:
        await it.ask("One")
        await it.ask("Two")
        await to_messages(it)
        await it.pilot.press("k", "d")
        await it.until(lambda: len(it.texts) == 2)
        assert "2 messages are deleted" in it.notified
        await it.pilot.press("u")
        await it.until(lambda: len(it.texts) == 4)
        assert it.transcript.message.content == "Two"
        await it.pilot.press("k", "D")
        await it.until(lambda: it.texts == ["One", "Two", "You said: **Two**"])
        await it.pilot.press("u")
        await it.until(lambda: len(it.texts) == 4)
        assert len(it.screen.query(MessageView)) == 4


async def test_neighbours_of_one_role_go_to_the_engine_as_one(opened) -> None:
    async with opened() as it:
        await it.ask("One")
        await it.ask("Two")
        await to_messages(it)
        await it.pilot.press("k", "k", "D")
        await it.until(lambda: len(it.texts) == 3)
        it.prompt.focus()
        await it.ask("ROLES")
        assert it.replies[-1] == "user assistant user"


async def test_copying(opened) -> None:
    async with opened() as it:
        await it.ask("CODE")
        await to_messages(it)
        await it.pilot.press("x")
        assert it.app.clipboard == "print(1)"
        await it.pilot.press("x")
        assert it.app.clipboard == "ls"
        await it.pilot.press("y")
        assert it.app.clipboard.startswith("Here:")
        await it.pilot.click(ReplyView, offset=(4, 3))  # the line above the code
        assert it.app.clipboard == "print(1)"


def test_blocks_of_code() -> None:
    assert code_blocks("a\n```py\nx = 1\n```\nb\n~~~\n```\n~~~\n```\nopen") == ["x = 1", "```", "open"]
    assert code_blocks("none `here`") == []


async def test_a_long_chat_shows_its_end_first_and_the_rest_when_one_reads_back(opened) -> None:
    async with opened() as it:
        store, chat = it.app.store, None
        for index in range(40):
            chat, _, reply = store.begin_turn(chat, f"q{index}", "long", "m")
            store.finish(reply, f"a{index}", "complete")
        await it.screen.open_chat(chat)
        await it.pilot.pause()
        made = len(it.screen.query(MessageView))
        assert made < 20
        it.transcript.focus()
        for _ in range(made + 2):
            await it.pilot.press("k")
        assert it.transcript.message.id == it.screen.history()[-made - 3].id  # the first focus selects the last
        assert len(it.screen.query(MessageView)) == made + PAGE
        await it.transcript.go(it.screen.history()[0].id)
        await it.pilot.pause()
        assert [v.message.content for v in it.screen.query(MessageView)][:2] == ["q0", "a0"]
