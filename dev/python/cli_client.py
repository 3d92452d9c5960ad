"""Uses a home through the published command line `hass-cli`, and checks the results.

    cli_client.py URL [--limited]

URL is the URL of the home or of latchkey. The token comes from standard input and is passed to `hass-cli` in the
environment. `hass-cli` must be installed next to this Python. With --limited, the caller has only the permissions
`read:light.*` and `call:light.*:light.bed_light`. Prints a line for each step, `ok STEP` or `failed STEP: WHY`. The
exit code is 0 only if all steps pass.

The steps use only commands of the REST API. Commands on areas, devices and entities, `event watch`, `system health`,
`raw ws` and `integration enable|disable` use the WebSocket. `ha` uses the Supervisor. `info` sends no request.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIGHT = "light.bed_light"
OTHER_LIGHT = "light.ceiling_lights"
LOCK = "lock.front_door"
COMMAND_SECONDS = 60
# The recorder writes new states about once a second.
RECORDED_WITHIN_SECONDS = 30


class NotLoaded(Exception):
    """The home does not have this component, and answered 404."""


class HassCli:
    """The executable `hass-cli`, without the settings of the current user."""

    def __init__(self, url: str, token: str, directory: Path) -> None:
        self.directory = directory
        self._program = str(Path(sys.executable).parent / "hass-cli")
        self._environment = {
            "HASS_SERVER": url,
            "HASS_TOKEN": token,
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "PATH": os.defpath,
        }

    def run(self, *arguments: str, output: str = "json") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, "-o", output, *arguments],
            env=self._environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=COMMAND_SECONDS,
        )

    def text(self, *arguments: str, output: str = "json") -> str:
        """Returns the output of a command that must succeed."""
        ended = self.run(*arguments, output=output)
        assert ended.returncode == 0 and not ended.stderr, (arguments, ended.returncode, ended.stdout, ended.stderr)
        return ended.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.text(*arguments))

    def error(self, *arguments: str) -> str:
        """Returns the output of a command that must fail."""
        ended = self.run(*arguments)
        assert ended.returncode != 0, (arguments, ended.stdout, ended.stderr)
        return ended.stdout + ended.stderr

    def refused(self, *arguments: str) -> None:
        """Expects that a command gets 403."""
        said = self.error(*arguments)
        assert "403" in said, (arguments, said)

    def state(self, entity_id: str) -> Any:
        [state] = self.json("state", "get", entity_id)
        assert state["entity_id"] == entity_id, state
        return state

    def file(self, name: str, text: str) -> str:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return str(path)


type Step = Callable[[HassCli], None]


def changed(states: Any) -> dict[str, str]:
    return {state["entity_id"]: state["state"] for state in states}


# Steps for every caller.


def state_get(cli: HassCli) -> None:
    state = cli.state(LIGHT)
    assert state["state"] in ("on", "off"), state
    assert state["attributes"]["friendly_name"] == "Bed Light", state


def state_get_as_a_table(cli: HassCli) -> None:
    table = cli.text("state", "get", LIGHT, output="table")
    assert "ENTITY" in table and LIGHT in table and "Bed Light" in table, table


def config_full(cli: HassCli) -> None:
    [config] = cli.json("config", "full")
    assert config["state"] == "RUNNING" and "demo" in config["components"], config


def config_release(cli: HassCli) -> None:
    [version] = cli.json("config", "release")
    assert version.count(".") >= 2, version


def service_call(cli: HassCli) -> None:
    cli.json("service", "call", "light.turn_off", "--arguments", f"entity_id={LIGHT}")
    assert cli.state(LIGHT)["state"] == "off"
    # `hass-cli` sends every value as a text.
    on = cli.json("service", "call", "light.turn_on", "--arguments", f"entity_id={LIGHT},brightness=99")
    assert changed(on) == {LIGHT: "on"}, on
    state = cli.state(LIGHT)
    assert state["state"] == "on" and state["attributes"]["brightness"] == 99, state
    off = cli.json("service", "call", "light.turn_off", "--arguments", f"entity_id={LIGHT}")
    assert changed(off) == {LIGHT: "off"}, off
    assert cli.state(LIGHT)["state"] == "off"


def raw(cli: HassCli) -> None:
    assert cli.json("raw", "get", "/api/") == {"message": "API running."}
    assert cli.json("raw", "get", f"/api/states/{LIGHT}")["entity_id"] == LIGHT
    body = json.dumps({"entity_id": [LIGHT]})
    on = cli.json("raw", "post", "/api/services/light/toggle", "--json", body)
    assert changed(on) == {LIGHT: "on"}, on
    off = cli.json("raw", "post", "/api/services/light/toggle", "--json", body)
    assert changed(off) == {LIGHT: "off"}, off


def state_history(cli: HassCli) -> None:
    [config] = cli.json("config", "full")
    # A period in hours, because `hass-cli` may read other units differently.
    arguments = ("state", "history", LIGHT, "--since", "1h")
    if "history" not in config["components"]:
        said = cli.error(*arguments)
        assert "404" in said, said
        raise NotLoaded("history")
    deadline = time.monotonic() + RECORDED_WITHIN_SECONDS
    while True:
        past = cli.json(*arguments)
        assert {state["entity_id"] for state in past} == {LIGHT}, past
        if {state["state"] for state in past} >= {"on", "off"}:
            return
        assert time.monotonic() < deadline, past


# Steps that need full permissions.


def state_list(cli: HassCli) -> None:
    states = changed(cli.json("state", "list"))
    assert {LIGHT, OTHER_LIGHT, LOCK} <= states.keys(), sorted(states)
    lights = changed(cli.json("state", "list", "^light"))
    assert {LIGHT, OTHER_LIGHT} <= lights.keys() and LOCK not in lights, lights


def state_get_of_nothing(cli: HassCli) -> None:
    ended = cli.run("state", "get", "light.nowhere")
    assert "'light.nowhere' not found" in ended.stderr, (ended.stdout, ended.stderr)


def service_list(cli: HassCli) -> None:
    services = {f"{item['domain']}.{item['service']}" for item in cli.json("service", "list")}
    assert {"homeassistant.restart", "light.turn_on", "lock.unlock"} <= services, sorted(services)


def state_turn_on_and_off(cli: HassCli) -> None:
    """`hass-cli` calls `homeassistant.turn_on`, `turn_off` and `toggle`."""
    for command, wanted in (("turn_on", "on"), ("toggle", "off"), ("turn_on", "on"), ("turn_off", "off")):
        states = changed(cli.json("state", command, LIGHT))
        assert states.get(LIGHT) == wanted, (command, states)
        assert cli.state(LIGHT)["state"] == wanted, command


def state_edit_and_delete(cli: HassCli) -> None:
    entity_id = f"sensor.of_a_cli_{uuid.uuid4().hex[:8]}"
    said = cli.text("state", "edit", entity_id, "20.5", "--attributes", "unit_of_measurement=°C,room=Wohnküche")
    assert "No existing state found" in said and "updated successfully" in said, said
    state = cli.state(entity_id)
    assert state["state"] == "20.5", state
    assert state["attributes"] == {"unit_of_measurement": "°C", "room": "Wohnküche"}, state
    said = cli.text("state", "edit", "--merge", entity_id, "21")
    assert "Existing state found" in said and "updated successfully" in said, said
    state = cli.state(entity_id)
    assert state["state"] == "21" and state["attributes"]["room"] == "Wohnküche", state
    assert "deleted" in cli.text("state", "delete", entity_id)
    assert "not found" in cli.text("state", "delete", entity_id)


def template(cli: HassCli) -> None:
    source = f"{{{{ states('{LIGHT}') }}}} & {{{{ number * 2 }}}} größer\n{{{{ states('{LOCK}') }}}}"
    rendered = cli.text("template", cli.file("template.j2", source), cli.file("data.yaml", "number: 21\n"))
    assert rendered == "off & 42 größer\nlocked\n", rendered


def a_bad_template(cli: HassCli) -> None:
    said = cli.error("template", cli.file("bad.j2", "{{ nothing( }}"))
    assert "400" in said, said


def event_fire(cli: HassCli) -> None:
    said = cli.text("event", "fire", "of_a_cli", "--json", '{"number": 1, "text": "größer"}')
    first, answer = said.split("\n", 1)
    assert first == "Fire of_a_cli", said
    assert json.loads(answer) == [{"message": "Event of_a_cli fired."}], said


def integration_list(cli: HassCli) -> None:
    domains = {entry["domain"] for entry in cli.json("integration", "list")}
    assert "demo" in domains, domains


def system_log(cli: HassCli) -> None:
    """A file, sent as `application/octet-stream`."""
    assert "WARNING" in cli.text("system", "log")


# Steps for a caller with few permissions.


def only_lights(cli: HassCli) -> None:
    states = changed(cli.json("state", "list"))
    assert {LIGHT, OTHER_LIGHT} <= states.keys(), states
    assert all(entity_id.startswith("light.") for entity_id in states), states


def only_services_of_lights(cli: HassCli) -> None:
    services = cli.json("service", "list")
    assert {item["domain"] for item in services} == {"light"}, services
    assert {"turn_on", "turn_off", "toggle"} <= {item["service"] for item in services}, services


def a_lock_is_refused(cli: HassCli) -> None:
    said = cli.error("state", "get", LOCK)
    # `hass-cli` prints the problem document unchanged.
    assert "urn:latchkey:problem:forbidden" in said, said


def another_light_is_not_called(cli: HassCli) -> None:
    before = cli.state(OTHER_LIGHT)
    cli.refused("service", "call", "light.toggle", "--arguments", f"entity_id={OTHER_LIGHT}")
    cli.refused("service", "call", "light.toggle", "--arguments", "entity_id=all")
    cli.refused("service", "call", "light.toggle")
    cli.refused("state", "toggle", OTHER_LIGHT)
    assert cli.state(OTHER_LIGHT) == before


def other_requests_are_refused(cli: HassCli) -> None:
    cli.refused("service", "call", "lock.unlock", "--arguments", f"entity_id={LOCK}")
    cli.refused("template", cli.file("template.j2", f"{{{{ states('{LOCK}') }}}}"))
    cli.refused("state", "edit", LIGHT, "on")
    cli.refused("state", "delete", LIGHT)
    cli.refused("raw", "get", "/api/config/config_entries/entry")
    assert cli.state(LIGHT)["state"] == "off"


def firing_an_event_is_refused(cli: HassCli) -> None:
    """`hass-cli` prints the problem document to standard error, but its exit code is 0."""
    ended = cli.run("event", "fire", "of_a_cli", "--json", "{}")
    assert "403" in ended.stderr and "fired." not in ended.stdout, (ended.stdout, ended.stderr)


# Some steps need the light off, and earlier steps leave it off.
STEPS: list[Step] = [
    state_list,
    state_get,
    state_get_as_a_table,
    state_get_of_nothing,
    service_list,
    service_call,
    state_turn_on_and_off,
    state_edit_and_delete,
    template,
    a_bad_template,
    config_full,
    config_release,
    event_fire,
    raw,
    state_history,
    integration_list,
    system_log,
]
LIMITED_STEPS: list[Step] = [
    only_lights,
    only_services_of_lights,
    state_get,
    state_get_as_a_table,
    config_full,
    service_call,
    raw,
    state_history,
    a_lock_is_refused,
    another_light_is_not_called,
    other_requests_are_refused,
    firing_an_event_is_refused,
]


def holds(step: Step, cli: HassCli, secret: str) -> bool:
    """Runs one step and prints the result. Returns True if the step passed."""
    name = step.__name__.replace("_", " ")
    try:
        step(cli)
    except NotLoaded as lacking:
        print(f"ok {name} (a 404: the home has no {lacking})", flush=True)
    except Exception as error:  # the other steps still run
        line = f"failed {name}: {type(error).__name__}: {error}".replace(secret, "<token>")
        print(line[:2000], flush=True)
        return False
    else:
        print(f"ok {name}", flush=True)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--limited", action="store_true")
    arguments = parser.parse_args()
    token = sys.stdin.read().strip()
    if not token:
        parser.error("standard input has no token; write the token to it")
    with tempfile.TemporaryDirectory(prefix="latchkey-hass-cli-") as directory:
        cli = HassCli(arguments.url.rstrip("/"), token, Path(directory))
        steps = LIMITED_STEPS if arguments.limited else STEPS
        went = [holds(step, cli, token) for step in steps]
    return 0 if all(went) else 1


if __name__ == "__main__":
    sys.exit(main())
