"""A client that proves itself by its key: an assertion that it signed, or its own certificate (RFC 7523, RFC 8705)."""

from typing import Any

import msgspec
import pytest
from joserfc.jwk import ECKey

from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.epoch import Epoch
from latchstring.authorization_server.records import ClientRecord, ClientSecurity
from latchstring.protocol.client_certificate import ClientCertificate, parse_certificate
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.jose.jws import render_jwt
from latchstring.protocol.token_request import ClientCredentials
from tests.authorization_server.builders import build_client
from tests.authorization_server.conftest import SECRET, House
from tests.support.certificates import make_certificate
from tests.support.proofs import make_rsa

APP = "signing-app"
EC, OTHER, RSA = ECKey.generate_key("P-256"), ECKey.generate_key("P-256"), make_rsa().key
CERTIFICATE = parse_certificate(make_certificate())
ALIKE = "Client authentication failed: unknown client, or no key of its own signed that."


def make_keys(*keys: dict[str, Any]) -> str:
    return msgspec.json.encode({"keys": keys}).decode()


def make_authenticator(house: House) -> ClientAuthenticator:
    authenticator = house._parts("authenticator")["authenticator"]
    assert isinstance(authenticator, ClientAuthenticator)
    return authenticator


async def register(house: House, method: str = "private_key_jwt", **security: Any) -> ClientRecord:
    keys = make_keys({**EC.as_dict(private=False), "kid": "ec"}, {**RSA.as_dict(private=False), "kid": "rsa"})
    given = ClientSecurity(**{"jwks": keys, **security})
    client = build_client(client_id=APP, token_endpoint_auth_method=method, security=given)
    await house.store.create_client(client)
    return client


def sign(house: House, key: Any = EC, header: dict[str, Any] | None = None, **changed: Any) -> str:
    issuer, expires_at = house.settings.issuer, house.now + 60
    claims = {"iss": APP, "sub": APP, "aud": issuer, "jti": "1", "exp": expires_at, **changed}
    return render_jwt({"alg": "ES256", **(header or {})}, claims, key)


async def authenticate(house: House, assertion: str, client_id: str = APP) -> ClientRecord:
    credentials = ClientCredentials(client_id, None, "private_key_jwt", assertion)
    return await make_authenticator(house).authenticate(credentials)


async def refuse(house: House, assertion: str, description: str, reason: str | None = None) -> None:
    with pytest.raises(OAuthError) as caught:
        await authenticate(house, assertion)
    assert (caught.value.code, caught.value.status) == ("invalid_client", 401)
    assert description in caught.value.description
    assert reason is None or reason in caught.value.reason


@pytest.mark.parametrize("typ", [None, "JWT", "client-authentication+jwt"])
async def test_assertion_of_the_client_s_key_proves_it_once(house: House, typ):
    client = await register(house)
    header = {} if typ is None else {"typ": typ}
    assert (await authenticate(house, sign(house, header=header))).client_id == client.client_id
    await refuse(house, sign(house, header=header), "was used before")
    assert await authenticate(house, sign(house, header=header, jti="2"))


async def test_assertion_of_the_same_id_from_two_clients_counts_for_each(house: House):
    first = await register(house)
    second = msgspec.structs.replace(first, client_id="another-app")
    await house.store.create_client(second)
    assert (await authenticate(house, sign(house))).client_id == APP
    theirs = sign(house, iss="another-app", sub="another-app")
    assert (await authenticate(house, theirs, "another-app")).client_id == "another-app"


async def test_assertion_is_remembered_until_it_has_expired(house: House):
    await register(house)
    assertion = sign(house, exp=house.now + 600)
    await authenticate(house, assertion)
    house.now += 599
    await refuse(house, sign(house, jti="other", exp=house.now), "has expired")
    await authenticate(house, sign(house, jti="2"))  # clears away what has expired
    await refuse(house, assertion, "was used before")


async def test_assertion_that_was_refused_is_not_used_up(house: House):
    await register(house)
    await refuse(house, sign(house, OTHER), ALIKE)
    assert await authenticate(house, sign(house))


@pytest.mark.parametrize(
    "changed, why",
    [
        ({"iss": "another-app"}, "iss and sub"),
        ({"sub": "another-app"}, "iss and sub"),
        ({"aud": "https://other.example"}, "aud is not"),
        ({"jti": None}, "jti is missing"),
        ({"exp": 1}, "the JWT has expired"),
    ],
)
async def test_assertion_that_claims_something_else_is_told_what(house: House, changed, why):
    await register(house)
    await refuse(house, sign(house, **changed), f"The client assertion does not count: {why}")


async def test_assertion_that_is_none_is_told_so(house: House):
    await register(house)
    await refuse(house, "nonsense", "The client assertion does not count: not a compact JWT")


async def test_assertion_failures_of_who_it_is_read_alike(house: House):
    await refuse(house, sign(house), ALIKE, "the client is unknown")
    await register(house)
    await refuse(house, sign(house, OTHER), ALIKE, "the assertion: no key")
    await refuse(house, sign(house, header={"typ": "dpop+jwt"}), ALIKE, "the assertion: typ")
    await refuse(house, sign(house, header={"kid": "rsa"}), ALIKE, "the assertion: ")


async def test_assertion_for_a_client_of_another_method_is_refused(house: House):
    await register(house, "tls_client_auth")
    await refuse(house, sign(house), ALIKE, "the client authenticates by tls_client_auth")


async def test_assertion_by_another_algorithm_than_the_registered_one_is_refused(house: House):
    await register(house, token_endpoint_auth_signing_alg="PS256")
    await refuse(house, sign(house), ALIKE, "alg is not one that counts")
    assert await authenticate(house, sign(house, RSA, {"alg": "PS256"}))


@pytest.mark.parametrize("profile, counts", [("oauth2.1", True), ("fapi2", False)])
async def test_f6_assertion_by_rs256_counts_for_a_plain_client_alone(house: House, profile, counts):
    await register(house, profile=profile)
    assertion = sign(house, RSA, {"alg": "RS256"})
    if counts:
        assert await authenticate(house, assertion)
    else:
        await refuse(house, assertion, ALIKE, "alg is not one that counts")
    assert await authenticate(house, sign(house, jti="2"))


async def test_secret_that_was_used_is_noted_with_its_time(house: House):
    client = await house.client(APP)
    await make_authenticator(house).authenticate(ClientCredentials(APP, SECRET, "client_secret_post"))
    assert house.secret_uses == [(APP, client.secrets[0].secret_id, house.now)]


# -- certificates


async def authenticate_by(house: House, certificate: ClientCertificate | None, **given: Any) -> ClientRecord:
    values = {"client_secret": None, "method": "none", **given}
    return await make_authenticator(house).authenticate(ClientCredentials(APP, **values, certificate=certificate))


@pytest.mark.parametrize("profile", ["oauth2.1", "legacy", "fapi2"])
async def test_certificate_that_the_client_has_published_proves_it(house: House, profile):
    keys = make_keys({**EC.as_dict(private=False), "x5t#S256": CERTIFICATE.thumbprint})
    await register(house, "self_signed_tls_client_auth", jwks=keys, profile=profile)
    assert (await authenticate_by(house, CERTIFICATE)).client_id == APP
    another = parse_certificate(make_certificate())
    for certificate, given, why in [
        (another, {}, "the certificate is not the client's"),
        (None, {}, "none was shown"),
        (CERTIFICATE, {"client_secret": SECRET, "method": "client_secret_post"}, "unknown client or wrong secret"),
    ]:
        with pytest.raises(OAuthError) as caught:
            await authenticate_by(house, certificate, **given)
        assert (caught.value.code, caught.value.status) == ("invalid_client", 401)
        assert why in caught.value.description
        assert not given or caught.value.reason == "a client of certificates sent a secret"


async def test_certificate_of_the_keys_without_one_is_nobody_s(house: House):
    await register(house, "self_signed_tls_client_auth")
    with pytest.raises(OAuthError, match="invalid_client"):
        await authenticate_by(house, CERTIFICATE)


# -- after a restoration, what was used before is not known


async def test_assertion_that_may_have_been_used_before_a_restoration_is_unavailable_and_not_used_up(house: House):
    """Drill 9: used, forgotten with the database, and replayed; an honest client makes a new one."""
    await register(house)
    began_at = house.now
    forgotten = sign(house, exp=house.now + 600, iat=house.now - 1)
    house.codec.epoch = Epoch(b"s" * 16, began_at)
    for assertion in (forgotten, sign(house, exp=house.now + 600), sign(house, iat=began_at + 9)):
        with pytest.raises(OAuthError) as caught:
            await authenticate(house, assertion)
        assert (caught.value.code, caught.value.status) == ("temporarily_unavailable", 503)
    house.now += 12
    assert await authenticate(house, sign(house, jti="new", iat=house.now))
    house.now = began_at + 599
    with pytest.raises(OAuthError, match="temporarily_unavailable"):
        await authenticate(house, forgotten)
    house.now = began_at + 620
    assert await authenticate(house, sign(house, jti="without iat"))
