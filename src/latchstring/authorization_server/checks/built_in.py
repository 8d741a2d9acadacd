"""Items that hold whatever the settings say: the server has no way to be otherwise. Each is held by the conformance
tables; here they complete the report."""

from collections.abc import Iterable
from typing import Final

from latchstring.authorization_server.checks.rule import Flaw, Rule, Subject


def _find_nothing(_: Subject) -> Iterable[Flaw]:
    return ()


def _hold(id: str, source: str, asks: str) -> Rule:
    return Rule(id, source, asks, _find_nothing)


RULES: Final = (
    _hold("redirect-uri-exact", "RFC 9700 §2.1; OAuth 2.1 §2.3.1", "Redirect URIs are compared byte for byte."),
    _hold("no-open-redirector", "RFC 9700 §2.1, §4.11.2", "Nothing unproven is redirected to."),
    _hold("pkce-no-downgrade", "RFC 9700 §2.1.1, §4.8", "PKCE cannot be taken out of a flow, and is S256 alone."),
    _hold("no-implicit", "RFC 9700 §2.1.2; OAuth 2.1 §3.1", "No access token is in an authorization answer."),
    _hold("issuer-in-answer", "RFC 9700 §4.4.2; RFC 9207", "Every authorization answer names the issuer."),
    _hold("no-password-grant", "RFC 9700 §2.4", "There is no password grant."),
    _hold("code-once", "RFC 6749 §4.1.2; OAuth 2.1 §7.5.2", "A code counts once; a valid replay ends the grant."),
    _hold("refresh-replay", "RFC 9700 §2.2.2, §4.14.2", "A replaced refresh token that comes again ends the grant."),
    _hold("redirect-after-post", "RFC 9700 §4.12", "A form is answered by a redirect that repeats nothing (303)."),
    _hold("clickjacking", "RFC 9700 §4.16", "Pages cannot be framed."),
    _hold("metadata", "RFC 9700 §2.6; RFC 8414", "Clients configure themselves from metadata."),
)
