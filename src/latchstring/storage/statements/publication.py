"""Reviews, publications, and the directory of listed apps."""

from typing import Any

from sqlalchemy import String, and_, bindparam, false, func, literal_column, or_, select, true, tuple_, update

from latchstring.storage.schema import app_publication, app_review, client, organization
from latchstring.storage.statements.statement import BIGINT, TEXT, Insert, define, define_insert

_WAITING, _WITHDRAWN = (literal_column(f"'{state}'", String) for state in ("waiting", "withdrawn"))


def _upsert_review(insert: Insert) -> Any:
    statement = insert(app_review).values({column.name: bindparam(column.name) for column in app_review.columns})
    renewed = {column.name: statement.excluded[column.name] for column in app_review.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=["client_id"], set_=renewed)


SAVE_REVIEW = define_insert("save_review", _upsert_review)
WITHDRAW_REVIEW = define(
    "withdraw_review",
    update(app_review)
    .where(app_review.c.client_id == bindparam("of_client"), app_review.c.state == _WAITING)
    .values(state=_WITHDRAWN)
    .returning(app_review.c.client_id),
)
# Exactly what was seen is decided, and once.
DECIDE_REVIEW = define(
    "decide_review",
    update(app_review)
    .where(
        app_review.c.client_id == bindparam("of_client"),
        app_review.c.state == _WAITING,
        app_review.c.facts == bindparam("seen"),
    )
    .values(
        state=bindparam("new_state"),
        decided_by=bindparam("by"),
        decided_at=bindparam("now", type_=BIGINT),
        word=bindparam("word"),
    )
    .returning(*app_review.columns),
)
RENEW_FACTS = define(
    "renew_facts",
    update(app_review)
    .where(app_review.c.client_id == bindparam("of_client"), app_review.c.state == _WAITING)
    .values(facts=bindparam("new_facts")),
)


def _upsert_publication(insert: Insert) -> Any:
    given = {
        **{column.name: bindparam(column.name) for column in app_publication.columns if column.name != "is_current"},
        "is_current": true(),
    }
    statement = insert(app_publication).values(given)
    renewed = {
        column.name: statement.excluded[column.name] for column in app_publication.columns if not column.primary_key
    }
    return statement.on_conflict_do_update(index_elements=["client_id"], set_=renewed)


SAVE_PUBLICATION = define_insert("save_publication", _upsert_publication)
# An app that changed in what matters is as it was reviewed no longer; one that changed back is again.
COMPARE_PUBLICATION = define(
    "compare_publication",
    update(app_publication)
    .where(app_publication.c.client_id == bindparam("of_client"))
    .values(is_current=app_publication.c.reviewed == bindparam("new_facts", type_=TEXT))
    .returning(app_publication.c.is_current, app_publication.c.is_listed, app_publication.c.category),
)
UNLIST = define(
    "unlist",
    update(app_publication).where(app_publication.c.client_id == bindparam("of_client")).values(is_listed=false()),
)
FIND_REVIEW = define("find_review", select(app_review).where(app_review.c.client_id == bindparam("client_id")))
FIND_PUBLICATION = define(
    "find_publication", select(app_publication).where(app_publication.c.client_id == bindparam("client_id"))
)
FIND_WAITING_REVIEWS = define(
    "find_waiting_reviews",
    select(app_review)
    .where(app_review.c.state == _WAITING)
    .order_by(app_review.c.asked_at, app_review.c.client_id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
FIND_DECIDED_REVIEWS = define(
    "find_decided_reviews",
    select(app_review)
    .where(app_review.c.decided_at.is_not(None), app_review.c.state != _WAITING)
    .order_by(app_review.c.decided_at.desc(), app_review.c.client_id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
_category, _pattern = bindparam("category", type_=TEXT), bindparam("pattern", type_=TEXT)
_EMPTY = literal_column("''", TEXT)
_lower_name = func.lower(client.c.name)
FIND_LISTED_APPS = define(
    "find_listed_apps",
    select(
        client.c.client_id,
        client.c.name,
        client.c.description,
        client.c.organization_id,
        organization.c.name.label("publisher"),
        client.c.scope,
        app_publication.c.category,
    )
    .join(client, client.c.client_id == app_publication.c.client_id)
    .join(organization, organization.c.organization_id == client.c.organization_id)
    .where(
        and_(app_publication.c.is_listed, app_publication.c.is_current, client.c.is_published),
        and_(client.c.ended_at.is_(None), client.c.suspended_at.is_(None), client.c.owner_closed_at.is_(None)),
        or_(_category == _EMPTY, app_publication.c.category == _category),
        or_(
            _pattern == _EMPTY,
            _lower_name.like(_pattern, escape="!"),
            func.lower(client.c.description).like(_pattern, escape="!"),
        ),
        tuple_(_lower_name, client.c.client_id)
        > tuple_(bindparam("after_name", type_=TEXT), bindparam("after_id", type_=TEXT)),
    )
    .order_by(_lower_name, client.c.client_id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
