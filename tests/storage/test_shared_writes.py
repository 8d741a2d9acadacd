"""Writes that share one transaction with others of their kind, on every engine."""

import asyncio
import os

import pytest

from latchstring.authorization_server.events import Action, EventFilter
from latchstring.authorization_server.identifiers import GRANT, render_identifier
from latchstring.authorization_server.ports import Commit, ConsentCommit
from latchstring.protocol.errors import StoreUnavailable
from latchstring.storage.store import SqlStore
from tests.authorization_server.builders import ANN, NOW, build_grant
from tests.storage.conftest import OpenStore
from tests.storage.test_webhook_store import APP, build_webhook, waiting


@pytest.mark.parametrize("has_webhook", [False, True])
async def test_many_ends_at_once_have_each_its_own_outcome_and_event(
    peopled: SqlStore, open_another: OpenStore, has_webhook: bool
):
    """Each is ended twice, by two servers; one of the callers asks for what no column holds and fails alone."""
    if has_webhook:
        await peopled.create_webhook(build_webhook())
    made = [build_grant(id=os.urandom(16)) for _ in range(40)]
    for grant in made:
        assert await peopled.commit_consent(grant) is ConsentCommit.CREATED
    stores = [peopled, open_another()]
    ends = [store.end_grant(grant.id, by=ANN, reason="revoked", now=NOW) for grant in made for store in stores]
    unwritable = peopled.end_grant(build_grant(id=os.urandom(16)).id, by=ANN, reason="\ud800", now=NOW)
    outcomes = await asyncio.gather(*ends, unwritable, return_exceptions=True)
    assert isinstance(outcomes.pop(), StoreUnavailable | UnicodeEncodeError)
    assert [outcomes[n : n + 2].count(Commit.APPLIED) for n in range(0, 80, 2)] == [1] * 40
    assert outcomes.count(Commit.LOST) == 40
    for grant in made:
        found = await peopled.find_grant(grant.id)
        assert found is not None
        assert (found.status, found.ended_by, found.ended_reason) == ("ended", ANN, "revoked")
    told = await peopled.find_events(EventFilter(action=Action.GRANT_ENDED), before=None, at_most=100)
    ids = [record.event.subject_id for record in told]
    assert sorted(ids) == sorted(render_identifier(GRANT, grant.id) for grant in made)
    assert (await waiting(peopled, APP)).count("grant.ended") == (40 if has_webhook else 0)


async def test_many_tokens_revoked_at_once_are_each_noted_and_told_once(peopled: SqlStore, open_another: OpenStore):
    made = [build_grant(id=os.urandom(16)) for _ in range(20)]
    for grant in made:
        assert await peopled.commit_consent(grant) is ConsentCommit.CREATED
    stores = [peopled, open_another()]
    tokens = [(grant.id, os.urandom(12)) for grant in made for _ in range(2)]
    await asyncio.gather(
        *(
            store.revoke_access_token(grant_id, token_id, expires_at=NOW + number, now=NOW)
            for number, (grant_id, token_id) in enumerate(tokens)
            for store in stores
        )
    )
    assert all([await peopled.is_access_token_revoked(token_id) for _, token_id in tokens])
    for number, grant in enumerate(made):
        found = await peopled.find_grant(grant.id)
        assert found is not None
        assert found.access_revoked_until == NOW + 2 * number + 1
    told = await peopled.find_events(EventFilter(action=Action.TOKEN_REVOKED), before=None, at_most=100)
    assert sorted(record.event.subject_id for record in told) == sorted(token_id.hex() for _, token_id in tokens)
