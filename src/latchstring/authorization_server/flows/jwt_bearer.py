"""Takes a trusted issuer's assertion for an access token (RFC 7523 §2.1)."""

import hashlib

import msgspec

from latchstring.authorization_server.assertion_verifier import AssertionVerifier
from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.grants import jwt_bearer
from latchstring.authorization_server.identifiers import new_grant_id
from latchstring.authorization_server.issuing import TokenIssuer
from latchstring.authorization_server.ports import AssertionRefusal, Clock, Entropy, Store
from latchstring.authorization_server.records import ClientRecord, GrantRecord
from latchstring.authorization_server.refusals import refuse_forgotten, refuse_grant
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import ROW_SECRET_SIZE, TokenCodec
from latchstring.authorization_server.trusted_issuers import Asserted, TrustedIssuer
from latchstring.protocol.authorization_assertion import MAX_ASSERTION_LIFETIME
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.jose.jws import JwtRefused
from latchstring.protocol.token_request import TokenRequest
from latchstring.protocol.token_response import TokenResponse

# One wording for an unknown user and for a stranger to the organization, so that members cannot be probed.
_NO_MEMBER = "The assertion names nobody who is a member of that organization."


class JwtBearerFlow:
    """`grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer`."""

    def __init__(
        self,
        *,
        store: Store,
        codec: TokenCodec,
        settings: Settings,
        assertions: AssertionVerifier,
        clock: Clock,
        entropy: Entropy,
        issuer: TokenIssuer,
    ) -> None:
        self._store = store
        self._codec = codec
        self._settings = settings
        self._assertions = assertions
        self._clock = clock
        self._entropy = entropy
        self._issuer = issuer

    async def answer(
        self,
        request: TokenRequest,
        client: ClientRecord,
        confirmation: Confirmation | None,
        origin: Source = SYSTEM,
    ) -> TokenResponse:
        """An access token for the member, and never a refresh token: the issuer can always assert again.

        Membership, the app's reach and the assertion's first use are settled in the one transaction that makes or
        prolongs the grant.
        """
        if client.is_public:
            raise OAuthError("unauthorized_client", "A public client cannot use this grant_type.")
        if request.assertion is None:
            raise OAuthError("invalid_request", "assertion is missing.")
        now = self._clock()
        try:
            asserted = await self._assertions.verify(request.assertion, now)
        except JwtRefused as refused:
            raise refuse_grant(f"The assertion does not count: {refused}.") from None
        refuse_forgotten(asserted.claims, self._codec.epoch, now, max_lifetime=MAX_ASSERTION_LIFETIME)
        claimed = jwt_bearer.decide(request, client, asserted)
        user_id = await self._find_user(claimed.user, asserted.trusted)
        audience = await self._issuer.find_audience(request.resource, (), claimed.organization_id)
        grant = self._build_grant(client, user_id, claimed, asserted, now)
        committed = await self._store.commit_assertion(
            grant,
            digest=_digest(asserted),
            digest_expires_at=asserted.expires_at,
            now=now,
            origin=origin.of_client(client.client_id),
            scope=claimed.scope,
            rulebook=self._settings.rulebook,
        )
        if committed is AssertionRefusal.USED:
            raise refuse_grant("The assertion was used before: its jti counts once.")
        if committed is AssertionRefusal.MEMBERSHIP_ENDED:
            raise refuse_grant(_NO_MEMBER, "not a member")
        if committed is AssertionRefusal.APP_UNAVAILABLE:
            raise refuse_grant("The app is private to an organization of which the user is no member.")
        if committed is AssertionRefusal.NEEDS_APPROVAL:
            raise refuse_grant("The organization's admins have not approved the app for that scope.")
        if committed is AssertionRefusal.BLOCKED:
            raise refuse_grant("The organization does not let its members connect the app.")
        return self._issuer.issue(
            msgspec.structs.replace(grant, id=committed),
            generation=0,
            narrowed_scope=None if claimed.scope == claimed.allowed else claimed.scope,
            audience=audience,
            confirmation=confirmation,
            now=now,
        )

    async def _find_user(self, name: str, trusted: TrustedIssuer) -> str:
        """The `user_id` of whom the issuer calls so."""
        if trusted.user_is == "mapped":
            user = await self._store.find_user(trusted.users.get(name, ""))
        elif trusted.user_is == "email":
            user = await self._store.find_user_by_email(name)
        else:
            user = await self._store.find_user(name)
        if user is None:
            raise refuse_grant(_NO_MEMBER, "the user is unknown")
        return user.user_id

    def _build_grant(
        self, client: ClientRecord, user_id: str, claimed: jwt_bearer.Claimed, asserted: Asserted, now: int
    ) -> GrantRecord:
        return GrantRecord(
            id=new_grant_id(now, self._entropy(12)),
            client_id=client.client_id,
            user_id=user_id,
            organization_id=claimed.organization_id,
            scope=claimed.allowed,
            status="active",
            redirect_uri=None,
            code_challenge=None,
            row_secret=self._entropy(ROW_SECRET_SIZE),
            generation=0,
            created_at=now,
            activated_at=now,
            rotated_at=None,
            retry_count=0,
            expires_at=now + self._settings.access_token_lifetime,
            absolute_expires_at=None,
            access_revoked_until=0,
            ended_at=None,
            ended_by=None,
            ended_reason=None,
            asserted_by=asserted.issuer,
        )


def _digest(asserted: Asserted) -> bytes:
    return hashlib.sha256(
        b"\0".join((b"authorization_assertion", asserted.issuer.encode(), asserted.token_id.encode()))
    ).digest()
