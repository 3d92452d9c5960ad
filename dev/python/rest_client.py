"""Uses a home through the published REST client `homeassistant_api`, and checks the results.

    rest_client.py URL [--limited]

URL is the URL of the home or of latchkey. The token comes from standard input. With --limited, the caller has only the
permissions `read:light.*` and `call:light.*:light.bed_light`. Prints a line for each step, `ok STEP` or
`failed STEP: WHY`. The exit code is 0 only if all steps pass.
"""

import argparse
import asyncio
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from homeassistant_api import AsyncClient, Client, Entity, Service, State
from homeassistant_api.errors import (
    BadTemplateError,
    EndpointNotFoundError,
    UnauthorizedError,
    UnexpectedStatusCodeError,
)

LIGHT = "light.bed_light"
OTHER_LIGHT = "light.ceiling_lights"
LOCK = "lock.front_door"
WEATHER = "weather.demo_weather_north"
# The recorder writes new states about once a second.
RECORDED_WITHIN_SECONDS = 30
POLL_SECONDS = 0.5

type Step = Callable[[Client], None]
type AsyncStep = Callable[[AsyncClient], Awaitable[None]]


class NotLoaded(Exception):
    """The home does not have this component, and answered 404."""


@contextmanager
def refused() -> Iterator[None]:
    """Expects that a request in the block gets 403. The library has no specific exception for 403."""
    try:
        yield
    except UnexpectedStatusCodeError as error:
        assert str(error).endswith(" 403"), error
    else:
        raise AssertionError("the request did not get 403")


def entity(client: Client, entity_id: str) -> Entity:
    found = client.get_entity(entity_id=entity_id)
    assert found is not None and found.entity_id == entity_id, found
    return found


def service(client: Client, domain: str, name: str) -> Service:
    found = client.get_domain(domain)
    assert found is not None, f"no domain {domain}"
    wanted = found.get_service(name)
    assert isinstance(wanted, Service), wanted
    return wanted


def switch(client: Client, name: str, wanted: str) -> None:
    """Switches the light by a service call. The light must have the other state before the call."""
    before = client.get_state(entity_id=LIGHT)
    assert before.state != wanted, before.state
    changed = client.trigger_service("light", name, entity_id=LIGHT)
    assert [(state.entity_id, state.state) for state in changed] == [(LIGHT, wanted)], changed
    after = client.get_state(entity_id=LIGHT)
    assert after.state == wanted and after.last_changed > before.last_changed, after


# Steps for every caller.


def the_api_runs(client: Client) -> None:
    assert client.check_api_running()


def config(client: Client) -> None:
    read = client.get_config()
    assert read["state"] == "RUNNING", read["state"]
    assert "demo" in read["components"], read["components"]


def one_state(client: Client) -> None:
    state = client.get_state(entity_id=LIGHT)
    assert state.entity_id == LIGHT and state.state in ("on", "off"), state
    assert state.attributes["friendly_name"] == "Bed Light", state.attributes
    assert client.get_state(group_id="light", slug="bed_light") == state


def an_entity(client: Client) -> None:
    light = entity(client, LIGHT)
    assert light.get_state().entity_id == LIGHT


def turning_off_in_any_state(client: Client) -> None:
    client.trigger_service("light", "turn_off", entity_id=LIGHT)
    assert client.get_state(entity_id=LIGHT).state == "off"


def turning_on(client: Client) -> None:
    switch(client, "turn_on", "on")


def turning_off(client: Client) -> None:
    switch(client, "turn_off", "off")


def a_call_that_changes_nothing(client: Client) -> None:
    assert client.trigger_service("light", "turn_off", entity_id=LIGHT) == ()


def a_call_with_data(client: Client) -> None:
    client.trigger_service("light", "turn_on", entity_id=[LIGHT], brightness=77, rgb_color=[255, 0, 0])
    state = client.get_state(entity_id=LIGHT)
    assert state.attributes["brightness"] == 77, state.attributes
    assert state.attributes["rgb_color"] == [255, 0, 0], state.attributes
    client.trigger_service("light", "turn_off", entity_id=LIGHT)


def a_call_by_the_domain(client: Client) -> None:
    """The library first requests the service's response. A light service has none, so the library calls it again."""
    service(client, "light", "toggle").trigger(entity_id=LIGHT)
    assert client.get_state(entity_id=LIGHT).state == "on"
    service(client, "light", "turn_off")(entity_id=LIGHT)
    assert client.get_state(entity_id=LIGHT).state == "off"


def history(client: Client) -> None:
    recorded(client, "history", past_states, {"on", "off"})


def logbook(client: Client) -> None:
    recorded(client, "logbook", logged_states, {"on", "off"})


def past_states(client: Client) -> set[str]:
    """Returns the states that three kinds of requests return: of the last day, and of the last minutes in two ways."""
    now = datetime.now(UTC)
    # The time in the path has an offset with a sign and a colon.
    start, end = now - timedelta(minutes=5), now + timedelta(minutes=1)
    light = entity(client, LIGHT)
    whole_day = list(client.get_entity_histories((light,)))
    minutes = list(client.get_entity_histories((light,), start, end, significant_changes_only=True))
    of_light = light.get_history(start, end)
    assert len(whole_day) == len(minutes) == 1 and of_light is not None, (whole_day, minutes, of_light)
    seen = [{state.state for state in past.states} for past in (whole_day[0], minutes[0], of_light)]
    assert whole_day[0].entity_id == minutes[0].entity_id == of_light.entity_id == LIGHT
    return seen[0] & seen[1] & seen[2]


def logged_states(client: Client) -> set[str]:
    now = datetime.now(UTC)
    entries = list(client.get_logbook_entries(LIGHT, now - timedelta(minutes=5), now + timedelta(minutes=1)))
    assert all(entry.entity_id == LIGHT for entry in entries), entries
    return {entry.state for entry in entries if entry.state is not None}


def recorded(client: Client, component: str, read: Callable[[Client], set[str]], wanted: set[str]) -> None:
    """Reads until the states are recorded. A home without the component answers 404."""
    if component not in client.get_config()["components"]:
        try:
            read(client)
        except EndpointNotFoundError:
            raise NotLoaded(component) from None
        raise AssertionError(f"{component} is not loaded, but its path answered")
    deadline = time.monotonic() + RECORDED_WITHIN_SECONDS
    while not (seen := read(client)) >= wanted:
        assert time.monotonic() < deadline, seen
        time.sleep(POLL_SECONDS)


def a_wrong_token(client: Client) -> None:
    wrong = Client(client.api_url, "wrong")
    try:
        wrong.get_state(entity_id=LIGHT)
    except UnauthorizedError:
        return
    raise AssertionError("a wrong token was accepted")


async def a_state_asynchronously(client: AsyncClient) -> None:
    state = await client.get_state(entity_id=LIGHT)
    assert state.entity_id == LIGHT and state.state == "off", state


async def a_call_asynchronously(client: AsyncClient) -> None:
    changed = await client.trigger_service("light", "turn_on", entity_id=LIGHT)
    assert [(state.entity_id, state.state) for state in changed] == [(LIGHT, "on")], changed
    domain = await client.get_domain("light")
    assert domain is not None
    await domain.turn_off(entity_id=LIGHT)
    assert (await client.get_state(entity_id=LIGHT)).state == "off"


# Steps that need full permissions.


def all_states(client: Client) -> None:
    states = {state.entity_id: state for state in client.get_states()}
    assert {LIGHT, OTHER_LIGHT, LOCK, WEATHER} <= states.keys(), sorted(states)
    groups = client.get_entities()
    assert {"light", "lock", "sensor", "weather"} <= groups.keys(), sorted(groups)
    grouped = {f"{name}.{slug}" for name, group in groups.items() for slug in group.entities}
    assert grouped == states.keys(), grouped ^ states.keys()


def no_such_state(client: Client) -> None:
    try:
        client.get_state(entity_id="light.nowhere")
    except EndpointNotFoundError:
        return
    raise AssertionError("an unknown entity has a state")


def services(client: Client) -> None:
    domains = client.get_domains()
    assert {"homeassistant", "light", "lock", "weather"} <= domains.keys(), sorted(domains)
    assert {"turn_on", "turn_off", "toggle"} <= domains["light"].services.keys(), domains["light"]
    turn_on = service(client, "light", "turn_on")
    assert turn_on.fields and "brightness_pct" in turn_on.fields, turn_on


def components(client: Client) -> None:
    assert set(client.get_components()) == set(client.get_config()["components"])


def a_call_with_a_response(client: Client) -> None:
    changed, response = client.trigger_service_with_response(
        "weather", "get_forecasts", entity_id=WEATHER, type="daily"
    )
    assert changed == () and response[WEATHER]["forecast"], response


def setting_a_state(client: Client) -> None:
    entity_id = f"sensor.of_a_client_{uuid.uuid4().hex[:8]}"
    # The first write creates the state (201), and the second write changes it (200).
    for value in ("20.5", "21"):
        attributes = {"unit_of_measurement": "°C", "friendly_name": "Wohnküche 🛋", "nested": {"list": [1, None, True]}}
        written = client.set_state(State(entity_id=entity_id, state=value, attributes=attributes))
        read = client.get_state(entity_id=entity_id)
        assert read.state == written.state == value, (written, read)
        assert read.attributes == attributes, read.attributes
    sensor = entity(client, entity_id)
    sensor.state.state = "22"
    assert sensor.update_state().state == "22"
    assert client.get_state(entity_id=entity_id).state == "22"


def events(client: Client) -> None:
    listeners = {event.event: event.listener_count for event in client.get_events()}
    assert listeners["homeassistant_stop"] > 0, listeners
    event = client.get_event("homeassistant_stop")
    assert event is not None and event.listener_count > 0, event


def firing_an_event(client: Client) -> None:
    name = "of_a_client"
    assert client.fire_event(name, number=1, text="größer") == f"Event {name} fired."
    assert client.fire_event(name) == f"Event {name} fired."


def a_template(client: Client) -> None:
    template = f"{{{{ states('{LIGHT}') }}}} & {{{{ 6 * 7 }}}} größer\n{{{{ state_attr('{LOCK}', 'friendly_name') }}}}"
    assert client.get_rendered_template(template) == "off & 42 größer\nFront Door"


def a_bad_template(client: Client) -> None:
    try:
        client.get_rendered_template("{{ nothing( }}")
    except BadTemplateError:
        return
    raise AssertionError("an invalid template was rendered")


def checking_the_configuration(client: Client) -> None:
    """A POST without a body."""
    assert client.check_api_config()


def the_error_log(client: Client) -> None:
    """A file, sent as `application/octet-stream`."""
    assert isinstance(client.get_error_log(), str)


# Steps for a caller with few permissions.


def only_lights(client: Client) -> None:
    states = [state.entity_id for state in client.get_states()]
    assert {LIGHT, OTHER_LIGHT} <= set(states), states
    assert all(entity_id.startswith("light.") for entity_id in states), states
    assert client.get_entities().keys() == {"light"}


def only_services_of_lights(client: Client) -> None:
    domains = client.get_domains()
    assert domains.keys() == {"light"}, sorted(domains)
    assert {"turn_on", "turn_off", "toggle"} <= domains["light"].services.keys(), domains["light"]


def another_light_is_seen(client: Client) -> None:
    assert client.get_state(entity_id=OTHER_LIGHT).entity_id == OTHER_LIGHT


def a_lock_is_refused(client: Client) -> None:
    with refused():
        client.get_state(entity_id=LOCK)
    with refused():
        client.get_entity(entity_id=LOCK)
    # An unknown entity gets the same answer, so the answer does not show whether the entity exists.
    with refused():
        client.get_state(entity_id="lock.nowhere")


def another_light_is_not_called(client: Client) -> None:
    before = client.get_state(entity_id=OTHER_LIGHT)
    for about in (OTHER_LIGHT, [LIGHT, OTHER_LIGHT], "all"):
        with refused():
            client.trigger_service("light", "toggle", entity_id=about)
    # The library sends this call twice.
    with refused():
        service(client, "light", "toggle").trigger(entity_id=OTHER_LIGHT)
    with refused():
        client.trigger_service("light", "toggle")
    assert client.get_state(entity_id=OTHER_LIGHT) == before
    assert client.get_state(entity_id=LIGHT).state == "off"


def other_services_are_refused(client: Client) -> None:
    for domain, name in (("lock", "unlock"), ("homeassistant", "restart"), ("homeassistant", "turn_on")):
        with refused():
            client.trigger_service(domain, name, entity_id=LIGHT)


def a_template_is_refused(client: Client) -> None:
    with refused():
        client.get_rendered_template(f"{{{{ states('{LOCK}') }}}}")


def events_are_refused(client: Client) -> None:
    with refused():
        client.get_events()
    with refused():
        client.fire_event("of_a_client")


def setting_is_refused(client: Client) -> None:
    with refused():
        client.set_state(State(entity_id=LIGHT, state="on"))
    assert client.get_state(entity_id=LIGHT).state == "off"


def history_of_others_is_refused(client: Client) -> None:
    with refused():
        list(client.get_entity_histories())
    with refused():
        list(client.get_logbook_entries())
    with refused():
        list(client.get_logbook_entries([LIGHT, LOCK]))


def administration_is_refused(client: Client) -> None:
    with refused():
        client.get_error_log()
    with refused():
        client.check_api_config()
    with refused():
        client.get_components()


async def a_lock_is_refused_asynchronously(client: AsyncClient) -> None:
    with refused():
        await client.get_state(entity_id=LOCK)


# Some steps need the light off, and earlier steps leave it off.
SYNC_STEPS: list[Step] = [
    the_api_runs,
    config,
    all_states,
    one_state,
    no_such_state,
    an_entity,
    components,
    services,
    turning_off_in_any_state,
    turning_on,
    turning_off,
    a_call_that_changes_nothing,
    a_call_with_data,
    a_call_by_the_domain,
    a_call_with_a_response,
    setting_a_state,
    events,
    firing_an_event,
    a_template,
    a_bad_template,
    history,
    logbook,
    checking_the_configuration,
    the_error_log,
    a_wrong_token,
]
ASYNC_STEPS: list[AsyncStep] = [a_state_asynchronously, a_call_asynchronously]
LIMITED_SYNC_STEPS: list[Step] = [
    the_api_runs,
    config,
    only_lights,
    one_state,
    an_entity,
    only_services_of_lights,
    another_light_is_seen,
    a_lock_is_refused,
    turning_off_in_any_state,
    turning_on,
    turning_off,
    a_call_that_changes_nothing,
    a_call_with_data,
    a_call_by_the_domain,
    another_light_is_not_called,
    other_services_are_refused,
    a_template_is_refused,
    events_are_refused,
    setting_is_refused,
    history,
    logbook,
    history_of_others_is_refused,
    administration_is_refused,
]
LIMITED_ASYNC_STEPS: list[AsyncStep] = [
    a_state_asynchronously,
    a_call_asynchronously,
    a_lock_is_refused_asynchronously,
]


class Report:
    """Prints the result of each step."""

    def __init__(self, secret: str) -> None:
        self.failed = False
        self._secret = secret

    @contextmanager
    def step(self, function: Step | AsyncStep) -> Iterator[None]:
        name = function.__name__.replace("_", " ")
        try:
            yield
        except NotLoaded as lacking:
            print(f"ok {name} (a 404: the home has no {lacking})", flush=True)
        except Exception as error:  # the other steps still run
            self.failed = True
            line = f"failed {name}: {type(error).__name__}: {error}"[:2000]
            print(line.replace(self._secret, "<token>"), flush=True)
        else:
            print(f"ok {name}", flush=True)


async def run_async(report: Report, url: str, token: str, steps: list[AsyncStep]) -> None:
    async with AsyncClient(url, token) as client:
        for step in steps:
            with report.step(step):
                await step(client)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--limited", action="store_true")
    arguments = parser.parse_args()
    token = sys.stdin.read().strip()
    if not token:
        parser.error("standard input has no token; write the token to it")
    url = f"{arguments.url.rstrip('/')}/api"
    report = Report(token)
    with Client(url, token) as client:
        for step in LIMITED_SYNC_STEPS if arguments.limited else SYNC_STEPS:
            with report.step(step):
                step(client)
    asyncio.run(run_async(report, url, token, LIMITED_ASYNC_STEPS if arguments.limited else ASYNC_STEPS))
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
