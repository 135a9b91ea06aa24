"""What is read of a request: never more than its address needs."""

from starlette.exceptions import HTTPException
from starlette.requests import Request


async def body_of(request: Request, most: int) -> bytes:
    """Returns the body of a request.

    Raises:
        HTTPException: it is longer than `most` bytes; the rest is not read.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413)
    return bytes(body)
