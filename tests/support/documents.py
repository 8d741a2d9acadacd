"""The internet of a test: what others publish at their own hosts, read as the real fetcher reads it.

That it reads alike is held by `tests/outbound/test_fake.py`, which asks both the same.
"""

from collections import Counter

from latchstring.authorization_server.ports import Fetched, FetchRefused
from latchstring.protocol.https_url import parse_https_url

JSON = "application/json"


class FakeFetch:
    """Implements the port `Fetch` over documents by URL; plain bytes are JSON that does not say how long it lasts."""

    def __init__(self, documents: dict[str, bytes | Fetched] | None = None) -> None:
        self.documents: dict[str, bytes | Fetched] = {} if documents is None else documents
        self.asked: Counter[str] = Counter()

    async def __call__(self, url: str, *, max_size: int) -> Fetched:
        try:
            parse_https_url(url)
        except ValueError as error:
            raise FetchRefused(f"the URL cannot be fetched: {error}") from None
        self.asked[url] += 1
        found = self.documents.get(url)
        if found is None:
            raise FetchRefused("nothing there")
        document = Fetched(body=found, content_type=JSON, max_age=None) if isinstance(found, bytes) else found
        if len(document.body) > max_size:
            raise FetchRefused(f"the document is larger than {max_size} bytes")
        return document
