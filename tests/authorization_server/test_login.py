"""Browser sessions (L3's side of the server: random, hashed, ended)."""

from latchstring.authorization_server.login import hash_session
from tests.authorization_server.builders import ANN, build_user
from tests.authorization_server.conftest import House

DAY = 24 * 3600


async def test_begin_makes_a_new_random_cookie_every_time(house: House):
    cookies = {await house.login.begin(ANN) for _ in range(20)}
    assert len(cookies) == 20
    assert all(len(cookie) == 64 and int(cookie, 16) >= 0 for cookie in cookies)
    for cookie in cookies:
        signed_in = await house.login.find(cookie)
        assert signed_in is not None
        assert (signed_in.user.user_id, signed_in.authenticated_at) == (ANN, house.now)


async def test_session_knows_how_its_user_signed_in(house: House):
    """GHSA-hp74-gm6m-2qm5: each by its own sign-in, and unknown where nobody said."""
    for acr in ("phr", "pwd", None):
        signed_in = await house.login.find(await house.login.begin(ANN, acr))
        assert signed_in is not None
        assert signed_in.acr == acr


async def test_session_is_kept_by_its_hash_alone(house: House):
    """A copy of the database signs nobody in."""
    cookie = await house.login.begin(ANN)
    session = await house.store.find_session(hash_session(cookie), house.now)
    assert session is not None
    assert cookie.encode() not in session.session_hash
    assert bytes.fromhex(cookie) != session.session_hash
    assert await house.login.find(session.session_hash.hex()) is None


async def test_find_of_an_unknown_cookie_is_none(house: House):
    await house.login.begin(ANN)
    for cookie in ("", "x", "0" * 64, "é" * 100, "\0"):
        assert await house.login.find(cookie) is None


async def test_session_ends_by_itself_after_its_lifetime(house: House):
    cookie = await house.login.begin(ANN)
    house.now += 7 * DAY - 1
    assert await house.login.find(cookie) is not None
    house.now += 1
    assert await house.login.find(cookie) is None


async def test_end_leaves_the_cookie_worthless_and_others_alone(house: House):
    cookie, other = [await house.login.begin(ANN) for _ in range(2)]
    await house.login.end(cookie)
    await house.login.end(cookie)
    assert await house.login.find(cookie) is None
    assert await house.login.find(other) is not None


async def test_session_belongs_to_its_user(house: House):
    await house.store.create_user(build_user("user_bob", "bob@example.com"))
    signed_in = await house.login.find(await house.login.begin("user_bob"))
    assert signed_in is not None
    assert signed_in.user.user_id == "user_bob"
