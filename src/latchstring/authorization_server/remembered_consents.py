"""When what a member agreed to before stands in for their answer (RFC 6749 §10.2, RFC 8252 §8.6; ADR 0020)."""

import hashlib
from collections.abc import Collection, Sequence

from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.records import ClientRecord, ConsentRecord, GrantRecord, MembershipRecord
from latchstring.authorization_server.registration import find_document_host
from latchstring.authorization_server.scope_roles import find_removed
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.authorization_request import CONSENT, SEVERAL
from latchstring.protocol.redirect_uri import redirect_host
from latchstring.protocol.scope import OFFLINE_ACCESS


def build_consent(
    grant: GrantRecord, client: ClientRecord, *, declined: tuple[str, ...], redirect_uri: str | None
) -> ConsentRecord:
    """What is remembered of the answer that makes the grant. `declined` is what the member struck out."""
    return ConsentRecord(
        client_id=grant.client_id,
        user_id=grant.user_id,
        organization_id=grant.organization_id,
        scope=grant.scope,
        declined_scope=declined,
        resource=grant.resource,
        details_digest=digest_details(grant.authorization_details),
        app_name=client.name,
        publisher=render_publisher(client),
        redirect_host="" if redirect_uri is None else redirect_host(redirect_uri),
        grant_id=grant.id,
        given_at=grant.created_at,
        last_at=grant.created_at,
        expires_at=grant.absolute_expires_at,
    )


def digest_details(details: str | None) -> bytes | None:
    """What tells one request's authorization details from another's."""
    return None if details is None else hashlib.sha256(details.encode()).digest()[:16]


def render_publisher(client: ClientRecord) -> str:
    """Who stands behind the app: the organization that owns it, the host of its document, or nobody."""
    return client.organization_id or find_document_host(client.public_id) or ""


def is_assured(client: ClientRecord, redirect_uri: str) -> bool:
    """Whether an answer to that address can reach nobody but the client, or be of use to nobody else: the client
    authenticates, or has claimed the https address; and somebody here answers for it (RFC 8252 §8.6)."""
    return client.organization_id is not None and (not client.is_public or redirect_uri.startswith("https://"))


def find_organization(prompt: AuthorizationPrompt, memberships: Sequence[MembershipRecord]) -> str | None:
    """The one organization that the request can be about, or None where the member has to choose."""
    own = [membership.organization_id for membership in memberships]
    if prompt.organization_id is not None:
        return prompt.organization_id if prompt.organization_id in own else None
    return own[0] if len(own) == 1 else None


def find_recalled(
    prompt: AuthorizationPrompt,
    client: ClientRecord,
    memberships: Sequence[MembershipRecord],
    consents: Sequence[ConsentRecord],
    settings: Settings,
    now: int,
) -> ConsentRecord | None:
    """The consent that stands in for the member's answer to this request, or None where they are asked.

    Never for authorization details: the same payment a second time is another one. And not where the app wants several
    organizations, or one certain grant renewed: then the member has come for that.
    """
    if CONSENT in prompt.prompts or prompt.authorization_details is not None:
        return None
    if prompt.organization_selection == SEVERAL or prompt.reconnects is not None:
        return None
    if not is_assured(client, prompt.redirect_uri):
        return None
    organization_id = find_organization(prompt, memberships)
    consent = next((consent for consent in consents if consent.organization_id == organization_id), None)
    membership = next((own for own in memberships if own.organization_id == organization_id), None)
    if consent is None or membership is None or (consent.expires_at is not None and consent.expires_at <= now):
        return None
    is_told = (consent.publisher, consent.redirect_host, consent.app_name, consent.resource) == (
        render_publisher(client),
        redirect_host(prompt.redirect_uri),
        client.name,
        prompt.resource,
    )
    removed = find_removed(prompt.scope, membership.role, settings)
    is_answered = set(prompt.scope) <= {*consent.scope, *consent.declined_scope, *removed}
    agreed = find_agreed(prompt.scope, consent, removed)
    return consent if is_told and is_answered and is_something(agreed) else None


def find_agreed(scope: Sequence[str], consent: ConsentRecord, removed: Collection[str] = ()) -> tuple[str, ...]:
    """What of the scope the member has agreed to, and can give in their role."""
    return tuple(value for value in scope if value in consent.scope and value not in removed)


def is_something(scope: Sequence[str]) -> bool:
    """Whether an app can do anything with that."""
    return any(value != OFFLINE_ACCESS for value in scope)
