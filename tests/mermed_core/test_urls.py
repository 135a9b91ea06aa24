import pytest

from mermed_core.urls import is_url, is_web_address, origin, shown_url, without_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/a/b.tar?X-Amz-Signature=abc&x=1#f", "https://host/a/b.tar"),
        ("https://me:pass@host:8443/a.tar", "https://host:8443/a.tar"),
        ("https://me:p@ss?word@host/a", "https://host/a"),
        ("s3://bucket/key?versionId=3", "s3://bucket/key"),
        ("hf://datasets/owner/name@main/a.tar", "hf://datasets/owner/name@main/a.tar"),
        ("https:/me:pass@host/a?t=1", "https:/host/a"),  # what a path makes of a URL
        ("GET https://u:p@h/x?s=1 failed: 'http://h/y?t=2'", "GET https://h/x failed: 'http://h/y'"),
        ("zip://a::https://h/b?sig=1", "zip://a::https://h/b"),
        ("scans/what?.png", "scans/what?.png"),
        ("shards:https://u:p@h/x", "shards:https://h/x"),
    ],
)
def test_what_opens_a_url_is_not_shown(url, shown):
    assert shown_url(url) == shown


def test_parts_that_a_library_quotes_are_not_shown_either():
    url = "https://me:s%40cret@host/dir/a.tar?sig=t%2Fk"
    text = "Not found: dir/a.tar?sig=t%2Fk; port 's@cret@host'; query sig=t/k, login me:s%40cret@"
    cleaned = without_secrets(text, url)
    for secret in ("s%40cret", "s@cret", "t%2Fk", "t/k"):
        assert secret not in cleaned
    assert "Not found: dir/a.tar" in cleaned
    assert without_secrets("nothing here", "folder/a?b") == "nothing here"


def test_kinds_of_places():
    assert [is_url(place) for place in ("s3://a", "a/b")] == [True, False]
    assert [is_web_address(place) for place in ("HTTPS://a", "s3://a")] == [True, False]
    assert origin("HTTP://Host/a") == ("http", "host", 80)
    assert origin("https://host:8443") == ("https", "host", 8443)
    with pytest.raises(ValueError, match=r"(?i)port"):
        origin("https://host:x/")
