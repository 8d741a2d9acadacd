"""Members' requests to their organization's admins."""

from typing import Annotated, Final

import msgspec

from latchstring.authorization_server.access_request_ports import AccessRequestState, ListedRequest
from latchstring.authorization_server.access_requests import MAX_WORD_LENGTH
from latchstring.authorization_server.api_scopes import ORGANIZATION_MANAGE, ORGANIZATION_READ
from latchstring.authorization_server.identifiers import ACCESS_REQUEST, parse_identifier, render_identifier
from latchstring.authorization_server.ports import Commit
from latchstring.web.api.operation import (
    MAX_LIMIT,
    Call,
    Listed,
    Operation,
    Paged,
    refuse_conflict,
    refuse_unknown,
)
from latchstring.web.asgi import FieldRefused

_AT: Final = "/organizations/{organization_id}/requests"
_ONE: Final = f"{_AT}/{{request_id}}"


class AccessRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A member's request for an app: what it asks for, why, and what came of it."""

    request_id: str
    state: AccessRequestState
    client_id: str
    user_id: str
    user_name: str
    user_email: str
    reason: str
    asked: list[str]
    granted: list[str]
    word: str
    created_at: int
    open_until: int
    decided_by: str | None
    decided_at: int | None


class DecidedQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the latest."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 50


class RequestApproved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of `asked` is granted, all where it is left out; whether for everyone; and a word for the member."""

    granted: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    for_everyone: bool = False
    word: Annotated[str, msgspec.Meta(max_length=MAX_WORD_LENGTH)] = ""


class RequestDeclined(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word for the member."""

    word: Annotated[str, msgspec.Meta(max_length=MAX_WORD_LENGTH)] = ""


async def list_requests(call: Call, asked: Paged) -> Listed[AccessRequest]:
    """List the requests that wait, the oldest first."""
    if asked.after and parse_identifier(ACCESS_REQUEST, asked.after) is None:
        raise FieldRefused("after", "This is no id of a request.")
    found = await call.services.access_requests.find_waiting(
        call.organization_id, after=asked.after, at_most=asked.limit + 1
    )
    shown = found[: asked.limit]
    after = render_identifier(ACCESS_REQUEST, shown[-1].request.id) if len(found) > len(shown) else None
    return Listed(items=[_describe(listed) for listed in shown], next=call.render_next(after))


async def list_decided_requests(call: Call, asked: DecidedQuery) -> Listed[AccessRequest]:
    """List the requests that were decided, the latest first."""
    found = await call.services.access_requests.find_decided(call.organization_id, at_most=asked.limit)
    return Listed(items=[_describe(listed) for listed in found])


async def approve_request(call: Call, asked: RequestApproved) -> None:
    """Approve a request. The member is told, and the app's authorization goes on where it stood."""
    await _decide(call, asked.granted, is_approved=True, is_for_everyone=asked.for_everyone, word=asked.word)


async def decline_request(call: Call, asked: RequestDeclined) -> None:
    """Decline a request. The member is told."""
    await _decide(call, None, is_approved=False, is_for_everyone=False, word=asked.word)


async def _decide(call: Call, chosen: list[str] | None, *, is_approved: bool, is_for_everyone: bool, word: str) -> None:
    services, organization = call.services, call.organization
    assert organization is not None
    request = await services.access_requests.find_in(call.organization_id, call.path["request_id"])
    client = None if request is None else await services.store.find_client(request.client_id)
    if request is None or client is None:
        raise refuse_unknown("request")
    if chosen is not None and not set(chosen) <= set(request.asked):
        raise FieldRefused("granted", "The app did not ask for all of that: see asked.")
    granted = request.asked if chosen is None else tuple(item for item in request.asked if item in chosen)
    commit = await services.access_requests.decide(
        request,
        client.name,
        organization.name,
        granted=granted if is_approved else None,
        is_for_everyone=is_for_everyone,
        word=word,
        origin=call.origin,
    )
    if commit is Commit.LOST:
        raise refuse_conflict("The request was decided already, or can be no longer.")


def _describe(listed: ListedRequest) -> AccessRequest:
    request = listed.request
    return AccessRequest(
        request_id=render_identifier(ACCESS_REQUEST, request.id),
        state=request.state,
        client_id=request.client_id,
        user_id=request.user_id,
        user_name=listed.user_name,
        user_email=listed.user_email,
        reason=request.reason,
        asked=list(request.asked),
        granted=list(request.granted),
        word=request.word,
        created_at=request.created_at,
        open_until=request.open_until,
        decided_by=request.decided_by,
        decided_at=request.decided_at,
    )


OPERATIONS: Final = (
    Operation("GET", _AT, ORGANIZATION_READ, list_requests),
    Operation("GET", "/organizations/{organization_id}/decided-requests", ORGANIZATION_READ, list_decided_requests),
    Operation("POST", f"{_ONE}/approve", ORGANIZATION_MANAGE, approve_request),
    Operation("POST", f"{_ONE}/decline", ORGANIZATION_MANAGE, decline_request),
)
