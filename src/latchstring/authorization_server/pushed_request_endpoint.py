"""Pushed authorization requests (RFC 9126): the request comes by POST, authenticated, before the browser does."""

from collections.abc import Sequence
from typing import Final

import msgspec

from latchstring.authorization_server.authorization_endpoint import UnsafeRequest, decide, find_target
from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.client_documents import DOCUMENT_SCHEME
from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.identifiers import ID_ENTROPY_SIZE
from latchstring.authorization_server.ports import Clock, Entropy, Store
from latchstring.authorization_server.proofs import Proofs
from latchstring.authorization_server.records import PushedRequestRecord
from latchstring.authorization_server.refusals import refuse_suspended
from latchstring.authorization_server.request_objects import RequestObjects
from latchstring.authorization_server.resources import verify_resources
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.protocol.authorization_request import PUSHED_PARAMETERS, parse_request_uri, render_request_uri
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.parameters import Parameters, parse_parameters, render_parameters
from latchstring.protocol.token_request import ClientCredentials

PUSHED_REQUEST_PATH: Final = "/oauth2/par"
_WHY: Final = {
    "redirect_uri_mismatch": "redirect_uri is not registered for this client.",
    "redirect_uri_missing": "redirect_uri is missing: the client has registered more than one.",
    "repeated_parameter": "A parameter is included more than once.",
}


class PushedRequest(msgspec.Struct, frozen=True):
    """Where the pushed request is, and for how many seconds."""

    request_uri: str
    expires_in: int


class PushedRequestEndpoint:
    """Keeps a valid request for the browser that follows."""

    def __init__(
        self,
        *,
        authenticator: ClientAuthenticator,
        proofs: Proofs,
        clients: Clients,
        request_objects: RequestObjects,
        store: Store,
        codec: TokenCodec,
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._authenticator = authenticator
        self._proofs = proofs
        self._clients = clients
        self._request_objects = request_objects
        self._store = store
        self._codec = codec
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    async def answer(
        self, parameters: Parameters, credentials: ClientCredentials, proofs: Sequence[bytes] = ()
    ) -> PushedRequest:
        """The request's URI; every refusal of the authorization endpoint comes here already (RFC 9126 §2.3).

        A DPoP proof that comes with it binds the code to its key, as `dpop_jkt` does (RFC 9449 §10.1).
        """
        if credentials.client_id.startswith(DOCUMENT_SCHEME):
            # Before it proves itself, and before any member has connected it: its document says how.
            await self._clients.find_current(credentials.client_id)
        client = await self._authenticator.authenticate(credentials)
        if client.is_suspended:
            raise refuse_suspended()
        if "request_uri" in parameters:
            raise OAuthError("invalid_request", "A pushed request contains no request_uri.")
        is_signed = "request" in parameters
        if is_signed:
            request_object, now = parameters["request"], self._clock()
            request = await self._request_objects.open(request_object, client, credentials.client_id, now)
        else:
            request = Parameters({**parameters, "client_id": credentials.client_id})
            request.lists = parameters.lists
        try:
            authorization_request, found, target = await find_target(request, self._clients)
        except UnsafeRequest as unsafe:
            raise OAuthError("invalid_request", _WHY.get(unsafe.key, "The request is not valid."), unsafe.key) from None
        prompt = decide(
            request, authorization_request, found, target, self._settings, is_pushed=True, is_signed=is_signed
        )
        await verify_resources(prompt.resource, self._store, self._settings.api_resource)
        thumbprint = await self._proofs.find_key(proofs, client, PUSHED_REQUEST_PATH)
        if thumbprint is not None and request.setdefault("dpop_jkt", thumbprint) != thumbprint:
            raise OAuthError("invalid_dpop_proof", "dpop_jkt is another key than that of the DPoP proof.")
        request_id = self._entropy(ID_ENTROPY_SIZE)
        lifetime = self._settings.pushed_request_lifetime
        now = self._clock()
        await self._store.create_pushed_request(
            PushedRequestRecord(
                id=request_id,
                client_id=client.client_id,
                parameters=render_parameters(request, PUSHED_PARAMETERS),
                expires_at=now + lifetime,
            ),
            now=now,
        )
        return PushedRequest(render_request_uri(request_id), lifetime)


async def find_pushed_parameters(parameters: Parameters, store: Store, arrived_at: int) -> tuple[Parameters, bytes]:
    """The pushed request that `request_uri` names, and its id; nothing outside it counts (RFC 9126 §4).

    Unknown, used, another client's, or expired when the browser first came with it (`arrived_at`), is an
    `UnsafeRequest`: no redirect URI is proven.
    """
    if parameters.repeated & {"client_id", "request_uri"}:
        raise UnsafeRequest("repeated_parameter")
    request_id = parse_request_uri(parameters["request_uri"])
    if "request" in parameters:
        why = OAuthError("invalid_request", "request and request_uri stand together (RFC 9101 section 5).")
        raise UnsafeRequest("request_refused", error=why)
    if request_id is None:
        why = OAuthError("invalid_request_uri", "Only the request_uri of a pushed request counts; none is fetched.")
        raise UnsafeRequest("request_refused", error=why)
    pushed = await store.find_pushed_request(request_id)
    if pushed is None or pushed.expires_at <= arrived_at:
        raise _refuse_unknown()
    kept = parse_parameters(pushed.parameters.encode())
    if kept["client_id"] != parameters.get("client_id"):
        raise _refuse_unknown()
    return kept, pushed.id


def _refuse_unknown() -> UnsafeRequest:
    why = OAuthError("invalid_request_uri", "The request_uri is unknown, expired, answered or another client's.")
    return UnsafeRequest("request_uri_unknown", error=why)
