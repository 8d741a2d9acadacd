"""Authlib's authorization server in Flask, with its SQLAlchemy models on PostgreSQL, as its documentation puts it
together.

python authlib_flask.py SETUP          SETUP is JSON (bench/subjects/peers.py)
"""

# mypy: ignore-errors

import base64
import hashlib
import json
import secrets
import sys
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.sqla_oauth2 import (
    OAuth2AuthorizationCodeMixin,
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_query_client_func,
    create_query_token_func,
    create_revocation_endpoint,
    create_save_token_func,
)
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, jsonify, request
from serving import THREADS, serve
from sqlalchemy import Column, ForeignKey, Integer, String, create_engine, func, insert, select, text
from sqlalchemy.orm import declarative_base, relationship, scoped_session, sessionmaker

setup = json.loads(sys.argv[1])
SCOPE = "all.full_access offline_access"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(setup["verifier"].encode()).digest()).rstrip(b"=").decode()

engine = create_engine(
    setup["database"].replace("postgresql://", "postgresql+psycopg://"), pool_size=THREADS, max_overflow=THREADS
)
session = scoped_session(sessionmaker(engine))
Base = declarative_base()


class User(Base):
    __tablename__ = "user_account"
    id = Column(Integer, primary_key=True)
    username = Column(String(40), unique=True)

    def get_user_id(self):
        return self.id


class Client(Base, OAuth2ClientMixin):
    __tablename__ = "oauth2_client"
    id = Column(Integer, primary_key=True)


class AuthorizationCode(Base, OAuth2AuthorizationCodeMixin):
    __tablename__ = "oauth2_code"
    id = Column(Integer, primary_key=True)
    user_id = Column(Integer, ForeignKey("user_account.id"))
    user = relationship("User")


class Token(Base, OAuth2TokenMixin):
    __tablename__ = "oauth2_token"
    id = Column(Integer, primary_key=True)
    user_id = Column(Integer, ForeignKey("user_account.id"))
    user = relationship("User")


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]

    def query_authorization_code(self, code, client):
        found = session.query(AuthorizationCode).filter_by(code=code, client_id=client.client_id).first()
        return found if found is not None and not found.is_expired() else None

    def delete_authorization_code(self, authorization_code):
        session.delete(authorization_code)
        session.commit()

    def authenticate_user(self, authorization_code):
        return session.get(User, authorization_code.user_id)


class RefreshTokenGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        found = session.query(Token).filter_by(refresh_token=refresh_token).first()
        return found if found is not None and not found.is_revoked() else None

    def authenticate_user(self, refresh_token):
        return session.get(User, refresh_token.user_id)

    def revoke_old_credential(self, refresh_token):
        now = int(time.time())
        refresh_token.access_token_revoked_at = now
        refresh_token.refresh_token_revoked_at = now
        session.add(refresh_token)
        session.commit()


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]


query_token = create_query_token_func(session, Token)


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic"]

    def query_token(self, token_string, token_type_hint):
        return query_token(token_string, token_type_hint)

    def check_permission(self, token, client, request):
        return client.client_id == setup["guard_id"]

    def introspect_token(self, token):
        return {
            "active": not (token.is_revoked() or token.is_expired()),
            "client_id": token.client_id,
            "token_type": token.token_type,
            "scope": token.get_scope(),
            "sub": str(token.user_id),
            "exp": token.issued_at + token.expires_in,
            "iat": token.issued_at,
        }


class Revocation(create_revocation_endpoint(session, Token)):
    CLIENT_AUTH_METHODS = ["client_secret_post"]


application = Flask(__name__)
application.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
application.config["OAUTH2_TOKEN_EXPIRES_IN"] = dict.fromkeys(("authorization_code", "client_credentials"), 3600)
server = AuthorizationServer(
    application,
    query_client=create_query_client_func(session, Client),
    save_token=create_save_token_func(session, Token),
)
server.register_grant(AuthorizationCodeGrant, [CodeChallenge(required=True)])
server.register_grant(RefreshTokenGrant)
server.register_grant(ClientCredentialsGrant)
server.register_endpoint(Introspection)
server.register_endpoint(Revocation)


@application.teardown_appcontext
def end_session(_):
    session.remove()


@application.post("/oauth/token")
def issue_token():
    return server.create_token_response()


@application.post("/oauth/introspect")
def introspect():
    return server.create_endpoint_response(Introspection.ENDPOINT_NAME)


@application.post("/oauth/revoke")
def revoke():
    return server.create_endpoint_response(Revocation.ENDPOINT_NAME)


@application.get("/.well-known/oauth-authorization-server")
def say_metadata():
    issuer = request.host_url.rstrip("/")
    return jsonify(
        issuer=issuer,
        token_endpoint=f"{issuer}/oauth/token",
        introspection_endpoint=f"{issuer}/oauth/introspect",
        revocation_endpoint=f"{issuer}/oauth/revoke",
        grant_types_supported=["authorization_code", "refresh_token", "client_credentials"],
        code_challenge_methods_supported=["S256"],
    )


@application.post("/bench/prepare")
def prepare():
    asked = request.get_json()
    strings = [secrets.token_urlsafe(32) for _ in range(asked["count"])]
    user_id = session.scalar(select(User.id))
    of_grant = {"client_id": setup["client_id"], "user_id": user_id, "scope": SCOPE}
    if asked["operation"] == "exchange":
        # A code lasts five minutes there.
        code = {"redirect_uri": setup["redirect_uri"], "response_type": "code", "auth_time": int(time.time())}
        pkce = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        session.execute(insert(AuthorizationCode), [of_grant | code | pkce | {"code": string} for string in strings])
    else:
        issued = {"token_type": "Bearer", "issued_at": int(time.time()), "expires_in": 3600}
        rows = [of_grant | issued | {"access_token": f"a{string}", "refresh_token": f"r{string}"} for string in strings]
        session.execute(insert(Token), rows)
        prefix = "r" if asked["operation"] in {"refresh", "revocation"} else "a"
        strings = [prefix + string for string in strings]
    session.execute(text("ANALYZE"))
    session.commit()
    return jsonify(items=strings)


@application.post("/bench/rows")
def count_rows():
    counts = (session.scalar(select(func.count()).select_from(model)) for model in (AuthorizationCode, Token))
    return jsonify(rows=sum(counts))


def create_clients():
    Base.metadata.create_all(engine)
    session.add(User(username="ann"))
    for name, method, grant_types in (
        ("client", "client_secret_post", ["authorization_code", "refresh_token"]),
        ("robot", "client_secret_post", ["client_credentials"]),
        ("guard", "client_secret_basic", []),
    ):
        client = Client(client_id=setup[f"{name}_id"], client_secret=setup[f"{name}_secret"])
        client.set_client_metadata(
            {
                "redirect_uris": [setup["redirect_uri"]],
                "token_endpoint_auth_method": method,
                "grant_types": grant_types,
                "response_types": ["code"],
                "scope": SCOPE,
            }
        )
        session.add(client)
    session.commit()
    session.remove()
    engine.dispose()


if __name__ == "__main__":
    create_clients()
    serve(application, setup)
