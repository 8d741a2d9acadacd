"""The ASGI application: which path is answered by what; every path with and without its trailing slash."""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from latchstring.protocol.errors import OAuthError, StoreUnavailable
from latchstring.web import revocations
from latchstring.web.api.api import Api
from latchstring.web.asgi import ClientGone, Receive, Scope, Send
from latchstring.web.base_path import find_relative, place_machine
from latchstring.web.device_authorization import answer_device_authorization
from latchstring.web.errors import RETRY_AFTER_SECONDS, as_server_error, as_unavailable, log_defect, send_refusal
from latchstring.web.health import LIVENESS, READINESS, answer_liveness, answer_readiness
from latchstring.web.introspect import answer_introspection
from latchstring.web.jwks import answer_key_set
from latchstring.web.metadata import answer_metadata
from latchstring.web.pages import (
    access_requests,
    account,
    app_deletion,
    apps,
    authorize,
    connections,
    consent,
    device,
    directory,
    events,
    members,
    operator,
    organization_app,
    organization_connections,
    passkeys,
    policy,
    publisher,
    receipt,
    requests,
    reset,
    reviews,
    secrets,
    several,
    sign_in,
    webhooks,
)
from latchstring.web.pages.page import Page, PageRefused, SignInNeeded, render_address
from latchstring.web.proofs import find_proofs, offer_nonce
from latchstring.web.push import answer_pushed_request
from latchstring.web.register import REGISTER, answer_registered_client, answer_registration
from latchstring.web.revoke import answer_revocation
from latchstring.web.services import Services
from latchstring.web.token import answer_token

log = structlog.get_logger("latchstring.web")

MachineHandler = Callable[[Services, Scope, Receive, Send, bytes], Awaitable[None]]
PageHandler = Callable[[Page], Awaitable[Response]]

_MACHINES: Final[dict[str, MachineHandler]] = {
    "/oauth2/token": answer_token,
    "/oauth2/revoke": answer_revocation,
    "/oauth2/par": answer_pushed_request,
    "/oauth2/device_authorization": answer_device_authorization,
    "/oauth2/introspect": answer_introspection,
    revocations.PATH: revocations.answer_revocations,
    "/oauth2/jwks": answer_key_set,
    REGISTER: answer_registration,
    "/.well-known/oauth-authorization-server": answer_metadata,
    "/.well-known/openid-configuration": answer_metadata,
    LIVENESS: answer_liveness,
    READINESS: answer_readiness,
}


async def _show_home(page: Page) -> Response:
    return page.redirect(sign_in.HOME)


_PAGES: Final[list[tuple[str, str, PageHandler]]] = [
    ("GET", "/", _show_home),
    ("GET", "/oauth2/authorize", authorize.authorize),
    ("POST", "/oauth2/authorize", authorize.authorize),
    ("POST", "/consent", consent.answer_consent),
    ("POST", "/consent/next", several.answer_next),
    ("GET", "/device", device.show_device),
    ("POST", "/device", device.enter_code),
    ("GET", "/device/answer", device.show_answer),
    ("POST", "/device/answer", device.answer_device),
    ("GET", "/sign-in", sign_in.show_sign_in),
    ("POST", "/sign-in", sign_in.sign_in),
    ("POST", "/sign-in/code", sign_in.answer_code),
    ("POST", "/sign-in/passkey", sign_in.sign_in_with_passkey),
    ("POST", "/sign-out", sign_in.sign_out),
    ("GET", "/reset", reset.show_reset),
    ("POST", "/reset", reset.send_reset),
    ("GET", "/reset/{token}", reset.show_new_password),
    ("POST", "/reset/{token}", reset.take_new_password),
    ("GET", "/account", account.show_account),
    ("POST", "/account/password", account.change_password),
    ("POST", "/account/sign-out-elsewhere", account.sign_out_elsewhere),
    ("POST", "/account/second-factor", account.begin_second_factor),
    ("POST", "/account/second-factor/confirm", account.confirm_second_factor),
    ("POST", "/account/second-factor/remove", account.remove_second_factor),
    ("POST", "/account/recovery-codes", account.replace_recovery_codes),
    ("GET", "/account/passkeys", passkeys.show_passkeys),
    ("POST", "/account/passkeys", passkeys.add_passkey),
    ("POST", "/account/passkeys/{passkey_id}/rename", passkeys.rename_passkey),
    ("POST", "/account/passkeys/{passkey_id}/remove", passkeys.remove_passkey),
    ("GET", "/connections", connections.show_connections),
    ("GET", "/connections/{grant_id}/receipt", receipt.show_receipt),
    ("POST", "/connections/{grant_id}/disconnect", connections.disconnect),
    ("POST", "/connections/apps/{client_id}/disconnect", connections.disconnect_app),
    ("GET", "/apps", apps.show_apps),
    ("GET", "/apps/new", apps.show_new_app),
    ("POST", "/apps/new", apps.create_app),
    ("GET", "/apps/{client_id}", apps.show_app),
    ("POST", "/apps/{client_id}", apps.save_app),
    ("POST", "/apps/{client_id}/secret", secrets.replace_secret),
    ("POST", "/apps/{client_id}/secrets", secrets.add_secret),
    ("POST", "/apps/{client_id}/secrets/{secret_id}/retire", secrets.retire_secret),
    ("POST", "/apps/{client_id}/require-pkce", apps.require_pkce),
    ("POST", "/apps/{client_id}/review", reviews.ask_review),
    ("GET", "/organizations/{organization_id}/publisher", publisher.show_publisher),
    ("POST", "/organizations/{organization_id}/publisher", publisher.claim_domain),
    ("POST", "/organizations/{organization_id}/publisher/{domain}/check", publisher.check_domain),
    ("POST", "/organizations/{organization_id}/publisher/{domain}/forget", publisher.end_domain),
    ("GET", "/directory", directory.show_directory),
    ("GET", "/operator/reviews", reviews.show_reviews),
    ("POST", "/operator/reviews/{client_id}", reviews.decide_review),
    ("GET", "/access-requests/continue", access_requests.go_on),
    ("GET", "/access-requests/{request_id}", access_requests.show_access_request),
    ("POST", "/access-requests/{request_id}/return", access_requests.go_back),
    ("GET", "/organizations/{organization_id}/requests", requests.show_requests),
    ("POST", "/organizations/{organization_id}/requests/{request_id}", requests.decide_request),
    ("GET", "/organizations/{organization_id}/events", events.show_organization_events),
    ("GET", "/operator/events", events.show_operator_events),
    *(
        (method, f"{owner}/webhooks{path}", handler)
        for owner in ("/apps/{client_id}", "/organizations/{organization_id}")
        for method, path, handler in (
            ("GET", "", webhooks.show_webhooks),
            ("POST", "", webhooks.create_webhook),
            ("GET", "/{endpoint_id}", webhooks.show_webhook),
            ("POST", "/{endpoint_id}", webhooks.save_webhook),
            ("POST", "/{endpoint_id}/{verb}", webhooks.change_webhook),
        )
    ),
    ("POST", "/apps/{client_id}/delete", app_deletion.delete_app),
    ("GET", "/organizations/{organization_id}", members.show_organization),
    ("POST", "/organizations/{organization_id}", members.save_organization),
    ("POST", "/organizations/{organization_id}/close", members.close_organization),
    ("GET", "/organizations/{organization_id}/members", members.show_members),
    ("POST", "/organizations/{organization_id}/members", members.add_member),
    ("POST", "/organizations/{organization_id}/members/{user_id}", members.change_member),
    ("GET", "/organizations/{organization_id}/connections", organization_connections.show_organization_connections),
    ("GET", "/organizations/{organization_id}/connections.csv", organization_connections.export_connections),
    ("POST", "/organizations/{organization_id}/connections/disconnect", organization_connections.disconnect_selected),
    ("POST", "/organizations/{organization_id}/connections/disconnect-app", organization_connections.disconnect_app),
    ("POST", "/organizations/{organization_id}/connections/take-over", organization_connections.take_over),
    ("GET", "/operator", operator.show_operator),
    ("POST", "/operator/users/{user_id}", operator.change_user),
    ("POST", "/operator/organizations/{organization_id}", operator.change_organization),
    ("POST", "/operator/apps/{client_id}", operator.change_app),
    ("GET", "/organizations/{organization_id}/policy", policy.show_policy),
    ("POST", "/organizations/{organization_id}/policy", policy.save_policy),
    ("GET", "/organizations/{organization_id}/apps", organization_app.look_up_app),
    ("GET", "/organizations/{organization_id}/apps/{client_id}", organization_app.show_app),
    ("POST", "/organizations/{organization_id}/apps/{client_id}", organization_app.decide_app),
    ("POST", "/organizations/{organization_id}/apps/{client_id}/forget", policy.end_rule),
    ("POST", "/organizations/{organization_id}/apps/{client_id}/unapprove", policy.end_approval),
]


async def _nothing(request: Request) -> Response:
    raise NotImplementedError("routes are matched here, and their handlers called with a Page")


def _compile(method: str, path: str) -> Route:
    return Route(path, _nothing, methods=[method])


class Application:
    """Answers every request with an `X-Request-Id`; what goes wrong is rendered here and nowhere else."""

    def __init__(self, services: Services) -> None:
        self._services = services
        # Unique, not secret: a random part for each process, then a number.
        self._request_id_prefix = b"req_" + os.urandom(8).hex().encode()
        self._request_numbers = itertools.count(1)
        self._base_path = services.settings.base_path
        self._machines = {
            place: handler for path, handler in _MACHINES.items() for place in place_machine(path, self._base_path)
        }
        self._api = Api(services) if services.settings.serves_api else None
        self._routes = [(_compile(method, path), handler) for method, path, handler in _PAGES]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        request_id = self._request_id_prefix + b"%06x" % next(self._request_numbers)
        scope = find_relative(scope, self._base_path)
        path = scope["path"]
        handler = self._machines.get(path)
        if handler is not None:
            await self._answer_machine(handler, scope, receive, send, request_id)
        elif self._api is not None and self._api.is_at(path):
            await self._answer_machine(self._api.answer, scope, receive, send, request_id)
        elif path.startswith(f"{REGISTER}/"):
            await self._answer_machine(answer_registered_client, scope, receive, send, request_id)
        elif path.startswith("/static/"):
            await self._send_static(path.removeprefix("/static/"), scope, receive, send)
        else:
            await self._answer_page(scope, receive, send, request_id.decode())

    async def _answer_machine(
        self, handler: MachineHandler, scope: Scope, receive: Receive, send: Send, request_id: bytes
    ) -> None:
        try:
            await handler(self._services, scope, receive, send, request_id)
        except OAuthError as error:
            await send_refusal(scope, send, request_id, error, offer_nonce(self._services, find_proofs(scope)))
        except StoreUnavailable as error:
            await send_refusal(scope, send, request_id, as_unavailable(error, request_id))
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 -- logged whole and answered by a 500
            await send_refusal(scope, send, request_id, as_server_error(error, request_id))

    # -- pages

    async def _answer_page(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        page_scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        request = Request(page_scope, receive)
        page = Page(self._services, request, request_id)
        try:
            response = await self._find_response(page, page_scope)
        except StoreUnavailable as error:
            log.error("store_unavailable", request_id=request_id, reason=str(error))
            response = page.message("store_unavailable")
            response.headers["retry-after"] = str(RETRY_AFTER_SECONDS)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 -- logged whole and answered by a 500
            log_defect(error, request_id)
            response = page.message("server_error")
        response.headers["x-request-id"] = request_id
        await response(scope, receive, send)

    async def _find_response(self, page: Page, scope: Scope) -> Response:
        try:
            return await self._route_page(page, scope)
        except SignInNeeded:
            location = render_address(scope["path"], scope["query_string"])
            is_readable = scope["method"] in {"GET", "HEAD"}
            return page.redirect(f"/sign-in?continue={page.seal_continue(location)}" if is_readable else "/sign-in")
        except PageRefused as refused:
            return page.message(refused.key, refused.placeholders)

    async def _route_page(self, page: Page, scope: Scope) -> Response:
        allowed: set[str] = set()
        for route, handler in self._routes:
            match, child_scope = route.matches(scope)
            if match is Match.FULL:
                page.request = Request({**scope, **child_scope}, page.request.receive)
                return await handler(page)
            if match is Match.PARTIAL:
                allowed |= route.methods or set()
        await page.find_user()
        if allowed:
            response = page.message("method_not_allowed")
            response.headers["allow"] = ", ".join(sorted(allowed))
            return response
        return page.message("not_found")

    async def _send_static(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        file = self._services.renderer.static_file(name)
        if file is None or scope["method"] not in {"GET", "HEAD"}:
            await Response(status_code=404)(scope, receive, send)
            return
        is_versioned = scope["query_string"] == f"v={file.version}".encode()
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if is_versioned else "no-cache",
            "content-type": file.content_type,
            "x-content-type-options": "nosniff",
        }
        await Response(file.content, headers=headers)(scope, receive, send)

    # -- lifespan

    async def _do(self, chore: Callable[[], Awaitable[None]]) -> None:
        try:
            await chore()
        except Exception as error:  # noqa: BLE001 -- logged whole; the server serves on
            log_defect(error, "housekeeping")

    async def _live(self, receive: Receive, send: Send) -> None:
        chores: list[asyncio.Task[None]] = []
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                chores = [asyncio.create_task(self._do(chore)) for chore in self._services.chores]
                await send({"type": "lifespan.startup.complete"})
            else:
                for chore in chores:
                    chore.cancel()
                if chores:
                    await asyncio.wait(chores)
                await self._services.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
