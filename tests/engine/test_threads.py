"""The number of threads follows what is quicker, on a machine whose load is made up here."""

from __future__ import annotations

from engine.run.threads import FIRST, PATIENCE, WINDOW, ThreadChooser


def decode(chooser: ThreadChooser, seconds: dict[int, float], tokens: int) -> float:
    """Time that `tokens` take, each as long as `seconds` says for the present number of threads."""
    total = 0.0
    for index in range(tokens):
        taken = seconds[chooser.now] * (1.3 if index % 5 == 0 else 1.0)  # no machine is quite even
        total += taken
        chooser.told(taken)
    return total


IDLE, BUSY = {4: 1.0, 1: 2.0}, {4: 5.0, 1: 2.2}


def test_all_threads_on_an_idle_machine_and_little_is_lost_by_looking() -> None:
    used: list[int] = []
    chooser = ThreadChooser(4, used.append)
    total = decode(chooser, IDLE, 2000)
    assert chooser.now == 4
    assert total < 1.06 * (1.0 + 0.06) * 2000  # 6 % is the unevenness; so much again at most is spent on trying
    assert set(used) == {1, 4}


def test_one_thread_on_a_busy_machine_and_back_when_it_is_idle_again() -> None:
    chooser = ThreadChooser(4, lambda _number: None)
    decode(chooser, BUSY, 3 * WINDOW)
    assert chooser.now == 1
    decode(chooser, {4: 1.0, 1: 2.2}, (PATIENCE + 3) * WINDOW)
    assert chooser.now == 4


def test_a_busy_machine_is_noticed_within_a_few_words() -> None:
    chooser = ThreadChooser(4, lambda _number: None)
    decode(chooser, BUSY, 2 * FIRST)
    assert chooser.now == 1


def test_a_load_that_comes_is_noticed_soon() -> None:
    chooser = ThreadChooser(4, lambda _number: None)
    decode(chooser, IDLE, 5 * WINDOW)
    decode(chooser, BUSY, 3 * WINDOW)
    assert chooser.now == 1


def test_the_few_tokens_that_wait_are_what_counts() -> None:
    """With all threads most tokens are quicker here, and every sixth takes twenty times as long."""
    chooser, total = ThreadChooser(4, lambda _number: None), 0.0
    for index in range(40 * WINDOW):
        taken = 1.2 if chooser.now == 1 else (20.0 if index % 6 == 0 else 1.0)
        total += taken
        chooser.told(taken)
    assert chooser.now == 1
    assert total < 1.5 * 40 * WINDOW


def test_a_single_token_that_waits_changes_nothing() -> None:
    used: list[int] = []
    chooser = ThreadChooser(4, used.append)
    decode(chooser, IDLE, 5 * WINDOW)
    used.clear()
    chooser.told(100.0)
    decode(chooser, IDLE, 5 * WINDOW)
    assert used == []


def test_a_try_that_cannot_end_well_ends_at_once() -> None:
    chooser = ThreadChooser(4, lambda _number: None)
    decode(chooser, BUSY, 3 * WINDOW)
    assert chooser.now == 1
    total = decode(chooser, {4: 150.0, 1: 1.0}, 2 * PATIENCE * WINDOW)
    assert total < 1.06 * 2 * PATIENCE * WINDOW + 3 * 1.3 * 150, "a token or two of each try, not a window"


def test_one_core_is_left_alone() -> None:
    used: list[int] = []
    decode(ThreadChooser(1, used.append), {1: 1.0}, 100)
    assert used == []
