"""The JWT bearer grant (RFC 7523 §2.1): a trusted issuer's word stands in for the member's consent.

It never stands in for the membership; `docs/decisions/0016` says what an issuer may say, and what it cannot.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from latchstring.authorization_server.records import ClientRecord
from latchstring.authorization_server.refusals import refuse_grant
from latchstring.authorization_server.trusted_issuers import EVERY, Asserted
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.scope import OFFLINE_ACCESS, parse_scope
from latchstring.protocol.token_request import TokenRequest


class Claimed(msgspec.Struct, frozen=True):
    """For whom the assertion speaks: the user as the issuer names them, and the organization. `allowed` is the scope of
    the grant, `scope` that of the token."""

    user: str
    organization_id: str
    allowed: tuple[str, ...]
    scope: tuple[str, ...]


def decide(request: TokenRequest, client: ClientRecord, asserted: Asserted) -> Claimed:
    """For whom, and for what; a bad assertion is `invalid_grant` (RFC 7523 §3.1). Whether the user is a member there is
    still to be seen."""
    claims, trusted = asserted.claims, asserted.trusted
    # RFC 7521 §4.1 leaves open for whom an issuer made an assertion; where it says so, that client it is.
    if claims.get("client_id", client.client_id) != client.client_id:
        raise refuse_grant("The assertion is for another client.")
    user = claims.get(trusted.user_claim)
    if not isinstance(user, str) or not user or "\0" in user:
        raise refuse_grant("The assertion names no user.")
    # Only `true` is true (CVE-2026-55076).
    if trusted.user_is == "email" and claims.get("email_verified", True) is not True:
        raise refuse_grant("The assertion's issuer has not verified the email address.")
    organization_id = _find_organization(request, claims, trusted.organization_claim)
    if EVERY not in trusted.organizations and organization_id not in trusted.organizations:
        raise refuse_grant("The assertion's issuer may not speak for that organization.")
    allowed = tuple(value for value in client.scope if value != OFFLINE_ACCESS)
    scope = allowed if request.scope is None else parse_scope(request.scope)
    if not scope or not set(scope) <= set(allowed):
        raise OAuthError("invalid_scope", "The scope is wider than what this client is registered for.")
    return Claimed(user, organization_id, allowed, scope)


def _find_organization(request: TokenRequest, claims: Mapping[str, Any], claim: str) -> str:
    """The organization that the assertion names, or the client where the assertion leaves it open."""
    asserted, requested = claims.get(claim), request.organization_id
    if asserted is None:
        if requested is None:
            raise OAuthError("invalid_request", "organization_id is missing: the assertion names no organization.")
        return requested
    if not isinstance(asserted, str) or not asserted or "\0" in asserted:
        raise refuse_grant("The assertion's organization is not the name of one.")
    if requested not in {None, asserted}:
        raise refuse_grant("The assertion is for another organization than organization_id.")
    return asserted
