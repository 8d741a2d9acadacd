"""Authorization details (RFC 9396; A28, N7): how types are declared, what narrows what, and what a member reads."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.authorization_details import DetailRow, decide, describe, narrow
from latchstring.authorization_server.details_types import DetailField, DetailsType, split_title
from latchstring.authorization_server.settings import Settings, validate_settings
from latchstring.protocol.errors import ConfigurationError, OAuthError

STRING, REQUIRED = DetailField(), DetailField(required=True)
TYPES = {
    "payment": DetailsType(
        title="Pay {amount.value} {amount.currency} to {creditor}",
        description="Once.",
        risk="high",
        fields={
            "creditor": REQUIRED,
            "amount": DetailField(
                type="object",
                required=True,
                fields={"value": REQUIRED, "currency": DetailField(required=True, values={"EUR": "euros"})},
            ),
            "urgent": DetailField(type="boolean", title="Urgent"),
            "count": DetailField(type="number"),
            "actions": DetailField(type="strings", title="It may", values={"a": "do this", "b": ""}),
            "place": DetailField(type="object", title="Place", fields={"city": DetailField(title="City")}),
        },
    ),
    "read": DetailsType(title="Read"),
}
PAYMENT: dict[str, Any] = {"type": "payment", "creditor": "X", "amount": {"value": "1", "currency": "EUR"}}


def render(*details: Any) -> str:
    return msgspec.json.encode(details).decode()


def ask(*details: Any) -> str | None:
    return decide(render(*details), ("payment", "read"), TYPES)


# -- declaring


@pytest.mark.parametrize(
    "types",
    [
        pytest.param({"": DetailsType(title="x")}, id="no-name"),
        pytest.param({"a b": DetailsType(title="x")}, id="name-with-space"),
        pytest.param({"x" * 129: DetailsType(title="x")}, id="long-name"),
        pytest.param({"a": DetailsType(title="")}, id="no-title"),
        pytest.param({"a": DetailsType(title="{gone}")}, id="placeholder-of-nothing"),
        pytest.param({"a": DetailsType(title="{x}", fields={"x": STRING})}, id="placeholder-not-required"),
        pytest.param({"a": DetailsType(title="{x!r}", fields={"x": REQUIRED})}, id="conversion"),
        pytest.param({"a": DetailsType(title="{x:>9}", fields={"x": REQUIRED})}, id="format"),
        pytest.param({"a": DetailsType(title="{}", fields={"x": REQUIRED})}, id="unnamed"),
        pytest.param({"a": DetailsType(title="{x", fields={"x": REQUIRED})}, id="open-brace"),
        pytest.param({"a": DetailsType(title="{x.__class__}", fields={"x": REQUIRED})}, id="attribute"),
        pytest.param({"a": DetailsType(title="x", fields={"type": STRING})}, id="field-type"),
        pytest.param({"a": DetailsType(title="x", fields={"a b": STRING})}, id="field-name"),
        pytest.param({"a": DetailsType(title="x", fields={"x": DetailField(type="object")})}, id="empty-object"),
        pytest.param({"a": DetailsType(title="x", fields={"x": DetailField(fields={"y": STRING})})}, id="inner"),
        pytest.param(
            {"a": DetailsType(title="x", fields={"x": DetailField(type="number", values={"1": ""})})}, id="values"
        ),
        pytest.param({"a": DetailsType(title="x", fields={"x": DetailField(max_length=0)})}, id="no-length"),
        pytest.param({"a": DetailsType(title="x", fields={"x": DetailField(max_length=1001)})}, id="endless"),
        pytest.param({"a": DetailsType(title="{amount}", fields=TYPES["payment"].fields)}, id="object-in-title"),
        pytest.param(
            {
                "a": DetailsType(
                    title="x",
                    fields={
                        "x": DetailField(
                            type="object",
                            fields={
                                "y": DetailField(
                                    type="object", fields={"z": DetailField(type="object", fields={"w": STRING})}
                                )
                            },
                        )
                    },
                )
            },
            id="too-deep",
        ),
    ],
)
def test_settings_with_a_type_that_cannot_be_read_or_asked_for_stop_the_start(types):
    with pytest.raises(ConfigurationError, match="authorization_details_types"):
        validate_settings(Settings(issuer="https://a.example", authorization_details_types=types))


@pytest.mark.parametrize(
    "types, why",
    [
        ({"x" * 129: DetailsType(title="x")}, f"'{'x' * 129}' is not a name of a type"),
        ({"pay": DetailsType(title="")}, "pay: give a title, which members read"),
        ({"pay": DetailsType(title="{x}")}, "pay: {x} in the title is not a required field"),
        (
            {"pay": DetailsType(title="x", fields={"x": DetailField(max_length=0)})},
            "pay: x: max_length is 1 to 1000",
        ),
    ],
)
def test_settings_with_a_bad_type_are_told_which_and_what_is_wrong(types, why):
    with pytest.raises(ConfigurationError) as refused:
        validate_settings(Settings(issuer="https://a.example", authorization_details_types=types))
    assert str(refused.value) == f"authorization_details_types: {why}"


def test_title_with_a_placeholder_that_names_nothing_is_told_what_one_is():
    for title in ("Pay {}", "Pay {!r}", "Pay {x:>9}"):
        with pytest.raises(ValueError, match=r"^a placeholder is \{name\} or \{name\.inner\}$"):
            list(split_title(title))


@pytest.mark.parametrize("longest", [1, 2, 1000])
def test_text_of_a_field_is_as_long_as_its_type_says_and_no_longer(longest):
    types = {"note": DetailsType(title="Note {text}", fields={"text": DetailField(required=True, max_length=longest)})}
    assert validate_settings(Settings(issuer="https://a.example", authorization_details_types=types))
    fits = render({"type": "note", "text": "x" * longest})
    assert decide(fits, types, types) == fits
    with pytest.raises(OAuthError, match="length"):
        decide(render({"type": "note", "text": "x" * (longest + 1)}), types, types)


def test_settings_with_good_types_are_taken():
    types = {**TYPES, "x" * 128: DetailsType(title="Whatever")}
    settings = Settings(issuer="https://a.example", authorization_details_types=types)
    assert validate_settings(settings) is settings


# -- asking


def test_decide_of_nothing_is_nothing():
    assert decide(None, (), TYPES) is None


def test_decide_keeps_what_is_as_declared():
    full = {**PAYMENT, "urgent": False, "count": 1.5, "actions": ["b", "a"], "place": {"city": "Bern"}}
    assert ask(full, {"type": "read"}) == render(full, {"type": "read"})


def test_decide_keeps_of_a_name_that_stands_twice_what_is_shown():
    twice = '[{"type":"read","type":"payment","creditor":"A","creditor":"B","amount":{"value":"1","currency":"EUR"}}]'
    kept = decide(twice, ("payment",), TYPES)
    assert kept == render({**PAYMENT, "creditor": "B"})
    assert describe(kept, TYPES)[0].title[2] == (" to ", "B")


OTHERWISE = "authorization_details has a field of another type, length or value than declared."
LACKS = "authorization_details lacks a field that its type requires."
OTHER_VALUES: dict[str, list[Any]] = {
    "creditor": ["", "x" * 141, "a\nb", 7, None, {}, ["X"]],
    "amount": ["1", [], None, True],
    "urgent": [1, "true", None],
    "count": [True, "3", [3]],
    "actions": ["a", [], ["a", "a"], ["a", "c"], ["a", 1], ["a", {}], {"a": 1}],
    "place": [[], "Bern"],
}
HAS_MORE = "authorization_details has a field that its type does not have."


@pytest.mark.parametrize(
    "detail, why",
    [
        ({"type": "gone"}, "authorization_details has a type that this server does not know."),
        ({"type": "other"}, "authorization_details has a type that this app is not registered for."),
        ({**PAYMENT, "more": 1}, HAS_MORE),
        ({**PAYMENT, "place": {"street": "x"}}, HAS_MORE),
        ({"type": "payment", "creditor": "X"}, LACKS),
        ({**PAYMENT, "amount": {"value": "1"}}, LACKS),
        ({**PAYMENT, "amount": {"value": "1", "currency": "USD"}}, OTHERWISE),
        *(({**PAYMENT, name: value}, OTHERWISE) for name, values in OTHER_VALUES.items() for value in values),
    ],
)
def test_a28_decide_of_what_is_not_as_declared_is_refused_and_told_why(detail, why):
    with pytest.raises(OAuthError) as refused:
        decide(render({"type": "read"}, detail), ("payment", "read"), {**TYPES, "other": DetailsType(title="Other")})
    assert (refused.value.code, refused.value.description) == ("invalid_authorization_details", why)


@pytest.mark.parametrize("count", [float(2**53), -(2**53), 1e300])
def test_a28_decide_of_a_number_that_no_program_reads_exactly_is_refused(count):
    with pytest.raises(OAuthError):
        ask({**PAYMENT, "count": count})


# -- narrowing

GRANTED = render({**PAYMENT, "actions": ["a", "b"], "urgent": True}, {"type": "read"})


@pytest.mark.parametrize(
    "asked",
    [
        render({**PAYMENT, "actions": ["a"], "urgent": True}),
        render({**PAYMENT, "actions": ["b", "a"], "urgent": True}),
        render({"type": "read"}),
        render({"type": "read"}, {"type": "read"}),
    ],
)
def test_r2_narrow_to_a_part_of_what_was_granted_is_that_part(asked):
    assert narrow(asked, GRANTED, None) == asked


def test_narrow_to_all_or_nothing_named_is_the_grants_own():
    assert narrow(None, GRANTED, None) is None
    assert narrow(GRANTED, GRANTED, "a b") is None


@pytest.mark.parametrize(
    "asked",
    [
        render(PAYMENT),
        render({**PAYMENT, "actions": ["a", "b", "c"], "urgent": True}),
        render({**PAYMENT, "actions": [], "urgent": True}),
        render({**PAYMENT, "actions": "a", "urgent": True}),
        render({**PAYMENT, "actions": ["a"], "urgent": 1}),
        render({**PAYMENT, "actions": ["a"], "urgent": False}),
        render({**PAYMENT, "actions": ["a"], "urgent": True, "creditor": "Y"}),
        render({**PAYMENT, "actions": ["a"], "urgent": True, "amount": {"value": "2", "currency": "EUR"}}),
        render({**PAYMENT, "actions": ["a"], "urgent": True, "amount": {"value": "1"}}),
        render({**PAYMENT, "actions": ["a"], "urgent": True, "amount": "1"}),
        render({**PAYMENT, "actions": ["a"], "urgent": True, "creditor": {"name": "X"}}),
        render({**PAYMENT, "actions": {"a": 1}, "urgent": True}),
        render({"type": "read", "more": 1}),
        render({"type": "gone"}),
        "[]",
        "x",
    ],
)
def test_r2_a28_narrow_to_more_or_other_is_refused(asked):
    with pytest.raises(OAuthError) as refused:
        narrow(asked, GRANTED, None)
    assert refused.value.code == "invalid_authorization_details"


def test_a28_narrow_of_a_grant_without_any_is_refused():
    with pytest.raises(OAuthError):
        narrow(render({"type": "read"}), None, None)


def test_narrow_beside_a_scope_that_leaves_no_room_in_the_token_is_refused():
    part = render({"type": "read"})
    room = 5000 - len(msgspec.json.encode(part))
    assert narrow(part, GRANTED, "x" * room) == part
    with pytest.raises(OAuthError, match="too long together"):
        narrow(part, GRANTED, "x" * (room + 1))


# -- in words


def test_describe_names_every_value_once():
    kept = ask({**PAYMENT, "urgent": True, "count": 3, "actions": ["a", "b"], "place": {"city": "Bern"}})
    [words] = describe(kept, TYPES)
    assert words.title == (("Pay ", "1"), (" ", "euros"), (" to ", "X"))
    assert (words.description, words.risk) == ("Once.", "high")
    assert words.rows == (
        DetailRow("Urgent", (True,)),
        DetailRow("count", ("3",)),
        DetailRow("It may", ("do this", "b")),
        DetailRow("Place · City", ("Bern",)),
    )


def test_describe_names_several_values_in_the_title_one_after_the_other():
    may = DetailField(type="strings", required=True, values={"a": "read", "b": "write"})
    types = {"do": DetailsType(title="It may {actions}.", fields={"actions": may})}
    [words] = describe(render({"type": "do", "actions": ["a", "b"]}), types)
    assert words.title == (("It may ", "read, write"), (".", None))


def test_describe_of_a_type_that_is_declared_no_more_or_anew_does_not_break():
    kept = ask({**PAYMENT, "place": {"city": "Bern"}})
    assert [words.title for words in describe(kept, {})] == [(("payment", None),)]
    anew = {
        "payment": DetailsType(
            title="{creditor.name}",
            fields={
                "creditor": DetailField(type="object", required=True, fields={"name": REQUIRED}),
                "place": STRING,
                "amount": DetailField(type="strings"),
            },
        )
    }
    assert describe(kept, anew)[0].title == (("", ""),)
    assert describe(None, TYPES) == []


def test_type_that_is_declared_no_more_is_named_alone_and_of_high_risk():
    (words,) = describe(render({"type": "gone", "x": 1}), TYPES)
    assert (words.title, words.description, words.risk, words.rows) == ((("gone", None),), "", "high", ())


@pytest.mark.parametrize(
    "value, is_taken", [(2**53 - 1, True), (-(2**53 - 1), True), (2**53, False), (-(2**53), False), (10**6, True)]
)
def test_number_is_one_that_every_program_reads_alike(value, is_taken):
    details = render({**PAYMENT, "count": value})
    if is_taken:
        assert decide(details, TYPES, TYPES)
    else:
        with pytest.raises(OAuthError):
            decide(details, TYPES, TYPES)
