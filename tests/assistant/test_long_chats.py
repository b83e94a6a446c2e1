"""A chat with very many messages: only some are made, those one goes to, and it stays in order."""

from __future__ import annotations

from assistant.widgets.message import MessageView
from assistant.widgets.transcript import FAR, PAGE, Earlier, Later, Transcript


def made(it) -> list[int]:
    return [view.message.id for view in it.transcript.query(MessageView)]


def fill(store, turns: int) -> None:
    chat = None
    for number in range(turns):
        chat, _, reply = store.begin_turn(chat, f"question {number}", "long", "m")
        store.finish(reply, f"answer {number}", "complete")


async def test_only_a_page_is_made_and_one_can_go_anywhere(opened) -> None:
    async with opened((100, 30)) as it:
        fill(it.app.store, 120)
        await it.screen.open_chat(1)
        first = made(it)
        assert first == list(range(241 - len(first), 241))
        assert 6 <= len(first) <= PAGE
        await it.pilot.pause()
        assert it.transcript.max_scroll_y > 0, "the screen is full"
        assert not it.transcript.query(Later)
        await it.transcript.more()
        assert made(it) == list(range(241 - len(first) - PAGE, 241))
        await it.transcript.go(5)
        assert it.transcript.selected == 5
        assert made(it) == list(range(1, 5 + PAGE // 2))
        assert not it.transcript.query(Earlier)
        assert it.transcript.query_one(Later)
        await it.transcript.later()
        assert made(it) == list(range(1, 5 + PAGE // 2 + PAGE))
        for _ in range(3):
            await it.transcript.move(1)
        assert it.transcript.selected == 8
        it.transcript.focus()
        await it.pilot.press("end")
        await it.until(lambda: made(it)[-1] == 240)
        assert made(it) == first


async def test_a_screen_that_is_not_full_is_filled(opened, monkeypatch) -> None:
    """Where the words take less room than they were thought to."""
    monkeypatch.setattr(Transcript, "_screenful", lambda *_: 2)
    async with opened((100, 30)) as it:
        fill(it.app.store, 20)
        await it.screen.open_chat(1)
        await it.until(lambda: len(made(it)) > 2)
        assert made(it)[-1] == 40


async def test_news_at_the_end_do_not_move_a_reader_who_is_far_back(opened) -> None:
    async with opened((100, 30)) as it:
        fill(it.app.store, FAR)
        await it.screen.open_chat(1)
        await it.transcript.go(3)
        before = made(it)
        _, _, reply = it.app.store.begin_turn(1, "new", "long", "m")
        it.app.store.finish(reply, "newest", "complete")
        await it.screen.show(end=False)
        assert made(it) == before
        await it.ask("And now?")
        assert made(it)[-1] == reply + 2
        assert it.replies[-1] == "You said: **And now?**"
