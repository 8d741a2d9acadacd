"""Second factors, another password, a way back in by mail, signing out everywhere."""

import re
from html import unescape

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from latchstring.authorization_server.events import COMMAND_LINE, EventFilter
from tests.support.deployment import PASSWORD
from tests.support.forms import find_form, read_forms, submit
from tests.support.journey import obtain_code, open_consent
from tests.web.conftest import World

NEW_PASSWORD = "another good password"


def read_secret(text: str) -> bytes:
    from base64 import b32decode

    match = re.search(r'id="typed-secret"[^>]*>([A-Z2-7 ]+)<', text)
    assert match is not None
    return b32decode(match[1].replace(" ", ""))


def make_code(secret: bytes, now: int) -> str:
    return TOTP(secret, 6, SHA1(), 30, enforce_key_length=False).generate(now).decode()


async def turn_on(world: World) -> tuple[bytes, list[str]]:
    """Ann sets up an authenticator app; its secret and the recovery codes."""
    await world.arrive(world.ann)
    page = await world.http.get("/account")
    page = await submit(world.http, page, find_form(page, "/account/second-factor"), password=PASSWORD)
    secret = read_secret(page.text)
    code = make_code(secret, world.deployment.clock.now)
    page = await submit(world.http, page, find_form(page, "/account/second-factor/confirm"), code=code)
    shown = re.search(r'<pre class="codes"[^>]*>([^<]+)</pre>', page.text)
    assert shown is not None
    world.deployment.clock.advance(30)
    return secret, shown[1].split()


async def enter_password(world: World, password: str = PASSWORD):
    """A fresh browser's sign-in page, filled in."""
    world.http.cookies.clear()
    page = await world.http.get("/sign-in")
    return await submit(world.http, page, find_form(page, "/sign-in"), email="ann@example.com", password=password)


async def is_signed_in(world: World) -> bool:
    return (await world.http.get("/account")).status_code == 200


async def actions(world: World) -> list[str]:
    found = await world.deployment.store.find_events(EventFilter(user_id=world.ann), before=None, at_most=50)
    return [record.event.action.value for record in found]


async def test_sign_in_asks_for_a_code_and_each_counts_once(world: World) -> None:
    secret, _ = await turn_on(world)
    page = await enter_password(world)
    assert page.status_code == 200
    assert "Enter your code" in page.text
    assert not await is_signed_in(world)
    code = make_code(secret, world.deployment.clock.now)
    answered = await submit(world.http, page, find_form(page, "/sign-in/code"), code=code)
    assert (answered.status_code, answered.headers["location"]) == (303, "/connections")
    assert await is_signed_in(world)
    again = await enter_password(world)
    refused = await submit(world.http, again, find_form(again, "/sign-in/code"), code=code)
    assert refused.status_code == 422
    assert not await is_signed_in(world)


async def test_the_code_that_set_it_up_signs_nobody_in(world: World) -> None:
    secret, _ = await turn_on(world)
    page = await enter_password(world)
    used = make_code(secret, world.deployment.clock.now - 30)
    assert (await submit(world.http, page, find_form(page, "/sign-in/code"), code=used)).status_code == 422


async def test_recovery_code_signs_in_once(world: World) -> None:
    _, codes = await turn_on(world)
    assert len(set(codes)) == 10
    for status in (303, 422):
        page = await enter_password(world)
        answered = await submit(world.http, page, find_form(page, "/sign-in/code"), code=codes[0].lower())
        assert answered.status_code == status
    assert (await actions(world)).count("user.recovery_code_used") == 1


async def test_guesses_are_counted_and_a_right_code_then_waits_too(world: World) -> None:
    secret, _ = await turn_on(world)
    page = await enter_password(world)
    form = find_form(page, "/sign-in/code")
    for status in [422] * 10 + [429]:
        refused = await submit(world.http, page, form, code="000000")
        assert refused.status_code == status
    assert refused.headers["retry-after"] == "600"
    code = make_code(secret, world.deployment.clock.now)
    assert (await submit(world.http, page, form, code=code)).status_code == 429
    world.deployment.clock.advance(590)
    assert (await submit(world.http, page, form, code="000000")).status_code == 429
    world.deployment.clock.advance(10)
    page = await enter_password(world)
    code = make_code(secret, world.deployment.clock.now)
    assert (await submit(world.http, page, find_form(page, "/sign-in/code"), code=code)).status_code == 303


async def test_half_a_sign_in_is_one_browser_s_and_ends(world: World) -> None:
    secret, _ = await turn_on(world)
    page = await enter_password(world)
    stolen = find_form(page, "/sign-in/code")
    world.http.cookies.clear()
    other = await world.http.get("/sign-in")
    own = find_form(other, "/sign-in")
    code = make_code(secret, world.deployment.clock.now)
    fields = {"csrf_token": own.fields["csrf_token"], "half": stolen.fields["half"], "code": code}
    assert (await world.http.post("/sign-in/code", data=fields)).status_code == 422
    page = await enter_password(world)
    world.deployment.clock.advance(601)
    code = make_code(secret, world.deployment.clock.now)
    assert (await submit(world.http, page, find_form(page, "/sign-in/code"), code=code)).status_code == 422
    assert not await is_signed_in(world)


async def test_second_half_goes_on_to_the_app(world: World) -> None:
    secret, _ = await turn_on(world)
    world.http.cookies.clear()
    page = await open_consent(world.http, world.app)
    form = find_form(page, "/sign-in/code")
    answered = await submit(world.http, page, form, code=make_code(secret, world.deployment.clock.now))
    assert answered.headers["location"].startswith("/oauth2/authorize/?")
    assert await obtain_code(world.http, world.app, world.acorn)


async def test_turning_it_off_needs_the_password(world: World) -> None:
    await turn_on(world)
    page = await world.http.get("/account")
    form = find_form(page, "/account/second-factor/remove")
    assert (await submit(world.http, page, form, password="wrong")).status_code == 422
    assert (await submit(world.http, page, form, password=PASSWORD)).status_code == 303
    assert (await enter_password(world)).status_code == 303
    assert {"user.second_factor_added", "user.second_factor_removed"} <= set(await actions(world))


async def test_new_recovery_codes_end_the_old_ones(world: World) -> None:
    _, codes = await turn_on(world)
    page = await world.http.get("/account")
    page = await submit(world.http, page, find_form(page, "/account/recovery-codes"), password=PASSWORD)
    shown = re.search(r'<pre class="codes"[^>]*>([^<]+)</pre>', page.text)
    assert shown is not None
    assert not set(shown[1].split()) & set(codes)
    for code, status in ((codes[0], 422), (shown[1].split()[0], 303)):
        page = await enter_password(world)
        assert (await submit(world.http, page, find_form(page, "/sign-in/code"), code=code)).status_code == status


async def test_setting_up_needs_a_code_of_the_app(world: World) -> None:
    await world.arrive(world.ann)
    page = await world.http.get("/account")
    form = find_form(page, "/account/second-factor")
    assert (await submit(world.http, page, form, password="wrong")).status_code == 422
    page = await submit(world.http, page, form, password=PASSWORD)
    refused = await submit(world.http, page, find_form(page, "/account/second-factor/confirm"), code="000000")
    assert refused.status_code == 422
    assert read_secret(refused.text) == read_secret(page.text)
    assert (await enter_password(world)).status_code == 303


async def test_secret_of_one_person_is_not_another_s(world: World) -> None:
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.arrive(world.ann)
    page = await world.http.get("/account")
    page = await submit(world.http, page, find_form(page, "/account/second-factor"), password=PASSWORD)
    sealed = find_form(page, "/account/second-factor/confirm").fields["secret"]
    secret = read_secret(page.text)
    await world.arrive(bob)
    page = await world.http.get("/account")
    token = find_form(page, "/account/password").fields["csrf_token"]
    code = make_code(secret, world.deployment.clock.now)
    fields = {"csrf_token": token, "secret": sealed, "code": code}
    refused = await world.http.post("/account/second-factor/confirm", data=fields)
    assert "too long" in refused.text or refused.status_code >= 400
    assert "second_factor" not in " ".join(await actions(world))


async def test_database_has_neither_secret_nor_codes(world: World) -> None:
    secret, codes = await turn_on(world)
    path = world.deployment.path
    raw = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    assert b"ann@example.com" in raw, "what is written is looked through"
    for each in (secret, *(code.encode() for code in (*codes, *(code.replace("-", "") for code in codes)))):
        assert each not in raw


async def test_password_is_changed_and_every_other_browser_signed_out(world: World) -> None:
    await world.arrive(world.ann)
    elsewhere = dict(world.http.cookies)
    await world.arrive(world.ann)
    page = await world.http.get("/account")
    assert "In 2 browsers" in page.text
    form = find_form(page, "/account/password")
    for given, status in (
        ({"password": "wrong", "new_password": NEW_PASSWORD}, 422),
        ({"password": PASSWORD, "new_password": "short"}, 422),
        ({"password": PASSWORD, "new_password": NEW_PASSWORD}, 303),
    ):
        assert (await submit(world.http, page, form, **given)).status_code == status
    assert await is_signed_in(world)
    assert "In this browser alone" in (await world.http.get("/account")).text
    world.http.cookies.clear()
    world.http.cookies.update(elsewhere)
    assert not await is_signed_in(world)
    assert (await enter_password(world)).status_code == 422
    assert (await enter_password(world, NEW_PASSWORD)).status_code == 303
    assert "user.password_changed" in await actions(world)


async def test_sign_out_everywhere_else(world: World) -> None:
    for _ in range(3):
        await world.arrive(world.ann)
    page = await world.http.get("/account")
    assert (await submit(world.http, page, find_form(page, "/account/sign-out-elsewhere"))).status_code == 303
    page = await world.http.get("/account")
    assert "In this browser alone" in page.text
    assert not [form for form in read_forms(page.text) if form.action == "/account/sign-out-elsewhere"]


async def ask_for_reset(world: World, email: str):
    page = await world.http.get("/reset")
    answer = await submit(world.http, page, find_form(page, "/reset"), email=email)
    await world.deployment.services.background.finish()
    return answer


async def read_link(world: World) -> str | None:
    """The link in the newest mail that waits."""
    store = world.deployment.store
    link = None
    while (record := await store.claim_mail(now=world.deployment.clock.now, lease=60)) is not None:
        link = world.deployment.services.post.open(record).values.get("link")
        await store.end_mail(record)
    return link


async def test_reset_by_mail_works_once_and_signs_everybody_out(world: World) -> None:
    await world.arrive(world.ann)
    signed_in = dict(world.http.cookies)
    answer = await ask_for_reset(world, "Ann@Example.com")
    assert answer.status_code == 200
    link = await read_link(world)
    assert link is not None
    path = link.removeprefix(world.deployment.settings.issuer)
    for _ in range(2):
        page = await world.http.get(path)
        assert page.status_code == 200, "looking uses nothing up"
    assert page.headers["referrer-policy"] == "no-referrer"
    [form] = [each for each in read_forms(page.text) if "username" in each.fields]
    fields = form.fields | {"new_password": "short"}
    assert (await world.http.post(path, data=fields)).status_code == 422
    done = await world.http.post(path, data=form.fields | {"new_password": NEW_PASSWORD})
    assert (done.status_code, "Your password is changed" in done.text) == (200, True)
    assert (await world.http.post(path, data=form.fields | {"new_password": "yet another one"})).status_code == 410
    world.http.cookies.clear()
    world.http.cookies.update(signed_in)
    assert not await is_signed_in(world)
    assert (await enter_password(world, NEW_PASSWORD)).status_code == 303
    assert await read_link(world) == f"{world.deployment.settings.issuer}/reset", "and a mail says that it was changed"


async def test_reset_keeps_the_second_factor(world: World) -> None:
    secret, _ = await turn_on(world)
    world.http.cookies.clear()
    await ask_for_reset(world, "ann@example.com")
    path = (await read_link(world) or "").removeprefix(world.deployment.settings.issuer)
    page = await world.http.get(path)
    [form] = [each for each in read_forms(page.text) if "username" in each.fields]
    await world.http.post(path, data=form.fields | {"new_password": NEW_PASSWORD})
    page = await enter_password(world, NEW_PASSWORD)
    assert "Enter your code" in page.text
    assert secret


async def test_reset_expires_and_a_changed_password_ends_it(world: World) -> None:
    issuer = world.deployment.settings.issuer
    await ask_for_reset(world, "ann@example.com")
    path = (await read_link(world) or "").removeprefix(issuer)
    world.deployment.clock.advance(1801)
    assert (await world.http.get(path)).status_code == 410
    await ask_for_reset(world, "ann@example.com")
    path = (await read_link(world) or "").removeprefix(issuer)
    await world.arrive(world.ann)
    page = await world.http.get("/account")
    given = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    await submit(world.http, page, find_form(page, "/account/password"), **given)
    assert (await world.http.get(path)).status_code == 410


async def test_reset_tells_nobody_who_has_an_account(world: World) -> None:
    known, unknown = await ask_for_reset(world, "ann@example.com"), await ask_for_reset(world, "nobody@example.com")
    pages = [re.sub(r'value="[^"]*"|nonce="[^"]*"|req_\w+', "", unescape(each.text)) for each in (known, unknown)]
    assert pages[0].replace("ann@example.com", "X") == pages[1].replace("nobody@example.com", "X")
    assert await read_link(world) is not None
    assert await read_link(world) is None


async def test_mail_is_sent_three_times_at_most(world: World) -> None:
    for _ in range(6):
        assert (await ask_for_reset(world, "ann@example.com")).status_code == 200
    count = 0
    while await world.deployment.store.claim_mail(now=world.deployment.clock.now, lease=60) is not None:
        count += 1
    assert count == 3


@pytest.mark.parametrize("path", ["/reset/x", "/reset/" + "0" * 64, "/reset/" + "é" * 10, "/reset/%00"])
async def test_link_that_nobody_was_sent_is_gone(world: World, path) -> None:
    assert (await world.http.get(path)).status_code == 410


async def test_scope_of_high_risk_needs_a_sign_in_of_today(world: World) -> None:
    await world.arrive(world.ann)
    world.deployment.clock.advance(12 * 3600 + 1)
    query = {"client_id": world.app.client_id, "response_type": "code"}
    answer = await world.http.get("/oauth2/authorize/", params=query)
    assert answer.headers["location"].startswith("/sign-in?continue=")
    page = await world.http.get(answer.headers["location"])
    assert "Show once more that it is you" in page.text
    back = await submit(world.http, page, find_form(page, "/sign-in"), email="ann@example.com", password=PASSWORD)
    assert (await world.http.get(back.headers["location"])).status_code == 200


@pytest.mark.parametrize("email", ["nobody@example.com", "ann@example.com\0", "ann@example.com"])
async def test_way_back_in_is_mailed_to_nobody_without_an_account_that_may_sign_in(world: World, email: str) -> None:
    """Without a word, and without a fault behind the answer; Ann's account is disabled."""
    store, now = world.deployment.store, world.deployment.clock.now
    await store.disable_user(world.ann, now=now, origin=COMMAND_LINE)
    await world.deployment.services.accounts.send_reset(email, locale="en")
    assert await store.claim_mail(now=now, lease=60) is None


async def test_way_back_in_is_mailed_in_the_language_that_was_read(world: World) -> None:
    accounts, store = world.deployment.services.accounts, world.deployment.store
    await accounts.send_reset("ann@example.com", locale="fr")
    record = await store.claim_mail(now=world.deployment.clock.now, lease=60)
    assert record is not None
    mail = world.deployment.services.post.open(record)
    assert (mail.to, mail.template, mail.locale) == ("ann@example.com", "password_reset", "fr")
    token = mail.values["link"].rpartition("/")[2]
    assert await accounts.reset(token, NEW_PASSWORD, ends_passkeys=False, locale="de", origin=COMMAND_LINE)
    changed = await store.claim_mail(now=world.deployment.clock.now, lease=60)
    assert changed is not None
    told = world.deployment.services.post.open(changed)
    assert (told.to, told.template, told.locale) == ("ann@example.com", "password_changed", "de")
