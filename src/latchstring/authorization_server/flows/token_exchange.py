"""Exchanges an access token for one that is good for less (RFC 8693): minted without a write."""

from latchstring.authorization_server.access import LiveAccess, find_live_access
from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.grants import token_exchange
from latchstring.authorization_server.identifiers import RESOURCE_SERVER
from latchstring.authorization_server.issuing import TokenIssuer
from latchstring.authorization_server.ports import Clock, Store
from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.resources import refuse_many, verify_resources
from latchstring.authorization_server.signed_access_tokens import SignedAccessTokens
from latchstring.authorization_server.tokens import AccessToken, ClientAccessToken, TokenCodec, TokenFacts
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_exchange import find_tokens
from latchstring.protocol.token_request import TokenRequest
from latchstring.protocol.token_response import TokenResponse

_NO_FACTS = TokenFacts()


class TokenExchangeFlow:
    """`grant_type=urn:ietf:params:oauth:grant-type:token-exchange`."""

    def __init__(
        self,
        *,
        store: Store,
        codec: TokenCodec,
        signed_access_tokens: SignedAccessTokens,
        clock: Clock,
        issuer: TokenIssuer,
    ) -> None:
        self._store = store
        self._codec = codec
        self._signed_access_tokens = signed_access_tokens
        self._clock = clock
        self._issuer = issuer

    async def answer(
        self,
        request: TokenRequest,
        client: ClientRecord,
        confirmation: Confirmation | None,
        origin: Source = SYSTEM,
    ) -> TokenResponse:
        """An access token that stands on what the subject token stands on and dies no later; never a refresh token."""
        if client.is_public:
            raise OAuthError("unauthorized_client", "A public client cannot exchange tokens.")
        assert request.exchange is not None
        subject_text, actor_text = find_tokens(request.exchange)
        now = self._clock()
        token, live, subject = await self._find("subject_token", subject_text, now)
        expires_at, actor = token.expires_at, None
        if actor_text is not None:
            actor_token, _, actor = await self._find("actor_token", actor_text, now)
            expires_at = min(expires_at, actor_token.expires_at)
        exchange = token_exchange.decide(request, client, subject, actor, confirmation)
        return self._issuer.issue_exchanged(
            token,
            live,
            scope=exchange.scope,
            audience=await self._issuer.find_exact_audience(await self._narrow(request, subject)),
            facts=exchange.facts,
            expires_at=expires_at,
            now=now,
        )

    async def _find(
        self, name: str, text: str, now: int
    ) -> tuple[AccessToken | ClientAccessToken, LiveAccess, token_exchange.Presented]:
        """The token and what it stands for now: its grant active, its membership lasting, itself not revoked."""
        token = self._codec.parse_access_token(text) or await self._signed_access_tokens.parse(text)
        live = None if token is None else await find_live_access(token, self._store, now)
        if token is None or live is None:
            raise OAuthError("invalid_request", name + " is expired, revoked or unknown.")
        presented = token_exchange.Presented(
            token_id=token.token_id,
            client_id=live.client_id,
            sub=live.sub,
            organization_id=live.organization_id,
            scope=live.scope,
            resource=live.resource,
            facts=token.facts or _NO_FACTS,
        )
        return token, live, presented

    async def _narrow(self, request: TokenRequest, subject: token_exchange.Presented) -> tuple[str, ...]:
        """The APIs that the new token is for: those named, which the subject token must be for too, or all of its."""
        assert request.exchange is not None
        within = subject.resource
        audiences = request.exchange.audience
        refuse_many((*request.resource, *audiences))
        named = [await self._find_resource(audience) for audience in audiences]
        asked = self._issuer.map_own(tuple(dict.fromkeys((*request.resource, *named))), subject.organization_id)
        await verify_resources(asked, self._store, self._issuer.own_resource)
        if within and not set(asked) <= set(within):
            raise OAuthError("invalid_target", "The subject token is not for that resource or audience.")
        return asked or within

    async def _find_resource(self, audience: str) -> str:
        """The identifier of the API that goes by that name: the identifier itself, or the API's own `client_id`."""
        if not audience.startswith(RESOURCE_SERVER + "_"):
            return audience
        resource_server = await self._store.find_resource_server(audience)
        if resource_server is None:
            raise OAuthError("invalid_target", "The audience is not one that this server knows.")
        return resource_server.resource
