"""Lists the members by which services of the installed Home Assistant may name entities.

    service_members.py

Reads the `services.yaml` of each integration, and the schemas in its sources (which are parsed, not run). Prints one JSON
object:

- `members`: each `[domain, service, member, how, takes_entities]`. `how` is `entity` if the member takes the ids of
  entities, `device` if it takes the ids of devices, areas, floors or labels, and `name` if its name suggests something else
  that may stand for an entity. `takes_entities` is whether the service has a target, or a member `entity_id` or `entities`.
  The service is `*` if the source does not show to which of the integration's services a schema belongs.
- `services`: each `[domain, service, has_target]` of `services.yaml`. `has_target` is whether it takes `entity_id`.
"""

import ast
import collections
import functools
import json
import re
from pathlib import Path

import yaml

import homeassistant
import homeassistant.const

COMPONENTS = Path(homeassistant.__file__).parent / "components"
MARKERS = {"Required", "Optional", "Exclusive", "Inclusive", "Remove"}
REGISTER = re.compile(r"services\.(async_)?register$|\b(async_)?register\w*_service$")
# If the sources of an integration do not register services, `services.yaml` describes all its services.
REGISTERS = re.compile(r"services\.(async_)?register\(|register\w*_service\(|SERVICE\w*SCHEMA|SCHEMA\w*SERVICE")
ENTITY_VALIDATOR = re.compile(
    r"\bcv\.(comp_)?(strict_)?entity_ids?(_or_uuids?)?\b|\bentit(y|ies)_domain\b|\b(Entity|Target)Selector\b"
)
DEVICE_VALIDATOR = re.compile(r"\b(Device|Area|Floor|Label)Selector\b")
# Members that hold a name or an id of something.
NAME = re.compile(
    r"(^|_)(ids?|uuids?|names?|slug|entity|entities|targets?|members?|master|slaves?|object|scenes?|groups?|rooms?|zones?"
    r"|areas?|devices?|labels?|floors?|persons?|people|users?|trackers?|cameras?|lights?|locks?|switch(es)?|covers?"
    r"|players?|speakers?|sensors?|agents?|engines?|automations?|scripts?|nodes?|host(name)?|mac|sources?)$"
)
DEVICE_MEMBERS = {"area_id", "device_id", "floor_id", "label_id"}


class Loader(yaml.SafeLoader):
    """A loader that reads unknown tags, such as `!input`, as None."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def kind(member, text, selectors=()):
    """Returns the way in which a member may name an entity, or None."""
    if {"entity", "target"} & set(selectors) or ENTITY_VALIDATOR.search(text):
        return "entity"
    is_device = member in DEVICE_MEMBERS or DEVICE_VALIDATOR.search(text)
    if is_device or {"device", "area", "floor", "label"} & set(selectors):
        return "device"
    if NAME.search(member):
        return "name"
    return None


def fields(description):
    for name, field in (description or {}).items():
        field = field or {}
        if "fields" in field and "selector" not in field:
            # A section of the form. The data of a call has no such level.
            yield from fields(field["fields"])
        else:
            yield name, field


def described(path):
    """Yields the services of a `services.yaml`: (name, True if it has a target, fields)."""
    for service, description in (yaml.load(path.read_text(), Loader) or {}).items():
        description = description if isinstance(description, dict) else {}
        members = list(fields(description.get("fields")))
        has_target = "target" in description or any(name == "entity_id" for name, _ in members)
        yield service, has_target, members


class Component:
    """The sources of one integration."""

    def __init__(self, directory):
        self.domain = directory.name
        # Without the forms of the user interface, because forms are not services.
        forms = {"config_flow.py", "device_trigger.py", "device_condition.py", "device_action.py"}
        paths = [path for path in sorted(directory.rglob("*.py")) if path.name not in forms]
        self.sources = [path.read_text() for path in paths]

    @functools.cached_property
    def registers(self):
        return any(REGISTERS.search(source) for source in self.sources)

    @functools.cached_property
    def modules(self):
        return [ast.parse(source) for source in self.sources]

    @functools.cached_property
    def nodes(self):
        return [node for module in self.modules for node in ast.walk(module)]

    @functools.cached_property
    def assigned(self):
        assigned = {}
        for node in self.nodes:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                assigned.setdefault(node.targets[0].id, node.value)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                assigned.setdefault(node.target.id, node.value)
        return assigned

    @functools.cached_property
    def imported(self):
        imported = {}
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    imported[alias.asname or alias.name] = (node.module, alias.name)
        return imported


class Scan:
    def __init__(self):
        self.components = {
            path.parent.name: Component(path.parent) for path in sorted(COMPONENTS.glob("*/__init__.py"))
        }

    def text(self, component, node, depth=8):
        """Returns the text value of an expression, or None if it is unknown."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if depth == 0:
            return None
        if isinstance(node, ast.Attribute):
            # A member of an enumeration or of a module, `media_player.DOMAIN`.
            if node.attr == "value":
                return self.text(component, node.value, depth - 1)
            if isinstance(node.value, ast.Name):
                other = self.components.get(node.value.id)
                if other and node.attr in other.assigned:
                    return self.text(other, other.assigned[node.attr], depth - 1)
            return self.text(component, ast.Name(node.attr), depth - 1)
        if isinstance(node, ast.Name):
            found, value = self.named(component, node.id)
            if value is None:
                constant = getattr(homeassistant.const, node.id, None)
                return str(constant) if isinstance(constant, str) else None
            return self.text(found, value, depth - 1)
        return None

    def named(self, component, name):
        """Returns the integration that defines a name, and the value of the name."""
        if name in component.assigned:
            return component, component.assigned[name]
        module, original = component.imported.get(name, ("", ""))
        parts = module.split(".")
        if parts[:2] == ["homeassistant", "components"]:
            other = self.components.get(parts[2] if len(parts) > 2 else original)
            if other and original in other.assigned:
                return other, other.assigned[original]
        return component, None

    def markers(self, component, node, seen=frozenset()):
        """Yields the members of a schema and of the schemas that it includes: (name, text of the validator)."""
        for part in ast.walk(node):
            if isinstance(part, ast.Dict):
                for key, value in zip(part.keys, part.values):
                    member = self.marker(component, key)
                    spelled = self.spelled(component, value) if member is not None else ""
                    # A dictionary from services to their schemas has no members.
                    if member is not None and (isinstance(key, ast.Call) or "vol.Schema(" not in spelled):
                        yield member, spelled
            elif isinstance(part, ast.Name) and part.id not in seen:
                found, value = self.named(component, part.id)
                if isinstance(value, (ast.Dict, ast.Call, ast.BinOp)):
                    yield from self.markers(found, value, seen | {part.id})

    def marker(self, component, key):
        if not isinstance(key, ast.Call):
            # `{ATTR_MAC: cv.string}` is a member that may be left out.
            return self.text(component, key) if key is not None else None
        name = key.func.attr if isinstance(key.func, ast.Attribute) else getattr(key.func, "id", None)
        return self.text(component, key.args[0]) if key.args and name in MARKERS else None

    def spelled(self, component, value, depth=3):
        """Returns the source of a validator, followed by the sources of the names in it."""
        spelled = ast.unparse(value)
        if depth:
            for part in ast.walk(value):
                if isinstance(part, ast.Name):
                    found, other = self.named(component, part.id)
                    if isinstance(other, ast.Call):
                        spelled += " " + self.spelled(found, other, depth - 1)
        return spelled

    def registered(self, component):
        """Yields the services that an integration registers: (domain, service, schema, True for an entity service)."""
        for call in component.nodes:
            if not isinstance(call, ast.Call):
                continue
            function = ast.unparse(call.func)
            if not REGISTER.search(function):
                continue
            arguments = call.args + [keyword.value for keyword in call.keywords]
            about_entities = "entity_service" in function
            if about_entities and "platform_entity" not in function:
                names = [component.domain, self.text(component, arguments[0]) if arguments else None]
            else:
                # `hass` may come first.
                first = 1 if arguments and ast.unparse(arguments[0]).endswith("hass") else 0
                names = [self.text(component, argument) for argument in arguments[first : first + 2]]
            domain, service = (names + [None, None])[:2]
            domain, service = domain or component.domain, service or "*"
            schemas = [one for one in arguments if isinstance(one, (ast.Dict, ast.Name, ast.Call))]
            yield domain, service, ast.List(schemas), about_entities

    def members(self):
        """Returns the members of all schemas, by service: {(domain, service): {member: how}}."""
        found = collections.defaultdict(dict)
        for component in self.components.values():
            if not component.registers:
                continue
            attributed = set()
            for domain, service, schema, about_entities in self.registered(component):
                if about_entities:
                    found[domain, service]["entity_id"] = "entity"
                for member, validator in self.markers(component, schema):
                    attributed.add(member)
                    found[domain, service].setdefault(member, kind(member, validator))
            for name, value in component.assigned.items():
                if re.search(r"SERVICE\w*SCHEMA|SCHEMA\w*SERVICE", name):
                    for member, validator in self.markers(component, value):
                        if member not in attributed:
                            found[component.domain, "*"].setdefault(member, kind(member, validator))
        return found


def main():
    found, services = Scan().members(), []
    for path in sorted(COMPONENTS.glob("*/services.yaml")):
        domain = path.parent.name
        for service, has_target, described_members in described(path):
            services.append([domain, service, has_target])
            members = found[domain, service]
            if has_target:
                members["entity_id"] = "entity"
            for member, field in described_members:
                # The selector of the form is more reliable than the name of the member.
                how = kind(member, "", field.get("selector") or {})
                if members.get(member) in (None, "name"):
                    members[member] = how
    rows = []
    for (domain, service), members in found.items():
        takes_entities = service == "*" or not members.keys().isdisjoint({"entity_id", "entities"})
        for member, how in members.items():
            if how and member != "entity_id":
                rows.append([domain, service, member, how, takes_entities])
    print(json.dumps({"members": sorted(rows), "services": services}))


if __name__ == "__main__":
    main()
