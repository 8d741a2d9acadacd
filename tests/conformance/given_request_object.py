"""States of signed requests (RFC 9101)."""

from typing import Any

import msgspec

from tests.conformance.given import CHALLENGE, World, _state
from tests.support.signing import make_key, sign


@_state("request object")
async def _request_object(
    world: World,
    *,
    algorithm: str = "ES256",
    key: int | str = 1,
    header: str = "{}",
    claims: str = "{}",
    seconds: str = "{}",
) -> None:
    """`${request_object}`, right in everything that is not given otherwise, in JSON; null leaves a name out. `seconds`
    are claims in seconds from now."""
    await world.app()
    now = world.deployment.clock.now
    client_id = world.values["client_id"]
    content: dict[str, Any] = {
        "iss": client_id,
        "aud": world.values["issuer"],
        "exp": now + 60,
        "client_id": client_id,
        "response_type": "code",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "signed",
        **msgspec.json.decode(claims),
        **{name: now + later for name, later in msgspec.json.decode(seconds).items()},
    }
    head = {"alg": algorithm, "kid": str(key), "typ": "oauth-authz-req+jwt", **msgspec.json.decode(header)}
    world.values["request_object"] = sign(content, make_key(algorithm, int(key)), **head)
