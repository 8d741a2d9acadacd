"""What the panel says: one plain sentence for each step, a few words for each parameter."""

from collections.abc import Mapping
from typing import Final

from latchstring.client import Exchange

BROWSER, APP, SERVER, API = "Your browser", "Mailloop", "Authorization server", "API"

MEANINGS: Final[Mapping[str, str]] = {
    "access_token": "what the API wants to see; good for an hour",
    "client_id": "who is asking: Mailloop's public name",
    "client_secret": "proves that it is Mailloop; never in a browser",
    "code": "good once, for a minute, and only for Mailloop",
    "code_challenge": "a hash of a secret that stays with Mailloop (PKCE)",
    "code_challenge_method": "the hash is SHA-256",
    "code_verifier": "that secret: only who began can finish (PKCE)",
    "error": "what happened, in a word for programs",
    "error_description": "the same, in a sentence for developers",
    "grant_type": "what is traded for the token",
    "iss": "who answers, so that no other server can pose as it",
    "organization_id": "the one organization it is for",
    "redirect_uri": "where the answer goes; registered beforehand",
    "refresh_token": "gets the next pair; good once",
    "response_type": "only a code is to pass through the browser",
    "scope": "what it may do; offline_access means: also while you are away",
    "state": "ties the answer to this browser; good once",
    "token": "what is to be revoked",
    "token_type_hint": "which kind of token that is",
}

_TO_SERVER: Final = "Mailloop sends your browser to the server, which asks you there. Your password stays there, too."
_CODE: Final = (
    "The server sends your browser back with a code. It opens nothing by itself: only Mailloop can redeem it."
)
_DECLINED: Final = "You declined. The server tells Mailloop that, and nothing else."
_REFUSED: Final = "The server sends your browser back with an error."


def explain_browser(parameters: Mapping[str, str], *, is_callback: bool) -> str:
    """What a redirect of the browser is for."""
    if not is_callback:
        return _TO_SERVER
    if "error" in parameters:
        return _DECLINED if parameters["error"] == "access_denied" else _REFUSED
    return _CODE


def explain_exchange(exchange: Exchange) -> str:
    """What Mailloop's own request was for, and what came of it."""
    if exchange.status is None:
        return "No answer came. Nothing is lost: Mailloop asks again."
    path = exchange.url.partition("?")[0].rstrip("/")
    if path.endswith("/.well-known/oauth-authorization-server"):
        return "Mailloop knows only the server's address, and asks it where everything else is."
    if exchange.status >= 500 or exchange.status == 429:
        return "There is no answer for now. Nothing is lost: Mailloop tries again later."
    if exchange.request_form is None:
        return _explain_call(path, exchange.status)
    form = exchange.request_form
    if "token" in form:
        return _explain_revocation(exchange.status)
    return _explain_token(form.get("grant_type", ""), exchange.status, exchange.response_json)


def _explain_call(path: str, status: int) -> str:
    if status == 401:
        return "The API refuses the access token: it has expired, or was revoked."
    if path.endswith("/contacts"):
        return "The API answers with the contacts of the token's organization, and of no other."
    return "Mailloop calls the API with its access token, and learns which organization the token is for."


def _explain_revocation(status: int) -> str:
    if status == 200:
        return "Mailloop hands its refresh token back. From now on no token of this connection is accepted anywhere."
    return "The server does not confirm, so Mailloop keeps the connection and says so."


def _explain_token(grant_type: str, status: int, answer: object) -> str:
    error = answer.get("error") if isinstance(answer, Mapping) else None
    if error == "invalid_client":
        return "The server does not know Mailloop by this secret. Its developer has to look; the connection stays."
    if grant_type == "authorization_code":
        if status == 200:
            return "Mailloop redeems the code, from server to server, for tokens of exactly one organization."
        return "The server does not redeem the code."
    if status == 200:
        return "A refresh token is traded for an access token and for the refresh token to use next."
    if error == "invalid_grant":
        return "The server refuses this refresh token for good: only a person can connect again."
    return "The server refuses the request."
