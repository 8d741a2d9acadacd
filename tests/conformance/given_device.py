"""States of the device grant: codes that a device has asked for, and what a person has done with them."""

from tests.conformance.given import World, _signed_in, _state
from tests.support import device
from tests.support.forms import find_form, submit

_WRONG = "BBBB-BBB"


@_state("device codes")
async def _device_codes(world: World, **parameters: str) -> None:
    """The app has asked: `${device_code}` and `${user_code}`; what it becomes is the case's grant."""
    codes = await device.ask(world.browser("a program"), await world.app(), **parameters)
    world.values["device_code"], world.values["user_code"] = codes["device_code"], codes["user_code"]
    parsed = world.deployment.codec.parse_device_code(codes["device_code"])
    assert parsed is not None
    world.grant_id = parsed.device_id


@_state("user code entered")
async def _user_code_entered(world: World) -> None:
    """Ann, signed in, has the device's consent page before her: `${csrf_token}` and `${request}` are its own."""
    if not world.browser().cookies:
        await _signed_in(world)
    page = await device.enter(world.browser(), world.values["user_code"])
    fields = find_form(page, "/device/answer").fields
    world.values["csrf_token"], world.values["request"] = fields["csrf_token"], fields["request"]


async def _answer(world: World, decision: str) -> None:
    if not world.browser().cookies:
        await _signed_in(world)
    page = await device.enter(world.browser(), world.values["user_code"])
    answered = await device.answer(world.browser(), page, decision, world.values["acorn"])
    assert answered.status_code == 200, answered.text


@_state("device allowed")
async def _device_allowed(world: World) -> None:
    """For Acorn."""
    await _answer(world, "allow")


@_state("device declined")
async def _device_declined(world: World) -> None:
    await _answer(world, "deny")


@_state("wrong user codes")
async def _wrong_user_codes(world: World, *, count: int) -> None:
    """Ann, in her browser, guesses."""
    page = await device.open_device(world.browser())
    for letter in "BCDFGHJKLM"[:count]:
        refused = await submit(world.browser(), page, find_form(page, "/device"), user_code=_WRONG + letter)
        assert refused.status_code == 422


@_state("device connected")
async def _device_connected(world: World) -> None:
    """The device has its tokens."""
    response = await device.poll(world.browser("a program"), await world.app(), world.values["device_code"])
    assert response.status_code == 200, response.text
    world.remember_tokens(response.json())
