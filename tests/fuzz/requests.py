"""Requests that are nearly right: a well-formed one for the endpoint, or one made of all words that the server knows,
with fields dropped, doubled, exchanged and filled with hostile text.

`{name}` stands for a live credential of the arena (`arena.py`): the same example means the same in every run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec
from hypothesis import strategies as st

from tests.fuzz.inputs import FRAGMENTS, SEEDS
from tests.fuzz.vocabulary import header_names, parameter_names, words

# What arena.py fills in.
LIVE: Final = (
    "{client_id}",
    "{client_secret}",
    "{public_id}",
    "{private_id}",
    "{guard_id}",
    "{guard_secret}",
    "{code}",
    "{refresh_token}",
    "{access_token}",
    "{client_token}",
    "{request_uri}",
    "{redirect_uri}",
    "{acorn}",
    "{birch}",
    "{organization_id}",
    "{endpoint_id}",
    "{verb}",
    "{grant_id}",
    "{csrf_token}",
    "{attestation}",
    "{assertion}",
    "{consent}",
    "{cookie}",
    "{email}",
    "{registered_id}",
    "{registration_token}",
)
CERTIFICATE: Final = b"x-client-certificate"
# Nothing that is sent comes back unescaped, and nothing at all in an OAuth refusal.
CANARY: Final = "<zebra \"'>"
_HOSTILE: Final = (
    CANARY,
    "zebra\r\nX-Zebra: 1",
    'zebra"\\',
    "zebra\u00e9\u2028",
    "zebra%00",
    "javascript:alert('zebra')",
    "https://zebra.example/cb",
    "//zebra.example/",
    "\\zebra.example",
    "zebra" * 2000,
    "",
    " ",
    "0",
    "-1",
    "1e9",
    "99999999999999999999",
)
_APP: Final = {"client_id": "{client_id}", "client_secret": "{client_secret}"}
_ASK: Final = {"client_id": "{client_id}", "response_type": "code", "redirect_uri": "{redirect_uri}", "state": "s"}
_REGISTRATION: Final = {
    "client_name": "Mailloop",
    "redirect_uris": "{redirect_uri}",
    "grant_types": "authorization_code",
    "token_endpoint_auth_method": "client_secret_basic",
}
# Members that are lists of texts.
_LISTS: Final = frozenset({"contacts", "grant_types", "redirect_uris", "response_types"})
# A good request for every endpoint that needs more than one field to be right at once. Others are made of all words.
_GOOD: Final[dict[str, list[dict[str, str]]]] = {
    "/oauth2/token": [
        {**_APP, "grant_type": "authorization_code", "code": "{code}"},
        {**_APP, "grant_type": "refresh_token", "refresh_token": "{refresh_token}", "scope": "contacts.read"},
        {**_APP, "grant_type": "client_credentials", "scope": "contacts.read", "resource": "https://api.example/"},
    ],
    "/oauth2/par": [{**_APP, **_ASK}],
    "/oauth2/register": [_REGISTRATION],
    "/oauth2/register/{registered_id}": [_REGISTRATION],
    "/oauth2/revoke": [{**_APP, "token": "{access_token}", "token_type_hint": "access_token"}],
    "/oauth2/introspect": [
        {"client_id": "{guard_id}", "client_secret": "{guard_secret}", "token": token}
        for token in ("{access_token}", "{client_token}", "{refresh_token}")
    ],
    "/oauth2/authorize": [
        {**_ASK, "scope": "contacts.read offline_access", "organization_id": "{acorn}"},
        {"client_id": "{client_id}", "request_uri": "{request_uri}"},
        {**_ASK, "client_id": "{public_id}", "code_challenge": "E" * 43, "code_challenge_method": "S256"},
    ],
    "/consent": [
        {"csrf_token": "{csrf_token}", "request": "{consent}", "decision": "allow", "organization_id": "{acorn}"},
        {"csrf_token": "{csrf_token}", "request": "{consent}", "decision": "deny"},
    ],
    "/sign-in": [
        {"csrf_token": "{csrf_token}", "email": "{email}", "password": "correct horse battery", "continue": "/"}
    ],
    "/sign-in/passkey": [{"csrf_token": "{csrf_token}", "credential": "{assertion}", "continue": "/"}],
    "/account/passkeys": [{"csrf_token": "{csrf_token}", "credential": "{attestation}", "name": "My phone"}],
    "/apps/new": [
        {
            "csrf_token": "{csrf_token}",
            "organization_id": "{acorn}",
            "name": "Mailloop",
            "redirect_uris": "https://app.example/cb",
        }
    ],
}
_NAMES: Final = parameter_names()
_VALUES: Final = (
    st.sampled_from(LIVE)
    | st.sampled_from(words())
    | st.sampled_from(_HOSTILE)
    | st.sampled_from([seed.decode() for seed in SEEDS])
    | st.text(max_size=8)
)
_FORM: Final = b"application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Sent:
    """One request, placeholders and all."""

    method: str
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def _rarely(draw: st.DrawFn, one_in: int) -> bool:
    """Once in so many times; what is usual comes first, so that examples shrink to it."""
    return draw(st.integers(1, one_in)) == one_in


@st.composite
def _fields(draw: st.DrawFn, path: str) -> list[tuple[str, str]]:
    good = _GOOD.get(path)
    if good and not _rarely(draw, 5):
        fields = list(draw(st.sampled_from(good)).items())
    else:
        fields = [] if _rarely(draw, 5) else list(_find_proof(path).items())
        names = draw(st.lists(st.sampled_from(_NAMES), max_size=6))
        fields += [(name, draw(_VALUES)) for name in names]
    for _ in range(draw(st.integers(0, 2))):
        position = draw(st.integers(0, len(fields)))
        change = draw(st.sampled_from(["set", "set", "add", "drop", "double"]))
        if change == "add" or position == len(fields):
            fields.insert(position, (draw(st.sampled_from(_NAMES)), draw(_VALUES)))
        elif change == "set":
            fields[position] = (fields[position][0], draw(_VALUES))
        elif change == "drop":
            del fields[position]
        else:
            fields.append(fields[position])
    return fields


def _find_proof(path: str) -> dict[str, str]:
    """What every request there must have before anything else of it counts."""
    return _APP if path.startswith("/oauth2/") else {"csrf_token": "{csrf_token}"}


def sweep(method: str, path: str) -> Iterator[Sent]:
    """Every field of every good request hostile in every way; then every word that the server knows, as a field."""
    good = _GOOD.get(path, [])
    fields = [{**form, name: value} for form in good for name in form for value in _HOSTILE]
    fields += [{**(good[0] if good else _find_proof(path)), name: CANARY} for name in _NAMES]
    cookie = (b"cookie", b"__Host-latchstring_session={cookie}")
    where = re.sub(r"\{name\}", "latchstring.css", path)
    for form in fields:
        raw = _encode(list(form.items()))
        proof = ((b"authorization", b"Bearer {registration_token}"),) if "{registered_id}" in path else ()
        if method == "GET":
            yield Sent(method, where, raw, (cookie, *proof), b"")
        elif _takes_json(path):
            members = msgspec.json.encode({name: _list(name, value) for name, value in form.items()})
            yield Sent(method, where, b"", ((b"content-type", b"application/json"), *proof), members)
        else:
            yield Sent(method, where, b"", ((b"content-type", _FORM), cookie), raw)


def _encode(fields: list[tuple[str, str]]) -> bytes:
    """Form encoding that leaves placeholders to be filled in."""
    return "&".join(f"{quote(name)}={quote(value, safe='{}')}" for name, value in fields).encode()


@st.composite
def _json(draw: st.DrawFn, path: str) -> bytes:
    """The same as a JSON object, its values bare, in lists or in objects, or of another type."""
    members = {name: _list(name, value) for name, value in draw(_fields(path))}
    if members and _rarely(draw, 2):
        name = draw(st.sampled_from(sorted(members)))
        members[name] = draw(_shape(str(members[name])))
    raw = msgspec.json.encode(members)
    if _rarely(draw, 8):
        cut = draw(st.integers(0, len(raw)))
        raw = raw[:cut] + draw(st.sampled_from(FRAGMENTS)) + raw[cut:]
    return raw


def _list(name: str, value: str) -> object:
    return [value] if name in _LISTS else value


def _takes_json(path: str) -> bool:
    return path.startswith("/oauth2/register")


def _shape(value: str) -> st.SearchStrategy[object]:
    return st.sampled_from([value, value, [value], [value, value], {"a": value}, None, True, 1, 1.5, [], {}, [[]]])


@st.composite
def _raw(draw: st.DrawFn, path: str) -> bytes:
    """Encoded fields, and now and then what is no form at all."""
    raw = _encode(draw(_fields(path)))
    if _rarely(draw, 8):
        cut = draw(st.integers(0, len(raw)))
        raw = raw[:cut] + draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=12)) + raw[cut:]
    return raw


@st.composite
def requests(draw: st.DrawFn, method: str, path: str) -> Sent:
    """A request for that route."""
    is_json = method in {"POST", "PUT"} and (_takes_json(path) or _rarely(draw, 6))
    raw = draw(_json(path) if is_json else _raw(path))
    sent = method
    if _rarely(draw, 20):
        sent = draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "X"]))
    is_form = sent not in {"GET", "HEAD"}
    headers: list[tuple[bytes, bytes]] = []
    if is_form:
        odd = [b"application/json", b"application/jwt", b"multipart/form-data; boundary=x", b"\xff"]
        usual = b"application/json" if is_json else _FORM
        headers.append((b"content-type", draw(st.sampled_from(odd)) if _rarely(draw, 15) else usual))
    if "{registered_id}" in path and not _rarely(draw, 5):
        headers.append((b"authorization", b"Bearer {registration_token}"))
    if not _rarely(draw, 5):
        headers.append((b"cookie", b"__Host-latchstring_session={cookie}"))
    for name in draw(st.lists(st.sampled_from((*header_names(), CERTIFICATE)), max_size=2)):
        value = draw(st.sampled_from(SEEDS) | st.sampled_from(FRAGMENTS) | _VALUES.map(str.encode))
        # A server in front hands over neither line breaks nor NUL in a header.
        headers.append((name, value.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")[:8000]))
    if _rarely(draw, 10):
        headers.append((b"authorization", draw(st.sampled_from([b"Basic {basic}", b"Bearer {access_token}"]))))
    return Sent(sent, _fill_path(draw, path), b"" if is_form else raw, tuple(headers), raw if is_form else b"")


def _fill_path(draw: st.DrawFn, path: str) -> str:
    def choose(match: re.Match[str]) -> str:
        live = f"{{{match[1]}}}"
        if match[1] == "name":
            return draw(st.sampled_from(["latchstring.css", "../app.py", "zebra'<\u00e9"]))
        return draw(st.sampled_from([*([live] * 3 if live in LIVE else []), "x", "zebra'<\u00e9", "%00"]))

    return re.sub(r"\{(\w+)[^}]*\}", choose, path) + draw(st.sampled_from(["", "/"]))
