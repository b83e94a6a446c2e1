"""Chats as files and back: nothing lost, nothing doubled, broken files refused in one sentence."""

from __future__ import annotations

import json
import random
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.cli import main
from assistant.errors import ExchangeError
from assistant.exchange.archive import write_archive
from assistant.exchange.chat_json import as_data, from_data
from assistant.exchange.importing import bring, read, told
from assistant.exchange.settings_file import put
from assistant.exchange.tree import COLUMNS, ChatTree, Node, checked
from assistant.exchange.writing import new_file
from assistant.screens.dialogs import ConfirmScreen
from assistant.storage.exchange import CHAT
from assistant.storage.libraries import Source
from assistant.storage.store import Store
from assistant.text import printable

WORDS = (
    "",
    " ",
    "hello",
    "two\nlines",
    "«déjà»",
    "漢字",
    "\u200d👩",
    "'; DROP",
    '"quoted"',
    "\x1b[31m",
    "\ud800",
    "a" * 300,
)
SEEDS = st.integers(0, 2**32)


def random_node(chance: random.Random, index: int) -> Node:
    parent = chance.randrange(index) if index and chance.random() < 0.9 else None
    numbers = {name: chance.choice([None, 0, 17, 2**62]) for name in ("tokens", "seed", "dropped", "context_used")}
    speeds = {name: chance.choice([None, 0.0, 51.25]) for name in ("tokens_per_second", "seconds_to_first_token")}
    return Node(
        parent,
        chance.choice(["user", "assistant", "system"]),
        chance.choice(WORDS),
        f"20{chance.randrange(10, 25)}-05-06T07:08:09",
        chance.choice(["complete", "stopped", "failed"]),
        chance.choice([None, *WORDS]),
        finish=chance.choice([None, "stop", "length"]),
        sources=chance.choice(
            [(), ({"path": "/a.md", "heading": "H", "page": chance.choice([None, 3]), "text": "t"},)]
        ),
        feedback=chance.choice([None, {"mark": -1, "better": "b", "created": "2024-01-02T03:04:05.000+00:00"}]),
        **numbers,
        **speeds,
    )


def random_tree(seed: int) -> ChatTree:
    chance = random.Random(seed)
    nodes = [random_node(chance, index) for index in range(chance.randrange(15))]
    return checked(
        ChatTree(
            f"uid{seed}",
            **{name: chance.choice(WORDS) for name in ("title", "model", "system", "draft")},
            **{name: chance.random() < 0.5 for name in ("archived", "pinned", "named")},
            created="2020-01-01",
            updated="2021-01-01T00:00:00+02:00",
            nodes=nodes,
            leaf=chance.randrange(len(nodes)) if nodes else None,
        )
    )


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "chats.db")
    yield store
    store.close()


def everything(store: Store) -> list[ChatTree]:
    return sorted((store.whole(number) for number in store.numbers()), key=lambda tree: tree.uid)


@settings(max_examples=40, deadline=None)
@given(st.lists(SEEDS, max_size=3, unique=True))
def test_random_trees_come_back_as_they_were_and_are_not_doubled(seeds: list[int]) -> None:
    made = [random_tree(seed) for seed in seeds]
    store = Store(None)
    try:
        wanted = sorted(made, key=lambda tree: tree.uid)
        assert store.take_in(made).new == len(made)
        assert everything(store) == wanted
        data = [json.loads(json.dumps(as_data(tree, draft=True))) for tree in everything(store)]
        again = store.take_in([from_data(one) for one in data])
        assert (again.new, again.messages, again.known) == (0, 0, len(made))
        assert everything(store) == wanted
    finally:
        store.close()


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_a_file_with_its_messages_in_any_order_is_the_same_tree(seed: int) -> None:
    tree = random_tree(seed)
    data = as_data(tree)
    random.Random(seed).shuffle(data["messages"])
    back = from_data(data)
    assert sorted(shape(back)) == sorted(shape(tree))


def shape(tree: ChatTree) -> list[str]:
    """Each message with the way to it, in words."""

    def way(index: int | None) -> str:
        return "" if index is None else way(tree.nodes[index].parent) + repr(tree.nodes[index].content) + "/"

    return [way(index) for index in range(len(tree.nodes))]


def test_no_column_is_forgotten(store: Store) -> None:
    """Whoever adds a column to a chat or a message decides here whether it travels."""
    stay = {"messages": {"id", "chat", "parent", "owner", "owner_started", "heartbeat"}, "chats": {"id", "leaf", "uid"}}
    travel = {"messages": set(COLUMNS), "chats": set(CHAT)}
    for table in ("messages", "chats"):
        columns = {row["name"] for row in store._all(f"PRAGMA table_info({table})")}
        assert columns - stay[table] == travel[table], table


def chatted(store: Store) -> int:
    chat, question, reply = store.begin_turn(None, "How are you?", "How are you?", "m", "Be brief.", '{"seed": 0}')
    store.finish(reply, "Well.", "complete", tokens=3, tokens_per_second=50.5)
    other = store.begin_again(chat, "m")
    store.finish(other, "Quite well.", "complete")
    store.begin_edit(question, "How is it?", "m")  # a reply that is still being made
    store.step(question, 0)
    store.choose(reply)
    return chat


def test_everything_goes_into_an_archive_and_back(store: Store, tmp_path: Path) -> None:
    chat = chatted(store)
    store.pin(chat, True)
    store.save_draft(chat, "half a sen")
    store.set("theme", "nord")
    store.add_source("notes", "/somewhere/notes")
    store.give_library(chat, "notes")
    store.cite(store.history(chat)[1].id, "notes", [Source("/somewhere/notes/a.md", "Key", 3, "Under the pot.")])
    mail = {"name": "a.eml", "subject": "Win", "sender": "x@y", "shown": "Win now", "text": "win now"}
    store.begin_verdict("spam", {**mail, "normaliser": 1, "raw": b"raw \xff"}, {"a": 1})
    store.save_persona("Pirate", "Say arr.")
    path = tmp_path / "all.zip"
    assert write_archive(store, path) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    other = Store(tmp_path / "other.db")
    other.set("theme", "mine")
    found = read(path)
    assert told(found, bring(other, found)) == "1 chat with 5 messages imported from an archive."
    (tree,), (back,) = everything(store), everything(other)
    assert [n.status for n in back.nodes] == ["complete"] * 4 + ["stopped"]
    assert replace(back, nodes=[]) == replace(tree, nodes=[])
    assert (other.setting("theme"), other.personas()) == ("mine", {"Pirate": "Say arr."})
    assert other.search("quite"), "the words are found here too"
    (verdict,) = other.verdicts()
    assert other.verdict(verdict.id).raw == b"raw \xff"
    assert other.sources("notes") == ["/somewhere/notes"]
    assert len(other.citations(1)) == 1
    found = read(path)
    assert told(found, bring(other, found)).endswith("1 chat was here already.")
    other.close()


def test_a_chat_that_has_grown_gets_what_it_lacks_and_keeps_what_was_set_here(store: Store, tmp_path: Path) -> None:
    chat = chatted(store)
    write_archive(store, tmp_path / "old.zip")
    other = Store(tmp_path / "other.db")
    bring(other, read(tmp_path / "old.zip"))
    (here,) = other.numbers()
    other.rename(here, "My own name")
    _, _, reply = store.begin_turn(chat, "And now?", "", "m")
    store.finish(reply, "Still well.", "complete")
    write_archive(store, tmp_path / "new.zip")
    taken = bring(other, read(tmp_path / "new.zip"))
    assert (taken.new, taken.grown, taken.messages) == (0, 1, 2)
    assert [m.content for m in other.history(here)] == ["How are you?", "Well.", "And now?", "Still well."]
    assert other.chat(here).title == "My own name"
    other.close()


def test_a_failure_in_the_middle_leaves_nothing(store: Store) -> None:
    trees = [ChatTree(f"u{n}", "t", "m", "2024-01-01", "2024-01-01") for n in range(3)]

    def step(done: int) -> None:
        if done == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        store.take_in(trees, step)
    assert store.numbers() == []


def test_the_writing_of_a_file_that_fails_leaves_none(tmp_path: Path) -> None:
    def fail() -> None:
        with new_file(tmp_path / "x") as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(ExchangeError, match="No space left"):
        fail()
    assert not (tmp_path / "x").exists()
    with pytest.raises(ExchangeError, match="cannot be written: No such file"), new_file(tmp_path / "no" / "x"):
        pass


def read_or_sentence(path: Path) -> str:
    try:
        return str(len(read(path).trees))
    except ExchangeError as error:
        return str(error)


GOOD = as_data(ChatTree("u", "t", "m", "2024-01-01", "2024-01-01", [Node(None, "user", "hi", "2024-01-01")], 0))


def broken(**changes) -> str:
    message = {**GOOD["messages"][0], **changes.pop("message", {})}
    chat = {**GOOD["chat"], **changes.pop("chat", {})}
    return json.dumps({**GOOD, "chat": chat, "messages": [message], **changes})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing known here"),
        ("hello", "nothing known here"),
        ("{", "broken JSON from line 1"),
        ('[{"mapping": {}}, {"mapping"', "broken JSON"),
        ("[" * 100_000, "broken JSON"),
        ("{} {}", "broken JSON"),
        ('{"a": 1}', "no chat of homespun"),
        ("[1, 2]", "Conversation 1 is broken. It has no `mapping`"),
        (broken(version=9), "Update homespun"),
        (broken(messages=3), "no chat and messages"),
        (broken(message={"role": "king"}), "has the role 'king'"),
        (broken(message={"status": "happy"}), "state 'happy'"),
        (broken(message={"parent": 7}), "message 7 that it has not got"),
        (broken(message={"parent": 1}), "in a circle"),
        (broken(message={"parent": [1]}), "has not got"),
        (broken(message={"tokens": "many"}), 'tokens is "many"'),
        (broken(message={"seed": 10**30}), "seed is no number"),
        (broken(message={"tokens_per_second": float("nan")}), "no number that can be"),
        (broken(message={"content": None}), "content is null"),
        (broken(message={"sources": [{"path": 3}]}), "passage that a reply was given"),
        (broken(message={"sources": 3}), "no list of passages"),
        (broken(message={"feedback": {"mark": 7, "better": ""}}), "is no mark"),
        (broken(chat={"title": 5}), "title is 5"),
        (broken(chat={"leaf": "x"}), "'x'"),
        (broken(messages=[GOOD["messages"][0]] * 2), "the same number"),
    ],
)
def test_broken_texts_are_one_sentence_that_names_the_file(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_text(text)
    with pytest.raises(ExchangeError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} cannot be imported. ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["theme = [[[", "x" * 2_000_000])
def test_settings_that_cannot_be_are_left_out_in_a_sentence(store: Store, tmp_path: Path, text: str) -> None:
    chatted(store)
    path, mine = tmp_path / "all.zip", tmp_path / "settings.toml"
    write_archive(store, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("settings.toml", text)
    if len(text) > 100:
        with pytest.raises(ExchangeError, match=r"settings.toml in it is larger than 1"):
            read(path)
        return
    assert put(read(path).settings, mine) == "The settings in it are no readable TOML and were left out."
    assert not mine.exists()


def test_broken_archives(store: Store, tmp_path: Path) -> None:
    chatted(store)
    good = tmp_path / "good.zip"
    write_archive(store, good)
    data = good.read_bytes()
    chance = random.Random(7)
    path = tmp_path / "bad.zip"
    for attempt in range(60):
        bad = bytearray(data)
        if attempt % 2:
            bad = bad[: chance.randrange(len(bad))]
        else:
            for _ in range(3):
                bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        said = read_or_sentence(path)
        assert said == "1" or said.startswith(f"{path} cannot be")  # a flipped bit may be where nothing depends on it
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday.jpg", b"x")
    with pytest.raises(ExchangeError, match="no chats in it that are known"):
        read(path)


JSON = st.recursive(
    st.sampled_from([None, True, 0, -1.5, "", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["mapping", "format", "chat", "messages", "id"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(JSON)
def test_any_json_is_a_chat_or_a_sentence(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("any") / "any.json"
    path.write_text(json.dumps(data))
    said = read_or_sentence(path)
    assert printable(said) == said


def test_on_the_command_line(store: Store, tmp_path: Path) -> None:
    chatted(store)
    store.begin_turn(None, "How deep is the sea?", "How deep is the sea?", "m")

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["--data-dir", str(tmp_path), *words])
        return result.exit_code, result.output.strip()

    mine, theirs = "vim_keys = true\n", "fold_pastes = 3\n"
    (tmp_path / "settings.toml").write_text(mine)
    assert run("export", f"{tmp_path}/all.zip") == (0, f"2 chats written to {tmp_path}/all.zip.")
    code, said = run("export", f"{tmp_path}/all.zip")
    assert (code, "is there already" in said) == (2, True)
    assert run("export", f"{tmp_path}/a.md", "--chat", "how")[1].startswith("Error: 2 chats are called so: “How")
    assert run("export", f"{tmp_path}/a.md", "--chat", "sea")[0] == 0
    assert "How deep is the sea?" in (tmp_path / "a.md").read_text()
    assert run("export", f"{tmp_path}/a.txt", "--chat", "sea")[0] == 2
    assert run("export", f"{tmp_path}/b.md")[0] == 2
    assert run("import", f"{tmp_path}/all.zip")[1] == (
        "0 chats with 0 messages imported from an archive; 2 chats were here already."
    )
    (tmp_path / "settings.toml").write_text(theirs)
    assert run("import", f"{tmp_path}/all.zip")[1].endswith("yours stay. --settings takes them.")
    assert (tmp_path / "settings.toml").read_text() == theirs
    assert "yours are kept in" in run("import", f"{tmp_path}/all.zip", "--settings")[1]
    assert (tmp_path / "settings.toml").read_text() == mine
    assert (tmp_path / "settings.toml.before").read_text() == theirs
    code, said = run("import", f"{tmp_path}/nothing.zip")
    assert (code, said) == (2, f"Error: {tmp_path}/nothing.zip cannot be read: No such file or directory.")


async def test_in_the_window(opened, data: Path, tmp_path: Path) -> None:
    data.mkdir()
    (data / "settings.toml").write_text("fold_pastes = 3\n")
    async with opened() as it:
        await it.ask("Hello")
        await it.send(f"/export {tmp_path}/all.zip")
        await it.until(lambda: "1 chats are in" in it.notified)
        it.app.store.delete(1)
        await it.pilot.press("ctrl+n")
        await it.send(f"/import {tmp_path}/all.zip")
        await it.until(lambda: "1 chat with 2 messages imported" in it.notified)
        it.app.config.set("fold_pastes", 5)
        await it.send(f"/import {tmp_path}/all.zip")
        await it.until(lambda: isinstance(it.app.screen, ConfirmScreen))
        await it.pilot.press("y")
        await it.until(lambda: it.app.config.get("fold_pastes") == 3)
        assert it.prompt.fold_above == 3, "it holds at once"
        assert "fold_pastes = 5" in (data / "settings.toml.before").read_text()
        (chat,) = it.app.store.chats()
        assert [m.content for m in it.app.store.history(chat.id)] == ["Hello", "You said: **Hello**"]
        await it.send(f"/import {tmp_path}/none.zip")
        await it.until(lambda: "cannot be read" in it.notified)
        await it.send("/import")
        assert "Say which file" in it.notified


async def test_calling_an_import_off_leaves_nothing(opened, tmp_path: Path) -> None:
    many = tmp_path / "many.json"
    node = {"message": {"author": {"role": "user"}, "content": {"parts": ["hi"]}}}
    many.write_text(json.dumps([{"id": str(n), "mapping": {"a": node}} for n in range(20_000)]))
    async with opened() as it:
        await it.send(f"/import {many}")
        await it.pilot.press("escape")
        await it.until(lambda: "Called off" in it.notified)
        assert it.app.store.numbers() == []
