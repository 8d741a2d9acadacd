"""Signed requests (RFC 9101): what a client signed is what it asks for; nothing outside counts."""

from latchstring.authorization_server.authorization_endpoint import UnsafeRequest, find_asking
from latchstring.authorization_server.client_keys import ClientKeys
from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.policy import find_policy
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.jose.jws import JwtRefused, parse_jwt
from latchstring.protocol.parameters import Parameters
from latchstring.protocol.request_object import REQUEST_OBJECT_TYPES, read_request_claims, verify_request_claims


class RequestObjects:
    """Opens request objects."""

    def __init__(self, *, clients: Clients, keys: ClientKeys, settings: Settings) -> None:
        self._clients = clients
        self._keys = keys
        self._settings = settings

    async def find_parameters(self, parameters: Parameters, arrived_at: int) -> Parameters:
        """What the request object asks for that a browser came with at that time.

        No redirect URI is proven before it is verified, so every refusal is an `UnsafeRequest`.
        """
        if parameters.repeated & {"client_id", "request", "request_uri"}:
            raise UnsafeRequest("repeated_parameter")
        client_id = parameters.get("client_id", "")
        client = await find_asking(client_id, self._clients)
        try:
            return await self.open(parameters["request"], client, client_id, arrived_at)
        except OAuthError as error:
            raise UnsafeRequest("request_refused", client=client, error=error) from None

    async def open(self, request_object: str, client: ClientRecord, client_id: str, now: int) -> Parameters:
        """The parameters in it, or `invalid_request_object`: signed by a key of the client's, with an algorithm that
        counts, for this server, good at that time (RFC 9101 §6). `client_id` is as it was sent outside."""
        own = client.security.request_object_signing_alg
        allowed = find_policy(client).signing_algorithms
        algorithms = allowed if own is None else [algorithm for algorithm in allowed if algorithm == own]
        try:
            jwt = parse_jwt(request_object)
            verify_request_claims(jwt.claims, client_id, self._settings.issuer, now)
            parameters = read_request_claims(jwt.claims)
            await self._keys.verify(client, jwt, algorithms=algorithms, types=REQUEST_OBJECT_TYPES)
        except JwtRefused as refused:
            raise OAuthError("invalid_request_object", f"The request object does not count: {refused}.") from None
        return parameters
