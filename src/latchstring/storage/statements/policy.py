"""What organizations say about apps: their policy, and their rules for single apps."""

from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, literal_column, or_, select
from sqlalchemy.sql.selectable import NamedFromClause

from latchstring.storage.schema import (
    app_publication,
    client,
    grant,
    membership,
    organization,
    organization_app_rule,
    organization_policy,
    remembered_consent,
    user,
)
from latchstring.storage.statements.grants import ENDING, define_next
from latchstring.storage.statements.statement import ENDED, TEXT, define, define_insert

_this_organization = select(organization.c.organization_id).where(
    organization.c.organization_id == bindparam("organization_id")
)
# Shared by the consents of an organization's members, waited for by what its admins change.
LOCK_ORGANIZATION = define("lock_organization", _this_organization.with_for_update(read=True))
LOCK_ORGANIZATION_ALONE = define("lock_organization_alone", _this_organization.with_for_update())

_ADMIN = literal_column("'admin'", TEXT)
# Whoever decides for the organization is an admin until the end of the transaction.
LOCK_ADMIN = define(
    "lock_admin",
    select(membership.c.user_id)
    .where(
        membership.c.organization_id == bindparam("organization_id"),
        membership.c.user_id == bindparam("user_id"),
        membership.c.role == _ADMIN,
        membership.c.ended_at.is_(None),
        membership.c.suspended_at.is_(None),
    )
    .with_for_update(read=True),
)

_of_client = bindparam("client_id", type_=TEXT)
_everyones, _members = organization_app_rule.alias("everyones"), organization_app_rule.alias("members")
EVERYONE = ""


def _is_for(rule: NamedFromClause, user_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(
        rule.c.organization_id == membership.c.organization_id,
        rule.c.client_id == _of_client,
        rule.c.user_id == user_id,
    )


_standings = (
    select(
        membership.c.organization_id,
        membership.c.role,
        organization_policy.c.low,
        organization_policy.c.medium,
        organization_policy.c.high,
        and_(app_publication.c.is_listed, app_publication.c.is_current).label("is_listed"),
        *(column for rule in (_everyones, _members) for column in rule.columns),
    )
    .select_from(membership)
    .outerjoin(organization_policy, organization_policy.c.organization_id == membership.c.organization_id)
    .outerjoin(app_publication, app_publication.c.client_id == _of_client)
    .outerjoin(_everyones, _is_for(_everyones, bindparam("everyone", type_=TEXT)))
    .outerjoin(_members, _is_for(_members, membership.c.user_id))
    .where(membership.c.user_id == bindparam("user_id"), membership.c.ended_at.is_(None))
)
FIND_STANDINGS = define("find_standings", _standings)
FIND_STANDING = define("find_standing", _standings.where(membership.c.organization_id == bindparam("organization_id")))
FIND_POLICY = define(
    "find_policy",
    select(organization_policy).where(organization_policy.c.organization_id == bindparam("organization_id")),
)
_policy_values = ("low", "medium", "high", "changed_by", "changed_at")
FIND_RULE = define(
    "find_rule",
    select(organization_app_rule).where(
        organization_app_rule.c.organization_id == bindparam("organization_id"),
        organization_app_rule.c.client_id == bindparam("client_id"),
        organization_app_rule.c.user_id == bindparam("user_id"),
    ),
)
SAVE_POLICY = define_insert(
    "save_policy",
    lambda insert: (
        insert(organization_policy)
        .values(organization_id=bindparam("organization_id"), **{name: bindparam(name) for name in _policy_values})
        .on_conflict_do_update(
            index_elements=["organization_id"],
            set_={name: bindparam(name, type_=organization_policy.c[name].type) for name in _policy_values},
        )
        .returning(organization_policy.c.organization_id)
    ),
)
_rule_values = ("is_blocked", "scope", "left_out", "decided_by", "decided_at")
SAVE_RULE = define_insert(
    "save_rule",
    lambda insert: (
        insert(organization_app_rule)
        .values({column.name: bindparam(column.name) for column in organization_app_rule.columns})
        .on_conflict_do_update(
            index_elements=["organization_id", "client_id", "user_id"],
            set_={name: bindparam(name, type_=organization_app_rule.c[name].type) for name in _rule_values},
        )
        .returning(organization_app_rule.c.client_id)
    ),
)
END_RULE = define(
    "end_rule",
    delete(organization_app_rule)
    .where(
        organization_app_rule.c.organization_id == bindparam("organization_id"),
        organization_app_rule.c.client_id == bindparam("client_id"),
        organization_app_rule.c.user_id == bindparam("user_id"),
    )
    .returning(*organization_app_rule.columns),
)
# A rule of an app that has gone tells nobody anything.
FIND_RULES = define(
    "find_rules",
    select(
        *organization_app_rule.columns,
        client.c.name.label("client_name"),
        client.c.public_id.label("client_public_id"),
        user.c.name.label("user_name"),
    )
    .join(client, client.c.client_id == organization_app_rule.c.client_id)
    .outerjoin(user, user.c.user_id == organization_app_rule.c.user_id)
    .where(organization_app_rule.c.organization_id == bindparam("organization_id"), client.c.ended_at.is_(None))
    .order_by(organization_app_rule.c.client_id, organization_app_rule.c.user_id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
_any_member = bindparam("of_user", type_=TEXT)
# What a block ends; without a member, everyone's.
END_NEXT_GRANT_OF_APP = define_next(
    "end_next_grant_of_app",
    and_(
        grant.c.client_id == bindparam("of_client"),
        grant.c.organization_id == bindparam("of_organization"),
        or_(_any_member == bindparam("everyone", type_=TEXT), grant.c.user_id == _any_member),
        grant.c.status != ENDED,
    ),
    ENDING,
)
FORGET_CONSENTS_OF_APP = define(
    "forget_consents_of_app",
    delete(remembered_consent).where(
        remembered_consent.c.client_id == bindparam("of_client"),
        remembered_consent.c.organization_id == bindparam("of_organization"),
        or_(_any_member == bindparam("everyone", type_=TEXT), remembered_consent.c.user_id == _any_member),
    ),
)
