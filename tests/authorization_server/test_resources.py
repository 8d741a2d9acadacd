"""Which APIs a token is for (RFC 8707; A27)."""

from typing import Any

import pytest

from latchstring.authorization_server.resources import (
    FORMAT_KEPT,
    MAX_LENGTH,
    MAX_RESOURCES,
    Audience,
    Audiences,
    map_own_resources,
    map_resources,
    narrow_resources,
    refuse_many,
    verify_resources,
)
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.conftest import House

API = "https://api.example/"  # the one that `house` has
A, B, C = "https://a.example/", "https://b.example/", "https://c.example/"


def _refused(function: Any, *arguments: Any) -> str:
    with pytest.raises(OAuthError) as refused:
        function(*arguments)
    assert (refused.value.code, refused.value.status) == ("invalid_target", 400)
    return refused.value.description


@pytest.mark.parametrize(
    "resources, is_refused",
    [
        pytest.param([], False, id="none"),
        pytest.param([A] * MAX_RESOURCES, False, id="most"),
        pytest.param([A] * (MAX_RESOURCES + 1), True, id="one more"),
        pytest.param(["a" * MAX_LENGTH], False, id="longest"),
        pytest.param(["a" * (MAX_LENGTH + 1)], True, id="one longer"),
        pytest.param(["a" * (MAX_LENGTH - 10), "b" * 11], True, id="longer together"),
    ],
)
def test_refuse_many_at_its_caps_holds_them(resources, is_refused):
    if is_refused:
        assert "too many" in _refused(refuse_many, resources)
    else:
        refuse_many(resources)


async def test_a27_verify_resources_known_ones_come_back_and_unknown_ones_are_invalid_target(house: House):
    assert await verify_resources([], house.store) == ()
    assert await verify_resources([API], house.store) == (API,)
    for resources in ([A], [API, A], [A, API], [API + "x"]):
        with pytest.raises(OAuthError) as refused:
            await verify_resources(resources, house.store)
        assert (refused.value.code, refused.value.status) == ("invalid_target", 400)
        assert "not one that this server knows" in refused.value.description
    with pytest.raises(OAuthError) as refused:
        await verify_resources([API] * (MAX_RESOURCES + 1), house.store)
    assert "too many" in refused.value.description


@pytest.mark.parametrize(
    "requested, granted, result",
    [
        pytest.param((A,), (), (A,), id="one API of a grant for all"),
        pytest.param((A, B), (), (A, B), id="two of a grant for all"),
        pytest.param((A,), (A, B), (A,), id="one of two"),
        pytest.param((B, A), (A, B), (), id="all, in another order"),
        pytest.param((A,), (A,), (), id="the one there is"),
        pytest.param((), (), (), id="nothing of all"),
        pytest.param((), (A,), (), id="nothing of one"),
    ],
)
def test_narrow_resources_is_what_was_asked_of_what_was_granted(requested, granted, result):
    assert narrow_resources(requested, granted) == result


@pytest.mark.parametrize("requested", [(C,), (A, C), (A, B, C)])
def test_narrow_resources_beyond_the_grant_is_invalid_target(requested):
    """RFC 8707 §2.2: a token never reaches further than the member agreed to."""
    assert "granted" in _refused(narrow_resources, requested, (A, B))


# -- what a token for them looks like


class Formats:
    """A store that knows the formats of some resources, and counts how often it is asked."""

    def __init__(self, **formats: list[str]) -> None:
        self.formats = {f"https://{name}.example/": found for name, found in formats.items()}
        self.asked: list[str] = []

    async def has_resource(self, resource: str) -> bool:
        return resource in self.formats

    async def find_access_token_formats(self, resource: str) -> list[str]:
        self.asked.append(resource)
        return self.formats[resource]


class Keys:
    """Signing keys, of which this one signs now."""

    async def find_signer(self) -> str:
        return "the signer"


class Time:
    now = 1_800_000_000

    def __call__(self) -> int:
        return self.now


def build_audiences(store: Formats, clock: Time | None = None) -> Any:
    parts: Any = {"store": store, "signing_keys": Keys(), "clock": clock or Time()}
    return Audiences(**parts)


@pytest.mark.parametrize(
    "requested, granted, resource, is_signed",
    [
        pytest.param((), (), (), False, id="for every API, and opaque"),
        pytest.param((), (A,), (A,), True, id="all of a grant for one that takes JWTs"),
        pytest.param((A,), (A,), (A,), True, id="the one that was granted"),
        pytest.param((A,), (), (A,), True, id="one of a grant for all"),
        pytest.param((A, C), (), (A, C), True, id="two that take JWTs"),
        pytest.param((A, B), (), (A, B), False, id="one of two takes none"),
        pytest.param((), (A, B), (), False, id="all of a grant for two, of which one takes none"),
        pytest.param((B,), (A, B), (B,), False, id="the one that takes none"),
        pytest.param((A,), (A, B), (A,), True, id="the one of two that does"),
    ],
)
async def test_find_audience_is_a_jwt_where_every_api_takes_one(requested, granted, resource, is_signed):
    audiences = build_audiences(Formats(a=["jwt"], b=["opaque"], c=["jwt", "jwt"]))
    signer: Any = "the signer" if is_signed else None
    assert await audiences.find(requested, granted, "orga_a") == Audience(resource, signer)


@pytest.mark.parametrize(
    "formats, is_signed", [(["jwt"], True), (["jwt", "opaque"], False), (["opaque"], False), ([], False)]
)
async def test_find_signer_of_servers_that_disagree_is_none(formats, is_signed):
    assert await build_audiences(Formats(a=formats)).find_signer((A,)) == ("the signer" if is_signed else None)


async def test_find_audience_beyond_the_grant_or_unknown_is_invalid_target():
    audiences = build_audiences(Formats(a=["jwt"], b=["jwt"]))
    for requested, granted in (((B,), (A,)), (("https://x.example/",), ())):
        with pytest.raises(OAuthError) as refused:
            await audiences.find(requested, granted, "orga_a")
        assert refused.value.code == "invalid_target"


async def test_find_signer_remembers_a_format_for_a_minute():
    store, clock = Formats(a=["jwt"], b=["opaque"]), Time()
    audiences = build_audiences(store, clock)
    for later, asked in ((0, 1), (FORMAT_KEPT - 1, 1), (FORMAT_KEPT, 2)):
        clock.now = Time.now + later
        assert await audiences.find_signer((A,)) == "the signer"
        assert store.asked.count(A) == asked
    assert await audiences.find_signer((B,)) is None
    assert await audiences.find_signer((A,)) == "the signer"
    assert store.asked == [A, A, B]


async def test_find_signer_asks_again_when_the_clock_was_set_back():
    store, clock = Formats(a=["jwt"]), Time()
    audiences = build_audiences(store, clock)
    await audiences.find_signer((A,))
    clock.now = Time.now - 1
    await audiences.find_signer((A,))
    assert store.asked == [A, A]


async def test_find_signer_remembers_no_more_than_it_has_room_for():
    store = Formats(**{f"n{number}": ["jwt"] for number in range(1001)})
    audiences = build_audiences(store)
    for resource in (*store.formats, *store.formats):
        await audiences.find_signer((resource,))
        assert len(audiences._formats) <= 1000
    assert len(store.asked) > 1001


TEMPLATES = {"https://a.example/of/{organization_id}/v1": A, "https://b.example/{organization_id}": B}


@pytest.mark.parametrize(
    "resources, mapped, organization_id",
    [
        ((), (), None),
        ((A,), (A,), None),
        (("https://a.example/of/orga_1/v1",), (A,), "orga_1"),
        (("https://a.example/of/orga_1/v1", A, "https://b.example/orga_1"), (A, B), "orga_1"),
        (("https://a.example/of//v1",), ("https://a.example/of//v1",), None),
        (("https://a.example/of/v1",), ("https://a.example/of/v1",), None),
        (("https://a.example/of/x/y/v1",), ("https://a.example/of/x/y/v1",), None),
        (("https://a.example/of/orga%5F1/v1",), ("https://a.example/of/orga%5F1/v1",), None),
        (("https://a.example/of/orga_1/v1/",), ("https://a.example/of/orga_1/v1/",), None),
    ],
)
def test_map_resources_of_an_organizations_part_name_the_api_and_the_organization(resources, mapped, organization_id):
    """A27."""
    assert map_resources(resources, TEMPLATES) == (mapped, organization_id)
    assert map_resources(resources, {}) == (resources, None)


def test_map_resources_of_two_organizations_or_of_another_is_invalid_target():
    two = ("https://b.example/orga_1", "https://b.example/orga_2")
    for refuse in (lambda: map_resources(two, TEMPLATES), lambda: map_own_resources(two[:1], "orga_2", TEMPLATES)):
        with pytest.raises(OAuthError) as refused:
            refuse()
        assert refused.value.code == "invalid_target"
    assert map_own_resources(two[:1], "orga_1", TEMPLATES) == (B,)
