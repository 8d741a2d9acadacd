"""The composition root: the only module that knows every part.

The parts of the web are imported where they are built, so that a command like `grant list` starts without them.
"""

from __future__ import annotations

import asyncio
import os
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from latchstring.authorization_server.access_requests import AccessRequests
from latchstring.authorization_server.accounts import Accounts
from latchstring.authorization_server.approvals import Approvals
from latchstring.authorization_server.apps import Apps
from latchstring.authorization_server.assertion_verifier import AssertionVerifier
from latchstring.authorization_server.client_authentication import ClientAuthenticator
from latchstring.authorization_server.client_documents import ClientDocuments
from latchstring.authorization_server.client_keys import ClientKeys
from latchstring.authorization_server.client_secrets import ClientSecrets
from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.connection_ports import NoteGrantUse, ignore_use
from latchstring.authorization_server.connections import Connections, OrganizationConnections
from latchstring.authorization_server.consent import Consent
from latchstring.authorization_server.device_authorization_endpoint import DeviceAuthorizationEndpoint
from latchstring.authorization_server.flows.authorization_code import AuthorizationCodeFlow
from latchstring.authorization_server.flows.client_credentials import ClientCredentialsFlow
from latchstring.authorization_server.flows.device_code import DeviceCodeFlow
from latchstring.authorization_server.flows.flow import Flow
from latchstring.authorization_server.flows.jwt_bearer import JwtBearerFlow
from latchstring.authorization_server.flows.refresh_token import RefreshTokenFlow
from latchstring.authorization_server.flows.token_exchange import TokenExchangeFlow
from latchstring.authorization_server.introspection_endpoint import IntrospectionEndpoint
from latchstring.authorization_server.issuing import TokenIssuer
from latchstring.authorization_server.login import Login
from latchstring.authorization_server.mail import Post, SendMail
from latchstring.authorization_server.members import Members
from latchstring.authorization_server.organization_policies import OrganizationPolicies
from latchstring.authorization_server.oversight import Oversight
from latchstring.authorization_server.ports import Clock, Entropy, Fetch, KeySets, Store
from latchstring.authorization_server.proofs import Proofs
from latchstring.authorization_server.publication import Publication
from latchstring.authorization_server.publishers import Publishers, ResolveText
from latchstring.authorization_server.pushed_request_endpoint import PushedRequestEndpoint
from latchstring.authorization_server.registration_codec import RegistrationCodec
from latchstring.authorization_server.registration_endpoint import RegistrationEndpoint
from latchstring.authorization_server.registration_tokens import RegistrationTokens
from latchstring.authorization_server.request_objects import RequestObjects
from latchstring.authorization_server.resources import Audiences
from latchstring.authorization_server.revocation_endpoint import RevocationEndpoint
from latchstring.authorization_server.revocation_feed import RevocationFeed
from latchstring.authorization_server.second_factors import SecondFactors
from latchstring.authorization_server.settings import Settings, validate_settings
from latchstring.authorization_server.signed_access_tokens import SignedAccessTokens
from latchstring.authorization_server.signing_keys import SigningKeys
from latchstring.authorization_server.token_endpoint import TokenEndpoint
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.authorization_server.user_codes import UserCodes
from latchstring.authorization_server.webhook_records import PostEvent
from latchstring.authorization_server.webhooks import Webhooks
from latchstring.protocol.client_metadata import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    JWT_BEARER,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from latchstring.protocol.errors import ConfigurationError
from latchstring.protocol.jose.keys import generate_private_key
from latchstring.storage.head import HEAD, is_next
from latchstring.storage.keyring_file import load_keyring
from latchstring.storage.operations import SweepPlan
from latchstring.storage.store import SqlStore
from latchstring.storage.url import find_schema_version, find_sqlite_path, migrate, open_store, run_apart

if TYPE_CHECKING:
    from latchstring.directory.built_in import BuiltInDirectory
    from latchstring.outbound.mail_sender import MailSender
    from latchstring.web.app import Application
    from latchstring.web.rendering.renderer import PageRenderer
    from latchstring.web.services import Services

KEYRING_VARIABLE: Final = "LATCHSTRING_KEYRING"
MAIL_PASSWORD_VARIABLE: Final = "LATCHSTRING_SMTP_PASSWORD"


def epoch_seconds() -> int:
    """The system's clock."""
    return int(time.time())


class PooledEntropy:
    """The system's cryptographic source, read 1 KiB at a time: a system call for each token would be felt.

    Belongs to one event loop: threads must not share it.
    """

    def __init__(self) -> None:
        self._pool = b""
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, size: int) -> bytes:
        """That many bytes, handed out once."""
        if len(self._pool) < size:
            self._pool = os.urandom(max(1024, size))
        taken, self._pool = self._pool[:size], self._pool[size:]
        return taken

    def _forget(self) -> None:
        # A forked child must not hand out the same bytes as its parent.
        self._pool = b""


def load_settings(config: Path | None, *, default_issuer: str | None = None, **given: Any) -> Settings:
    """Settings from a TOML file, overridden by what was given; `ConfigurationError` names what is wrong.
    `default_issuer` is taken where neither names one."""
    values: dict[str, Any] = {}
    if config is not None:
        try:
            values = tomllib.loads(config.read_text())
        except OSError as error:
            raise ConfigurationError(f"--config {config}: cannot be read ({error.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"--config {config}: is not TOML ({error})") from None
    values |= {name: value for name, value in given.items() if value is not None}
    if default_issuer is not None:
        values.setdefault("issuer", default_issuer)
    try:
        return validate_settings(msgspec.convert(values, Settings))
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"settings: {error}") from None


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is on disk: an up-to-date database and its keyring."""

    database: str
    codec: TokenCodec
    keyring_path: Path


def find_keyring_path(database: str, keyring: Path | None) -> Path:
    """Where the keyring is: as given, as the environment says, or beside the database."""
    if keyring is not None:
        return keyring
    if KEYRING_VARIABLE in os.environ:
        return Path(os.environ[KEYRING_VARIABLE])
    path = find_sqlite_path(database)
    return Path("latchstring.keyring") if path is None else path.with_name(path.name + ".keyring")


def prepare(database: str, keyring: Path | None, token_prefix: str = "ls") -> Deployment:
    """Make or migrate the database and its keyring; refuses a keyring that is lost, or another database's."""
    version = find_schema_version(database)
    path = find_keyring_path(database, keyring)
    # The keyring first: a database that exists always has one.
    keys = load_keyring(path, epoch_seconds(), may_create=version is None)
    if version is None or not (version == HEAD or is_next(version)):
        migrate(database)

    async def make_codec(store: SqlStore) -> TokenCodec:
        counting = await store.marks().commit_keyring(keys, f"keyring {path}")
        return TokenCodec(counting.order(epoch_seconds()), token_prefix, await store.marks().find_epoch())

    return Deployment(database, run_apart(database, make_codec), path)


def build_apps(
    store: Store,
    codec: TokenCodec,
    settings: Settings,
    clock: Clock = epoch_seconds,
    entropy: Entropy = os.urandom,
) -> Apps:
    """Registration of apps, for the server and the command line alike."""
    return Apps(store=store, codec=codec, settings=settings, clock=clock, entropy=entropy)


def build_approvals(store: Store, clock: Clock = epoch_seconds) -> Approvals:
    """Approvals of apps by organizations."""
    return Approvals(store=store, clock=clock)


def build_organization_policies(
    store: SqlStore, settings: Settings, clock: Clock = epoch_seconds
) -> OrganizationPolicies:
    """Organizations' policies and rules, for the server and the command line alike."""
    return OrganizationPolicies(store=store, settings=settings, clock=clock)


def build_publication(
    store: SqlStore,
    codec: TokenCodec,
    issuer: str | None,
    clock: Clock = epoch_seconds,
    entropy: Entropy = os.urandom,
) -> Publication:
    """Reviews of apps, for the server and the command line alike."""
    return Publication(store=store, post=build_post(codec, clock, entropy), issuer=issuer, clock=clock)


def build_registration_tokens(
    store: Store, codec: TokenCodec, clock: Clock = epoch_seconds, entropy: Entropy = os.urandom
) -> RegistrationTokens:
    """Initial access tokens, made on the command line."""
    return RegistrationTokens(store=store, codec=codec, clock=clock, entropy=entropy)


def build_client_secrets(
    store: Store, codec: TokenCodec, clock: Clock = epoch_seconds, entropy: Entropy = os.urandom
) -> ClientSecrets:
    """Adding and retiring of secrets, for the server and the command line alike."""
    return ClientSecrets(store=store, codec=codec, clock=clock, entropy=entropy)


def build_directory(store: Store, clock: Clock = epoch_seconds, entropy: Entropy = os.urandom) -> BuiltInDirectory:
    """The embedded directory, for the server and the command line alike."""
    from latchstring.directory.built_in import BuiltInDirectory

    return BuiltInDirectory(store=store, clock=clock, entropy=entropy)


def build_renderer(settings: Settings) -> PageRenderer:
    """The pages in the deployment's colours; `ConfigurationError` names a colour or logo that cannot be shown."""
    from latchstring.web.rendering.renderer import PageRenderer

    try:
        return PageRenderer(
            settings.deployment_name,
            base_path=settings.base_path,
            logo_url=settings.logo_url,
            accent=settings.accent_color,
        )
    except ValueError as error:
        raise ConfigurationError(f"settings: {error}") from None


def build_post(codec: TokenCodec, clock: Clock = epoch_seconds, entropy: Entropy = os.urandom) -> Post:
    """What seals mail for the store."""
    return Post(codec=codec, clock=clock, entropy=entropy)


def build_webhooks(
    store: SqlStore, codec: TokenCodec, settings: Settings, clock: Clock = epoch_seconds, entropy: Entropy = os.urandom
) -> Webhooks:
    """Making, changing and replaying of webhooks, for the server and the command line alike."""
    post = build_post(codec, clock, entropy)
    return Webhooks(store=store, codec=codec, settings=settings, post=post, clock=clock, entropy=entropy)


def find_mail_password(settings: Settings) -> str | None:
    """The SMTP password: from the environment, or from the file that the settings name."""
    if MAIL_PASSWORD_VARIABLE in os.environ:
        return os.environ[MAIL_PASSWORD_VARIABLE]
    if settings.mail.password_file is None:
        return None
    try:
        return Path(settings.mail.password_file).read_text().strip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"mail.password_file: {settings.mail.password_file} cannot be read") from None


def build_mail_sender(
    settings: Settings, store: SqlStore, post: Post, renderer: PageRenderer, clock: Clock = epoch_seconds
) -> MailSender:
    """What sends mail: by SMTP, or to the console of a developer's own machine."""
    from latchstring.outbound.mail_sender import MailSender
    from latchstring.outbound.smtp import ConsoleMailer, NoMailer, SmtpMailer
    from latchstring.web.rendering.mails import MailRenderer

    name = settings.deployment_name
    send: SendMail
    if settings.mail.host is not None:
        send = SmtpMailer(settings.mail, sender_name=name, password=find_mail_password(settings))
    else:
        send = NoMailer() if settings.is_https else ConsoleMailer()
    render = MailRenderer(renderer, deployment_name=name, locale=settings.mail.locale)
    return MailSender(store, post, render=render, send=send, clock=clock)


async def make_key_pair(algorithm: str) -> Mapping[str, Any]:
    """A fresh private key as a JWK; an RSA key takes a second, which no other request waits for."""
    return await asyncio.to_thread(generate_private_key, algorithm)


def build_signing_keys(
    store: Store,
    codec: TokenCodec,
    settings: Settings,
    clock: Clock = epoch_seconds,
    entropy: Entropy = os.urandom,
) -> SigningKeys:
    """The keys that sign, for the server and the command line alike."""
    return SigningKeys(
        store=store, codec=codec, settings=settings, clock=clock, entropy=entropy, make_key_pair=make_key_pair
    )


def build_flows(
    settings: Settings,
    store: Store,
    codec: TokenCodec,
    signing_keys: SigningKeys,
    key_sets: KeySets,
    clock: Clock,
    entropy: Entropy,
    note_grant_use: NoteGrantUse = ignore_use,
) -> dict[str, Flow]:
    """What the token endpoint can do, by `grant_type`: assertions only where an issuer is trusted."""
    audiences = Audiences(
        store=store,
        signing_keys=signing_keys,
        clock=clock,
        organization_resources=settings.organization_resources,
        own_resource=settings.api_resource,
    )
    issuer = TokenIssuer(codec=codec, audiences=audiences, settings=settings, clock=clock, entropy=entropy)
    flows: dict[str, Flow] = {
        AUTHORIZATION_CODE: AuthorizationCodeFlow(
            store=store,
            codec=codec,
            settings=settings,
            clock=clock,
            issuer=issuer,
            note_grant_use=note_grant_use,
        ),
        REFRESH_TOKEN: RefreshTokenFlow(
            store=store,
            codec=codec,
            settings=settings,
            clock=clock,
            issuer=issuer,
            note_grant_use=note_grant_use,
        ),
        CLIENT_CREDENTIALS: ClientCredentialsFlow(store=store, issuer=issuer),
        DEVICE_CODE: DeviceCodeFlow(store=store, codec=codec, settings=settings, clock=clock, issuer=issuer),
        TOKEN_EXCHANGE: TokenExchangeFlow(
            store=store,
            codec=codec,
            signed_access_tokens=SignedAccessTokens(signing_keys=signing_keys, settings=settings),
            clock=clock,
            issuer=issuer,
        ),
    }
    if settings.trusted_issuers:
        assertions = AssertionVerifier(issuers=settings.trusted_issuers, own_issuer=settings.issuer, key_sets=key_sets)
        flows[JWT_BEARER] = JwtBearerFlow(
            store=store,
            codec=codec,
            settings=settings,
            assertions=assertions,
            clock=clock,
            entropy=entropy,
            issuer=issuer,
        )
    return flows


def build_services(
    settings: Settings,
    store: SqlStore,
    codec: TokenCodec,
    *,
    clock: Clock = epoch_seconds,
    entropy: Entropy | None = None,
    fetch: Fetch | None = None,
    resolve: ResolveText | None = None,
    post_event: PostEvent | None = None,
    keyring_path: Path | None = None,
) -> Services:
    """The server's parts, put together. `fetch`, `resolve` and `post_event` are for tests, whose hosts are on loopback;
    a server follows the keyring in the file at `keyring_path`."""
    from latchstring.authorization_server.passkeys import Passkeys
    from latchstring.outbound.domain_watch import DomainWatch
    from latchstring.outbound.fetcher import Fetcher
    from latchstring.outbound.key_sets import CachedKeySets
    from latchstring.outbound.poster import Poster
    from latchstring.outbound.text_records import TextRecords
    from latchstring.outbound.webhook_sender import WebhookSender
    from latchstring.storage.grant_uses import GrantUses
    from latchstring.storage.keyring_watch import KeyringWatch
    from latchstring.storage.secret_hashes import SecretHashes
    from latchstring.storage.secret_uses import SecretUses
    from latchstring.web.allowances import AllowanceLog
    from latchstring.web.background import Background
    from latchstring.web.services import Services
    from latchstring.web.throttle import Throttle

    entropy = entropy or PooledEntropy()
    signing_keys = build_signing_keys(store, codec, settings, clock, entropy)
    signed_access_tokens = SignedAccessTokens(signing_keys=signing_keys, settings=settings)
    registrations = RegistrationCodec(codec)
    fetch = fetch or Fetcher()
    documents = ClientDocuments(fetch=fetch, settings=settings, clock=clock)
    clients = Clients(store=store, registrations=registrations, documents=documents, settings=settings, clock=clock)
    key_sets = CachedKeySets(fetch=fetch, clock=clock)
    keys = ClientKeys(key_sets=key_sets)
    secret_uses = SecretUses(store)
    secret_hashes = SecretHashes(store)
    grant_uses = GrantUses(store)
    authenticator = ClientAuthenticator(
        clients=clients,
        store=store,
        codec=codec,
        keys=keys,
        settings=settings,
        clock=clock,
        note_secret_use=secret_uses,
        note_secret_hash=secret_hashes,
    )
    request_objects = RequestObjects(clients=clients, keys=keys, settings=settings)
    proofs = Proofs(store=store, codec=codec, settings=settings, clock=clock)
    policies = build_organization_policies(store, settings, clock)
    publishers = Publishers(store=store, resolve=resolve or TextRecords(), clock=clock, entropy=entropy)
    post = build_post(codec, clock, entropy)
    renderer = build_renderer(settings)
    keyring_watches = () if keyring_path is None else (KeyringWatch(keyring_path, codec, store.marks(), clock).run,)
    apps = build_apps(store, codec, settings, clock, entropy)
    webhooks = build_webhooks(store, codec, settings, clock, entropy)

    directory = build_directory(store, clock, entropy)
    background = Background()

    async def close() -> None:
        await background.finish()
        await secret_uses.close()
        await secret_hashes.close()
        await grant_uses.close()
        await store.close()

    return Services(
        settings=settings,
        store=store,
        codec=codec,
        clock=clock,
        clients=clients,
        proofs=proofs,
        token_endpoint=TokenEndpoint(
            authenticator=authenticator,
            proofs=proofs,
            flows=build_flows(settings, store, codec, signing_keys, key_sets, clock, entropy, grant_uses),
        ),
        revocation_endpoint=RevocationEndpoint(
            authenticator=authenticator,
            store=store,
            codec=codec,
            signed_access_tokens=signed_access_tokens,
            clock=clock,
        ),
        revocation_feed=RevocationFeed(authenticator=authenticator, store=store, clock=clock),
        introspection_endpoint=IntrospectionEndpoint(
            authenticator=authenticator,
            store=store,
            codec=codec,
            signed_access_tokens=signed_access_tokens,
            signing_keys=signing_keys,
            settings=settings,
            clock=clock,
            note_grant_use=grant_uses,
        ),
        signing_keys=signing_keys,
        pushed_request_endpoint=PushedRequestEndpoint(
            authenticator=authenticator,
            proofs=proofs,
            clients=clients,
            request_objects=request_objects,
            store=store,
            codec=codec,
            settings=settings,
            clock=clock,
            entropy=entropy,
        ),
        device_authorization_endpoint=DeviceAuthorizationEndpoint(
            authenticator=authenticator, store=store, codec=codec, settings=settings, clock=clock, entropy=entropy
        ),
        user_codes=UserCodes(store=store, settings=settings, clock=clock),
        registration_endpoint=RegistrationEndpoint(
            clients=clients,
            store=store,
            codec=codec,
            registrations=registrations,
            settings=settings,
            clock=clock,
            entropy=entropy,
        ),
        request_objects=request_objects,
        organization_policies=policies,
        approvals=build_approvals(store, clock),
        publication=build_publication(store, codec, settings.issuer, clock, entropy),
        publishers=publishers,
        access_requests=AccessRequests(
            store=store, post=post, codec=codec, settings=settings, clock=clock, entropy=entropy
        ),
        consent=Consent(store=store, policies=policies, codec=codec, settings=settings, clock=clock, entropy=entropy),
        login=Login(store=store, settings=settings, clock=clock, entropy=entropy),
        connections=Connections(store=store, clock=clock),
        organization_connections=OrganizationConnections(store=store, settings=settings, clock=clock),
        members=Members(store=store, clock=clock),
        oversight=Oversight(store=store, apps=apps, clock=clock),
        apps=apps,
        client_secrets=build_client_secrets(store, codec, clock, entropy),
        accounts=Accounts(
            store=store,
            post=post,
            hash_password=directory.hash_password,
            settings=settings,
            clock=clock,
            entropy=entropy,
        ),
        second_factors=SecondFactors(store=store, codec=codec, clock=clock, entropy=entropy),
        passkeys=Passkeys(store=store, codec=codec, post=post, settings=settings, clock=clock, entropy=entropy),
        background=background,
        authenticate=directory.authenticate,
        renderer=renderer,
        throttle=Throttle(),
        allowance_log=AllowanceLog(clock),
        has_pending_migrations=store.has_pending_migrations,
        post=post,
        webhooks=webhooks,
        chores=(
            store.sweeper(
                clock, SweepPlan(retention=settings.ended_grant_lifetime, event_retention=settings.event_lifetime)
            ).run,
            build_mail_sender(settings, store, post, renderer, clock).run,
            DomainWatch(publishers).run,
            WebhookSender(store, webhooks, post=post_event or Poster(), clock=clock).run,
            *keyring_watches,
        ),
        close=close,
    )


def build_application(settings: Settings, deployment: Deployment) -> Application:
    """The ASGI application of a prepared deployment; call it in the process and thread that will serve."""
    from latchstring.web.app import Application

    store = open_store(deployment.database)
    return Application(build_services(settings, store, deployment.codec, keyring_path=deployment.keyring_path))
