"""What a request needs beyond a good token: scope, scopes that imply others, a sign-in of late (S3, RFC 9470)."""

from typing import Any

import pytest

from latchstring.protocol.errors import ConfigurationError
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.requirement import close_hierarchy, decide_requirement, has_scope, make_requirement
from latchstring.resource_server.verify import Access
from tests.resource_server.fakes import NOW, FakeServer, make_guard

ACCESS = Access(
    organization_id="orga_1", client_id="oa2client_1", scope=("contacts.read", "offline_access"), expires_at=NOW + 60
)
HIERARCHY = close_hierarchy(
    {"all": ["contacts.admin"], "contacts.admin": ("contacts.write",), "contacts.write": {"contacts.read"}}
)


def access(*scope: str, **given: Any) -> Access:
    return Access(organization_id="o", client_id="c", scope=scope, expires_at=NOW + 60, **given)


def refuse(given: Access, *scope: str, hierarchy: Any = HIERARCHY, **sign_in: Any) -> Refusal:
    with pytest.raises(Refusal) as refused:
        decide_requirement(given, make_requirement(scope, **sign_in), hierarchy, NOW)
    return refused.value


@pytest.mark.parametrize("required", [(), ("contacts.read",), ("offline_access", "contacts.read")])
def test_scope_all_there_is_accepted(required):
    decide_requirement(ACCESS, make_requirement(required), {}, NOW)


@pytest.mark.parametrize("required", [("contacts",), ("contacts.READ",), ("contacts.read", "contacts.write")])
def test_s3_scope_short_is_refused_and_names_all(required):
    refusal = refuse(ACCESS, *required)
    assert (refusal.status, refusal.code, refusal.scope) == (403, "insufficient_scope", required)


@pytest.mark.parametrize("held", ["contacts.read", "contacts.write", "contacts.admin", "all"])
def test_scope_that_implies_the_one_asked_for_will_do(held):
    decide_requirement(access(held), make_requirement(["contacts.read"]), HIERARCHY, NOW)
    decide_requirement(access("x", held, "y"), make_requirement(["x", "contacts.read", "y"]), HIERARCHY, NOW)


@pytest.mark.parametrize(
    "held, required",
    [
        (["contacts.read"], ["contacts.write"]),
        (["contacts.write"], ["all"]),
        (["contacts.write"], ["contacts.read", "tasks.read"]),
        (["contacts"], ["contacts.read"]),
        ([], ["contacts.read"]),
    ],
)
def test_s3_scope_implies_nothing_upwards_or_aside_and_the_refusal_names_what_was_asked_for(held, required):
    assert not has_scope(access(*held), required, HIERARCHY)
    assert refuse(access(*held), *required).scope == tuple(required)


def test_scope_implied_by_two_together_will_do():
    hierarchy = close_hierarchy({"contacts.all": ["contacts.read"], "tasks.all": ["tasks.read"]})
    decide_requirement(
        access("contacts.all", "tasks.all"), make_requirement(["contacts.read", "tasks.read"]), hierarchy, NOW
    )


@pytest.mark.parametrize(
    "implied",
    [
        {"a": ["a"]},
        {"a": ["b"], "b": ["a"]},
        {"a": ["b"], "b": ["c"], "c": ["d", "b"]},
    ],
)
def test_scopes_that_imply_each_other_refuse_to_start(implied):
    with pytest.raises(ConfigurationError, match="circle"):
        make_guard(FakeServer(), implied_scopes=implied)


@pytest.mark.parametrize("implied", [{"a": "b"}, {"two words": ["a"]}, {"a": ["two words"]}, {"": ["a"]}])
def test_implied_scopes_that_no_token_can_have_refuse_to_start(implied):
    with pytest.raises(ConfigurationError, match="scope names"):
        make_guard(FakeServer(), implied_scopes=implied)


def test_hierarchy_that_meets_again_below_is_no_circle():
    closed = close_hierarchy({"a": ["b", "c"], "b": ["d"], "c": ["d"]})
    assert closed["a"] == {"b", "c", "d"}


def test_permits_counts_implied_scopes_in():
    guard = make_guard(FakeServer(), implied_scopes={"contacts.write": ["contacts.read"]})
    assert guard.permits(access("contacts.write"), "contacts.read", "contacts.write")
    assert not guard.permits(access("contacts.read"), "contacts.write")


@pytest.mark.parametrize("age, is_enough", [(0, True), (300, True), (301, False), (None, False), (-20, True)])
def test_sign_in_that_is_too_old_or_nobody_s_is_refused(age, is_enough):
    given = access("contacts.read", signed_in_at=None if age is None else NOW - age)
    if is_enough:
        decide_requirement(given, make_requirement(["contacts.read"], 300), HIERARCHY, NOW)
        return
    refusal = refuse(given, "contacts.read", max_age=300)
    assert (refusal.status, refusal.code) == (401, "insufficient_user_authentication")
    assert (refusal.max_age, refusal.scope) == (300, ("contacts.read",))


def test_sign_in_too_old_and_scope_short_are_asked_for_in_one():
    refusal = refuse(access("contacts.read", signed_in_at=NOW - 301), "contacts.write", max_age=300)
    assert (refusal.code, refusal.scope, refusal.max_age) == (
        "insufficient_user_authentication", ("contacts.write",), 300,
    )  # fmt: skip


@pytest.mark.parametrize("max_age", [0, -1, 1.5, "300", True])
def test_max_age_that_nobody_can_meet_refuses_to_start(max_age):
    with pytest.raises(ConfigurationError, match="max_age"):
        make_guard(FakeServer()).require("contacts.read", max_age=max_age)


@pytest.mark.parametrize(
    "acr, age, sign_in, description",
    [
        ("pwd", 0, {"acr_values": ["mfa"]}, "signed in by mfa: reconnect with acr_values."),
        (None, 0, {"acr_values": ["phr", "mfa"]}, "signed in by phr or mfa: reconnect with acr_values."),
        ("phr", 301, {"acr_values": ["mfa"], "max_age": 300},
         "signed in within the last 300 seconds by mfa: reconnect with max_age and acr_values."),
        ("pwd", 0, {"acr_values": ["mfa"], "max_age": 300},
         "signed in within the last 300 seconds by mfa: reconnect with max_age and acr_values."),
        ("phr", 301, {"max_age": 300}, "signed in within the last 300 seconds: reconnect with max_age."),
    ],
)  # fmt: skip
def test_sign_in_that_is_too_weak_is_refused_however_fresh_it_is(acr, age, sign_in, description):
    """GHSA-hp74-gm6m-2qm5: and a strong one that is too old is, too."""
    refusal = refuse(access("contacts.read", signed_in_at=NOW - age, acr=acr), "contacts.read", **sign_in)
    assert (refusal.status, refusal.code) == (401, "insufficient_user_authentication")
    assert refusal.description == f"This request needs a member who {description}"
    assert (refusal.acr_values, refusal.max_age) == (tuple(sign_in.get("acr_values", ())), sign_in.get("max_age"))
    assert refusal.scope == ("contacts.read",)


def test_sign_in_that_is_strong_and_fresh_enough_will_do():
    for acr in ("mfa", "phr"):
        given = access("contacts.read", signed_in_at=NOW - 300, acr=acr)
        decide_requirement(given, make_requirement(["contacts.read"], 300, ["mfa"]), HIERARCHY, NOW)


@pytest.mark.parametrize("acr_values", ["mfa", [""], ["two words"], ['q"'], ["\n"]])
def test_acr_values_that_are_no_list_of_names_refuse_to_start(acr_values):
    with pytest.raises(ConfigurationError, match="acr_values"):
        make_guard(FakeServer()).require("contacts.read", acr_values=acr_values)
