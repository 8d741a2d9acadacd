"""What a member can choose on the consent page, what their role keeps back, and what is new since the last time."""

from typing import Any

import httpx
import msgspec
import pytest

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.settings import ScopeDefinition, ScopeGroup
from latchstring.wiring import build_renderer
from tests.support.deployment import App
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, exchange, introspect, open_consent, refresh
from tests.web.answers import assert_page
from tests.web.conftest import World
from tests.web.state import dump, find_grant, find_grants

DAY = 24 * 3600
SCOPES = {
    "contacts.read": ScopeDefinition(title="Read contacts", titles={"de": "Kontakte lesen"}, group="crm", risk="low"),
    "mail.send": ScopeDefinition(title="Send mail", group="mail", is_optional=True),
    "members.delete": ScopeDefinition(title="Remove members", roles=("admin",), risk="high"),
}
SETTINGS: dict[str, Any] = {
    "scopes": SCOPES,
    "scope_groups": {
        "mail": ScopeGroup(title="Mail"),
        "crm": ScopeGroup(title="The CRM", titles={"de": "Das CRM"}),
    },
}


class Asked:
    """Ann (admin of Acorn, member of Birch) before the page of an app that asks for all."""

    def __init__(self, world: World, app: App, page: httpx.Response) -> None:
        self.world, self.app, self.page = world, app, page

    async def allow(self, organization_id: str, *, without: tuple[str, ...] = (), **fields: str) -> httpx.Response:
        form = find_form(self.page, "/consent")
        ticked = {name: value for name, value in form.checked.items() if name.startswith("keep.")}
        for name in without:
            del ticked[f"keep.{name}"]
        form.checked.clear()
        chosen = {"organization_id": organization_id, "decision": "allow", **ticked, **fields}
        return await submit(self.world.http, self.page, form, **chosen)

    async def redeem(self, response: httpx.Response) -> dict[str, Any]:
        answer: dict[str, Any] = (await exchange(self.world.http, self.app, answer_of(response)["code"])).json()
        return answer


async def ask(make_world: Any, **parameters: str) -> Asked:
    world = await make_world(**SETTINGS)
    app = await world.deployment.app(world.acorn, scope=(*SCOPES, "offline_access"))
    await world.arrive(world.ann)
    return await ask_again(world, app, **parameters)


async def ask_again(world: World, app: App, **parameters: str) -> Asked:
    return Asked(world, app, await open_consent(world.http, app, **parameters))


# -- optional scopes


async def test_optional_scope_left_ticked_is_granted_and_one_unticked_is_not(make_world: Any) -> None:
    """RFC 6749 §3.3: the answer says what was granted."""
    asked = await ask(make_world)
    assert find_form(asked.page, "/consent").checked == {"keep.mail.send": "true"}
    tokens = await asked.redeem(await asked.allow(asked.world.acorn))
    assert tokens["scope"] == "contacts.read mail.send members.delete offline_access"
    asked = await ask_again(asked.world, asked.app)
    tokens = await asked.redeem(await asked.allow(asked.world.acorn, without=("mail.send",)))
    assert tokens["scope"] == "contacts.read members.delete offline_access"
    live = await introspect(asked.world.http, asked.world.guard, tokens["access_token"])
    assert live["scope"] == tokens["scope"]
    wider = await refresh(asked.world.http, asked.app, tokens["refresh_token"], scope="mail.send")
    assert wider.json()["error"] == "invalid_scope"


async def test_scope_struck_out_stays_out_without_a_question_and_unticked_with_one(make_world: Any) -> None:
    asked = await ask(make_world)
    world, app = asked.world, asked.app
    await asked.redeem(await asked.allow(world.acorn, without=("mail.send",)))
    query = {"client_id": app.client_id, "response_type": "code", "organization_id": world.acorn}
    silent = await world.http.get("/oauth2/authorize/", params=query)
    assert (await find_grant(world, answer_of(silent)["code"])).scope == (
        "contacts.read",
        "members.delete",
        "offline_access",
    )
    page = await world.http.get("/oauth2/authorize/", params={**query, "prompt": "consent"})
    assert "keep.mail.send" not in find_form(page, "/consent").checked


async def test_forged_boxes_add_nothing_that_was_not_asked_for(make_world: Any) -> None:
    asked = await ask(make_world, scope="contacts.read")
    forged = {"keep.members.delete": "true", "keep.mail.send": "true", "scope": "members.delete", "keep.x": "true"}
    tokens = await asked.redeem(await asked.allow(asked.world.acorn, **forged))
    assert tokens["scope"] == "contacts.read"


async def test_nothing_left_is_told_and_grants_nothing(make_world: Any) -> None:
    asked = await ask(make_world, scope="mail.send offline_access")
    before = dump(asked.world)
    response = await asked.allow(asked.world.acorn, without=("mail.send",))
    assert_page(response, 422)
    assert "Nothing would be left that the app may do" in response.text
    assert "keep.mail.send" not in find_form(response, "/consent").checked, "the boxes stay as they were"
    assert dump(asked.world) == before


# -- roles


async def test_scope_beyond_the_role_is_shown_as_removed_and_not_granted(make_world: Any) -> None:
    asked = await ask(make_world)
    assert "Not included, because your role there does not allow it:</span>" in asked.page.text.replace(
        " <s>Remove members</s>", "</span>"
    )
    tokens = await asked.redeem(await asked.allow(asked.world.birch))
    assert tokens["scope"] == "contacts.read mail.send offline_access"


async def test_member_whose_role_allows_less_is_told_of_it_for_their_only_organization(make_world: Any) -> None:
    asked = await ask(make_world)
    world = asked.world
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    await world.arrive(bob)
    page = await open_consent(world.http, asked.app)
    assert "Not included: your role in <bdi>Birch &amp; Co</bdi> does not allow it" in page.text
    assert "<s>Remove members</s>" in page.text
    # And once they have agreed to what there is, the same is not asked again.
    response = await Asked(world, asked.app, page).allow(world.birch)
    assert (await find_grant(world, answer_of(response)["code"])).scope == (
        "contacts.read",
        "mail.send",
        "offline_access",
    )
    again = await world.http.get(
        "/oauth2/authorize/", params={"client_id": asked.app.client_id, "response_type": "code", "prompt": "none"}
    )
    assert answer_of(again)["code"]


@pytest.mark.parametrize("before, after", [("admin", "member"), ("member", "admin")])
async def test_a25_role_that_changed_between_page_and_click_is_asked_anew(
    make_world: Any, before: str, after: Any
) -> None:
    asked = await ask(make_world)
    world = asked.world
    organization_id = world.acorn if before == "admin" else world.birch
    await world.deployment.member(world.ann, organization_id, after)
    response = await asked.allow(organization_id)
    assert_page(response, 409)
    assert "Your role there has changed" in response.text
    assert await find_grants(world) == []
    tokens = await asked.redeem(await Asked(world, asked.app, response).allow(organization_id))
    assert ("members.delete" in tokens["scope"]) is (after == "admin")


async def test_forged_roles_are_no_roles(make_world: Any) -> None:
    asked = await ask(make_world)
    for forged in ("", "x", find_form(asked.page, "/consent").fields["request"]):
        assert_page(await asked.allow(asked.world.birch, roles=forged), 409)
    assert await find_grants(asked.world) == []


async def test_role_that_was_lowered_ends_what_a_remembered_consent_gave(make_world: Any) -> None:
    asked = await ask(make_world)
    world = asked.world
    await asked.redeem(await asked.allow(world.acorn))
    await world.deployment.member(world.ann, world.acorn, "member")
    query = {"client_id": asked.app.client_id, "response_type": "code", "organization_id": world.acorn}
    silent = answer_of(await world.http.get("/oauth2/authorize/", params=query))
    assert "members.delete" not in (await find_grant(world, silent["code"])).scope


# -- until when


async def test_lifetime_chosen_ends_the_grant_its_tokens_and_the_consent(make_world: Any) -> None:
    asked = await ask(make_world)
    world, clock = asked.world, asked.world.deployment.clock
    start = clock.now
    tokens = await asked.redeem(await asked.allow(world.acorn, until=str(DAY)))
    grant = await find_grant(world, tokens["refresh_token"])
    assert grant.absolute_expires_at == start + DAY
    clock.advance(DAY - 600)
    tokens = (await refresh(world.http, asked.app, tokens["refresh_token"])).json()
    assert tokens["expires_in"] == 600, "no token outlives what the member chose"
    query = {"client_id": asked.app.client_id, "response_type": "code", "organization_id": world.acorn}
    silent = answer_of(await world.http.get("/oauth2/authorize/", params=query))
    assert (await find_grant(world, silent["code"])).absolute_expires_at == start + DAY
    clock.advance(600)
    assert not (await introspect(world.http, world.guard, tokens["access_token"]))["active"]
    assert (await refresh(world.http, asked.app, tokens["refresh_token"])).json()["error"] == "invalid_grant"
    await world.arrive(world.ann)
    assert find_form(await world.http.get("/oauth2/authorize/", params=query), "/consent")


async def test_lifetime_that_the_page_does_not_offer_is_refused(make_world: Any) -> None:
    asked = await ask(make_world)
    for until in ("3600", "-1", "x", "99999999999999999999"):
        assert_page(await asked.allow(asked.world.acorn, until=until), 400)
    assert await find_grants(asked.world) == []


async def test_lifetime_never_exceeds_the_settings(make_world: Any) -> None:
    world = await make_world(**SETTINGS, refresh_token_absolute_lifetime=30 * DAY)
    app = await world.deployment.app(world.acorn, scope=(*SCOPES, "offline_access"))
    await world.arrive(world.ann)
    asked = await ask_again(world, app)
    assert "for 90 days" not in asked.page.text
    tokens = await asked.redeem(await asked.allow(world.acorn))
    grant = await find_grant(world, tokens["refresh_token"])
    assert grant.absolute_expires_at == world.deployment.clock.now + 30 * DAY


# -- in which words


async def test_scopes_stand_under_what_they_touch_in_the_settings_order_and_the_readers_language(
    make_world: Any,
) -> None:
    world = await make_world(**SETTINGS)
    app = await world.deployment.app(world.acorn, scope=(*SCOPES, "offline_access"))
    await world.arrive(world.ann)
    world.http.headers["accept-language"] = "de"
    text = (await open_consent(world.http, app)).text
    found = [text.index(words) for words in ("Remove members", "Mail</h3>", "Send mail", "Das CRM", "Kontakte lesen")]
    # The one without a group stands first; it is also named where Ann's role keeps it back.
    assert found[1:] == sorted(found[1:])
    assert "Read contacts" not in text
    assert build_renderer(world.deployment.settings).locales


# -- what is new


async def test_only_what_is_new_is_marked_and_the_rest_is_folded(make_world: Any) -> None:
    asked = await ask(make_world, scope="contacts.read offline_access")
    world, app = asked.world, asked.app
    await asked.redeem(await asked.allow(world.acorn))
    fixed = {"organization_id": world.acorn, "organization_selection": "fixed"}
    page = (await ask_again(world, app, **fixed)).page
    assert "New since last time" in page.text
    folded = page.text[page.text.index("<details") :]
    assert "Read contacts" in folded
    assert "Send mail" not in folded
    assert page.text.count('class="fresh"') == 2


async def test_app_that_changed_since_says_how(make_world: Any) -> None:
    asked = await ask(make_world)
    world = asked.world
    await asked.redeem(await asked.allow(world.acorn))
    record = msgspec.structs.replace(
        asked.app.record, name="Mailloop by Google", redirect_uris=("https://evil.example/callback",)
    )
    await world.deployment.store.update_client_details(record, now=world.deployment.clock.now)
    page = (await ask_again(world, asked.app, organization_id=world.acorn)).page
    for words in ("This app has changed since you allowed it", "It was called <bdi>Mailloop</bdi>"):
        assert words in page.text
    assert "You returned to <bdi>app.example</bdi>" in page.text


# -- which organization


async def test_organization_that_the_app_asked_for_is_named_as_that(make_world: Any) -> None:
    page = (await ask(make_world, organization_id="orga_of_others")).page
    assert "asked for an organization that is not one of yours" in page.text
    assert "organization_id" not in find_form(page, "/consent").checked


async def test_organization_of_a_resource_is_the_only_one_to_choose(make_world: Any) -> None:
    """A27: the part of the API that is one organization's, and the form cannot be made to say another."""
    template = "https://api.example/of/{organization_id}"
    world = await make_world(organization_resources={template: "https://api.example/"})
    await world.arrive(world.ann)
    page = await open_consent(world.http, world.app, resource=template.format(organization_id=world.birch))
    form = find_form(page, "/consent")
    assert form.fields["organization_id"] == world.birch
    assert "<bdi>Mailloop</bdi> asked for <bdi>Birch &amp; Co</bdi>." in page.text
    forged = await Asked(world, world.app, page).allow(world.acorn)
    assert_page(forged, 403)
    assert "asked for one organization and no other" in forged.text
    assert await find_grants(world) == []
    response = await Asked(world, world.app, page).allow(world.birch)
    grant = await find_grant(world, answer_of(response)["code"])
    assert (grant.organization_id, grant.resource) == (world.birch, ("https://api.example/",))
    code = answer_of(response)["code"]
    foreign = await exchange(world.http, world.app, code, resource=template.format(organization_id=world.acorn))
    assert foreign.json()["error"] == "invalid_target"
    tokens = await exchange(world.http, world.app, code, resource=template.format(organization_id=world.birch))
    live = await introspect(world.http, world.guard, tokens.json()["access_token"])
    assert (live["aud"], live["organization_id"]) == (["https://api.example/"], world.birch)


async def test_allow_holds_the_role_that_the_page_was_worked_out_for_in_the_very_write(
    make_world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await ask(make_world)
    world = asked.world
    store = world.deployment.store
    commit = store.commit_consent

    async def lower_and_commit(*arguments: Any, **given: Any) -> Any:
        await world.deployment.member(world.ann, world.acorn, "member")
        return await commit(*arguments, **given)

    monkeypatch.setattr(store, "commit_consent", lower_and_commit)
    assert_page(await asked.allow(world.acorn), 409)
    assert await find_grants(world) == []


async def test_allow_is_judged_by_the_risk_that_the_deployment_gives_a_scope(make_world: Any) -> None:
    """Were every scope taken for one of high risk, nothing would pass here; and the event says who allowed it."""
    scopes = {"contacts.read": ScopeDefinition(title="Read contacts", risk="low")}
    world = await make_world(scopes=scopes, organization_policy=OrganizationPolicy(high="none", medium="none"))
    app = await world.deployment.app(world.acorn, scope=(*scopes, "offline_access"))
    await world.arrive(world.ann)
    page = await open_consent(world.http, app)
    assert answer_of(await decide(world.http, page, "allow", world.acorn))["code"]
    (told,) = await world.deployment.store.find_events(EventFilter(action=Action.GRANT_CREATED), before=None, at_most=9)
    assert (told.event.origin.actor_kind, told.event.origin.actor_id) == ("user", world.ann)
