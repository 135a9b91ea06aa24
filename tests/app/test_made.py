import threading

import pytest

from app.made import Made, ahead


def test_a_result_is_made_once_and_old_ones_go():
    made, calls = Made(), []

    def make(name: int) -> str:
        calls.append(name)
        return f"result {name}"

    for name in (0, 1, 0):
        assert made.once(name, lambda name=name: make(name)) == f"result {name}"
    assert calls == [0, 1]
    for name in range(2, 30):
        made.once(name, lambda name=name: make(name))
    assert made.once(1, lambda: make(1)) == "result 1"
    assert calls.count(1) == 2


def test_who_wants_what_is_being_made_waits_for_it_and_nothing_else():
    made, begun, go_on = Made(), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go_on.wait(10)
        return "slow"

    ahead(lambda: made.once("slow", slow))
    assert begun.wait(10)
    assert made.once("quick", lambda: "quick") == "quick"
    threading.Timer(0.01, go_on.set).start()
    assert made.once("slow", lambda: "made twice") == "slow"


def test_what_failed_is_tried_again():
    made = Made()

    def fails() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        made.once("name", fails)
    assert made.once("name", lambda: "made") == "made"
