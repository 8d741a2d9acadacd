"""Every operation of the API."""

from typing import Final

from latchstring.web.api import (
    access_requests,
    apps,
    connections,
    events,
    members,
    operator,
    organization,
    policy,
    publisher,
    reviews,
    secrets,
    webhooks,
)
from latchstring.web.api.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *organization.OPERATIONS,
    *members.OPERATIONS,
    *connections.OPERATIONS,
    *policy.OPERATIONS,
    *access_requests.OPERATIONS,
    *publisher.OPERATIONS,
    *webhooks.OPERATIONS,
    *apps.OPERATIONS,
    *secrets.OPERATIONS,
    *operator.OPERATIONS,
    *reviews.OPERATIONS,
    *events.OPERATIONS,
)
