"""Answers in the page's language: what handlers say, and the head of the page itself."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from app.speaking import Speaking
from app.texts import text

PAGE = '<!doctype html><html lang="en"><head><title>x</title></head><body>lang="en"</body></html>'


def said(request: Request) -> Response:
    return PlainTextResponse(text.CLASSIFY)


def page(request: Request) -> Response:
    return HTMLResponse(PAGE)


def parts(request: Request) -> Response:
    return StreamingResponse(iter([PAGE[:20], PAGE[20:]]), media_type="text/html")


def app(language: str, *mounted: Mount) -> Starlette:
    routes = [*mounted, Route("/said", said), Route("/page", page), Route("/parts", parts)]
    return Starlette(routes=routes, middleware=[Middleware(Speaking, language)])


CLIENT = TestClient(app("de", Mount("/en", app("en"))))


def test_what_is_said_is_in_the_language_of_the_page():
    assert CLIENT.get("/said").text == "Klassifizieren"
    assert CLIENT.get("/en/said").text == "Classify"
    assert "Content-Language" not in CLIENT.get("/said").headers


def test_a_page_states_its_language_whole_or_in_parts():
    for path in ("/page", "/parts"):
        answer = CLIENT.get(path)
        assert answer.headers["Content-Language"] == "de"
        assert answer.text.startswith('<!doctype html><html lang="de"><head><script>')
        assert 'value: "de"' in answer.text
        assert answer.text.endswith('<body>lang="en"</body></html>')
        assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_a_page_within_another_keeps_its_own_language():
    answer = CLIENT.get("/en/page")
    assert answer.headers["Content-Language"] == "en"
    assert answer.text.count("<script>") == 1
    assert 'value: "en"' in answer.text


def test_the_head_of_a_page_alone_is_answered():
    answer = CLIENT.head("/page")
    assert (answer.status_code, answer.text) == (200, "")
