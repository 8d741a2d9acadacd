"""Items of the deployment as a whole: its settings and its keyring."""

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from latchstring.authorization_server.api_scopes import API_SCOPES
from latchstring.authorization_server.checks.rule import Flaw, Rule, Subject
from latchstring.authorization_server.settings import FULL_ACCESS
from latchstring.authorization_server.trusted_issuers import EVERY
from latchstring.protocol.jose.algorithms import RS256
from latchstring.protocol.redirect_uri import is_loopback

MAX_BEARER_LIFETIME: Final = 3600
MAX_RETRY_WINDOW: Final = 300
_MAX_NETWORK: Final = {4: 1 << 16, 6: 1 << 64}  # addresses of one trusted proxy network


def _issuer(subject: Subject) -> Iterable[Flaw]:
    if not subject.settings.is_https:
        is_local = is_loopback(subject.settings.issuer)
        yield Flaw("warning" if is_local else "fails", "Set issuer to the public https:// URL.")


def _access_token_lifetime(subject: Subject) -> Iterable[Flaw]:
    if subject.settings.access_token_lifetime > MAX_BEARER_LIFETIME:
        yield Flaw("warning", "Set access_token_lifetime to an hour or less.")


def _idle_lifetime(subject: Subject) -> Iterable[Flaw]:
    settings = subject.settings
    if settings.refresh_token_idle_lifetime is None and settings.refresh_token_absolute_lifetime is None:
        yield Flaw("warning", "Set refresh_token_idle_lifetime: an app that nobody uses keeps its access for ever.")


def _retry_window(subject: Subject) -> Iterable[Flaw]:
    if subject.settings.retry_window > MAX_RETRY_WINDOW:
        yield Flaw("warning", "Set retry_window to five minutes or less: so long is a stolen token not noticed.")


def _scope_words(subject: Subject) -> Iterable[Flaw]:
    spoken = {FULL_ACCESS, *API_SCOPES}
    silent = [name for name, scope in subject.settings.scopes.items() if not scope.title and name not in spoken]
    if silent:
        yield Flaw("warning", f"Give a title, in the members' words, to: {', '.join(sorted(silent))}.")


def _proxies(subject: Subject) -> Iterable[Flaw]:
    if subject.settings.is_https and subject.settings.trusted_proxies == 0:
        yield Flaw("warning", "Behind a proxy, set trusted_proxies: else every attempt seems to come from the proxy.")


def _proxy_networks(subject: Subject) -> Iterable[Flaw]:
    for text in subject.settings.trusted_proxy_networks:
        network = ip_network(text)
        if network.num_addresses > _MAX_NETWORK[network.version]:
            advice = f"Name the proxies themselves in trusted_proxy_networks, not {text}: who is there can forge."
            yield Flaw("fails" if network.prefixlen == 0 else "warning", advice)


def _keyring(subject: Subject) -> Iterable[Flaw]:
    if subject.keyring_mode is not None and subject.keyring_mode & 0o077:
        yield Flaw("fails", "chmod 600 the keyring: whoever reads it and the database makes tokens.")


def _registration(subject: Subject) -> Iterable[Flaw]:
    if subject.settings.registration == "open":
        yield Flaw("warning", "Anybody registers clients; where you know who does, set registration to gated.")


def _trusted_issuers(subject: Subject) -> Iterable[Flaw]:
    for name, trusted in subject.settings.trusted_issuers.items():
        if EVERY in trusted.organizations:
            yield Flaw("warning", f"{name} speaks for every organization: name those that it may speak for.")


def _signing(subject: Subject) -> Iterable[Flaw]:
    if not subject.fapi_clients:
        return
    if subject.settings.signing_algorithm == RS256:
        yield Flaw("fails", "Set signing_algorithm to ES256, EdDSA or PS256.")
    for name, trusted in subject.settings.trusted_issuers.items():
        if RS256 in trusted.algorithms:
            yield Flaw("fails", f"Take RS256 out of the algorithms of {name}.")


def _registration_of_fapi(subject: Subject) -> Iterable[Flaw]:
    if subject.is_fapi and subject.settings.registration == "open":
        yield Flaw("fails", "Clients that anybody registers do not keep the profile: set registration to off or gated.")


RULES: Final = (
    Rule("issuer-https", "RFC 9700 §2.6; RFC 8414 §2", "The issuer is an https URL.", _issuer),
    Rule("access-token-lifetime", "RFC 6750 §5.3", "Access tokens live an hour at most.", _access_token_lifetime),
    Rule("refresh-token-expiry", "RFC 9700 §4.14.2", "A refresh token that is not used expires.", _idle_lifetime),
    Rule("retry-window", "RFC 9700 §4.14.2", "A replaced refresh token is answered for minutes only.", _retry_window),
    Rule("scope-words", "RFC 6749 §10.2; ours", "Members can read what each scope means.", _scope_words),
    Rule("trusted-proxies", "RFC 9700 §4.13; ours", "Attempts are counted by where they come from.", _proxies),
    Rule("proxy-networks", "RFC 9700 §4.13", "Only proxies can name a client's certificate.", _proxy_networks),
    Rule("keyring-mode", "ours", "Nobody but the server reads its keyring.", _keyring),
    Rule("registration", "RFC 7591 §5", "Who registers clients is known.", _registration),
    Rule("issuer-reach", "RFC 7523 §3; ours", "A trusted issuer speaks for named organizations.", _trusted_issuers),
    Rule("fapi-algorithms", "FAPI 2.0 §5.4.1", "Nothing is signed with RS256.", _signing),
    Rule("fapi-registration", "FAPI 2.0 §5.3.2.1", "Every client keeps the profile.", _registration_of_fapi),
)
