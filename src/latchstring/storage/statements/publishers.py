"""The domains that organizations say are their own."""

from sqlalchemy import and_, bindparam, delete, func, literal_column, select, tuple_, update

from latchstring.storage.schema import publisher_domain
from latchstring.storage.statements.statement import BIGINT, define, define_insert

CLAIM_DOMAIN = define_insert(
    "claim_domain",
    lambda insert: (
        insert(publisher_domain)
        .values({column.name: bindparam(column.name) for column in publisher_domain.columns})
        .on_conflict_do_nothing(index_elements=["organization_id", "domain"])
        .returning(publisher_domain.c.domain)
    ),
)
COUNT_DOMAINS = define(
    "count_domains",
    select(func.count()).where(publisher_domain.c.organization_id == bindparam("organization_id")),
)
_of_domain = and_(
    publisher_domain.c.organization_id == bindparam("of_organization"),
    publisher_domain.c.domain == bindparam("of_domain"),
)
END_DOMAIN = define("end_domain", delete(publisher_domain).where(_of_domain).returning(publisher_domain.c.verified_at))
FIND_DOMAIN = define("find_domain", select(publisher_domain).where(_of_domain))
FIND_DOMAINS = define(
    "find_domains",
    select(publisher_domain)
    .where(publisher_domain.c.organization_id == bindparam("organization_id"))
    .order_by(publisher_domain.c.domain),
)
FIND_VERIFIED_DOMAIN = define(
    "find_verified_domain",
    select(publisher_domain.c.domain)
    .where(
        publisher_domain.c.organization_id == bindparam("organization_id"), publisher_domain.c.verified_at.is_not(None)
    )
    .order_by(publisher_domain.c.verified_at, publisher_domain.c.domain)
    .limit(literal_column("1"))
    .offset(literal_column("0")),
)
_due = publisher_domain.c.next_check_at <= bindparam("now", type_=BIGINT)
_one_due = (
    select(publisher_domain.c.organization_id, publisher_domain.c.domain)
    .where(_due)
    .order_by(publisher_domain.c.next_check_at, publisher_domain.c.organization_id, publisher_domain.c.domain)
    .limit(literal_column("1"))
    .offset(literal_column("0"))
)
TAKE_DUE_DOMAIN = define(
    "take_due_domain",
    update(publisher_domain)
    .where(tuple_(publisher_domain.c.organization_id, publisher_domain.c.domain).in_(_one_due), _due)
    .values(next_check_at=bindparam("until"))
    .returning(*publisher_domain.columns),
)
HAS_DUE_DOMAIN = define("has_due_domain", _one_due)
SAVE_CHECK = define(
    "save_check",
    update(publisher_domain)
    .where(_of_domain, publisher_domain.c.challenge == bindparam("of_challenge"))
    .where(
        func.coalesce(publisher_domain.c.checked_at, literal_column("0")) == bindparam("seen_checked_at", type_=BIGINT)
    )
    .values(
        verified_at=bindparam("new_verified_at"),
        checked_at=bindparam("new_checked_at"),
        failing_since=bindparam("new_failing_since"),
        next_check_at=bindparam("new_next_check_at"),
    )
    .returning(publisher_domain.c.domain),
)
