//! The targets of calls, in all places where Home Assistant accepts ids.

use super::calls::{LIGHTS, call, on};
use super::*;

#[test]
fn ids_are_normalised_like_in_home_assistant() {
    let turn_on = |id: Value| on("light.turn_on", id);
    let kelvin = "loc\u{212a}.front";
    check(
        [
            (LIGHTS, turn_on(json!("LIGHT.A")), None),
            (LIGHTS, turn_on(json!(" light.a ")), None),
            (LIGHTS, turn_on(json!("light.a,light.b")), None),
            (LIGHTS, turn_on(json!("light.a , Light.B,")), None),
            (LIGHTS, turn_on(json!(["light.a", "light.b"])), None),
            (
                LIGHTS,
                turn_on(json!("LOCK.A")),
                Some("call:light.turn_on:lock.a"),
            ),
            (
                LIGHTS,
                turn_on(json!(" lock.a\t")),
                Some("call:light.turn_on:lock.a"),
            ),
            (
                LIGHTS,
                turn_on(json!("light.a,lock.a")),
                Some("call:light.turn_on:lock.a"),
            ),
            (
                LIGHTS,
                turn_on(json!("light.a,\u{1f}lock.a")),
                Some("call:light.turn_on:lock.a"),
            ),
            (
                LIGHTS,
                turn_on(json!(["light.a", "lock.a"])),
                Some("call:light.turn_on:lock.a"),
            ),
            (
                LIGHTS,
                turn_on(json!(["light.a,lock.a"])),
                Some("call:light.turn_on:lock.a"),
            ),
            (
                LIGHTS,
                turn_on(json!([["light.a"], ["lock.a"]])),
                Some("call:light.turn_on:lock.a"),
            ),
            (
                LIGHTS,
                turn_on(json!(kelvin)),
                Some("call:light.turn_on:lock.front"),
            ),
            (LIGHTS, turn_on(json!(null)), Some("call:light.turn_on")),
            (LIGHTS, turn_on(json!("")), Some("call:light.turn_on")),
            (LIGHTS, turn_on(json!([])), Some("call:light.turn_on")),
            (LIGHTS, turn_on(json!("all")), Some("call:light.turn_on")),
            (LIGHTS, turn_on(json!("ALL")), Some("call:light.turn_on")),
            (LIGHTS, turn_on(json!("none")), Some("call:light.turn_on")),
            (LIGHTS, turn_on(json!("*")), Some("call:light.turn_on")),
            (
                LIGHTS,
                turn_on(json!("light.*")),
                Some("call:light.turn_on"),
            ),
            (
                LIGHTS,
                turn_on(json!(["light.a", "all"])),
                Some("call:light.turn_on"),
            ),
            (
                LIGHTS,
                turn_on(json!(["light.a", 5])),
                Some("call:light.turn_on"),
            ),
            (
                LIGHTS,
                turn_on(json!({"light.a": 1})),
                Some("call:light.turn_on"),
            ),
            // A registry id, and templates.
            (
                LIGHTS,
                turn_on(json!("0123456789abcdef0123456789abcdef")),
                Some("call:light.turn_on"),
            ),
            (
                LIGHTS,
                turn_on(json!("{{ 'lock.a' }}")),
                Some("call:light.turn_on"),
            ),
            (
                LIGHTS,
                turn_on(json!(["light.a", "{% x %}"])),
                Some("call:light.turn_on"),
            ),
            // A permission for any target includes all of these.
            ("call:light.turn_on", turn_on(json!("all")), None),
            ("call:light.turn_on:*", turn_on(json!("all")), None),
            ("call:light.turn_on", turn_on(json!("{{ x }}")), None),
        ],
        run,
    );
}

#[test]
fn ids_are_found_in_all_places() {
    let turn_on = |target: Value, data: Value| call("light.turn_on", target, data);
    let on_a = || json!({"entity_id": "light.a"});
    let open = Some("call:light.turn_on");
    let lock = Some("call:light.turn_on:lock.a");
    let mut rows = vec![
        (
            LIGHTS,
            turn_on(on_a(), json!({"brightness": 5, "effect": "colorloop"})),
            None,
        ),
        (LIGHTS, turn_on(json!(null), on_a()), None),
        (LIGHTS, turn_on(on_a(), json!(null)), None),
        (LIGHTS, turn_on(on_a(), on_a()), None),
        // Home Assistant uses the target. Both entities must be allowed.
        (
            LIGHTS,
            turn_on(on_a(), json!({"entity_id": "lock.a"})),
            lock,
        ),
        (
            LIGHTS,
            turn_on(json!({"entity_id": "lock.a"}), on_a()),
            lock,
        ),
        (LIGHTS, turn_on(on_a(), json!({"x": "lock.a"})), lock),
        (LIGHTS, turn_on(on_a(), json!({"x": " LOCK.A"})), lock),
        (
            LIGHTS,
            turn_on(on_a(), json!({"x": "light.a,lo\u{43}k.a"})),
            lock,
        ),
        (LIGHTS, turn_on(on_a(), json!({"x": ["lock.a"]})), lock),
        (
            LIGHTS,
            turn_on(on_a(), json!({"x": {"y": [{"entity_id": ["lock.a"]}]}})),
            lock,
        ),
        (
            LIGHTS,
            turn_on(on_a(), json!({"x": {"lock.a": "unlocked"}})),
            lock,
        ),
        (
            LIGHTS,
            turn_on(on_a(), json!({"x": {"LOC\u{212a}.a": 1}})),
            lock,
        ),
        (LIGHTS, turn_on(on_a(), json!({"x": "loc\u{212a}.a"})), lock),
        (LIGHTS, turn_on(on_a(), json!({"x": "\u{1c}lock.a"})), lock),
        (
            LIGHTS,
            turn_on(on_a(), json!({"x": {"area_id": "kitchen"}})),
            open,
        ),
        (LIGHTS, turn_on(on_a(), json!({"x": "{{ 1 }}"})), open),
        (LIGHTS, turn_on(on_a(), json!({"x": ["{% if x %}"]})), open),
        (LIGHTS, turn_on(on_a(), json!({"x": {"y": "{# #}"}})), open),
        // A text with the format of an id outside the naming members does not name the targets.
        (LIGHTS, turn_on(json!({}), json!({})), open),
        (LIGHTS, turn_on(json!(null), json!(null)), open),
        (
            LIGHTS,
            turn_on(json!({}), json!({"effect": "light.a"})),
            open,
        ),
        (
            LIGHTS,
            turn_on(json!({}), json!({"data": {"entity_id": "light.a"}})),
            open,
        ),
        (LIGHTS, turn_on(json!("light.a"), json!({})), open),
        (LIGHTS, turn_on(json!(["light.a"]), on_a()), open),
        (LIGHTS, turn_on(on_a(), json!("light.a")), open),
        (LIGHTS, turn_on(on_a(), json!(false)), open),
    ];
    for member in ["area_id", "device_id", "floor_id", "label_id"] {
        let beside = |value: Value| {
            let mut target = on_a();
            target[member] = value;
            target
        };
        for target in [true, false] {
            let row = |value: Value, wanted: Option<&'static str>| match target {
                true => (LIGHTS, turn_on(beside(value), json!({})), wanted),
                false => (LIGHTS, turn_on(json!({}), beside(value)), wanted),
            };
            rows.extend([
                row(json!("x"), open),
                row(json!(["x"]), open),
                row(json!("{{ x }}"), open),
                row(json!("none"), open),
                row(json!({}), open),
                row(json!(false), open),
                row(json!(0), open),
                row(json!(["light.a"]), open),
                row(json!([]), None),
                row(json!(null), None),
                row(json!(""), None),
            ]);
        }
        let mut alone = json!({});
        alone[member] = json!("x");
        rows.push((LIGHTS, turn_on(alone.clone(), json!({})), open));
        rows.push(("call:light.turn_on", turn_on(alone, json!({})), None));
    }
    check(rows, run);
}

#[test]
fn entities_of_one_call_can_be_allowed_by_different_permissions() {
    let both = on("homeassistant.turn_on", json!(["light.a", "switch.b"]));
    let lights = "call:homeassistant.turn_on:light.*";
    check(
        [
            (
                "call:homeassistant.turn_on:light.* call:*:switch.b",
                both.clone(),
                None,
            ),
            (
                lights,
                both.clone(),
                Some("call:homeassistant.turn_on:switch.b"),
            ),
            (
                "call:homeassistant.turn_on:switch.*",
                both,
                Some("call:homeassistant.turn_on:light.a"),
            ),
            (
                lights,
                on("homeassistant.turn_on", json!("lock.front")),
                Some("call:homeassistant.turn_on:lock.front"),
            ),
            (
                lights,
                on("homeassistant.turn_on", json!("all")),
                Some("call:homeassistant.turn_on"),
            ),
        ],
        run,
    );
}

#[test]
fn scenes_and_groups_target_their_members() {
    let apply = |entities: Value| call("scene.apply", json!({}), json!({ "entities": entities }));
    let scenes = "call:scene.*:light.*";
    check(
        [
            (scenes, apply(json!({"light.a": "on"})), None),
            (
                scenes,
                apply(json!({"light.a": {"state": "on", "brightness": 5}})),
                None,
            ),
            (
                scenes,
                apply(json!({"light.a": "on", "lock.front": "unlocked"})),
                Some("call:scene.apply:lock.front"),
            ),
            (
                scenes,
                apply(json!({"Lock.Front": "unlocked"})),
                Some("call:scene.apply:lock.front"),
            ),
            (scenes, apply(json!({})), Some("call:scene.apply")),
            (
                scenes,
                call("scene.apply", json!({}), json!({})),
                Some("call:scene.apply"),
            ),
            (
                scenes,
                call(
                    "scene.create",
                    json!({}),
                    json!({"scene_id": "x", "snapshot_entities": ["light.a"]}),
                ),
                Some("call:scene.create:scene.x"),
            ),
            (
                "call:group.set:light.* call:group.set:group.x",
                call(
                    "group.set",
                    json!({}),
                    json!({"object_id": "x", "entities": ["light.a"]}),
                ),
                None,
            ),
            (
                "call:group.set:light.* call:group.set:group.x",
                call(
                    "group.set",
                    json!({}),
                    json!({"object_id": "x", "entities": "light.a,lock.b"}),
                ),
                Some("call:group.set:lock.b"),
            ),
        ],
        run,
    );
}
