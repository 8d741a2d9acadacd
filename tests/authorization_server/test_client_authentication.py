"""Who calls (RFC 6749 §2.3, §3.2.1; T5, V6, G3)."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import msgspec
import pytest

from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.client_documents import ClientDocuments
from latchstring.authorization_server.client_keys import ClientKeys
from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.records import ClientRecord, ClientSecurity, ResourceServerRecord
from latchstring.authorization_server.registration_codec import RegistrationCodec
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.client_certificate import parse_certificate
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import ClientCredentials
from tests.authorization_server.builders import MAILLOOP, NOW, build_client, build_codec, build_resource_server
from tests.support.certificates import make_certificate
from tests.support.documents import FakeFetch

CODEC = build_codec()
SECRET, OTHER = (CODEC.render_client_secret(bytes([n]) * 33) for n in (1, 2))
CONFIDENTIAL = build_client(secrets=(CODEC.hash_client_secret(SECRET, NOW),))
# A secret that is left over from before must not count.
BY_KEY = build_client(token_endpoint_auth_method="private_key_jwt", secrets=CONFIDENTIAL.secrets)
STRICT = build_client(secrets=CONFIDENTIAL.secrets, security=ClientSecurity(profile="fapi2"))
PUBLIC = build_client(token_endpoint_auth_method="none")
GUARD = build_resource_server(secrets=(CODEC.hash_client_secret(SECRET, NOW),))
ISSUER = "https://auth.example"
POST, BASIC, NONE = "client_secret_post", "client_secret_basic", "none"


class _Store:
    """Knows one client and one resource server, or none."""

    def __init__(self, client: ClientRecord | None, resource_server: ResourceServerRecord | None) -> None:
        self._client = client
        self._resource_server = resource_server

    async def find_client(self, client_id: str) -> ClientRecord | None:
        client = self._client
        return client if client is not None and client_id == client.client_id else None

    async def find_resource_server(self, client_id: str) -> ResourceServerRecord | None:
        found = self._resource_server
        return found if found is not None and client_id == found.client_id else None


def _authenticator(
    client: ClientRecord | None = None,
    resource_server: ResourceServerRecord | None = None,
    settings: Settings | None = None,
) -> ClientAuthenticator:
    store: Any = _Store(client, resource_server)
    settings = settings or Settings(issuer=ISSUER)
    return ClientAuthenticator(
        clients=Clients(
            store=store,
            registrations=RegistrationCodec(CODEC),
            documents=ClientDocuments(fetch=FakeFetch(), settings=settings, clock=lambda: NOW),
            settings=settings,
            clock=lambda: NOW,
        ),
        store=store,
        codec=CODEC,
        keys=ClientKeys(key_sets=_no_key_sets),
        settings=settings,
        clock=lambda: NOW,
        note_secret_use=lambda *use: None,
        note_secret_hash=lambda *renewed: None,
    )


async def _no_key_sets(url: str, *, is_wanted: Any = None) -> Any:
    raise AssertionError("nobody asks for keys here")


async def authenticate(client: ClientRecord | None, credentials: ClientCredentials) -> ClientRecord:
    return await _authenticator(client=client).authenticate(credentials)


async def refuse(client: ClientRecord | None, credentials: ClientCredentials) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        await authenticate(client, credentials)
    assert (refused.value.code, refused.value.status) == ("invalid_client", 401)
    return refused.value


@pytest.mark.parametrize("method", [POST, BASIC])
async def test_authenticate_confidential_client_proves_itself_by_either_method(method):
    assert await authenticate(CONFIDENTIAL, ClientCredentials(MAILLOOP, SECRET, method)) == CONFIDENTIAL


async def test_v6_authenticate_public_client_only_names_itself():
    """CVE-2018-1000211."""
    assert await authenticate(PUBLIC, ClientCredentials(MAILLOOP, None, NONE)) == PUBLIC


@pytest.mark.parametrize(
    "client, credentials",
    [
        pytest.param(CONFIDENTIAL, ClientCredentials(MAILLOOP, OTHER, POST), id="T5-wrong-secret"),
        pytest.param(CONFIDENTIAL, ClientCredentials(MAILLOOP, SECRET[:-1], BASIC), id="T4-cut-secret"),
        pytest.param(CONFIDENTIAL, ClientCredentials(MAILLOOP, "", BASIC), id="T4-empty-secret"),
        pytest.param(None, ClientCredentials(MAILLOOP, SECRET, POST), id="T5-unknown-client"),
        pytest.param(None, ClientCredentials(MAILLOOP, None, NONE), id="T5-unknown-public-client"),
        pytest.param(CONFIDENTIAL, ClientCredentials(MAILLOOP.lower(), SECRET, POST), id="other-case"),
        pytest.param(PUBLIC, ClientCredentials(MAILLOOP, SECRET, POST), id="public-with-a-secret"),
        pytest.param(PUBLIC, ClientCredentials(MAILLOOP, "", BASIC), id="public-by-basic"),
        pytest.param(build_client(secrets=()), ClientCredentials(MAILLOOP, SECRET, POST), id="client-without-secrets"),
        pytest.param(BY_KEY, ClientCredentials(MAILLOOP, SECRET, POST), id="client-of-keys-with-a-secret"),
        pytest.param(BY_KEY, ClientCredentials(MAILLOOP, None, NONE), id="G3-client-of-keys-by-name"),
        pytest.param(STRICT, ClientCredentials(MAILLOOP, SECRET, BASIC), id="F1-fapi2-client-by-its-secret"),
    ],
)
async def test_t5_authenticate_failures_read_alike(client, credentials):
    refused = await refuse(client, credentials)
    assert refused.description == "Client authentication failed: unknown client or wrong secret."
    assert refused.reason.startswith(("the client", "the secret", "a public client"))
    assert SECRET not in refused.reason
    assert OTHER not in refused.reason


@pytest.mark.parametrize("client", [CONFIDENTIAL, build_client(secrets=())], ids=["with-secret", "without"])
async def test_g3_authenticate_confidential_client_without_its_secret_is_refused(client):
    """CVE-2026-53512, CVE-2026-44476."""
    await refuse(client, ClientCredentials(MAILLOOP, None, NONE))


async def test_authenticate_any_of_two_secrets_is_good():
    """Replacing a secret without a gap keeps two for a while."""
    both = build_client(secrets=tuple(CODEC.hash_client_secret(secret, NOW) for secret in (OTHER, SECRET)))
    for secret in (SECRET, OTHER):
        assert await authenticate(both, ClientCredentials(MAILLOOP, secret, POST)) == both


@pytest.fixture
def hashes() -> Iterator[list[str]]:
    """Every secret that the codec hashes."""
    hashed: list[str] = []
    original = type(CODEC)._hash_secret

    def count(self: object, key_id: int, client_secret: str) -> bytes:
        hashed.append(client_secret)
        return original(CODEC, key_id, client_secret)

    with mock.patch.object(type(CODEC), "_hash_secret", count):
        yield hashed


@pytest.mark.parametrize("client", [CONFIDENTIAL, None, build_client(secrets=())], ids=["known", "unknown", "bare"])
async def test_t5_authenticate_unknown_client_costs_as_many_hashes_as_a_wrong_secret(client, hashes):
    await refuse(client, ClientCredentials(MAILLOOP, OTHER, POST))
    assert hashes == [OTHER]


@pytest.mark.parametrize("expires_at, counts", [(NOW, False), (NOW + 1, True)])
async def test_t5_secret_that_has_ended_proves_nobody(expires_at, counts):
    ending = (msgspec.structs.replace(CODEC.hash_client_secret(SECRET, NOW), expires_at=expires_at),)
    client, guard = build_client(secrets=ending), build_resource_server(secrets=ending)
    if counts:
        assert await authenticate(client, ClientCredentials(MAILLOOP, SECRET, POST)) == client
        assert await authenticate_guard(guard, SECRET) == guard
    else:
        await refuse(client, ClientCredentials(MAILLOOP, SECRET, POST))
        with pytest.raises(OAuthError, match="invalid_client"):
            await authenticate_guard(guard, SECRET)


async def authenticate_guard(found: ResourceServerRecord | None, secret: str | None) -> ResourceServerRecord:
    method = NONE if secret is None else BASIC
    credentials = ClientCredentials(GUARD.client_id, secret, method)
    return await _authenticator(resource_server=found).authenticate_resource_server(credentials)


async def test_authenticate_resource_server_by_its_secret():
    assert await authenticate_guard(GUARD, SECRET) == GUARD


@pytest.mark.parametrize("found", [GUARD, None, build_resource_server()], ids=["known", "unknown", "bare"])
@pytest.mark.parametrize("secret", [None, "", OTHER])
async def test_n1_authenticate_resource_server_otherwise_is_invalid_client(found, secret):
    with pytest.raises(OAuthError) as refused:
        await authenticate_guard(found, secret)
    assert (refused.value.code, refused.value.status) == ("invalid_client", 401)
    assert refused.value.reason == "the resource server is unknown or its secret wrong"


BY_SUBJECT = build_client(
    token_endpoint_auth_method="tls_client_auth",
    security=ClientSecurity(tls_client_auth_subject_dn="CN=mailloop,O=Acorn\\, Partners"),
)


@pytest.mark.parametrize("is_verified", [True, False])
async def test_certificate_counts_by_its_subject_only_where_its_issuer_was_verified(is_verified):
    """Anybody can write any subject into a certificate of their own (RFC 8705 §7.4)."""
    settings = Settings(
        issuer=ISSUER,
        client_certificate_header="Client-Cert",
        trusted_proxy_networks=("127.0.0.1",),
        client_certificates_verified=is_verified,
    )
    authenticator = _authenticator(BY_SUBJECT, settings=settings)
    credentials = ClientCredentials(MAILLOOP, None, NONE, certificate=parse_certificate(make_certificate()))
    if is_verified:
        assert await authenticator.authenticate(credentials) == BY_SUBJECT
    else:
        with pytest.raises(OAuthError) as refused:
            await authenticator.authenticate(credentials)
        assert refused.value.code == "invalid_client"
