"""The guard's rules, without I/O (SECURITY-CASES 1G)."""

import pytest

from latchstring.protocol.bearer import SentToken
from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.resource_server.refusal import Refusal
from latchstring.resource_server.verify import Access, decide_access, find_token
from tests.resource_server.fakes import ACTIVE, ISSUER, NOW, RESOURCE


def decide(**changes):
    answer = IntrospectionResponse(**{name: v for name, v in (ACTIVE | changes).items() if v is not None})
    return decide_access(answer, issuer=ISSUER, resource=RESOURCE, now=NOW)


@pytest.mark.parametrize(
    "header, token",
    [
        (b"Bearer abc", "abc"),
        (b"bearer abc", "abc"),
        (b"BEARER abc", "abc"),
        (b"Bearer   abc", "abc"),
        (b"Bearer abc ", "abc"),
        (b"Bearer a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="),
    ],
)
def test_s6_find_token_scheme_in_any_case_and_spaces_is_accepted(header, token):
    assert find_token([header]) == SentToken(token, "Bearer")


@pytest.mark.parametrize(
    "headers, status, code",
    [
        ([], 401, None),
        ([b""], 401, None),
        ([b"Basic YTpi"], 401, None),
        ([b"DPoP"], 401, "invalid_token"),
        ([b"DPoP\tabc"], 400, "invalid_request"),
        ([b"Token abc"], 401, None),
        ([b"Bearer"], 401, "invalid_token"),
        ([b"Bearer "], 401, "invalid_token"),
        ([b"Bearer    "], 401, "invalid_token"),
        ([b"Bearer\tabc"], 400, "invalid_request"),
        ([b"Bearer \tabc"], 401, "invalid_token"),
        ([b"Bearer abc\t"], 401, "invalid_token"),
        ([b"Bearer a b"], 401, "invalid_token"),
        ([b"Bearer abc, Bearer def"], 400, "invalid_request"),
        ([b"Bearer abc,def"], 400, "invalid_request"),
        ([b"Basic YTpi,DPoP abc"], 400, "invalid_request"),
        ([b'Digest a="abc", bearer="abc"'], 401, None),
        ([b"Bearer,abc"], 400, "invalid_request"),
        ([b"Bearer=abc"], 400, "invalid_request"),
        ([b'Bearer "abc"'], 401, "invalid_token"),
        ([b"Bearer \xff\xfe"], 401, "invalid_token"),
        ([b"Bearer \xc3\xa4"], 401, "invalid_token"),
        ([b"Bearer \x00"], 401, "invalid_token"),
        ([b"Bearer " + b"a" * 9000], 401, "invalid_token"),
        ([b"Bearer abc", b"Bearer abc"], 400, "invalid_request"),
        ([b"Bearer abc", b"Basic YTpi"], 400, "invalid_request"),
        ([b"", b""], 400, "invalid_request"),
    ],
)
def test_s1_s4_s6_find_token_bad_header_is_refused(headers, status, code):
    with pytest.raises(Refusal) as refused:
        find_token(headers)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert "abc" not in refused.value.description + refused.value.reason


@pytest.mark.parametrize("query", [b"access_token=abc", b"a=1&access_token=abc&access_token=abc"])
def test_s5_find_token_in_query_only_is_ignored(query):
    with pytest.raises(Refusal) as refused:
        find_token([], query)
    assert (refused.value.status, refused.value.code) == (401, None)


@pytest.mark.parametrize("query", [b"access_token=x", b"a&access%5Ftoken", b"access_token=x&access_token=y"])
def test_s4_find_token_in_header_and_query_is_refused(query):
    with pytest.raises(Refusal) as refused:
        find_token([b"Bearer abc"], query)
    assert (refused.value.status, refused.value.code) == (400, "invalid_request")


@pytest.mark.parametrize("query", [b"", b"a=access_token", b"my_access_token=1", b"%&=%zz&\xff"])
def test_find_token_with_another_query_is_found(query):
    assert find_token([b"Bearer abc"], query).token == "abc"


def test_decide_access_active_token_says_who_and_for_which_organization():
    assert decide() == Access(
        user_id="user_1",
        organization_id="orga_1",
        client_id="oa2client_1",
        scope=("contacts.read", "offline_access"),
        token_id="at_1",
        expires_at=NOW + 60,
    )


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"active": False}, "refresh it, and if that is refused, reconnect"),
        ({"exp": NOW}, "expired: refresh it"),
        ({"exp": NOW - 1}, "expired: refresh it"),
        ({"exp": -1}, "expired: refresh it"),
        ({"nbf": NOW + 1}, "not valid yet"),
        ({"token_type": "refresh_token"}, "not know"),
        ({"token_type": "N_A"}, "not know"),
        ({"token_type": "DPoP"}, "bound to a key"),
        ({"cnf": {"jkt": "x"}}, "bound to a key"),
        ({"cnf": {"jkt": None}}, "bound to a key"),
        ({"cnf": {"jkt": "x", "jwk": {}}}, "not know"),
        ({"cnf": {"x5t#S256": "x"}}, "client certificate"),
        ({"cnf": {"x5t#S256": None}}, "client certificate"),
        ({"cnf": {}}, "not know"),
        ({"aud": "https://api.test"}, "for another API"),
        ({"aud": "https://api.test/v"}, "for another API"),
        ({"aud": "https://api.test/v1/"}, "for another API"),
        ({"aud": "https://api.test/v12"}, "for another API"),
        ({"aud": ""}, "for another API"),
        ({"aud": []}, "for another API"),
        ({"aud": ["https://other.test", "https://api.test"]}, "for another API"),
    ],
)
def test_s2_s9_s12_decide_access_bad_token_is_invalid_token(changes, words):
    with pytest.raises(Refusal, match=words) as refused:
        decide(**changes)
    assert (refused.value.status, refused.value.code) == (401, "invalid_token")


@pytest.mark.parametrize("aud", [None, RESOURCE, [RESOURCE], ["https://other.test", RESOURCE]])
def test_s9_decide_access_audience_names_this_api_or_none_is_accepted(aud):
    assert decide(aud=aud).user_id == "user_1"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": None},
        {"iss": "https://login.test/"},
        {"iss": "https://evil.test"},
        {"exp": None},
        {"token_type": None},
        {"client_id": None},
        {"client_id": ""},
        {"organization_id": None},
        {"organization_id": ""},
        {"scope": "a  b"},
        {"scope": 'a"b'},
    ],
)
def test_s10_s18_decide_access_answer_without_what_is_needed_is_unavailable(changes):
    with pytest.raises(Refusal) as refused:
        decide(**changes)
    assert (refused.value.status, refused.value.code) == (503, "temporarily_unavailable")
    assert refused.value.retry_after


def test_decide_access_without_user_or_scope_has_none():
    access = decide(user_id=None, scope=None, jti=None)
    assert (access.user_id, access.scope, access.token_id) == (None, (), None)


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_decide_access_token_type_is_case_insensitive(token_type):
    assert decide(token_type=token_type).client_id == "oa2client_1"


def test_decide_access_says_when_the_member_had_signed_in():
    assert (decide().signed_in_at, decide(auth_time=NOW - 9).signed_in_at) == (None, NOW - 9)


@pytest.mark.parametrize(
    "act, acting",
    [
        (None, ()),
        ({"sub": "a"}, ("a",)),
        ({"sub": "b", "act": {"sub": "a", "iss": "x"}, "client_id": "y"}, ("b", "a")),
        ({"sub": "c", "act": {"sub": "b", "act": {"sub": "a"}}}, ("c", "b", "a")),
    ],
)
def test_x5_decide_access_names_who_acts_latest_first(act, acting):
    assert decide(act=act).acting == acting


def nest(depth: int) -> dict:
    act: dict = {"sub": "a"}
    for _ in range(depth - 1):
        act = {"sub": "b", "act": act}
    return act


@pytest.mark.parametrize(
    "act",
    [{}, {"act": {"sub": "a"}}, {"sub": ""}, {"sub": 1}, {"sub": "a", "act": "b"}, {"sub": "a", "act": {}}, nest(33)],
)
def test_x5_decide_access_by_somebody_unnamed_is_the_server_s_fault(act):
    """S10: fail closed, and say that it is no fault of the token's."""
    assert len(decide(act=nest(32)).acting) == 32
    with pytest.raises(Refusal) as refused:
        decide(act=act)
    assert refused.value.status == 503
