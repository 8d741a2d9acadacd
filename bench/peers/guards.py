"""Authlib's resource protector and PyJWT at their quickest, for `python -m bench guard`; needs nothing else of this
repository. Reads JSON, checks each token so often, prints the processor time of a check in microseconds.

Nothing is fetched: key sets are parsed and kept, and Authlib's introspection is answered from a dictionary.
"""

import json
import sys
import time

import jwt
from authlib.oauth2.rfc6749 import ResourceProtector
from authlib.oauth2.rfc7662 import IntrospectTokenValidator
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet


class Request:
    def __init__(self, token):
        self.headers = {"Authorization": f"Bearer {token}"}


def authlib_jwt(asked, case):
    keys = KeySet.import_key_set(case["jwks"])

    class Validator(JWTBearerTokenValidator):
        def get_jwks(self):
            return keys

    protector = ResourceProtector()
    protector.register_token_validator(Validator(asked["issuer"], asked["audience"]))
    return lambda token: protector.validate_request([asked["scope"]], Request(token))


def authlib_opaque(asked, case):
    answers = dict.fromkeys(case["tokens"], case["answer"])

    class Validator(IntrospectTokenValidator):
        def introspect_token(self, token_string):
            return answers[token_string]

    protector = ResourceProtector()
    protector.register_token_validator(Validator())
    return lambda token: protector.validate_request([asked["scope"]], Request(token))


def pyjwt(asked, case):
    class Client(jwt.PyJWKClient):
        def fetch_data(self):
            keys = case["jwks"]
            self.jwk_set_cache.put(keys)
            return keys

    client = Client("https://login.example/jwks", cache_keys=True)
    options = {"require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]}

    def check(token):
        key = client.get_signing_key_from_jwt(token)
        claims = jwt.decode(
            token,
            key,
            algorithms=[case["algorithm"]],
            audience=asked["audience"],
            issuer=asked["issuer"],
            options=options,
        )
        assert asked["scope"] in claims["scope"].split()

    return check


def measure(check, tokens):
    check(tokens[0])
    began = time.process_time_ns()
    for token in tokens:
        check(token)
    return (time.process_time_ns() - began) / len(tokens) / 1000


def main():
    asked = json.load(sys.stdin)
    found = {}
    for name, case in asked["cases"].items():
        checks = {"Authlib": authlib_opaque} if name == "opaque" else {"PyJWT": pyjwt, "Authlib": authlib_jwt}
        for subject, build in checks.items():
            try:
                found.setdefault(subject, {})[name] = measure(build(asked, case), case["tokens"])
            except Exception as error:  # noqa: BLE001 - what it cannot do stays empty in the table
                print(f"bench: {subject} does not check {name}: {error!r}", file=sys.stderr)
    json.dump(found, sys.stdout)


main()
