"""Runs a real Home Assistant with its demo integration, onboarded and ready for use.

    home_assistant.py [--login-attempts-threshold N]

The first user is made over the onboarding API, as a browser would. Prints one JSON line when it is ready: {"url",
"token", "control_token", "log"}; `token` is the long-lived token for use, `control_token` another one for whoever
steers this home, so that revoking the first does not lock them out. Ends, and cleans up, when standard input does.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path

import aiohttp

from supervise import Supervised, wait_for_end

CONFIGURATION = """\
homeassistant:
  name: Latchkey test home
  unit_system: metric
  time_zone: UTC
  latitude: 52.371807
  longitude: 4.896029
  elevation: 17
http:
  server_host: 127.0.0.1
  server_port: {port}
  ip_ban_enabled: {ban}
  login_attempts_threshold: {threshold}
api:
auth:
websocket_api:
onboarding:
system_log:
recorder:
history:
logbook:
demo:
input_boolean:
  drill:
    name: Fire drill
  guest_mode:
    name: Guests are here
scene:
  - name: Evening
    entities:
      light.ceiling_lights: "on"
      lock.front_door: locked
  - name: Cooking
    entities:
      light.kitchen_lights: "on"
group:
  mygroup:
    name: Ways in
    entities:
      - lock.front_door
      - cover.garage_door
  worktop:
    name: Worktop
    entities:
      - light.kitchen_lights
script:
  evening:
    alias: Lock up
    sequence:
      - action: lock.lock
        target:
          entity_id: lock.front_door
  cooking:
    alias: Cook
    sequence:
      - action: light.turn_on
        target:
          entity_id: light.kitchen_lights
automation:
  - id: drill
    alias: Watchdog of the drill
    triggers:
      - trigger: state
        entity_id: input_boolean.drill
    actions:
      - action: homeassistant.toggle
        target:
          entity_id: [light.kitchen_lights, light.bed_light, switch.decorative_lights]
alexa:
  smart_home:
"""
# A machine that has never run it yet compiles its modules first.
START_TIMEOUT_SECONDS = 180
POLL_SECONDS = 0.1


def free_port():
    """A port that is free now, from below those that Linux hands out by itself, so that no other server takes it before
    Home Assistant does (which cannot be told to let the system choose)."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def until_started(session, url, process):
    """Waits for the port, and then for Home Assistant's own word that all is set up."""
    while process.poll() is None:
        try:
            async with session.get(f"{url}/api/onboarding") as response:
                if response.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(POLL_SECONDS)
    raise SystemExit(f"Home Assistant ended with code {process.returncode} before it was ready")


async def onboard(session, url):
    """Makes the owner; returns an access token of theirs."""
    client = f"{url}/"
    user = {
        "client_id": client,
        "name": "Owner",
        "username": "owner",
        "password": "only-ever-on-loopback",
        "language": "en",
    }
    async with session.post(f"{url}/api/onboarding/users", json=user) as response:
        response.raise_for_status()
        code = (await response.json())["auth_code"]
    form = {"grant_type": "authorization_code", "code": code, "client_id": client}
    async with session.post(f"{url}/auth/token", data=form) as response:
        response.raise_for_status()
        return (await response.json())["access_token"]


async def long_lived_tokens(session, url, access_token, names):
    async with session.ws_connect(f"{url}/api/websocket") as socket_:
        await socket_.receive_json()
        await socket_.send_json({"type": "auth", "access_token": access_token})
        greeting = await socket_.receive_json()
        if greeting["type"] != "auth_ok":
            raise SystemExit("Home Assistant refused the token it had just issued")
        tokens = []
        for number, name in enumerate(names, start=1):
            await socket_.send_json(
                {"id": number, "type": "auth/long_lived_access_token", "client_name": name, "lifespan": 365}
            )
            tokens.append((await socket_.receive_json())["result"])
        return tokens


async def until_running(session, url, token):
    """The port opens before the demo's entities exist; Home Assistant says itself when all of it is there."""
    headers = {"Authorization": f"Bearer {token}"}
    while True:
        async with session.get(f"{url}/api/config", headers=headers) as response:
            response.raise_for_status()
            if (await response.json())["state"] == "RUNNING":
                return
        await asyncio.sleep(POLL_SECONDS)


async def prepare(url, process):
    async with asyncio.timeout(START_TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
        await until_started(session, url, process)
        access_token = await onboard(session, url)
        token, control_token = await long_lived_tokens(session, url, access_token, ["latchkey", "control"])
        await until_running(session, url, control_token)
        return {"url": url, "token": token, "control_token": control_token}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--login-attempts-threshold", type=int)
    arguments = parser.parse_args()
    # As an exception it unwinds what has been started by then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threshold = arguments.login_attempts_threshold
    with tempfile.TemporaryDirectory(prefix="latchkey-home-assistant-", ignore_cleanup_errors=True) as directory:
        port = free_port()
        configuration = CONFIGURATION.format(
            port=port,
            ban="false" if threshold is None else "true",
            threshold=-1 if threshold is None else threshold,
        )
        Path(directory, "configuration.yaml").write_text(configuration)
        console = Path(directory, "console.log")
        hass = Path(sys.executable).parent / "hass"
        with console.open("wb") as output:
            # Every requirement is pinned and installed beforehand: a test installs nothing.
            home = Supervised(
                [sys.executable, str(hass), "--config", directory, "--skip-pip", "--log-file", f"{directory}/home.log"],
                stdout=output,
                stderr=output,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        # The asker may be gone long before the home is ready.
        watcher = threading.Thread(target=lambda: (wait_for_stdin(), home.process.terminate()), daemon=True)
        watcher.start()
        try:
            ready = asyncio.run(prepare(f"http://127.0.0.1:{port}", home.process))
        except BaseException:
            sys.stderr.write(console.read_text(errors="replace")[-4000:])
            home.stop(0)
            raise
        print(json.dumps(ready | {"log": f"{directory}/home.log"}), flush=True)
        wait_for_end(home.process)
        # A shutdown in order takes seconds and writes files that are removed right after.
        home.stop(0)


def wait_for_stdin():
    while os.read(0, 4096):
        pass


if __name__ == "__main__":
    main()
