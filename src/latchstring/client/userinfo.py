"""What the provider says of a person when it is asked (OpenID Connect Core §5.3)."""

from latchstring.client.auth import render_authorization
from latchstring.client.connection import Connection, ConnectionKey
from latchstring.client.errors import Misconfigured, TemporaryFailure
from latchstring.client.exchange import Answer, Request, Unanswered
from latchstring.client.person import Identity
from latchstring.client.provider import Provider
from latchstring.client.settings import Context
from latchstring.client.steps import Flow, send
from latchstring.client.token_endpoint import read_request_id, read_retry_after
from latchstring.client.token_source import find_usable
from latchstring.protocol.token_answer import parse_members


def find_userinfo(context: Context, key: ConnectionKey) -> Flow[Identity]:
    """What the provider says now of the person who connected; asked once more with a fresh token where it refuses the
    first. Not stored."""
    provider = yield from context.providers.resolve()
    connection = yield from find_usable(context, key)
    if provider.userinfo_endpoint is None or connection.identity is None:
        why = (
            "Userinfo is of a person who connected with the scope openid, at a provider that names a userinfo endpoint."
        )
        raise Misconfigured("openid_unsupported", why)
    answer = yield from _fetch(provider, provider.userinfo_endpoint, connection)
    if answer.status == 401:
        connection = yield from find_usable(context, key, rejected=connection.generation)
        answer = yield from _fetch(provider, provider.userinfo_endpoint, connection)
    if answer.status != 200:
        raise Misconfigured(
            "userinfo_refused",
            f"The userinfo endpoint answered {answer.status}.",
            request_id=read_request_id(answer),
        )
    assert connection.identity is not None
    return read_userinfo(answer, connection.identity)


def _fetch(provider: Provider, url: str, connection: Connection) -> Flow[Answer]:
    name, value = render_authorization(connection.access_token, provider.token_header)
    outcome = yield from send(Request(url=url, headers={**provider.request_headers, name: value}))
    if isinstance(outcome, Unanswered):
        if isinstance(outcome.cause, Misconfigured):
            raise outcome.cause
        raise TemporaryFailure("unanswered", "The userinfo endpoint did not answer.", cause=outcome.cause)
    if outcome.status >= 500 or outcome.status == 429:
        raise TemporaryFailure(
            "server_unavailable",
            f"The userinfo endpoint answered {outcome.status}.",
            request_id=read_request_id(outcome),
            retry_after=read_retry_after(outcome),
        )
    return outcome


def read_userinfo(answer: Answer, signed_in: Identity) -> Identity:
    """The claims, which must be of who signed in (§5.3.2): anybody's may stand there else. Raises `Misconfigured`, also
    for a signed or encrypted answer, which comes only to a client that has registered for one."""
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/jwt":
        why = "Userinfo comes as a JWT, which this client does not read: register without userinfo_signed_response_alg."
        raise Misconfigured("userinfo_refused", why)
    try:
        members = parse_members(answer.body)
    except ValueError as error:
        raise Misconfigured("userinfo_refused", f"The userinfo is {error}.", cause=error) from error
    if members.get("sub") != signed_in.sub:
        raise Misconfigured("userinfo_refused", "The userinfo is of somebody else than the ID token.")
    return Identity(claims=members)
