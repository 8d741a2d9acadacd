"""Connecting a certain connection again: for its organization and its user, and nobody else's."""

from latchstring.client.connection import ConnectionKey
from latchstring.client.login import begin
from latchstring.client.settings import Context, refuse_foreign
from latchstring.client.steps import Flow, ask


def begin_reconnect(
    context: Context, key: ConnectionKey, *, browser_session: str, redirect_uri: str | None = None
) -> Flow[str]:
    """The URL to send the browser to so that the connection lives again: for what the app asks for, and whatever the
    connection had besides. The organization is fixed where the server can do that; what comes back for another
    organization or user is refused by `complete`, wherever it is."""
    refuse_foreign(context, key)
    connection = yield from ask(context.store.find_connection, key)
    held = [] if connection is None else connection.scope.split()
    scope = " ".join(dict.fromkeys([*context.settings.scope.split(), *held]))
    return (
        yield from begin(
            context,
            browser_session=browser_session,
            organization_id=key.organization_id or None,
            parameters={},
            scope=scope,
            redirect_uri=redirect_uri,
            reconnects=key,
        )
    )
