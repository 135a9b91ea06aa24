from app.made import Made


def test_a_result_is_made_once_and_old_ones_go():
    made, calls = Made(), []

    def make(name: int) -> str:
        calls.append(name)
        return f"result {name}"

    assert made.get(0, "none") == "none"
    for name in (0, 1, 0):
        assert made.once(name, lambda name=name: make(name)) == f"result {name}"
    assert calls == [0, 1]
    assert made.get(0, "none") == "result 0"
    for name in range(2, 30):
        made.once(name, lambda name=name: make(name))
    assert made.get(1, "none") == "none"
    assert made.once(1, lambda: make(1)) == "result 1"
    assert calls.count(1) == 2
