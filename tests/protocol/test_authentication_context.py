"""Names and order of sign-ins (OpenID Connect Core §3.1.2.1, RFC 9470; GHSA-hp74-gm6m-2qm5)."""

import pytest

from latchstring.protocol.authentication_context import meets, parse_acr_values
from latchstring.protocol.errors import OAuthError

OTHER = "urn:example:gold"


@pytest.mark.parametrize(
    "acr, wanted, expected",
    [
        (None, (), True),
        ("pwd", (), True),
        (None, ("pwd",), False),
        ("pwd", ("pwd",), True),
        ("pwd", ("mfa",), False),
        ("pwd", ("phr",), False),
        ("pwd", ("mfa", "phr"), False),
        ("pwd", ("phr", "pwd"), True),
        ("mfa", ("pwd",), True),
        ("mfa", ("mfa",), True),
        ("mfa", ("phr",), False),
        ("phr", ("pwd",), True),
        ("phr", ("mfa",), True),
        ("phr", ("phr",), True),
        ("phr", (OTHER,), False),
        ("phr", (OTHER, "mfa"), True),
        (OTHER, (OTHER,), True),
        (OTHER, ("pwd",), False),
        ("", ("pwd",), False),
    ],
)
def test_sign_in_does_for_what_is_no_stronger_and_in_the_order(acr, wanted, expected):
    assert meets(acr, wanted) is expected


@pytest.mark.parametrize(
    "text, values",
    [
        (None, ()),
        ("!", ("!",)),
        ("~", ("~",)),
        ("mfa", ("mfa",)),
        ("phr mfa phr", ("phr", "mfa")),
        (f"{OTHER} pwd", (OTHER, "pwd")),
    ],
)
def test_parse_acr_values_takes_each_once_in_order(text, values):
    assert parse_acr_values(text) == values


@pytest.mark.parametrize("text", [" ", "mfa ", " mfa", "mfa  phr", "mfa\tphr", 'm"fa', "m\\fa", "é", "a\x7f"])
def test_parse_acr_values_of_what_is_no_list_is_refused(text):
    with pytest.raises(OAuthError) as refused:
        parse_acr_values(text)
    assert refused.value.code == "invalid_request"


def test_parse_acr_values_of_many_is_refused():
    assert len(parse_acr_values(" ".join(f"a{number}" for number in range(20)))) == 20
    with pytest.raises(OAuthError):
        parse_acr_values(" ".join(f"a{number}" for number in range(21)))
