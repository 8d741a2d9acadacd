"""What somebody could try with the pages of a consent: frames, forged forms, handles of others, names that deceive."""

import re
from typing import Any

import httpx
import pytest

from latchstring.protocol.redirect_uri import RedirectUriRefused, verify_registrable
from tests.support.forms import find_form, submit
from tests.support.journey import answer_of, decide, exchange, open_consent
from tests.web.answers import assert_page
from tests.web.conftest import World
from tests.web.state import connect, dump, find_grants
from tests.web.test_reconnect import grant_of

HOSTILE = "\u202egro.elpmaxe\u202c <script>alert(1)</script><b>&amp;\u2066"


async def open_pages(world: World) -> dict[str, httpx.Response]:
    """Each page that a consent has, as Ann meets it."""
    grant_id = await grant_of(world, await connect(world))
    await world.arrive(world.ann)
    consent = await open_consent(world.http, world.app, organization_selection="several")
    several = await decide(world.http, consent, "allow", world.acorn)
    receipt = await world.http.get(f"/connections/{grant_id}/receipt")
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn)
    await world.arrive(bob)
    reconnect = await open_consent(world.http, world.app, grant_id=grant_id)
    return {"consent": consent, "several": several, "receipt": receipt, "reconnect": reconnect}


async def test_a19_no_page_of_a_consent_can_be_framed_or_runs_anything_foreign(world: World) -> None:
    """CVE-2014-8144's neighbour: clickjacking."""
    for name, page in (await open_pages(world)).items():
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy, name
        assert "default-src 'none'" in policy, name
        assert "unsafe" not in policy, name
        assert page.headers["x-frame-options"] == "DENY", name
        assert page.headers["referrer-policy"] == "no-referrer", name
        assert page.headers["cache-control"] == "no-store", name


async def test_names_that_deceive_are_isolated_and_inert_on_every_page(world: World) -> None:
    """G8, CVE-2018-1000088: HTML, and characters that turn what stands beside them."""
    hostile = await world.deployment.organization(HOSTILE)
    await world.deployment.member(world.ann, hostile, "admin")
    world.app = await world.deployment.app(hostile, name=HOSTILE)
    world.acorn = hostile
    for name, page in (await open_pages(world)).items():
        assert "<script>alert" not in page.text, name
        assert "<b>&amp;" not in page.text, name
        # Wherever such a character stands it is within an element, or characters, that isolate it.
        bare = re.sub(r"<bdi>[^<]*</bdi>|\u2068[^\u2069]*\u2069|<option.*?</option>", "", page.text, flags=re.DOTALL)
        assert not re.search("[\u202a-\u202e\u2066\u2067]", bare), name


@pytest.mark.parametrize(
    "uri, shown",
    [
        ("https://xn--pple-43d.example/cb", "xn--pple-43d.example"),
        ("https://app.example.evil.example/cb", "app.example.evil.example"),
        ("https://app-example.evil.example:8443/cb", "app-example.evil.example:8443"),
    ],
)
async def test_a24_host_that_looks_like_another_is_shown_letter_by_letter(world: World, uri: str, shown: str) -> None:
    """In ASCII, as the browser will go there: a look-alike shows its xn--."""
    app = await world.deployment.app(world.acorn, redirect_uris=(uri,))
    await world.arrive(world.ann)
    page = await open_consent(world.http, app)
    assert f"<strong><bdi>{shown}</bdi></strong>" in page.text


@pytest.mark.parametrize(
    "host", ["аpple.example", "app\u3002example", "ａpp.example", "app.example\u202e", "a@b.example"]
)
def test_a3_host_beyond_ascii_cannot_be_registered(host: str) -> None:
    with pytest.raises(RedirectUriRefused):
        verify_registrable(f"https://{host}/cb")


async def test_a22_handle_of_another_member_counts_for_nobody(world: World) -> None:
    """The page is Ann's: in Bob's session, with Bob's own token, it is refused and nothing is written."""
    await world.arrive(world.ann)
    theirs = find_form(await open_consent(world.http, world.app), "/consent")
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.birch)
    async with world.deployment.http() as browser:
        await world.arrive(bob, browser)
        page = await open_consent(browser, world.app)
        form = find_form(page, "/consent")
        form.fields["request"] = theirs.fields["request"]
        before = dump(world)
        answer = await submit(browser, page, form, decision="allow", organization_id=world.birch)
        assert_page(answer, 403)
        assert "location" not in answer.headers
        assert dump(world) == before


@pytest.mark.parametrize(
    "forged",
    [
        {"organization_id": "orga_of_others"},
        {"user_id": "user_of_others", "organization_id": "${acorn}"},
        {"redirect_uri": "https://evil.example/", "organization_id": "${acorn}"},
        {"scope": "everything", "client_id": "another", "organization_id": "${acorn}"},
        {"state": "forged", "code_challenge": "x" * 43, "organization_id": "${acorn}"},
    ],
    ids=str,
)
async def test_fields_that_the_page_does_not_have_change_nothing(world: World, forged: dict[str, str]) -> None:
    await world.arrive(world.ann)
    page = await open_consent(world.http, world.app, state="s")
    fields: Any = {name: value.replace("${acorn}", world.acorn) for name, value in forged.items()}
    answer = await submit(world.http, page, find_form(page, "/consent"), decision="allow", **fields)
    if forged["organization_id"] != "${acorn}":
        assert_page(answer, 403)
        assert await find_grants(world) == []
        return
    assert answer.headers["location"].startswith("https://app.example/callback?code=")
    assert answer_of(answer)["state"] == "s"
    (grant,) = await find_grants(world)
    assert (grant.user_id, grant.organization_id) == (world.ann, world.acorn)
    assert (grant.scope, grant.code_challenge) == (world.app.record.scope, None)


async def test_two_tabs_of_two_organizations_each_get_their_own(world: World) -> None:
    """KeeperHub #1573: what is in the code is what stood on that page, whatever happened in the other tab."""
    await world.arrive(world.ann)
    first = await open_consent(world.http, world.app, organization_id=world.acorn)
    second = await open_consent(world.http, world.app, organization_id=world.birch)
    of_second = answer_of(await decide(world.http, second))
    of_first = answer_of(await decide(world.http, first))
    tokens = [(await exchange(world.http, world.app, answer["code"])).json() for answer in (of_first, of_second)]
    assert [each["organization_id"] for each in tokens] == [world.acorn, world.birch]


async def test_a25_membership_that_ends_in_another_tab_is_told_and_gives_nothing(world: World) -> None:
    await world.arrive(world.ann)
    page = await open_consent(world.http, world.app, organization_id=world.birch)
    now = world.deployment.clock.now
    await world.deployment.store.end_membership(user_id=world.ann, organization_id=world.birch, now=now)
    answer = await decide(world.http, page, "allow")
    assert_page(answer, 403)
    assert "no longer an active member of" in answer.text
    assert await find_grants(world) == []
