"""Clients that are known by a document of their own: the `client_id` is its URL
(draft-ietf-oauth-client-id-metadata-document-02).

Documents are kept for a while in each process, so that one page after another does not ask the same host; what could
not be read, or is no client's document, never is (§5.2). How often anybody is asked is bounded, whoever makes us ask.
"""

from collections import Counter, OrderedDict
from typing import Final

from latchstring.authorization_server.ports import Clock, Fetch, Fetched, FetchRefused
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.registration import build_client, decide_registration
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.client_metadata import NONE, PRIVATE_KEY_JWT, parse_client_metadata
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.https_url import HttpsUrl, parse_https_url

DOCUMENT_SCHEME: Final = "https://"
MAX_DOCUMENT_SIZE: Final = 5 * 1024
MAX_DOCUMENT_URL_LENGTH: Final = 500
MAX_KEPT: Final = 500
# Seconds that a document is kept: where it does not say, and the bounds of what it may say.
FRESH_FOR: Final = 300
FRESH_BOUNDS: Final = (60, 24 * 3600)
# Requests that leave, in a minute and at once, kept or not.
ATTEMPTS_A_MINUTE: Final = 120
ATTEMPTS_A_MINUTE_TO_HOST: Final = 12
MAX_AT_ONCE: Final = 16
_MINUTE: Final = 60
_METHODS: Final = (NONE, PRIVATE_KEY_JWT)


def _refuse(description: str, reason: str = "") -> OAuthError:
    return OAuthError("invalid_client", description, reason)


def parse_document_url(url: str) -> HttpsUrl:
    """Where the client's document is; `invalid_client` for a URL that names no client, before anything is asked
    (§3). A path has to be there, and no dot segment in it: one client has one spelling."""
    try:
        place = parse_https_url(url)
    except ValueError as error:
        why = f"The client_id is not the URL of a client: {error}."
        raise _refuse(why) from None
    path = url[len(DOCUMENT_SCHEME) + len(place.authority) :].partition("?")[0]
    if not path.startswith("/"):
        raise _refuse("The client_id is not the URL of a client: it has no path.")
    plain = path.lower().replace("%2e", ".").replace("%2f", "/")
    if any(segment in {".", ".."} for segment in plain.split("/")):
        raise _refuse("The client_id is not the URL of a client: its path has dot segments.")
    if len(url) > MAX_DOCUMENT_URL_LENGTH:
        raise _refuse("The client_id is not the URL of a client: it is longer than 500 characters.")
    return place


def read_document(url: str, fetched: Fetched, settings: Settings, now: int) -> ClientRecord:
    """The client that the document describes, or `invalid_client` with what is wrong with it (§4)."""
    is_json = fetched.content_type == "application/json" or (
        fetched.content_type.startswith("application/") and fetched.content_type.endswith("+json")
    )
    if not is_json:
        raise _refuse("The client's document is not served as application/json.")
    try:
        metadata = parse_client_metadata(fetched.body)
        if metadata.client_id != url:
            raise _refuse("The client's document has a client_id other than its URL.")
        if metadata.client_secret is not None or metadata.client_secret_expires_at is not None:
            raise _refuse("The client's document has a secret: everybody can read it.")
        registration = decide_registration(metadata, settings, methods=_METHODS, default_method=NONE)
    except OAuthError as error:
        description = f"The client's document cannot be used. {error.description}"
        raise error if error.code == "invalid_client" else _refuse(description) from None
    return build_client(registration, public_id=url, settings=settings, secrets=(), created_at=now, expires_at=None)


class ClientDocuments:
    """Finds clients by their documents. Belongs to one event loop."""

    def __init__(self, *, fetch: Fetch, settings: Settings, clock: Clock) -> None:
        self._fetch = fetch
        self._settings = settings
        self._clock = clock
        self._kept: OrderedDict[str, tuple[ClientRecord, int]] = OrderedDict()
        self._budget = _Budget()

    def recall(self, url: str) -> ClientRecord | None:
        """The client as its document had it a moment ago, if that is kept; nothing is asked."""
        kept = self._kept.get(url)
        if kept is None:
            return None
        client, fresh_until = kept
        if self._clock() >= fresh_until:
            del self._kept[url]
            return None
        self._kept.move_to_end(url)
        return client

    async def find(self, url: str) -> ClientRecord:
        """The client as its document has it; `invalid_client` where it has none that counts, and
        `temporarily_unavailable` beyond the budget."""
        place = parse_document_url(url)
        settings = self._settings
        hosts = settings.metadata_document_hosts
        if not settings.accepts_metadata_documents or (hosts is not None and place.host not in hosts):
            raise _refuse("This server takes no client metadata document from that host.")
        kept = self.recall(url)
        if kept is not None:
            return kept
        now = self._clock()
        self._budget.take(place.host, now)
        try:
            fetched = await self._fetch(url, max_size=MAX_DOCUMENT_SIZE)
        except FetchRefused as refused:
            raise _refuse("The client's document cannot be read.", f"document of {url}: {refused}") from None
        finally:
            self._budget.give_back()
        client = read_document(url, fetched, settings, now)
        shortest, longest = FRESH_BOUNDS
        lifetime = FRESH_FOR if fetched.max_age is None else min(max(fetched.max_age, shortest), longest)
        self._kept[url] = (client, now + lifetime)
        self._kept.move_to_end(url)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return client


class _Budget:
    """How many requests may leave: in a minute for all hosts and for each, and at once."""

    def __init__(self) -> None:
        self._minute = -1
        self._by_host: Counter[str] = Counter()
        self._at_once = 0

    def take(self, host: str, now: int) -> None:
        """Count one request, or `temporarily_unavailable`."""
        minute = now // _MINUTE
        if minute != self._minute:
            self._minute = minute
            self._by_host.clear()
        if (
            self._at_once >= MAX_AT_ONCE
            or self._by_host.total() >= ATTEMPTS_A_MINUTE
            or self._by_host[host] >= ATTEMPTS_A_MINUTE_TO_HOST
        ):
            raise OAuthError(
                "temporarily_unavailable", "Too many client documents are being read. Wait a minute.", retry_after=60
            )
        self._by_host[host] += 1
        self._at_once += 1

    def give_back(self) -> None:
        """One request has been answered."""
        self._at_once -= 1
