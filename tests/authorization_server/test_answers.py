"""What an Allow comes to: never more than was asked, than the role can give, or than was left ticked."""

import pytest

from latchstring.authorization_server.answers import Agreed, Answer, AnswerRefusal, decide, find_lifetimes
from latchstring.authorization_server.scope_roles import depends_on_role, find_removed, fingerprint, limit_to_role
from latchstring.authorization_server.settings import ScopeDefinition, ScopeGroup, Settings, validate_settings
from latchstring.protocol.errors import ConfigurationError
from tests.authorization_server.builders import ACORN, NOW

DAY = 24 * 3600
SETTINGS = Settings(
    issuer="https://auth.example",
    scopes={
        "contacts.read": ScopeDefinition(),
        "mail.send": ScopeDefinition(is_optional=True),
        "members.delete": ScopeDefinition(roles=("admin",)),
    },
)
ASKED = ("contacts.read", "mail.send", "members.delete", "offline_access")


def answer(kept: set[str] | None = None, lifetime: int | None = None) -> Answer:
    return Answer(organization_id=ACORN, kept=None if kept is None else frozenset(kept), lifetime=lifetime)


@pytest.mark.parametrize(
    "asked, given, role, scope, declined, expires_at",
    [
        (ASKED, answer(), "admin", ASKED, (), None),
        (ASKED, answer(), "member", ("contacts.read", "mail.send", "offline_access"), (), None),
        (ASKED, answer(set()), "admin", ("contacts.read", "members.delete", "offline_access"), ("mail.send",), None),
        (ASKED, answer({"mail.send", "everything"}), "admin", ASKED, (), None),
        (ASKED, answer(lifetime=DAY), "admin", ASKED, (), NOW + DAY),
        (("contacts.read",), answer(lifetime=DAY), None, ("contacts.read",), (), None),
    ],
)
def test_decide_grants_what_was_asked_and_may_be_given_and_was_left(asked, given, role, scope, declined, expires_at):
    agreed = decide(asked, given, role, SETTINGS, NOW, has_details=False)
    assert agreed == Agreed(scope, declined, expires_at, role)


@pytest.mark.parametrize(
    "asked, given, role",
    [
        (("members.delete", "offline_access"), answer(), "member"),
        (("mail.send",), answer(set()), None),
        (("mail.send", "members.delete"), answer(set()), "member"),
    ],
)
def test_decide_of_nothing_left_is_no_grant(asked, given, role):
    assert decide(asked, given, role, SETTINGS, NOW, has_details=False) is AnswerRefusal.NOTHING_LEFT
    assert decide(asked, given, role, SETTINGS, NOW, has_details=True) != AnswerRefusal.NOTHING_LEFT


def test_find_removed_is_what_other_roles_have():
    assert find_removed(ASKED, "member", SETTINGS) == ("members.delete",)
    assert find_removed((*ASKED, "unknown"), "admin", SETTINGS) == ()
    assert depends_on_role(ASKED, SETTINGS)
    assert not depends_on_role(("contacts.read", "offline_access", "unknown"), SETTINGS)


@pytest.mark.parametrize(
    "narrowed, role, left",
    [
        (None, "admin", None),
        (("mail.send",), "member", ("mail.send",)),
        (None, "member", ("contacts.read", "mail.send", "offline_access")),
        (("members.delete", "mail.send"), "member", ("mail.send",)),
    ],
)
def test_limit_to_role_says_what_a_token_may_have_only_where_that_is_less(narrowed, role, left):
    """None is all that was granted: the token then has no scope of its own."""
    assert limit_to_role(ASKED, narrowed, role, SETTINGS) == left


def test_fingerprint_tells_roles_and_organizations_apart():
    told = {fingerprint(o, r) for o in ("orga_a", "orga_b") for r in ("admin", "member")}
    assert (len(told), {len(each) for each in told}) == (4, {4}), "a page has room for many"


@pytest.mark.parametrize(
    "absolute, lifetimes", [(None, (90 * DAY, DAY)), (90 * DAY, (DAY,)), (DAY, ()), (91 * DAY, (90 * DAY, DAY))]
)
def test_find_lifetimes_are_shorter_than_every_grants(absolute, lifetimes):
    assert find_lifetimes(Settings(issuer="x", refresh_token_absolute_lifetime=absolute)) == lifetimes


@pytest.mark.parametrize(
    "setting, value",
    [
        ("scopes", {"a": ScopeDefinition(group="nowhere")}),
        ("scopes", {"a": ScopeDefinition(roles=())}),
        ("scope_groups", {"contacts": ScopeGroup(title="")}),
        ("organization_resources", {"https://api.example/": "https://api.example/"}),
        ("organization_resources", {"https://api.example/{organization_id}x/": "https://api.example/"}),
        ("organization_resources", {"https://api.example/{organization_id}/}": "https://api.example/"}),
        ("organization_resources", {"https://api.example/{/{organization_id}": "https://api.example/"}),
        ("organization_resources", {"https://{organization_id}.api.example/": "https://api.example/"}),
        ("organization_resources", {"https://api.example/{organization_id}/{organization_id}": "https://api.example/"}),
        ("organization_resources", {"http://api.example/{organization_id}": "https://api.example/"}),
        ("organization_resources", {"https://api.example/{organization_id}": "api"}),
    ],
)
def test_settings_of_scopes_and_resources_that_cannot_work_are_refused(setting, value):
    with pytest.raises(ConfigurationError, match=setting):
        validate_settings(Settings(issuer="https://auth.example", **{setting: value}))


def test_settings_name_the_organization_as_a_segment_of_the_path():
    for template in ("https://api.example/{organization_id}", "https://api.example/{organization_id}/contacts"):
        validate_settings(
            Settings(issuer="https://auth.example", organization_resources={template: "https://api.example/"})
        )
    once, segment = (
        "name the organization once, by {organization_id}",
        "the organization is a segment of the path by itself",
    )
    character = "it has a query, a fragment or a character that does not belong in a URI"
    for template, why in (
        ("https://api.example/", once),
        ("https://api.example/{organization_id}/{organization_id}", once),
        ("https://api.example/x{organization_id}", segment),
        ("https://api.example/{organization_id}x", segment),
        ("https://{organization_id}", "it is not an absolute https URI"),
        ("https://{organization_id}/contacts", "it is not an absolute https URI"),
        ("https:/{organization_id}/api.example", "it is not an absolute https URI"),
        ("https://api.example/{organization_id}/{", character),
        ("https://api.example/}/{organization_id}", character),
        ("http://api.example/{organization_id}", "plain http is only for 127.0.0.1, [::1] and localhost"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            validate_settings(
                Settings(issuer="https://auth.example", organization_resources={template: "https://api.example/"})
            )
        assert str(refused.value) == f"organization_resources: {why}", template
