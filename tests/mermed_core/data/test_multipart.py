"""A multipart message in pieces of any size gives back what was put into it."""

from hypothesis import given
from hypothesis import strategies as st

from mermed_core.data.multipart import Parts

BOUNDARY = b"b0undary"
_CONTENT = st.lists(
    st.one_of(
        st.binary(max_size=20), st.sampled_from([b"\r\n", b"\r\n--", b"\r\n--b0und", b"--", b"\r\n\r\n"])
    ),
    max_size=6,
).map(b"".join)


def message(contents: list[bytes], before: bytes = b"", after: bytes = b"") -> bytes:
    parts = [b"--" + BOUNDARY + b"\r\nContent-Type: x/y\r\n\r\n" + content + b"\r\n" for content in contents]
    return before + b"".join(parts) + b"--" + BOUNDARY + b"--" + after


def read(data: bytes, sizes: list[int]) -> tuple[list[bytes], bool]:
    parts, found = Parts(BOUNDARY), []
    while data:
        size = sizes.pop() if sizes else len(data)
        found.extend(parts.feed(data[:size]))
        data = data[size:]
    return found, parts.complete


@given(
    st.lists(_CONTENT.filter(lambda each: b"\r\n--" + BOUNDARY not in each), max_size=5),
    st.lists(st.integers(1, 30), max_size=100),
    st.sampled_from([b"", b"\r\n", b"This is a message.\r\n"]),
    st.sampled_from([b"", b"\r\n", b"\r\nend"]),
)
def test_parts_come_whole_however_the_message_is_cut(contents, sizes, before, after):
    assert read(message(contents, before, after), sizes) == (contents, True)


@given(st.integers(1, 60))
def test_a_message_that_breaks_off_is_not_complete(missing):
    data = message([b"one", b"two"])
    found, complete = read(data[: -min(missing, len(data) - 1)], [])
    assert not complete
    assert found in ([], [b"one"], [b"one", b"two"])


def test_nothing_is_kept_of_what_stands_before_the_first_part():
    parts = Parts(BOUNDARY)
    for _ in range(100):
        assert list(parts.feed(bytes(1000))) == []
    assert len(parts._held) < 100
