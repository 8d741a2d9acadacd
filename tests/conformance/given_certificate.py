"""States of clients that prove themselves by the certificate of their TLS connection (RFC 8705 §2)."""

from typing import Any

from latchstring.authorization_server.client_keys import clean_key_set
from latchstring.authorization_server.records import ClientSecurity
from tests.conformance.given import World, _state
from tests.conformance.given_proofs import CERTIFICATES
from tests.support.certificates import certificate_jwk, render_rfc9440
from tests.support.signing import key_set


def _show(world: World) -> None:
    world.values["certificate"] = render_rfc9440(CERTIFICATES["app"])
    world.values["another_certificate"] = render_rfc9440(CERTIFICATES["another"])


@_state("certificate app")
async def _certificate_app(world: World, *, name: str = "subject_dn", value: str, profile: Any = "oauth2.1") -> None:
    """Known by a subject of its certificate: `name` as in `tls_client_auth_…`; `${certificate}` has it."""
    _show(world)
    security = ClientSecurity(profile=profile, **{f"tls_client_auth_{name}": value})  # type: ignore[arg-type]
    await world.make_app("app", token_endpoint_auth_method="tls_client_auth", security=security)


@_state("self-signed certificate app")
async def _self_signed_app(world: World, *, by_thumbprint: bool = False, by_url: bool = False) -> None:
    """Known by a key set with its certificate, or with its thumbprint."""
    _show(world)
    document = key_set(certificate_jwk(CERTIFICATES["app"], by_thumbprint=by_thumbprint))
    if by_url:
        url = f"https://app.example/{world.shared.serial}/certificates.json"
        world.shared.documents[url] = document
        security = ClientSecurity(jwks_uri=url)
    else:
        security = ClientSecurity(jwks=clean_key_set(document))
    await world.make_app("app", token_endpoint_auth_method="self_signed_tls_client_auth", security=security)
