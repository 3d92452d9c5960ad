//! The services that are shown to a caller.

use proptest::prelude::*;

use super::*;
use crate::service::access::permit::calls::could_call;

fn permit(permissions: &str) -> Permit {
    let ping = [command(json!({"type": "ping"}))];
    Permit::of_commands(&caller(permissions), &ping).unwrap()
}

#[test]
fn permit_shows_the_services_that_the_caller_could_call() {
    for (permissions, shown, hidden) in [
        ("read", "lock.unlock notify.notify backup.create", ""),
        ("admin", "lock.unlock notify.notify backup.create", ""),
        (
            "call:*",
            "lock.unlock notify.notify script.x scene.reload",
            "backup.create recorder.purge homeassistant.restart hassio.host_reboot",
        ),
        (
            "call:lock.unlock:lock.front",
            "lock.unlock",
            "lock.lock light.turn_on",
        ),
        ("call:lock.unlock", "lock.unlock", "lock.lock"),
        ("call:lock.*", "lock.lock", "light.turn_on"),
        ("read:lock.*", "", "lock.unlock"),
        ("health:read", "", "lock.unlock"),
        (
            "call:*:light.kitchen_lights",
            "light.turn_on light.toggle homeassistant.turn_on homeassistant.turn_off homeassistant.toggle \
             homeassistant.update_entity scene.apply",
            "script.evening script.turn_on notify.notify notify.persistent_notification backup.create \
             recorder.purge homeassistant.restart homeassistant.reload_all lock.unlock scene.turn_on \
             scene.create scene.reload automation.trigger input_boolean.reload group.set shell_command.x \
             tts.speak conversation.process persistent_notification.create media_player.play_media",
        ),
        (
            "call:*:script.movie",
            "script.movie script.turn_on homeassistant.turn_on",
            "script.evening script.reload light.turn_on",
        ),
        (
            "call:*:*.kitchen",
            "light.turn_on script.kitchen lock.unlock",
            "script.movie notify.notify",
        ),
        ("call:*:l*", "light.turn_on lock.unlock", "switch.turn_on"),
        ("call:*:light.kitchen*", "light.turn_on", "lock.lock"),
        ("call:light.*:lock.front", "", "light.turn_on"),
        ("call:light.*:light", "", "light.turn_on"),
        ("call:light.*:light.", "", "light.turn_on"),
        ("call:light.*:light.a-b", "", "light.turn_on"),
        ("call:notify.*:light.a", "notify.notify", "tts.speak"),
        ("call:notify.*:a-b", "", "notify.notify"),
        (
            "call:group.*:light.a",
            "",
            "group.set group.remove group.reload",
        ),
        (
            "call:group.*:group.a",
            "group.set group.remove",
            "group.reload",
        ),
        ("call:scene.*:scene.evening", "scene.create scene.apply", ""),
        (
            "call:conversation.process:light.a",
            "",
            "conversation.process",
        ),
    ] {
        let permit = permit(permissions);
        for (names, expected) in [(shown, true), (hidden, false)] {
            for name in names.split_whitespace() {
                let (domain, service) = name.split_once('.').unwrap();
                let found = permit.shows_service(domain, service);
                assert_eq!(found, expected, "{permissions} {name}");
            }
        }
    }
}

const SERVICES: [&str; 24] = [
    "light.turn_on",
    "lock.unlock",
    "switch.toggle",
    "script.turn_on",
    "script.movie",
    "script.reload",
    "scene.turn_on",
    "scene.create",
    "scene.apply",
    "scene.reload",
    "group.set",
    "group.remove",
    "homeassistant.turn_on",
    "homeassistant.restart",
    "notify.notify",
    "shell_command.x",
    "backup.create",
    "recorder.purge",
    "conversation.process",
    "device_tracker.see",
    "media_player.join",
    "tts.speak",
    "timer.start",
    "bad service.x",
];

/// Returns example entities. Each pattern of [`glob`] that matches an entity of their domains matches one of them.
fn entities() -> Vec<String> {
    let domains = [
        "light",
        "lock",
        "switch",
        "script",
        "scene",
        "group",
        "device_tracker",
        "media_player",
        "timer",
        "tts",
    ];
    let names = ["a", "b", "movie", "kitchen", "a_b", "kitchen_a"];
    let ids = domains
        .iter()
        .flat_map(|domain| names.map(|name| format!("{domain}.{name}")));
    ids.collect()
}

fn glob() -> impl Strategy<Value = String> {
    let domain = proptest::sample::select(
        &[
            "light",
            "lock",
            "script",
            "scene",
            "group",
            "device_tracker",
            "*",
            "l*",
            "?ight",
            "s*",
            "media_player",
        ][..],
    );
    let name = proptest::sample::select(
        &[
            "a",
            "b",
            "movie",
            "kitchen",
            "*",
            "?",
            "*a",
            "kitchen_?",
            "a-b",
        ][..],
    );
    prop_oneof![
        8 => (domain, name).prop_map(|(domain, name)| format!("{domain}.{name}")),
        1 => proptest::sample::select(&["*", "light", "*a", "l*a", "a-b"][..]).prop_map(str::to_owned),
    ]
}

fn permission() -> impl Strategy<Value = String> {
    let services = proptest::sample::select(
        &[
            "*",
            "*.*",
            "*.turn_on",
            "light.*",
            "lock.unlock",
            "script.*",
            "scene.*",
            "group.*",
            "notify.*",
            "homeassistant.*",
            "conversation.process",
            "shell_*.x",
            "device_tracker.*",
            "tts.*",
            "recorder.*",
        ][..],
    );
    prop_oneof![
        8 => (services.clone(), glob()).prop_map(|(services, glob)| format!("call:{services}:{glob}")),
        1 => services.prop_map(|services| format!("call:{services}")),
        1 => glob().prop_map(|glob| format!("read:{glob}")),
        1 => Just("health:read".to_owned()),
    ]
}

/// Returns a service call on one entity or without an entity. The entity is in the member that the service reads.
fn call_on(name: &str, entity_id: Option<&str>) -> Value {
    let (domain, service) = name.split_once('.').unwrap();
    let data = match (name, entity_id.and_then(|id| id.split_once('.'))) {
        (_, None) => json!({}),
        ("scene.create", Some(("scene", id))) => json!({ "scene_id": id }),
        ("group.set" | "group.remove", Some(("group", id))) => json!({ "object_id": id }),
        ("device_tracker.see", Some(("device_tracker", id))) => json!({ "dev_id": id }),
        ("scene.apply", Some((domain, id))) => {
            json!({ "entities": { format!("{domain}.{id}"): "on" } })
        }
        (_, Some(_)) => json!({ "entity_id": entity_id }),
    };
    json!({"type": "call_service", "domain": domain, "service": service, "service_data": data})
}

/// Returns true if a service accepts an entity of this kind.
fn is_of_its_kind(name: &str, entity_id: &str) -> bool {
    let of = |domain: &str| entity_id.starts_with(&format!("{domain}."));
    match name.split_once('.').unwrap() {
        (
            "light" | "lock" | "switch" | "timer" | "media_player" | "group" | "device_tracker",
            _,
        ) => of(name.split_once('.').unwrap().0),
        ("script", "movie") => entity_id == "script.movie",
        ("script", _) => of("script"),
        ("scene", "apply") => true,
        ("scene", _) => of("scene"),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A shown service has at least one allowed call. A hidden service has none.
    #[test]
    fn shown_services_are_those_with_an_allowed_call(
        has in proptest::collection::vec(permission(), 0..5),
        name in proptest::sample::select(&SERVICES[..]),
    ) {
        let has = has.join(" ");
        let (domain, service) = name.split_once('.').unwrap();
        let asker = caller(&has);
        let shown = could_call(&asker.permissions, domain, service);
        let all = entities();
        let kinds = all.iter().filter(|id| is_of_its_kind(name, id)).map(|id| Some(id.as_str()));
        let allowed = kinds.chain([None]).any(|entity_id| run(&has, &call_on(name, entity_id)).is_ok());
        prop_assert_eq!(shown, allowed, "{} {}", has, name);
    }
}
