"""What tokens and grants are bound to: the key of a DPoP proof (RFC 9449), a client's certificate (RFC 8705). Pure."""

from latchstring.authorization_server.policy import find_policy
from latchstring.authorization_server.records import ClientRecord, GrantRecord, Rebinding
from latchstring.authorization_server.refusals import refuse_grant
from latchstring.protocol.client_certificate import ClientCertificate
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError


def decide_confirmation(
    client: ClientRecord, key_thumbprint: str | None, certificate: ClientCertificate | None
) -> Confirmation | None:
    """What the client's tokens are bound to, from what it proved to hold; None for bearer tokens.

    A client that must prove more than it did is refused (RFC 9449 §5.2, RFC 8705 §3.4, FAPI 2.0 §5.3.2.1).
    """
    security, needs_any = client.security, find_policy(client).requires_bound_tokens
    if security.dpop_bound_access_tokens and key_thumbprint is None:
        raise OAuthError("invalid_request", "The DPoP header is missing: this client's tokens are bound to its key.")
    if security.tls_client_certificate_bound_access_tokens and certificate is None:
        raise OAuthError(
            "invalid_request", "The client certificate is missing: this client's tokens are bound to its certificate."
        )
    if needs_any and key_thumbprint is None and certificate is None:
        raise OAuthError(
            "invalid_request", "The tokens of this client are bound: send a DPoP proof or a client certificate."
        )
    takes_certificate = security.tls_client_certificate_bound_access_tokens or (needs_any and key_thumbprint is None)
    x5t_s256 = certificate.thumbprint if certificate is not None and takes_certificate else None
    return None if key_thumbprint is None and x5t_s256 is None else Confirmation(key_thumbprint, x5t_s256)


def is_proved(bound_to: Confirmation | None, confirmation: Confirmation | None) -> bool:
    """Whether the caller proved all that an access token is bound to; what it proved besides does not matter."""
    if bound_to is None:
        return True
    return (
        confirmation is not None
        and bound_to.jkt in {None, confirmation.jkt}
        and bound_to.x5t_s256 in {None, confirmation.x5t_s256}
    )


def verify_binding(grant: GrantRecord, confirmation: Confirmation | None) -> None:
    """Refuse a code or a refresh token whose caller does not prove the key that it is bound to (RFC 9449 §5, §10).

    Nothing proved at all is the request's fault; the wrong thing is the credential in the wrong hands.
    """
    bound_to = grant.confirmation
    if bound_to is None:
        return
    jkt, x5t_s256 = (None, None) if confirmation is None else (confirmation.jkt, confirmation.x5t_s256)
    for expected, proved in ((bound_to.jkt, jkt), (bound_to.x5t_s256, x5t_s256)):
        if expected is None or expected == proved:
            continue
        if proved is None:
            raise OAuthError(
                "invalid_request", "This grant is bound to a key: the DPoP proof or the client certificate is missing."
            )
        raise refuse_grant("This grant is bound to another key.", "bound to another key")


def verify_retry_binding(grant: GrantRecord, confirmation: Confirmation | None) -> None:
    """Refuse to repeat an answer to somebody who proves another key than its first receiver did (DESIGN §5)."""
    if grant.confirmation != confirmation:
        raise refuse_grant(
            "superseded: this was answered before, to somebody with another key.", "retry by another key"
        )


def find_rebinding(grant: GrantRecord, confirmation: Confirmation | None) -> Rebinding | None:
    """The change to what the grant is bound to; None while it stays as it is, which costs no write of its own."""
    return None if grant.confirmation == confirmation else Rebinding(confirmation)
