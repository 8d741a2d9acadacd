"""Passkeys at the pages: made, listed, used, removed; and everything that is not one refused."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from latchstring.authorization_server.events import COMMAND_LINE, Action, EventFilter, Origin
from latchstring.authorization_server.mail import Mail
from latchstring.authorization_server.passkeys import CHALLENGE_LIFETIME, MAX_PASSKEYS, RECENT_SIGN_IN, find_handle
from tests.support.authenticator import (
    BACKED_UP,
    EDDSA,
    ELIGIBLE,
    ES256,
    PRESENT,
    RS256,
    VERIFIED,
    Passkey,
    decode,
    encode,
    make_key,
    render_key,
)
from tests.support.deployment import ISSUER, PASSWORD
from tests.support.forms import find_form, read_forms, submit
from tests.support.journey import obtain_code
from tests.support.passkeys import ADD, SIGN_IN, add_passkey, present, read_question, send
from tests.web.answers import assert_page
from tests.web.conftest import MakeWorld, World
from tests.web.state import dump
from tests.web.test_account import NEW_PASSWORD, ask_for_reset, enter_password, is_signed_in, read_link, turn_on

NAME = "__Host-latchstring_session"
NOT_ADDED, NOT_SIGNED_IN = "The passkey was not added", "This passkey does not sign in here"


REASONS = {
    "already there",
    "assertion",
    "attestation format",
    "attestation object",
    "backup eligibility",
    "base64url",
    "challenge",
    "client data",
    "credential",
    "credential id",
    "cross-origin",
    "no relying party",
    "origin",
    "public key",
    "registration",
    "type",
    "unknown passkey",
    "user",
    "user handle",
}
"""What the log says of a refusal: words of ours alone."""


@pytest.fixture(autouse=True)
def only_known_reasons() -> Iterator[None]:
    with capture_logs() as logs:
        yield
    told = [entry["reason"] for entry in logs if entry["event"] == "passkey_refused"]
    assert all(reason in REASONS or reason.startswith("use ") for reason in told), told


async def actions(world: World) -> list[str]:
    found = await world.deployment.store.find_events(EventFilter(user_id=world.ann), before=None, at_most=50)
    return [record.event.action.value for record in reversed(found) if "passkey" in record.event.action.value]


async def read_mails(world: World) -> list[tuple[str, str]]:
    """Which mail waits, for whom."""
    found: list[tuple[str, str]] = []
    store = world.deployment.store
    while (record := await store.claim_mail(now=world.deployment.clock.now, lease=60)) is not None:
        mail = world.deployment.services.post.open(record)
        found.append((mail.template, mail.values["passkey"]))
        await store.end_mail(record)
    return found


async def arrive_with_passkey(world: World, passkey: Passkey | None = None) -> Passkey:
    """Ann makes a passkey, and her browser forgets her."""
    await world.arrive(world.ann)
    passkey, answer = await add_passkey(world.http, passkey)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ADD}?done=added")
    world.http.cookies.clear()
    return passkey


# -- the way of a passkey


@pytest.mark.parametrize("algorithm", [ES256, EDDSA, RS256])
@pytest.mark.parametrize("count", [None, 0])
async def test_passkey_of_every_kind_signs_in(world: World, algorithm: int, count: int | None) -> None:
    passkey = await arrive_with_passkey(world, Passkey(algorithm=algorithm, count=count))
    for _ in range(2):
        world.http.cookies.clear()
        page = await world.http.get("/sign-in")
        before = world.http.cookies[NAME]
        answer = await send(world.http, page, SIGN_IN, passkey.get(read_question(page), origin=ISSUER))
        assert (answer.status_code, answer.headers["location"]) == (303, "/connections")
        assert world.http.cookies[NAME] != before, "the session's cookie is another one"
        assert await is_signed_in(world)


async def test_passkey_is_listed_with_its_name_and_use(world: World) -> None:
    passkey = await arrive_with_passkey(world, Passkey(is_synced=False))
    await present(world.http, passkey)
    page = await world.http.get(ADD)
    assert_page(page, 200)
    assert "<bdi>My phone</bdi>" in page.text
    assert "On one device" in page.text
    assert "never" not in page.text
    assert "One passkey signs you in" in (await world.http.get("/account")).text
    assert await actions(world) == ["passkey.added"]
    assert await read_mails(world) == [("passkey_added", "My phone")]


async def test_question_names_account_by_nothing_that_says_whose_it_is(world: World) -> None:
    await world.arrive(world.ann)
    known, _ = await add_passkey(world.http)
    asked = msgspec.json.decode(read_question(await world.http.get(ADD)))
    assert asked["rp"] == {"id": "auth.example", "name": "Northwind CRM"}
    handle = decode(asked["user"]["id"])
    assert (handle, len(handle)) == (find_handle(world.ann), 32)
    assert [each["id"] for each in asked["excludeCredentials"]] == [encode(known.credential_id)]
    assert asked["excludeCredentials"][0]["transports"] == ["internal", "hybrid"]
    chosen = {"requireResidentKey": True, "residentKey": "required", "userVerification": "required"}
    assert asked["authenticatorSelection"] == chosen
    assert asked["attestation"] == "none"
    assert [each["alg"] for each in asked["pubKeyCredParams"]] == [EDDSA, ES256, RS256]
    world.http.cookies.clear()
    asked = msgspec.json.decode(read_question(await world.http.get("/sign-in")))
    assert (asked["rpId"], asked["allowCredentials"], asked["userVerification"]) == ("auth.example", [], "required")


async def test_passkey_asks_for_no_code(world: World) -> None:
    await turn_on(world)
    passkey = await arrive_with_passkey(world)
    assert (await present(world.http, passkey)).status_code == 303
    assert await is_signed_in(world)
    assert "Enter your code" in (await enter_password(world)).text, "the password alone still does not"


async def test_passkey_goes_on_to_the_app(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    query = {"client_id": world.app.client_id, "response_type": "code"}
    answer = await world.http.get("/oauth2/authorize/", params=query)
    page = await world.http.get(answer.headers["location"])
    assert "Mailloop" in page.text
    answer = await send(world.http, page, SIGN_IN, passkey.get(read_question(page), origin=ISSUER))
    assert answer.headers["location"].startswith("/oauth2/authorize/?")
    assert (await world.http.get(answer.headers["location"])).status_code == 200
    assert await obtain_code(world.http, world.app, world.acorn)


async def test_passkey_is_a_fresh_sign_in(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    await world.arrive(world.ann)
    world.deployment.clock.advance(12 * 3600 + 1)
    query = {"client_id": world.app.client_id, "response_type": "code"}
    answer = await world.http.get("/oauth2/authorize/", params=query)
    page = await world.http.get(answer.headers["location"])
    assert "Show once more that it is you" in page.text
    answer = await send(world.http, page, SIGN_IN, passkey.get(read_question(page), origin=ISSUER))
    assert (await world.http.get(answer.headers["location"])).status_code == 200


async def test_sign_in_page_without_scripts_shows_no_button_for_passkeys(world: World) -> None:
    page = await world.http.get("/sign-in")
    assert f'action="{SIGN_IN}" class="passkey-form" hidden' in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert 'autocomplete="username webauthn"' in page.text


async def test_script_is_a_file_of_ours(world: World) -> None:
    page = await world.http.get("/sign-in")
    address = page.text.partition("passkeys.js?v=")[2].partition('"')[0]
    script = await world.http.get(f"/static/passkeys.js?v={address}")
    assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")


# -- changes


async def test_passkeys_are_shown_after_a_recent_sign_in_alone(world: World) -> None:
    await world.arrive(world.ann)
    world.deployment.clock.advance(RECENT_SIGN_IN)
    assert (await world.http.get(ADD)).status_code == 200
    world.deployment.clock.advance(1)
    answer = await world.http.get(ADD)
    assert answer.status_code == 303
    page = await world.http.get(answer.headers["location"])
    assert "Show once more that it is you" in page.text
    back = await submit(world.http, page, find_form(page, "/sign-in"), email="ann@example.com", password=PASSWORD)
    assert back.headers["location"].startswith(f"{ADD}?again=true&visit=")
    assert (await world.http.get(back.headers["location"])).status_code == 200


@pytest.mark.parametrize("verb", ["rename", "remove"])
async def test_change_after_a_while_asks_to_sign_in_and_changes_nothing(world: World, verb: str) -> None:
    await arrive_with_passkey(world)
    await world.arrive(world.ann)
    page = await world.http.get(ADD)
    [form] = [form for form in read_forms(page.text) if form.action.endswith(verb)]
    world.deployment.clock.advance(RECENT_SIGN_IN + 1)
    before = [row for row in dump(world) if row[0] == "passkey"]
    answer = await submit(world.http, page, form, name="Mine now")
    assert answer.headers["location"].startswith("/sign-in?continue=")
    assert [row for row in dump(world) if row[0] == "passkey"] == before


async def test_rename_keeps_the_passkey(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    await world.arrive(world.ann)
    page = await world.http.get(ADD)
    [form] = [form for form in read_forms(page.text) if form.action.endswith("rename")]
    answer = await submit(world.http, page, form, name="  Key\tring \u202e<b> " + "x" * 100)
    assert answer.headers["location"] == f"{ADD}?done=renamed"
    page = await world.http.get(ADD)
    assert "<bdi>Key ring &lt;b&gt; xxx" in page.text
    world.http.cookies.clear()
    assert (await present(world.http, passkey)).status_code == 303


async def test_removed_passkey_signs_in_no_more_and_ends_nothing_else(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    await present(world.http, passkey)
    elsewhere = dict(world.http.cookies)
    await world.arrive(world.ann)
    page = await world.http.get(ADD)
    [form] = [form for form in read_forms(page.text) if form.action.endswith("remove")]
    assert (await submit(world.http, page, form)).headers["location"] == f"{ADD}?done=removed"
    assert (await submit(world.http, page, form)).status_code == 404
    assert sorted(await actions(world)) == ["passkey.added", "passkey.removed"]
    assert sorted(await read_mails(world)) == [("passkey_added", "My phone"), ("passkey_removed", "My phone")]
    world.http.cookies.clear()
    answer = await present(world.http, passkey)
    assert_page(answer, 422)
    assert NOT_SIGNED_IN in answer.text
    world.http.cookies.clear()
    world.http.cookies.update(elsewhere)
    assert await is_signed_in(world)


async def test_mail_about_a_passkey_is_in_the_language_of_the_page_and_leads_back_to_it(world: World) -> None:
    world.http.headers["accept-language"] = "fr"
    await arrive_with_passkey(world)
    world.http.headers["accept-language"] = "de"
    await world.arrive(world.ann)
    page = await world.http.get(ADD)
    [form] = [form for form in read_forms(page.text) if form.action.endswith("remove")]
    await submit(world.http, page, form)
    told = []
    while record := await world.deployment.store.claim_mail(now=world.deployment.clock.now, lease=60):
        told.append(world.deployment.services.post.open(record))
        await world.deployment.store.end_mail(record)
    values = {"passkey": "My phone", "link": f"{ISSUER}{ADD}"}
    assert sorted(told, key=lambda mail: mail.template) == [
        Mail(to="ann@example.com", template="passkey_added", locale="fr", values=values),
        Mail(to="ann@example.com", template="passkey_removed", locale="de", values=values),
    ]


async def test_passkey_of_somebody_else_is_not_found(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    await world.arrive(world.ann)
    page = await world.http.get(ADD)
    [form] = [form for form in read_forms(page.text) if form.action.endswith("remove")]
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.arrive(bob)
    token = find_form(await world.http.get(ADD), ADD).fields["csrf_token"]
    for path in (form.action, form.action.replace("remove", "rename"), f"{ADD}/x/remove"):
        assert (await world.http.post(path, data={"csrf_token": token, "name": "x"})).status_code == 404
    world.http.cookies.clear()
    assert (await present(world.http, passkey)).status_code == 303


async def test_account_has_a_bounded_number_of_passkeys(world: World) -> None:
    await world.arrive(world.ann)
    page = await world.http.get(ADD)
    for _ in range(MAX_PASSKEYS):
        await add_passkey(world.http)
    assert "as many passkeys as an account can have" in (await world.http.get(ADD)).text
    known = await world.deployment.store.find_passkeys(world.ann)
    ann = await world.deployment.store.find_user(world.ann)
    assert ann is not None
    assert world.deployment.services.passkeys.ask_for_new(ann, known, cookie="any") is None
    refused = await send(world.http, page, ADD, Passkey().create(read_question(page), origin=ISSUER))
    assert refused.status_code == 422
    assert len([row for row in dump(world) if row[0] == "passkey"]) == MAX_PASSKEYS


async def test_passkey_without_a_name_gets_one(world: World) -> None:
    await world.arrive(world.ann)
    await add_passkey(world.http, name=" \t")
    assert "<bdi>Passkey</bdi>" in (await world.http.get(ADD)).text


# -- what is no registration

ES_KEY = make_key(ES256)
WRONG_REGISTRATIONS: dict[str, dict[str, Any]] = {
    "origin": {"origin": "https://auth.example.evil"},
    "origin of a neighbour": {"origin": "https://www.auth.example"},
    "origin without TLS": {"origin": "http://auth.example"},
    "origin with a port": {"origin": "https://auth.example:8443"},
    "relying party": {"rp_id": "example"},
    "type": {"client_data": {"type": "webauthn.get"}},
    "frame": {"client_data": {"crossOrigin": True}},
    "challenge": {"client_data": {"challenge": encode(bytes(43))}},
    "challenge of no form": {"client_data": {"challenge": "é"}},
    "user not verified": {"flags": PRESENT},
    "user not present": {"flags": VERIFIED},
    "backup of what cannot be backed up": {"flags": PRESENT | VERIFIED | BACKED_UP},
    "attestation that nobody asked for": {
        "attestation": {"fmt": "packed", "attStmt": {"alg": -7, "sig": b"", "x5c": [b""]}}
    },
    "attestation of another kind": {"attestation": {"fmt": "tpm"}},
    "attestation signed wrongly": {"attestation": {"fmt": "packed", "attStmt": {"alg": -7, "sig": bytes(70)}}},
    "algorithm": {"public_key": {**render_key(ES_KEY, ES256), 3: -35}},
    "algorithm of another key": {"public_key": {**render_key(ES_KEY, ES256), 3: RS256}},
    "point off the curve": {"public_key": {**render_key(ES_KEY, ES256), -2: bytes(32)}},
    "curve": {
        "public_key": {
            1: 2,
            3: ES256,
            -1: 2,
            -2: (numbers := ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()).x.to_bytes(
                48, "big"
            ),
            -3: numbers.y.to_bytes(48, "big"),
        }
    },
    "short RSA key": {"public_key": render_key(make_key(RS256, rsa_bits=1024), RS256)},
}


@pytest.mark.parametrize("what", WRONG_REGISTRATIONS)
async def test_registration_that_is_wrong_adds_nothing(world: World, what: str) -> None:
    await world.arrive(world.ann)
    _, answer = await add_passkey(world.http, **WRONG_REGISTRATIONS[what])
    assert_page(answer, 422)
    assert NOT_ADDED in answer.text
    assert await world.deployment.store.find_passkeys(world.ann) == []
    assert (await actions(world), await read_mails(world)) == ([], [])


async def test_registration_signed_by_its_own_key_is_taken(world: World) -> None:
    await world.arrive(world.ann)
    _, answer = await add_passkey(world.http, attestation={"fmt": "packed"})
    assert answer.status_code == 303


async def test_registration_counts_once(world: World) -> None:
    """The same answer many times at once, and once more after the passkey is gone."""
    await world.arrive(world.ann)
    page = await world.http.get(ADD)
    answer = Passkey().create(read_question(page), origin=ISSUER)
    sent = await asyncio.gather(*(send(world.http, page, ADD, answer) for _ in range(8)))
    assert sorted(each.status_code for each in sent) == [303] + [422] * 7
    (passkey,) = await world.deployment.store.find_passkeys(world.ann)
    listed = await world.http.get(ADD)
    [form] = [form for form in read_forms(listed.text) if form.action.endswith("remove")]
    await submit(world.http, listed, form)
    assert (await send(world.http, page, ADD, answer)).status_code == 422
    assert await world.deployment.store.find_passkey(passkey.credential_hash) is None


async def test_registration_is_of_one_browser_one_user_and_one_moment(world: World) -> None:
    await world.arrive(world.ann)
    page = await world.http.get(ADD)
    late = Passkey().create(read_question(page), origin=ISSUER)
    bob = await world.deployment.user("bob@example.com", "Bob")
    for user_id in (bob, world.ann):
        await world.arrive(user_id)
        own = await world.http.get(ADD)
        assert (await send(world.http, own, ADD, late)).status_code == 422
    world.deployment.clock.advance(CHALLENGE_LIFETIME)
    own = await world.http.get(ADD)
    answer = Passkey().create(read_question(own), origin=ISSUER)
    world.deployment.clock.advance(CHALLENGE_LIFETIME)
    added = await send(world.http, own, ADD, answer)
    assert added.headers["location"] == f"{ADD}?done=added", "until the last second"
    await world.arrive(world.ann)
    own = await world.http.get(ADD)
    answer = Passkey().create(read_question(own), origin=ISSUER)
    world.deployment.clock.advance(CHALLENGE_LIFETIME + 1)
    refused = await send(world.http, own, ADD, answer)
    assert refused.headers["location"].startswith("/sign-in?continue="), "by then the sign-in is old, too"


async def test_credential_of_another_account_is_not_taken(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.arrive(bob)
    _, refused = await add_passkey(world.http, Passkey(credential_id=passkey.credential_id))
    assert refused.status_code == 422
    (kept,) = await world.deployment.store.find_passkeys(world.ann)
    assert kept.credential_id == passkey.credential_id


async def test_challenge_of_a_sign_in_makes_no_passkey(world: World) -> None:
    await world.arrive(world.ann)
    page = await world.http.get(ADD)
    question = msgspec.json.decode(read_question(page))
    cookie = dict(world.http.cookies)
    world.http.cookies.clear()
    other = msgspec.json.decode(read_question(await world.http.get("/sign-in")))
    world.http.cookies.clear()
    world.http.cookies.update(cookie)
    question["challenge"] = other["challenge"]
    answer = Passkey().create(msgspec.json.encode(question).decode(), origin=ISSUER)
    assert (await send(world.http, page, ADD, answer)).status_code == 422


# -- what is no sign-in

WRONG_SIGN_INS: dict[str, dict[str, Any]] = {
    "origin": {"origin": "https://auth.example.evil"},
    "origin of a neighbour": {"origin": "https://www.auth.example"},
    "relying party": {"rp_id": "example"},
    "type": {"client_data": {"type": "webauthn.create"}},
    "frame": {"client_data": {"crossOrigin": True}},
    "challenge": {"client_data": {"challenge": encode(bytes(43))}},
    "user not verified": {"flags": PRESENT | ELIGIBLE},
    "user not present": {"flags": VERIFIED | ELIGIBLE},
    "backup of what cannot be backed up": {"flags": PRESENT | VERIFIED | BACKED_UP},
    "no longer synced": {"flags": PRESENT | VERIFIED},
}


@pytest.mark.parametrize("what", WRONG_SIGN_INS)
async def test_sign_in_that_is_wrong_signs_nobody_in(world: World, what: str) -> None:
    passkey = await arrive_with_passkey(world)
    answer = await present(world.http, passkey, **WRONG_SIGN_INS[what])
    assert_page(answer, 422)
    assert NOT_SIGNED_IN in answer.text
    assert not await is_signed_in(world)
    (kept,) = await world.deployment.store.find_passkeys(world.ann)
    assert kept.last_used_at is None


async def test_sign_in_by_a_key_that_is_another_is_refused(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    forged = Passkey(credential_id=passkey.credential_id, user_handle=passkey.user_handle)
    unknown = Passkey(user_handle=passkey.user_handle)
    answers = [await present(world.http, each) for each in (forged, unknown)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert len({len(answer.text) for answer in answers}) == 1, "nobody learns which credentials there are"


@pytest.mark.parametrize("handle", [b"", b"x", find_handle("user_2")])
async def test_sign_in_by_another_handle_is_refused(world: World, handle: bytes) -> None:
    passkey = await arrive_with_passkey(world)
    passkey.user_handle = handle
    assert (await present(world.http, passkey)).status_code == 422


async def test_sign_in_counts_once_whoever_races(world: World) -> None:
    """The same assertion many times at once, by an authenticator that does not count: one session begins."""
    passkey = await arrive_with_passkey(world)
    page = await world.http.get("/sign-in")
    answer = passkey.get(read_question(page), origin=ISSUER)
    cookies = dict(world.http.cookies)

    async def race() -> httpx.Response:
        async with world.deployment.http(cookies=cookies) as http:
            return await send(http, page, SIGN_IN, answer)

    sent = await asyncio.gather(*(race() for _ in range(8)))
    assert sorted(each.status_code for each in sent) == [303] + [422] * 7
    assert (await race()).status_code == 422


async def test_sign_in_is_of_one_browser_and_one_moment(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    page = await world.http.get("/sign-in")
    stolen = passkey.get(read_question(page), origin=ISSUER)
    world.http.cookies.clear()
    own = await world.http.get("/sign-in")
    assert (await send(world.http, own, SIGN_IN, stolen)).status_code == 422
    answer = passkey.get(read_question(own), origin=ISSUER)
    world.deployment.clock.advance(CHALLENGE_LIFETIME + 1)
    refused = await send(world.http, own, SIGN_IN, answer)
    assert refused.status_code == 422
    assert "This page was open for a long time" in refused.text
    assert not await is_signed_in(world)


async def test_challenge_that_a_refusal_met_is_not_used_up(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    page = await world.http.get("/sign-in")
    question = read_question(page)
    wrong = passkey.get(question, origin=ISSUER, flags=PRESENT)
    assert (await send(world.http, page, SIGN_IN, wrong)).status_code == 422
    assert (await send(world.http, page, SIGN_IN, passkey.get(question, origin=ISSUER))).status_code == 303


@pytest.mark.parametrize(
    "known, presented, status", [(5, 6, 303), (5, 5, 422), (5, 4, 422), (5, 0, 422), (0, 0, 303), (0, 1, 303)]
)
async def test_count_that_does_not_grow_is_refused_and_recorded(
    world: World, known: int, presented: int, status: int
) -> None:
    passkey = Passkey(count=known)
    passkey = await arrive_with_passkey(world, passkey)
    answer = await present(world.http, passkey, count=presented)
    assert answer.status_code == status
    (kept,) = await world.deployment.store.find_passkeys(world.ann)
    assert kept.sign_count == (presented if status == 303 else known)
    suspected = EventFilter(user_id=world.ann, action=Action.PASSKEY_SUSPECTED)
    told = await world.deployment.store.find_events(suspected, before=None, at_most=9)
    wanted = Origin("user", world.ann, "127.0.0.1", answer.headers["x-request-id"])
    assert [one.event.origin for one in told] == ([wanted] if status == 422 else [])


async def test_disabled_person_does_not_sign_in_and_is_told(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    store = world.deployment.store
    await store.disable_user(world.ann, now=world.deployment.clock.now, origin=COMMAND_LINE)
    answer = await present(world.http, passkey)
    assert (answer.status_code, "disabled" in answer.text) == (403, True)
    stranger = await present(world.http, Passkey(credential_id=passkey.credential_id, user_handle=passkey.user_handle))
    assert (stranger.status_code, NOT_SIGNED_IN in stranger.text) == (422, True)
    await store.enable_user(world.ann, now=world.deployment.clock.now, origin=COMMAND_LINE)
    assert (await present(world.http, passkey)).status_code == 303
    await store.delete_user(world.ann, now=world.deployment.clock.now, origin=COMMAND_LINE)
    world.http.cookies.clear()
    assert (await present(world.http, passkey)).status_code == 422
    assert await store.find_passkeys(world.ann) == []


async def test_passkeys_are_counted_by_source(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    stranger = Passkey(user_handle=passkey.user_handle)
    page = await world.http.get("/sign-in")
    question = read_question(page)
    for _ in range(100):
        wrong = await send(world.http, page, SIGN_IN, stranger.get(question, origin=ISSUER))
        assert wrong.status_code == 422
    waiting = await send(world.http, page, SIGN_IN, passkey.get(question, origin=ISSUER))
    assert (waiting.status_code, waiting.headers["retry-after"]) == (429, "300")


async def test_right_passkeys_are_no_attempts(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    for _ in range(101):
        world.http.cookies.clear()
        assert (await present(world.http, passkey)).status_code == 303


# -- what is nothing at all

MALFORMED: dict[str, Any] = {
    "nothing": "",
    "no JSON": "{",
    "nested": "[" * 5000,
    "another shape": "[]",
    "no response": {"id": "AA", "type": "public-key"},
    "another type": {"id": "AA", "type": "password", "response": {"clientDataJSON": "e30"}},
    "surrogates": '{"id": "\\ud800", "type": "public-key", "response": {"clientDataJSON": "e30"}}',
    "no base64url": {"id": "AA", "type": "public-key", "response": {"clientDataJSON": "!"}},
    "client data of no form": {"id": "AA", "type": "public-key", "response": {"clientDataJSON": encode(b"\xff")}},
    "client data nested": {"id": "AA", "type": "public-key", "response": {"clientDataJSON": encode(b"[" * 3000)}},
}


@pytest.mark.parametrize("what", MALFORMED)
@pytest.mark.parametrize("path", [ADD, SIGN_IN])
async def test_malformed_answer_is_400(world: World, path: str, what: str) -> None:
    page = await _open(world, path)
    assert_page(await send(world.http, page, path, MALFORMED[what]), 400)


async def _open(world: World, path: str) -> httpx.Response:
    if path == SIGN_IN:
        return await world.http.get("/sign-in")
    await world.arrive(world.ann)
    return await world.http.get(ADD)


def _cbor(depth: int) -> bytes:
    return b"\x81" * depth + b"\x00"


ODD_CBOR: dict[str, bytes] = {
    "nothing": b"",
    "cut off": b"\xa3cfmt",
    "huge length": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "huge map": b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
    "nested": _cbor(5000),
    "no map": b"\x01",
    "no members": b"\xa0",
    "data of another type": b"\xa3cfmtdnonegattStmt\xa0hauthData\x01",
    "statement of another type": b"\xa3cfmtdnonegattStmt\x01hauthData\x58\x25" + bytes(37),
    "a tag": b"\xc2\x41\x00",
    "data too short": b"\xa3cfmtdnonegattStmt\xa0hauthData\x41\x00",
    "no key": b"\xa3cfmtdnonegattStmt\xa0hauthData\x58\x25" + bytes(32) + b"\x45" + bytes(4),
}


@pytest.mark.parametrize("what", ODD_CBOR)
async def test_malformed_cbor_is_refused_and_never_a_defect(world: World, what: str) -> None:
    page = await _open(world, ADD)
    answer = Passkey().create(read_question(page), origin=ISSUER)
    answer["response"]["attestationObject"] = encode(ODD_CBOR[what])
    refused = await send(world.http, page, ADD, answer)
    assert refused.status_code in {400, 422}
    assert await world.deployment.store.find_passkeys(world.ann) == []


@pytest.mark.parametrize("data", [b"", bytes(36), bytes(37), bytes(32) + b"\xc5" + bytes(100), _cbor(5000)])
async def test_malformed_authenticator_data_is_refused(world: World, data: bytes) -> None:
    passkey = await arrive_with_passkey(world)
    page = await world.http.get("/sign-in")
    answer = passkey.get(read_question(page), origin=ISSUER)
    answer["response"]["authenticatorData"] = encode(data)
    assert (await send(world.http, page, SIGN_IN, answer)).status_code == 422


async def test_form_of_another_page_is_refused(world: World) -> None:
    """CSRF: what an attacker's page would have a browser post."""
    passkey = await arrive_with_passkey(world)
    page = await world.http.get("/sign-in")
    credential = msgspec.json.encode(passkey.get(read_question(page), origin=ISSUER)).decode()
    assert (await world.http.post(SIGN_IN, data={"credential": credential})).status_code == 403


# -- beside passwords


async def test_reset_by_mail_keeps_passkeys_unless_told(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    for ends, status in ((False, 303), (True, 422)):
        world.deployment.clock.advance(1)  # mails of one second have no order, and the link is in the newest
        await ask_for_reset(world, "ann@example.com")
        path = (await read_link(world) or "").removeprefix(ISSUER)
        page = await world.http.get(path)
        assert "Remove my passkey as well" in page.text
        [form] = [each for each in read_forms(page.text) if "username" in each.fields]
        chosen = {"ends_passkeys": "true"} if ends else {}
        done = await world.http.post(path, data={**form.fields, "new_password": NEW_PASSWORD, **chosen})
        assert done.status_code == 200
        await read_link(world)  # the mail that tells of the change: of two in one second, neither is the newest
        world.http.cookies.clear()
        assert (await present(world.http, passkey)).status_code == status
        world.http.cookies.clear()
    assert (await actions(world))[-1] == "passkey.removed"


async def test_sign_out_elsewhere_and_another_password_keep_passkeys(world: World) -> None:
    passkey = await arrive_with_passkey(world)
    await world.arrive(world.ann)
    await world.arrive(world.ann)
    page = await world.http.get("/account")
    await submit(world.http, page, find_form(page, "/account/sign-out-elsewhere"))
    given = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    await submit(world.http, page, find_form(page, "/account/password"), **given)
    world.http.cookies.clear()
    assert (await present(world.http, passkey)).status_code == 303


# -- where there are none


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8400", "http://[::1]:8400", "https://192.0.2.1"])
async def test_server_under_an_address_has_no_passkeys(make_world: MakeWorld, issuer: str) -> None:
    world = await make_world(issuer=issuer)
    page = await world.http.get("/sign-in")
    assert "passkey" not in page.text.lower()
    token = find_form(page, "/sign-in").fields["csrf_token"]
    assert (await world.http.post(SIGN_IN, data={"csrf_token": token, "credential": "{}"})).status_code == 422
    await enter_password(world)
    for path in ("/account", ADD):
        page = await world.http.get(path)
        assert "there are none here" in page.text
        assert "data-passkey" not in page.text
    token = find_form(await world.http.get("/account"), "/account/password").fields["csrf_token"]
    assert (await world.http.post(ADD, data={"csrf_token": token, "credential": "{}"})).status_code == 422


async def test_server_on_localhost_has_passkeys(make_world: MakeWorld) -> None:
    world = await make_world(issuer="http://localhost:8400")
    await enter_password(world)
    passkey, answer = await add_passkey(world.http)
    assert answer.status_code == 303
    world.http.cookies.clear()
    assert (await present(world.http, passkey)).status_code == 303


async def test_issuer_with_a_path_asks_under_its_host(make_world: MakeWorld) -> None:
    world = await make_world(issuer="https://example.com/login")
    page = await world.http.get("https://example.com/login/sign-in")
    asked = msgspec.json.decode(read_question(page))
    assert asked["rpId"] == "example.com"
    assert 'action="/login/sign-in/passkey"' in page.text
