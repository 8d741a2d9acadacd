"""Connecting a device that has no browser: it shows a code, the person enters it elsewhere (RFC 8628)."""

from typing import Final

import msgspec

from latchstring.client.connecting import connect
from latchstring.client.connection import Connection
from latchstring.client.errors import Declined, Misconfigured, ReauthorizeRequired, TemporaryFailure
from latchstring.client.exchange import Answer, Unanswered
from latchstring.client.metadata import verify_url
from latchstring.client.openid import refuse_unverifiable
from latchstring.client.provider import Provider
from latchstring.client.settings import Context
from latchstring.client.steps import Flow, pause, send
from latchstring.client.token_endpoint import build_request, read_refusal, read_tokens
from latchstring.protocol.client_metadata import DEVICE_CODE
from latchstring.protocol.device_authorization import POLL_INTERVAL
from latchstring.protocol.token_answer import find_text, parse_error_answer, parse_json

_MAX_INTERVAL: Final = 60
_DEFAULT_LIFETIME: Final = 600


class DeviceLogin(msgspec.Struct, frozen=True, kw_only=True):
    """What the device shows, and what it polls with (RFC 8628 §3.2). `verification_uri_complete` has the code in it,
    for a QR code; `expires_at` in epoch seconds, `interval` seconds between two polls."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    device_code: str
    expires_at: float
    interval: float

    def __repr__(self) -> str:
        return f"DeviceLogin(user_code={self.user_code!r}, verification_uri={self.verification_uri!r})"


def begin_device(context: Context, *, organization_id: str | None) -> Flow[DeviceLogin]:
    """A code for the person to enter (RFC 8628 §3.1). `organization_id` is a hint."""
    provider = yield from context.providers.resolve()
    if provider.device_authorization_endpoint is None:
        raise Misconfigured("device_unsupported", "The provider names no device authorization endpoint.")
    settings = context.settings
    refuse_unverifiable(provider, settings.scope)
    form = {"scope": provider.scope_separator.join(settings.scope.split()), "organization_id": organization_id or ""}
    said = {name: value for name, value in form.items() if value} | settings.target
    outcome = yield from send(build_request(settings, provider, provider.device_authorization_endpoint, said))
    if isinstance(outcome, Unanswered):
        raise TemporaryFailure("unanswered", "The device authorization endpoint did not answer.", cause=outcome.cause)
    refusal = parse_error_answer(outcome.body, provider.error_field)
    if outcome.status != 200 or refusal is not None:
        raise read_refusal(outcome, refusal, provider.errors)
    return _read_login(outcome)


def _read_login(answer: Answer) -> DeviceLogin:
    try:
        members = parse_json(answer.body)
    except ValueError as error:
        raise TemporaryFailure("answer_unreadable", "The device authorization is not JSON.", cause=error) from error
    names = ("user_code", "device_code", "verification_uri", "verification_uri_complete", "expires_in", "interval")
    said = {name: find_text(members, name) for name in names}
    user_code, device_code, uri = said["user_code"], said["device_code"], said["verification_uri"]
    if user_code is None or device_code is None or uri is None or not user_code.isprintable():
        raise TemporaryFailure("answer_unreadable", "The device authorization lacks a code or an address.")
    # People are sent there: nothing but a web address (MCP's CVE-2025-6514 was an address run by a shell).
    verify_url(uri, "verification_uri")
    complete = said["verification_uri_complete"]
    if complete is not None:
        verify_url(complete, "verification_uri_complete")
    return DeviceLogin(
        user_code=user_code,
        verification_uri=uri,
        verification_uri_complete=complete,
        device_code=device_code,
        expires_at=answer.sent_at + _read_seconds(said["expires_in"], _DEFAULT_LIFETIME),
        interval=min(_read_seconds(said["interval"], POLL_INTERVAL), _MAX_INTERVAL),
    )


def _read_seconds(text: str | None, default: int) -> float:
    return float(text[:9]) if text is not None and text.isascii() and text.isdigit() else float(default)


def complete_device(context: Context, login: DeviceLogin) -> Flow[Connection]:
    """The connection, as soon as the person has allowed it: asks every `interval` seconds, more slowly when told to or
    when nobody answers (RFC 8628 §3.5). Raises `Declined`, or `ReauthorizeRequired` (`login_expired`)."""
    provider = yield from context.providers.resolve()
    form = {"grant_type": DEVICE_CODE, "device_code": login.device_code, **context.settings.target}
    request = build_request(context.settings, provider, provider.token_endpoint, form)
    interval = login.interval
    while True:
        yield from pause(interval)
        if context.clock() >= login.expires_at:
            raise ReauthorizeRequired("login_expired", "Nobody entered the code in time; begin again.")
        outcome = yield from send(request)
        said = _read_wait(provider, outcome)
        if said is None:
            break
        interval = min(interval + said, _MAX_INTERVAL)
    tokens = read_tokens(provider, outcome)
    assert isinstance(outcome, Answer)
    return (yield from connect(context, provider, tokens, outcome.sent_at, scope=context.settings.scope))


def _read_wait(provider: Provider, outcome: Answer | Unanswered) -> float | None:
    """By how many seconds to ask more slowly from now on; None where the answer is final."""
    if isinstance(outcome, Unanswered) or outcome.status >= 500 or outcome.status == 429:
        return float(POLL_INTERVAL)
    refusal = parse_error_answer(outcome.body, provider.error_field)
    if refusal is None:
        return None
    error = provider.errors.get(refusal.error, refusal.error)
    if error == "authorization_pending":
        return 0.0
    if error == "slow_down":
        return float(POLL_INTERVAL)
    if error == "access_denied":
        raise Declined("access_denied", refusal.error_description or "The person declined.")
    if error == "expired_token":
        raise ReauthorizeRequired("login_expired", "Nobody entered the code in time; begin again.")
    return None
