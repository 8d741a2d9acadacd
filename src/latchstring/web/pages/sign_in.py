"""Signing in and out."""

from starlette.responses import Response

from latchstring.authorization_server.passkey_verification import PasskeyRefused
from latchstring.authorization_server.second_factors import ATTEMPT_WINDOW, Verification
from latchstring.authorization_server.sign_in_levels import decide_acr_values, find_weakest
from latchstring.protocol.authentication_context import MULTI_FACTOR, PASSWORD, PHISHING_RESISTANT
from latchstring.protocol.authorization_request import parse_login_hint, parse_request_uri
from latchstring.protocol.parameters import Parameters, parse_parameters
from latchstring.web.pages.asked import AUTHORIZE
from latchstring.web.pages.device import DEVICE
from latchstring.web.pages.half_signed_in import HalfSignedIn, ask_for_code, open_half
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.passkeys import explain_refusal
from latchstring.web.pages.visit import open_visit, render_visit
from latchstring.web.throttle import RETRY_SIGN_IN_SECONDS, find_source

HOME = "/connections"


async def show_sign_in(page: Page) -> Response:
    """GET /sign-in; somebody who is signed in goes on at once, unless the app asked that they sign in again."""
    continue_to = page.open_continue(page.request.query_params.get("continue", ""))
    user = await page.find_user()
    if user is not None and not _must_sign_in(page, continue_to):
        return page.redirect(continue_to or HOME)
    return await _render(page, continue_to)


async def sign_in(page: Page) -> Response:
    """POST /sign-in; a new session and a new cookie on success."""
    form = await page.read_form()
    continue_to = page.open_continue(form.get("continue", ""))
    email = form.get("email", "")
    source = find_source(page.request.scope, page.services.settings)
    if not await page.services.throttle.may_sign_in(email, source):
        return _wait(await _render(page, continue_to, email=email, error="throttled", status=429))
    user = await page.services.authenticate(email, form.get("password", ""))
    if user is None:
        return await _render(page, continue_to, email=email, error="credentials", status=422)
    await page.services.throttle.take_back_sign_in(email, source)
    if user.disabled_at is not None:
        # Only to whoever knows the password: nobody learns of an account by asking.
        raise PageRefused("account_disabled")
    if await page.services.second_factors.find(user.user_id) is not None:
        return ask_for_code(page, HalfSignedIn(user.user_id, page.services.clock(), continue_to or ""))
    return await begin_session(page, user.user_id, PASSWORD, continue_to)


async def sign_in_with_passkey(page: Page) -> Response:
    """POST /sign-in/passkey: the passkey says whose it is, and no code is asked for after it."""
    form = await page.read_form()
    continue_to = page.open_continue(form.get("continue", ""))
    source = find_source(page.request.scope, page.services.settings)
    if not await page.services.throttle.may_present_passkey(source):
        return _wait(await _render(page, continue_to, error="throttled", status=429))
    try:
        user = await page.services.passkeys.sign_in(form.get("credential", ""), cookie=page.cookie, origin=page.origin)
    except PasskeyRefused as refused:
        return await _render(page, continue_to, error=explain_refusal(page, refused), status=422)
    await page.services.throttle.take_back_passkey(source)
    return await begin_session(page, user.user_id, PHISHING_RESISTANT, continue_to)


def _wait(response: Response) -> Response:
    response.headers["retry-after"] = str(RETRY_SIGN_IN_SECONDS)
    return response


async def begin_session(page: Page, user_id: str, acr: str, continue_to: str | None) -> Response:
    """A new session and a new cookie, and on to where the person was going. The session is as strong as this sign-in,
    whatever the one before it was."""
    address, visit = open_visit(page, continue_to or HOME)
    await page.services.login.end(page.cookie)
    page.take_cookie(await page.services.login.begin(user_id, acr))
    if visit is not None:
        address = render_visit(page, address, visit.at("signed_in"))
    return page.redirect(address)


async def answer_code(page: Page) -> Response:
    """POST /sign-in/code: the second half, by a code of the authenticator app or a recovery code."""
    form = await page.read_form()
    half = open_half(page, form.get("half", ""))
    factor = None if half is None else await page.services.second_factors.find(half.user_id)
    user = None if half is None else await page.services.store.find_user(half.user_id)
    if half is None or factor is None or user is None or user.disabled_at is not None:
        return await _render(page, None if half is None else half.continue_to, error="expired_page", status=422)
    verification = await page.services.second_factors.verify(factor, form.get("code", ""), origin=page.origin)
    if verification is Verification.TOO_MANY:
        response = ask_for_code(page, half, error="throttled", status=429)
        response.headers["retry-after"] = str(ATTEMPT_WINDOW)
        return response
    if verification is Verification.WRONG:
        return ask_for_code(page, half, error="code", status=422)
    return await begin_session(page, half.user_id, MULTI_FACTOR, half.continue_to or None)


async def sign_out(page: Page) -> Response:
    """POST /sign-out; the session is dead, the cookie replaced."""
    form = await page.read_form()
    continue_to = page.open_continue(form.get("continue", ""))
    address, visit = open_visit(page, continue_to or "")
    await page.services.login.end(page.cookie)
    page.take_cookie(page.services.login.new_cookie())
    if not continue_to:
        return page.message("signed_out")
    return page.redirect(address if visit is None else render_visit(page, address, visit.at("arrived")))


def _must_sign_in(page: Page, continue_to: str | None) -> bool:
    _, visit = open_visit(page, continue_to or "")
    return visit is not None and visit.step == "must_sign_in"


async def _render(
    page: Page, continue_to: str | None, *, email: str | None = None, error: str | None = None, status: int = 200
) -> Response:
    request = await _find_request(page, continue_to)
    client = await page.services.clients.find(request.get("client_id", ""))
    is_again = page.user is not None and _must_sign_in(page, continue_to)
    if email is None:
        email = parse_login_hint(request.get("login_hint")) or (page.user.email if is_again and page.user else "")
    context = {
        "continue_to": page.seal_continue(continue_to) if continue_to else "",
        "email": email,
        "error": error,
        "app_name": None if client is None else client.name,
        "is_again": is_again,
        "wanted": find_weakest(decide_acr_values(request.get("acr_values"), page.services.settings)),
        "passkey_question": page.services.passkeys.ask_for_sign_in(cookie=page.cookie),
        "is_for_device": continue_to is not None and continue_to.startswith(DEVICE),
    }
    # The answer may lead through the authorization endpoint to an app.
    form_action = "'self' https: http://127.0.0.1:* http://localhost:*"
    return page.render("sign_in.html", context, status, form_action=form_action)


async def _find_request(page: Page, continue_to: str | None) -> Parameters:
    """What an app asked for, if the person signs in for one's sake."""
    if continue_to is None or not continue_to.startswith(AUTHORIZE):
        return Parameters()
    parameters = parse_parameters(continue_to.partition("?")[2].encode())
    request_id = parse_request_uri(parameters.get("request_uri", ""))
    pushed = None if request_id is None else await page.services.store.find_pushed_request(request_id)
    return parameters if pushed is None else parse_parameters(pushed.parameters.encode())
