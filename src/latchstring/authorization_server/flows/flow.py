"""What the token endpoint asks of a grant type."""

from typing import Final, Protocol

from latchstring.authorization_server.events import SYSTEM, Source
from latchstring.authorization_server.records import ClientRecord
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.token_request import TokenRequest
from latchstring.protocol.token_response import TokenResponse

# A loser reads again and decides again; whatever beat it moved the grant forward, so a few rounds end it.
MAX_ROUNDS: Final = 5


class Flow(Protocol):
    """Answers the requests of one grant type, of clients that may use it."""

    async def answer(
        self,
        request: TokenRequest,
        client: ClientRecord,
        confirmation: Confirmation | None,
        origin: Source = SYSTEM,
    ) -> TokenResponse:
        """The tokens, or `OAuthError`; a refusal consumes nothing. `confirmation` is the key that the caller proved to
        hold, if any: the tokens are bound to it. `origin` is where the request came from, for the event of a grant that
        it ends."""
