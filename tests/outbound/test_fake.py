"""The tests' own internet is read as the real one is: both are asked the same."""

from pathlib import Path

import pytest

from latchstring.authorization_server.ports import Fetch, Fetched, FetchRefused
from tests.support.documents import FakeFetch
from tests.support.https import Answer, Internet

SIZE = 100


@pytest.mark.parametrize("kind", ["real", "fake"])
@pytest.mark.parametrize("says_age", [False, True])
async def test_fetch_of_a_document_is_answered_alike(tmp_path: Path, kind: str, says_age: bool) -> None:
    internet = Internet(tmp_path)
    document = Fetched(body=b"x" * SIZE, content_type="application/json", max_age=60 if says_age else None)
    async with internet.host("app.test") as host:
        headers = ("Content-Type: application/json", *(["Cache-Control: max-age=60"] if says_age else []))
        host.answer = Answer(headers=headers, body=document.body)
        url = host.url("/client.json")
        fakes: Fetch = FakeFetch({url: document if says_age else document.body})
        fetch = internet.fetcher() if kind == "real" else fakes
        assert await fetch(url, max_size=SIZE) == document
        with pytest.raises(FetchRefused):
            await fetch(url, max_size=SIZE - 1)


@pytest.mark.parametrize("kind", ["real", "fake"])
@pytest.mark.parametrize("url", ["http://app.test/c.json", "https://ann@app.test/", "https://app.test/#x", "nonsense"])
async def test_fetch_of_no_https_url_is_refused_alike(tmp_path: Path, kind: str, url: str) -> None:
    fetch: Fetch = Internet(tmp_path).fetcher() if kind == "real" else FakeFetch({url: b"{}"})
    with pytest.raises(FetchRefused):
        await fetch(url, max_size=SIZE)


@pytest.mark.parametrize("kind", ["real", "fake"])
async def test_fetch_of_what_is_not_there_is_refused_alike(tmp_path: Path, kind: str) -> None:
    internet = Internet(tmp_path)
    async with internet.host("app.test") as host:
        host.answer = Answer(status="404 Not Found")
        fetch: Fetch = internet.fetcher() if kind == "real" else FakeFetch()
        with pytest.raises(FetchRefused):
            await fetch(host.url("/client.json"), max_size=SIZE)
