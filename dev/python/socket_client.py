"""Uses a home through the published library `hass-client`, and checks the results.

    socket_client.py URL

URL is the WebSocket URL of the home or of latchkey. Standard input has two tokens, one on each line. The library uses
the second one when it connects again. Prints a line for each step, `ok STEP` or `failed STEP: WHY`. The exit code is 0
only if all steps pass.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from hass_client import HomeAssistantClient
from hass_client.exceptions import AuthenticationFailed, FailedCommand

LIGHT = "light.bed_light"
STEP_SECONDS = 30


class Steps:
    """Runs steps, and remembers if one failed."""

    def __init__(self) -> None:
        self.failed = False

    async def run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await asyncio.wait_for(work(), STEP_SECONDS)
            print(f"ok {name}", flush=True)
        except Exception as error:  # noqa: BLE001 - every error is a failed step
            self.failed = True
            print(f"failed {name}: {type(error).__name__} {error}", flush=True)


async def light(client: HomeAssistantClient) -> str:
    states = await client.get_states()
    return next(state["state"] for state in states if state["entity_id"] == LIGHT)


async def toggled(client: HomeAssistantClient) -> None:
    before = await light(client)
    await client.call_service("light", "toggle", target={"entity_id": LIGHT})
    assert await light(client) != before, f"{LIGHT} did not change"


async def use(steps: Steps, url: str, token: str) -> None:
    """Connects with a token, and runs each step."""
    client = HomeAssistantClient(url, token)

    async def connect() -> None:
        await client.connect(ssl=None)
        assert client.version, "no version"

    async def states() -> None:
        assert len(await client.get_states()) > 20, "too few states"

    async def config() -> None:
        assert "demo" in (await client.get_config())["components"], "no component demo"

    async def services() -> None:
        assert "turn_on" in (await client.get_services())["light"], "no service light.turn_on"

    async def registry() -> None:
        assert isinstance(await client.get_entity_registry(), list), "no list"

    async def at_once() -> None:
        await asyncio.gather(*(client.get_config() for _ in range(10)))

    async def refused() -> None:
        try:
            await client.subscribe_events(lambda _: None, "x")
        except FailedCommand as error:
            assert "not supported" in str(error), str(error)
        else:
            raise AssertionError("the subscription was accepted")

    await steps.run("connect", connect)
    if not client.connected:
        return
    listener = asyncio.create_task(client.start_listening())
    await steps.run("states", states)
    await steps.run("config", config)
    await steps.run("services", services)
    await steps.run("entity registry", registry)
    await steps.run("call a service", lambda: toggled(client))
    await steps.run("several commands at once", at_once)
    await steps.run("subscription is refused", refused)
    assert not listener.done(), "the listener ended"
    await client.disconnect()
    await asyncio.wait({listener})


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    url = parser.parse_args().url
    first, second = sys.stdin.read().split()
    steps = Steps()
    await use(steps, url, first)
    await use(steps, url, second)

    async def invalid() -> None:
        client = HomeAssistantClient(url, f"{second}x")
        try:
            await client.connect(ssl=None)
        except AuthenticationFailed:
            return
        finally:
            await client.disconnect()
        raise AssertionError("the token was accepted")

    await steps.run("invalid token", invalid)
    return 1 if steps.failed else 0


sys.exit(asyncio.run(main()))
