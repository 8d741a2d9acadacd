"""The fake provider as an OpenID Provider: its keys, its ID tokens, its userinfo. Needs joserfc."""

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from latchstring.client.testing.faults import OpenIDFault, Reply, render_reply
from latchstring.protocol.jose.algorithms import ES256, RS256
from latchstring.protocol.jose.jws import render_jwt

LIFETIME: Final = 3600
_STRANGER: Final = "https://evil.example"


@cache
def _find_key(name: str) -> Key:
    """The key of that name, made once for all fake providers of a process: making one takes a while."""
    return ECKey.generate_key("P-256") if name.startswith("ec") else RSAKey.generate_key(2048)


def render_keys(generation: int) -> Reply:
    """What the provider publishes (RFC 7517 §5): the key that it signs with, and one of another kind."""
    names = (f"rsa-{generation}", f"ec-{generation}")
    return render_reply(200, {"keys": [{**_find_key(name).as_dict(private=False), "kid": name} for name in names]})


def render_id_token(claims: Mapping[str, Any], access_token: str, generation: int, fault: OpenIDFault | None) -> str:
    """An ID token of those claims (OpenID Connect Core §2), with what is wrong with it."""
    said = {**claims, "at_hash": _hash_half("another" if fault is OpenIDFault.WRONG_ACCESS_TOKEN else access_token)}
    said |= _spoil(said, fault)
    name = f"rsa-{generation}"
    header = {"alg": RS256, "kid": name, "typ": "JWT"}
    if fault is OpenIDFault.NO_SIGNATURE:
        return f"{_encode({**header, 'alg': 'none'})}.{_encode(said)}."
    if fault is OpenIDFault.SYMMETRIC:
        return render_jwt(
            {**header, "alg": "HS256"}, said, OctKey.import_key(json.dumps(_find_key(name).as_dict(private=False)))
        )
    if fault is OpenIDFault.OTHER_ALGORITHM:
        return render_jwt({**header, "alg": ES256, "kid": f"ec-{generation}"}, said, _find_key(f"ec-{generation}"))
    if fault is OpenIDFault.UNKNOWN_KEY:
        return render_jwt({**header, "kid": "unpublished"}, said, _find_key("stranger"))
    return render_jwt(header, said, _find_key("stranger" if fault is OpenIDFault.OTHER_KEY else name))


def _spoil(claims: Mapping[str, Any], fault: OpenIDFault | None) -> dict[str, Any]:
    match fault:
        case OpenIDFault.WRONG_ISSUER:
            return {"iss": _STRANGER}
        case OpenIDFault.WRONG_AUDIENCE:
            return {"aud": "another-client"}
        case OpenIDFault.OTHER_PARTY:
            return {"aud": [claims["aud"], "another-client"], "azp": "another-client"}
        case OpenIDFault.WRONG_NONCE:
            return {"nonce": "of another login"}
        case OpenIDFault.EXPIRED:
            return {"exp": claims["iat"] - 1}
        case OpenIDFault.OTHER_USER:
            return {"sub": "user_mallory"}
    return {}


def render_userinfo(claims: Mapping[str, Any], generation: int, fault: OpenIDFault | None) -> Reply:
    """Userinfo of those claims (OpenID Connect Core §5.3.2), with what is wrong with it."""
    if fault is OpenIDFault.MISSING:
        return render_reply(403, {"error": "insufficient_scope"})
    if fault is OpenIDFault.SIGNED:
        signed = render_jwt({"alg": RS256, "kid": f"rsa-{generation}"}, dict(claims), _find_key(f"rsa-{generation}"))
        return 200, {"Content-Type": "application/jwt"}, signed.encode()
    return render_reply(200, {**claims, **_spoil(claims, fault)})


def _hash_half(credential: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(credential.encode()).digest()[:16]).rstrip(b"=").decode()


def _encode(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
