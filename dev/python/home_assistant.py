"""Runs a real Home Assistant with its demo integration, onboarded and ready for use.

    home_assistant.py [--login-attempts-threshold N]

Creates the first user over the onboarding API, as a browser does. Prints one JSON line when the home is ready: {"url",
"token", "control_token", "log"}. `token` is the long-lived token for the function. `control_token` is a second token
for the test, which stays valid when `token` is revoked. Ends and cleans up when standard input ends.
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
# On its first start on a machine, Home Assistant also compiles its modules.
START_TIMEOUT_SECONDS = 180
POLL_SECONDS = 0.1


def free_port():
    """Returns a port that is free now. Linux does not assign ports of this range, so no other server takes the port.

    Home Assistant cannot let the system choose a port."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def until_started(session, url, process):
    """Waits until the port is open and the onboarding API answers."""
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
    """Creates the owner and returns an access token of the owner."""
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
    """Waits until Home Assistant reports the state RUNNING. The port opens before the demo entities exist."""
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
    # The exception SystemExit stops everything that was started before.
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
            # All requirements are already installed, because a test must not install packages.
            home = Supervised(
                [sys.executable, str(hass), "--config", directory, "--skip-pip", "--log-file", f"{directory}/home.log"],
                stdout=output,
                stderr=output,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        # The starting program may end before the home is ready.
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
        # A graceful shutdown takes seconds and writes files that are removed immediately afterwards.
        home.stop(0)


def wait_for_stdin():
    while os.read(0, 4096):
        pass


if __name__ == "__main__":
    main()
