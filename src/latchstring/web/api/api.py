"""The API at the edge: which operation a request is for, whether its caller may call it, and the answer."""

from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from latchstring.authorization_server.administration import find_administered
from latchstring.authorization_server.api_scopes import OPERATOR_SCOPES
from latchstring.authorization_server.records import OrganizationRecord, UserRecord
from latchstring.protocol.errors import OAuthError, StoreUnavailable
from latchstring.resource_server.asgi import send_rendered
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.requirement import Requirement
from latchstring.resource_server.verify import Access
from latchstring.web.api.document import render_document
from latchstring.web.api.guard import OwnGuard
from latchstring.web.api.operation import PATH, Call, Export, Operation, refuse_unknown
from latchstring.web.api.reading import read_asked, read_query
from latchstring.web.api.table import OPERATIONS
from latchstring.web.asgi import Header, MethodRefused, Receive, Scope, Send, send_answer, verify_read
from latchstring.web.errors import NO_STORE
from latchstring.web.headers import PUBLIC_DOCUMENT
from latchstring.web.origin import find_address
from latchstring.web.services import Services

DOCUMENT: Final = f"{PATH}/openapi.json"
_encode: Final = msgspec.json.Encoder().encode
log = structlog.get_logger("latchstring.web")


class Api:
    """Answers everything below `/api/v1`, and for the API's metadata (RFC 9728)."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._guard = OwnGuard(services)
        self._document = render_document(services.settings, OPERATIONS)
        self._places: dict[tuple[str, ...], dict[str, Operation]] = {}
        for operation in OPERATIONS:
            self._places.setdefault(_split(PATH + operation.path), {})[operation.method] = operation

    def is_at(self, path: str) -> bool:
        """Whether the path is the API's to answer."""
        return path.startswith(f"{PATH}/") or path == PATH or self._guard.is_metadata(path)

    async def answer(self, services: Services, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
        """One request; a refusal that is not the guard's is raised as `OAuthError`."""
        path = scope["path"].removesuffix("/")
        if self._guard.is_metadata(path) or path == DOCUMENT:
            verify_read(scope)
            body = self._document if path == DOCUMENT else self._guard.render_metadata()
            await send_answer(send, 200, [*PUBLIC_DOCUMENT, (b"x-request-id", request_id)], body)
            return
        operation, values = self._find(path, scope["method"])
        try:
            access = await self._guard.admit(scope, self._require(operation))
        except Refusal as refusal:
            await send_rendered(self._guard.refuse(refusal, request_id.decode()), send)
            return
        user, organization = await self._authorize(operation, access, values)
        query = read_query(scope)
        asked = await read_asked(operation, query, scope, receive)
        call = Call(
            services=services,
            access=access,
            user=user,
            organization=organization,
            path=values,
            address=find_address(scope, services.settings),
            request_id=request_id.decode(),
            location=f"{services.settings.issuer}{path}",
            query=query,
        )
        await _send(operation, await operation.handler(call, asked), send, request_id)

    def _find(self, path: str, method: str) -> tuple[Operation, Mapping[str, str]]:
        segments = _split(path)
        for place, operations in self._places.items():
            values = _match(place, segments)
            if values is None:
                continue
            operation = operations.get("GET" if method == "HEAD" else method)
            if operation is None:
                allowed = ", ".join(sorted({*operations, *(["HEAD"] if "GET" in operations else [])}))
                raise MethodRefused(f"This address takes {allowed}.", allowed.encode())
            return operation, values
        raise OAuthError("not_found", f"The API has no such address: see {PATH}/openapi.json.", status=404)

    def _require(self, operation: Operation) -> Requirement:
        """What a token needs; for what nothing brings back, as fresh a sign-in as for a consent to high risk, too."""
        fresh = self._services.settings.high_risk_sign_in_lifetime if operation.is_final else None
        return Requirement((operation.scope,), fresh)

    async def _authorize(
        self, operation: Operation, access: Access, values: Mapping[str, str]
    ) -> tuple[UserRecord, OrganizationRecord | None]:
        """The person behind the token, who is an operator or an admin of the token's organization at this moment."""
        store = self._services.store
        user = None if access.user_id is None else await store.find_user(access.user_id)
        if user is None:
            raise _deny("An app calls on its own: this API is for a person, by a token with their consent.")
        if operation.scope in OPERATOR_SCOPES:
            if not user.is_operator:
                raise _deny("This is for operators of the deployment.")
            return user, None
        if values.get("organization_id", access.organization_id) != access.organization_id:
            raise refuse_unknown("organization")
        organization = await find_administered(store, user.user_id, access.organization_id)
        if organization is None:
            raise _deny("This is for admins of the organization.")
        return user, organization


def _deny(description: str) -> OAuthError:
    return OAuthError("access_denied", description, status=403)


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


def _match(place: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(place) != len(segments):
        return None
    values = {}
    for name, segment in zip(place, segments, strict=True):
        if name.startswith("{"):
            if not segment or "\0" in segment:
                return None
            values[name[1:-1]] = segment
        elif name != segment:
            return None
    return values


async def _send(operation: Operation, answer: object, send: Send, request_id: bytes) -> None:
    identified = (b"x-request-id", request_id)
    if isinstance(answer, Export):
        await _send_export(operation, answer, send, [*NO_STORE[1:], identified])
    elif answer is None:
        # Without a body there is neither type nor length to tell (RFC 9110 §8.6).
        await send({"type": "http.response.start", "status": 204, "headers": [*NO_STORE[1:], identified]})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send_answer(send, operation.status, [*NO_STORE, identified], _encode(answer))


async def _send_export(operation: Operation, export: Export, send: Send, headers: list[Header]) -> None:
    first = await anext(export.parts, b"")  # a store that fails now is still a 503
    headers = [
        *headers,
        (b"content-type", operation.media_type.encode()),
        (b"content-disposition", f'attachment; filename="{export.filename}"'.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": first, "more_body": True})
    try:
        async for part in export.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except StoreUnavailable as error:
        # The status is sent already: the server in front sees that the answer ends too early, and hangs up.
        log.error("export_broken", path=operation.path, reason=str(error))
        return
    await send({"type": "http.response.body", "body": b""})
