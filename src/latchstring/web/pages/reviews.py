"""Publishing: a developer sends an app to review, and the operator looks at what changed since the last one."""

from typing import Final

from starlette.responses import Response

from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publication import (
    CATEGORIES,
    MAX_NOTE_LENGTH,
    ReviewRecord,
    list_changes,
    read_facts,
)
from latchstring.web.pages.apps import find_app
from latchstring.web.pages.consent_words import render_items
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.pages.question import render_app

_NOTICES: Final = ("review_approved", "review_declined", "review_gone", "unpublished")


async def ask_review(page: Page) -> Response:
    """POST /apps/{client_id}/review: send the app to the operator's review, or take that back."""
    user = await page.require_user()
    form = await page.read_form()
    client = await find_app(page, user, to_edit=True)
    publication = page.services.publication
    if form.get("decision") == "withdraw":
        await publication.withdraw(client.client_id, origin=page.origin)
        return page.redirect(f"/apps/{client.client_id}?review_withdrawn")
    category = form.get("category", "")
    if category not in CATEGORIES or form.get("wants") not in {"public", "listed"}:
        raise PageRefused("unreadable_request")
    await publication.ask(
        client,
        wants_listing=form.get("wants") == "listed",
        category=category,
        note=form.get("note", ""),
        origin=page.origin,
    )
    return page.redirect(f"/apps/{client.client_id}?review_asked")


async def show_reviews(page: Page) -> Response:
    """GET /operator/reviews."""
    await page.require_operator()
    publication = page.services.publication
    waiting = [await _render(page, review) for review in await publication.find_waiting()]
    decided = [await _render(page, review) for review in await publication.find_decided()]
    notice = next((kind for kind in _NOTICES if kind in page.request.query_params), None)
    context = {
        "reviews": [review for review in waiting if review is not None],
        "decided": [review for review in decided if review is not None],
        "max_word_length": MAX_NOTE_LENGTH,
        "notice": None if notice is None else (notice, ""),
    }
    return page.render("operator_reviews.html", context)


async def decide_review(page: Page) -> Response:
    """POST /operator/reviews/{client_id}: about exactly what stood on the page."""
    await page.require_operator()
    form = await page.read_form()
    client_id: str = page.request.path_params["client_id"]
    publication, decision = page.services.publication, form.get("decision")
    if decision == "unpublish":
        await publication.unpublish(client_id, origin=page.origin)
        return page.redirect("/operator/reviews?unpublished")
    if decision not in {"approve", "decline"}:
        raise PageRefused("unreadable_request")
    commit = await publication.decide(
        client_id,
        seen=form.get("seen", ""),
        is_approved=decision == "approve",
        word=form.get("word", ""),
        origin=page.origin,
    )
    outcome = {"approve": "review_approved", "decline": "review_declined"}[decision]
    return page.redirect(f"/operator/reviews?{'review_gone' if commit is Commit.LOST else outcome}")


async def _render(page: Page, review: ReviewRecord) -> dict[str, object] | None:
    store = page.services.store
    client = await store.find_client(review.client_id)
    if client is None or client.ended_at is not None:
        return None
    _, publication = await page.services.publication.find(review.client_id)
    asker = await store.find_user(review.asked_by)
    facts = read_facts(review.facts)
    before = None if publication is None else read_facts(publication.reviewed)
    changes = {} if before is None else list_changes(before, facts)
    return {
        "client_id": client.client_id,
        "app": await render_app(page, client),
        "state": review.state,
        "wants_listing": review.wants_listing,
        "category": review.category,
        "note": review.note,
        "seen": review.facts,
        "asked_by": "" if asker is None else asker.name,
        "asked_at": review.asked_at,
        "decided_at": review.decided_at,
        "word": review.word,
        "is_again": publication is not None,
        "is_published": client.is_published,
        "changes": [{"fact": fact, "gone": gone, "come": come} for fact, (gone, come) in changes.items()],
        "hosts": facts.hosts,
        "scopes": render_items(facts.scope, page.services.settings),
    }
