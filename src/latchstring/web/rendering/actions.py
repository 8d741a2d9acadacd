"""What the log of events says of each kind of event, in a few words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from latchstring.authorization_server.events import Action
from latchstring.web.rendering.messages import N_

ACTIONS: Final[Mapping[Action, str]] = MappingProxyType(
    {
        Action.GRANT_CREATED: N_("App connected"),
        Action.GRANT_ENDED: N_("Connection ended"),
        Action.GRANT_SUSPENDED: N_("Connection paused"),
        Action.GRANT_RESUMED: N_("Connection resumed"),
        Action.GRANT_TAKEN_OVER: N_("Connection taken over"),
        Action.TOKEN_REVOKED: N_("One access token revoked"),
        Action.GRANT_REUSE_DETECTED: N_("A credential came twice: it may have been stolen"),
        Action.MEMBERSHIP_ADDED: N_("Member added"),
        Action.MEMBERSHIP_CHANGED: N_("Role of a member changed"),
        Action.MEMBERSHIP_SUSPENDED: N_("Membership paused"),
        Action.MEMBERSHIP_RESUMED: N_("Membership resumed"),
        Action.MEMBERSHIP_ENDED: N_("Membership ended"),
        Action.APP_CREATED: N_("App registered"),
        Action.APP_CHANGED: N_("App changed"),
        Action.APP_PUBLISHED: N_("App published"),
        Action.APP_WITHDRAWN: N_("App no longer published"),
        Action.APP_SUSPENDED: N_("App suspended"),
        Action.APP_REINSTATED: N_("App reinstated"),
        Action.APP_DELETED: N_("App deleted"),
        Action.APP_SECRETS_CHANGED: N_("Secrets of an app changed"),
        Action.APP_APPROVED: N_("App may act on its own"),
        Action.APP_APPROVAL_ENDED: N_("App may no longer act on its own"),
        Action.POLICY_CHANGED: N_("App policy changed"),
        Action.POLICY_APP_APPROVED: N_("App approved for members"),
        Action.POLICY_APP_BLOCKED: N_("App blocked"),
        Action.POLICY_APP_FORGOTTEN: N_("Rule for an app removed"),
        Action.REQUEST_MADE: N_("App requested"),
        Action.REQUEST_APPROVED: N_("Request approved"),
        Action.REQUEST_DECLINED: N_("Request declined"),
        Action.REQUEST_LAPSED: N_("Request lapsed"),
        Action.APP_REVIEW_ASKED: N_("App handed in for review"),
        Action.APP_REVIEW_WITHDRAWN: N_("App taken back from review"),
        Action.APP_REVIEW_APPROVED: N_("Review passed"),
        Action.APP_REVIEW_DECLINED: N_("Review not passed"),
        Action.PUBLISHER_CLAIMED: N_("Domain claimed"),
        Action.PUBLISHER_VERIFIED: N_("Domain verified"),
        Action.PUBLISHER_LOST: N_("Domain no longer verified"),
        Action.PUBLISHER_ENDED: N_("Domain removed"),
        Action.WEBHOOK_CREATED: N_("Webhook added"),
        Action.WEBHOOK_CHANGED: N_("Webhook changed"),
        Action.WEBHOOK_DELETED: N_("Webhook deleted"),
        Action.WEBHOOK_DISABLED: N_("Webhook turned off"),
        Action.WEBHOOK_TESTED: N_("Webhook tested"),
        Action.ORGANIZATION_CREATED: N_("Organization created"),
        Action.ORGANIZATION_CHANGED: N_("Organization changed"),
        Action.ORGANIZATION_CLOSED: N_("Organization closed"),
        Action.ORGANIZATION_REOPENED: N_("Organization reopened"),
        Action.USER_CREATED: N_("Account created"),
        Action.USER_DISABLED: N_("Account disabled"),
        Action.USER_ENABLED: N_("Account enabled"),
        Action.USER_DELETED: N_("Account deleted"),
        Action.DATABASE_RESTORED: N_("Database restored from a backup"),
        Action.KEY_RETIRED: N_("Key retired"),
        Action.OPERATOR_ADDED: N_("Operator added"),
        Action.OPERATOR_REMOVED: N_("Operator removed"),
    }
)
