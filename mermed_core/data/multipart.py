"""The parts of a multipart message as they arrive, so that no more of it is held than one part and a bit."""

from collections.abc import Iterator

_END = b"--"


class Parts:
    """Cuts a message into the contents of its parts; what stands before the first and after the last goes.

    Source: RFC 2046, section 5.1.1.

    Attributes:
        complete: whether the end of the message has come.

    Args:
        boundary: that the message's content type states.
    """

    def __init__(self, boundary: bytes) -> None:
        self._mark = b"\r\n--" + boundary
        self._held = bytearray(b"\r\n")  # so that a mark at the very beginning is one like the others
        self._searched = 0
        self._inside = False
        self.complete = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Takes the next bytes of the message and yields the content of every part that they complete."""
        if self.complete:
            return
        self._held += data
        while True:
            if self._inside and self._held.startswith(_END):
                self.complete = True
                self._held.clear()
                return
            found = self._held.find(self._mark, self._searched)
            if found < 0:
                break
            if self._inside:
                yield _content(bytes(self._held[:found]))
            del self._held[: found + len(self._mark)]
            self._inside, self._searched = True, 0
        self._searched = max(0, len(self._held) - len(self._mark) + 1)
        if not self._inside:  # what stands before the first part may be long and is not wanted
            del self._held[: self._searched]
            self._searched = 0


def _content(part: bytes) -> bytes:
    """Returns what follows the header of a part."""
    return part.partition(b"\r\n\r\n")[2]
