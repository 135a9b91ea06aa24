"""What a web server may not do: lead elsewhere, lie about sizes, or learn a login that is not its own."""

import base64
import io
import logging

import pytest

from mermed_core.data import web
from mermed_core.data.web import InterruptedRequestError, may_follow, receive, stated_size
from mermed_core.errors import DownloadError, RefusedDownloadError

CONTENT = bytes(range(256)) * 20


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(web, "WAITS", (0,))


def fetched(url):
    buffer = io.BytesIO()
    receive(url, buffer, stated_size(url), name="a")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("here", "there", "followed"),
    [
        ("http://a/x", "http://a/y", True),
        ("http://a/x", "https://a/y", True),
        ("http://a:8000/x", "https://a/y", True),
        ("https://a/x", "https://b/y", True),
        ("https://a/x", "http://a/y", False),
        ("https://a/x", "http://b/y", False),
        ("http://a/x", "http://b/y", False),
        ("http://a/x", "https://b/y", False),
        ("http://a:1/x", "http://a:2/y", False),
        ("https://a/x", "ftp://a/y", False),
        ("https://a/x", "file:///etc/hostname", False),
        ("https://a/x", "https://a:port/y", False),
    ],
)
def test_which_redirections_are_followed(here, there, followed):
    assert may_follow(here, there) == followed


def test_a_redirection_on_the_same_server_is_followed_with_its_login(file_server):
    file_server.files["b"] = CONTENT
    file_server.leads["a"] = f"{file_server.url}/b?token=secret"
    url = file_server.url.replace("http://", "http://me:p%40ss@")
    assert fetched(f"{url}/a") == CONTENT
    assert set(file_server.logins) == {f"Basic {base64.b64encode(b'me:p@ss').decode()}"}


@pytest.mark.parametrize(
    "there", ["http://localhost:1/b?token=secret", "ftp://127.0.0.1/b?token=secret", "file:///b?token=secret"]
)
def test_a_redirection_elsewhere_is_refused_without_its_token(file_server, there):
    file_server.leads["a"] = there
    with pytest.raises(DownloadError) as caught:
        stated_size(f"{file_server.url}/a?sig=mine")
    assert "secret" not in str(caught.value)
    assert "mine" not in str(caught.value)
    assert caught.value.__cause__ is None
    if there.startswith("http:"):
        assert isinstance(caught.value, RefusedDownloadError)
        assert "leads to http://localhost:1/b" in str(caught.value)


def test_no_more_arrives_than_was_stated(file_server):
    file_server.files["a"] = CONTENT
    file_server.claims["a"] = 100
    assert stated_size(f"{file_server.url}/a") == 100
    with pytest.raises(RefusedDownloadError, match="changed"):
        file_server.sends_parts = False
        receive(f"{file_server.url}/a", io.BytesIO(), len(CONTENT), name="a")
    buffer = io.BytesIO()
    receive(f"{file_server.url}/a", buffer, 100, name="a")
    assert buffer.getvalue() == CONTENT[:100]


def test_a_server_that_claims_more_than_it_has_is_given_up(file_server):
    file_server.files["a"] = CONTENT
    file_server.claims["a"] = 2 * len(CONTENT)
    file_server.sends_parts = False
    with pytest.raises(DownloadError, match=r"/a broke off: "):
        receive(f"{file_server.url}/a?sig=mine", io.BytesIO(), 2 * len(CONTENT), name="a")


def test_no_secret_is_logged_or_stated(file_server, caplog):
    file_server.files["a"] = CONTENT
    file_server.cuts = [10, 0, 0]
    url = file_server.url.replace("http://", "http://me:hush@") + "/a?sig=mine"
    with caplog.at_level(logging.DEBUG), pytest.raises(DownloadError) as caught:
        fetched(url)
    for secret in ("hush", "mine"):
        assert secret not in caplog.text + str(caught.value)


@pytest.mark.parametrize("url", ["http://me:hush@[half/a?sig=mine", "http://me:hush@host:port/a?sig=mine"])
def test_an_address_that_is_none_is_a_sentence(url):
    with pytest.raises(RefusedDownloadError, match="no valid address") as caught:
        stated_size(url)
    assert "hush" not in str(caught.value)


def test_a_server_that_is_not_there_is_said_without_the_login(file_server):
    file_server.shutdown()
    file_server.server_close()
    with pytest.raises(InterruptedRequestError, match="refused") as caught:
        stated_size(file_server.url.replace("http://", "http://me:hush@") + "/ä b")
    assert "hush" not in str(caught.value)
