"""What the edge is given: the server's parts, put together in `latchstring.wiring`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from latchstring.authorization_server.access_requests import AccessRequests
from latchstring.authorization_server.accounts import Accounts
from latchstring.authorization_server.approvals import Approvals
from latchstring.authorization_server.apps import Apps
from latchstring.authorization_server.client_secrets import ClientSecrets
from latchstring.authorization_server.clients import Clients
from latchstring.authorization_server.connections import Connections, OrganizationConnections
from latchstring.authorization_server.consent import Consent
from latchstring.authorization_server.device_authorization_endpoint import DeviceAuthorizationEndpoint
from latchstring.authorization_server.introspection_endpoint import IntrospectionEndpoint
from latchstring.authorization_server.login import Login
from latchstring.authorization_server.mail import Post
from latchstring.authorization_server.members import Members
from latchstring.authorization_server.organization_policies import OrganizationPolicies
from latchstring.authorization_server.oversight import Oversight
from latchstring.authorization_server.passkeys import Passkeys
from latchstring.authorization_server.ports import Clock, Store
from latchstring.authorization_server.proofs import Proofs
from latchstring.authorization_server.publication import Publication
from latchstring.authorization_server.publishers import Publishers
from latchstring.authorization_server.pushed_request_endpoint import PushedRequestEndpoint
from latchstring.authorization_server.records import UserRecord
from latchstring.authorization_server.registration_endpoint import RegistrationEndpoint
from latchstring.authorization_server.request_objects import RequestObjects
from latchstring.authorization_server.revocation_endpoint import RevocationEndpoint
from latchstring.authorization_server.revocation_feed import RevocationFeed
from latchstring.authorization_server.second_factors import SecondFactors
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.signing_keys import SigningKeys
from latchstring.authorization_server.token_endpoint import TokenEndpoint
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.authorization_server.user_codes import UserCodes
from latchstring.authorization_server.webhooks import Webhooks
from latchstring.web.allowances import AllowanceLog
from latchstring.web.background import Background
from latchstring.web.rendering.renderer import PageRenderer
from latchstring.web.throttle import Throttle


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need."""

    settings: Settings
    store: Store
    codec: TokenCodec
    clock: Clock
    clients: Clients
    proofs: Proofs
    token_endpoint: TokenEndpoint
    revocation_endpoint: RevocationEndpoint
    introspection_endpoint: IntrospectionEndpoint
    revocation_feed: RevocationFeed
    signing_keys: SigningKeys
    pushed_request_endpoint: PushedRequestEndpoint
    device_authorization_endpoint: DeviceAuthorizationEndpoint
    user_codes: UserCodes
    registration_endpoint: RegistrationEndpoint
    request_objects: RequestObjects
    organization_policies: OrganizationPolicies
    approvals: Approvals
    access_requests: AccessRequests
    publication: Publication
    publishers: Publishers
    consent: Consent
    login: Login
    connections: Connections
    organization_connections: OrganizationConnections
    members: Members
    oversight: Oversight
    apps: Apps
    client_secrets: ClientSecrets
    accounts: Accounts
    second_factors: SecondFactors
    passkeys: Passkeys
    background: Background
    authenticate: Callable[[str, str], Awaitable[UserRecord | None]]
    renderer: PageRenderer
    throttle: Throttle
    allowance_log: AllowanceLog
    has_pending_migrations: Callable[[], Awaitable[bool]]
    post: Post
    webhooks: Webhooks
    chores: tuple[Callable[[], Awaitable[None]], ...]
    close: Callable[[], Awaitable[None]]
