"""A page in its language: what answers its requests, and what Gradio itself writes on it."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mermed_core.languages.say import speaking

# Gradio says that every page is English, and takes the language of its own buttons from the browser.
_ITS_LANGUAGE = b'lang="en"'
_HEAD = b"<head>"
_STATED = "Content-Language"
_BROWSER = '<head><script>Object.defineProperty(navigator, "language", {{ value: "{}" }})</script>'


class Speaking:
    """Answers every request in the page's language (ASGI)."""

    def __init__(self, app: ASGIApp, language: str) -> None:
        self._app, self._language = app, language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        answer = send if scope["type"] != "http" else _Page(send, self._language)
        with speaking(self._language):
            await self._app(scope, receive, answer)


class _Page:
    """Sends an answer; where it is a page of HTML, with its language in its head."""

    def __init__(self, send: Send, language: str) -> None:
        self._send, self._language = send, language
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            html = headers.get("Content-Type", "").startswith("text/html")
            # A page within this one, in another language, has sent its answer through here already.
            self._start = message if html and _STATED not in headers else None
        if self._start is None:
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_page(self._start)

    async def _send_page(self, start: Message) -> None:
        browser = _BROWSER.format(self._language).encode()
        body = self._body.replace(_ITS_LANGUAGE, f'lang="{self._language}"'.encode(), 1)
        body = body.replace(_HEAD, browser, 1)
        headers = MutableHeaders(scope=start)
        headers[_STATED] = self._language
        if self._body:  # a HEAD request has none
            headers["Content-Length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})
