//! Entities in other members than `entity_id`.

use super::calls::{call, on};
use super::*;

/// Returns a service call with this data and without a target.
fn with(name: &str, data: Value) -> Value {
    call(name, json!({}), data)
}

#[test]
fn scene_id_of_scene_create_names_a_scene() {
    let create = |scene_id: Value| {
        with(
            "scene.create",
            json!({"scene_id": scene_id, "entities": {"light.a": "on"}}),
        )
    };
    let wanted = Some("call:scene.create:scene.evening");
    let open = Some("call:scene.create");
    check(
        [
            ("call:*:light.a", create(json!("evening")), wanted),
            ("call:scene.*:light.a", create(json!("evening")), wanted),
            ("call:scene.*:light.a", create(json!("Evening")), wanted),
            (
                "call:scene.*:light.a call:scene.create:scene.evening",
                create(json!("evening")),
                None,
            ),
            ("call:scene.create", create(json!("evening")), None),
            // Home Assistant accepts a number and uses its digits.
            (
                "call:scene.*:light.a",
                create(json!(5)),
                Some("call:scene.create:scene.5"),
            ),
            ("call:scene.*:light.a", create(json!(5.5)), open),
            ("call:scene.*:light.a", create(json!("")), open),
            ("call:scene.*:light.a", create(json!(null)), open),
            ("call:scene.*:light.a", create(json!(true)), open),
            ("call:scene.*:light.a", create(json!(["evening"])), open),
            ("call:scene.*:light.a", create(json!("scene.a")), open),
            ("call:scene.*:light.a", create(json!("{{ x }}")), open),
            // The home merges target and data.
            (
                "call:scene.*:light.a",
                call(
                    "scene.create",
                    json!({"scene_id": "evening"}),
                    json!({"entities": {"light.a": "on"}}),
                ),
                wanted,
            ),
            (
                "call:scene.*:light.a call:scene.*:scene.evening",
                with(
                    "scene.create",
                    json!({"scene_id": "evening", "snapshot_entities": ["light.a", "lock.b"]}),
                ),
                Some("call:scene.create:lock.b"),
            ),
            // The member names a scene only in `scene.create`.
            (
                "call:light.*:light.a",
                call(
                    "light.turn_on",
                    json!({"entity_id": "light.a"}),
                    json!({"scene_id": "evening"}),
                ),
                None,
            ),
            (
                "call:*:light.a",
                with("scene.apply", json!({"entities": {"light.a": "on"}})),
                None,
            ),
            (
                "call:*:light.a",
                with("scene.apply", json!({"entities": {"lock.b": "unlocked"}})),
                Some("call:scene.apply:lock.b"),
            ),
            (
                "call:*:light.a",
                on("scene.delete", json!("scene.evening")),
                Some("call:scene.delete:scene.evening"),
            ),
        ],
        run,
    );
}

#[test]
fn rest_calls_name_entities_in_the_same_members() {
    for (path, body, wanted) in [
        (
            "/services/scene/create",
            r#"{"scene_id":"evening","entities":{"light.a":"on"}}"#,
            Some("call:scene.create:scene.evening"),
        ),
        (
            "/services/Scene/CREATE",
            r#"{"scene_id":"evening","entities":{"light.a":"on"}}"#,
            Some("call:scene.create:scene.evening"),
        ),
        (
            "/services/group/set",
            r#"{"object_id":"mygroup","entities":["light.a"]}"#,
            Some("call:group.set:group.mygroup"),
        ),
        (
            "/services/scene/reload",
            r#"{"entity_id":"light.a"}"#,
            Some("call:scene.reload"),
        ),
        (
            "/services/scene/apply",
            r#"{"entities":{"light.a":"on"}}"#,
            None,
        ),
    ] {
        let request =
            RestRequest::new(http::Method::POST, path, "", body.to_owned().into()).unwrap();
        let asker = caller("call:*:light.a call:group.*:light.a");
        let found = Permit::of_rest(&asker, &request).err();
        let found = found.map(|denied| denied.wanted);
        assert_eq!(found.as_deref(), wanted, "{path} {body}");
    }
}

#[test]
fn object_id_of_group_services_names_a_group() {
    let set = |data: Value| with("group.set", data);
    check(
        [
            (
                "call:group.*:light.a",
                set(json!({"object_id": "mygroup", "entities": ["light.a"]})),
                Some("call:group.set:group.mygroup"),
            ),
            (
                "call:group.*:light.a call:group.*:group.mygroup",
                set(json!({"object_id": "mygroup", "entities": ["light.a"]})),
                None,
            ),
            (
                "call:group.*:group.mygroup",
                set(json!({"object_id": "mygroup", "add_entities": " light.A "})),
                Some("call:group.set:light.a"),
            ),
            (
                "call:group.*:group.mygroup",
                set(json!({"object_id": "mygroup", "remove_entities": ["all"]})),
                Some("call:group.set"),
            ),
            (
                "call:group.*:group.mygroup",
                with("group.remove", json!({"object_id": "mygroup"})),
                None,
            ),
            (
                "call:group.*:light.a",
                with("group.remove", json!({"object_id": "mygroup"})),
                Some("call:group.remove:group.mygroup"),
            ),
            (
                "call:group.*:light.a",
                call(
                    "group.remove",
                    json!({"entity_id": "light.a"}),
                    json!({"object_id": "mygroup"}),
                ),
                Some("call:group.remove:group.mygroup"),
            ),
            (
                "call:device_tracker.*:device_tracker.car",
                with("device_tracker.see", json!({"dev_id": "car"})),
                None,
            ),
            (
                "call:device_tracker.*:device_tracker.car",
                with("device_tracker.see", json!({"dev_id": "phone"})),
                Some("call:device_tracker.see:device_tracker.phone"),
            ),
            // Only the home knows the device with this address.
            (
                "call:device_tracker.*:device_tracker.car",
                with(
                    "device_tracker.see",
                    json!({"dev_id": "car", "mac": "AA:BB"}),
                ),
                Some("call:device_tracker.see"),
            ),
        ],
        run,
    );
}

#[test]
fn id_member_with_another_name_requires_an_open_permission() {
    let speak = |players: Value| {
        call(
            "tts.speak",
            json!({"entity_id": "tts.a"}),
            json!({"media_player_entity_id": players, "message": "x"}),
        )
    };
    let join = |members: Value| {
        call(
            "media_player.join",
            json!({"entity_id": "media_player.a"}),
            json!({ "group_members": members }),
        )
    };
    let tts = "call:tts.*:tts.a call:tts.*:media_player.a";
    check(
        [
            (tts, speak(json!("media_player.a")), None),
            (
                tts,
                speak(json!("media_player.b")),
                Some("call:tts.speak:media_player.b"),
            ),
            (tts, speak(json!("all")), Some("call:tts.speak")),
            (
                tts,
                speak(json!(["media_player.a", "ALL"])),
                Some("call:tts.speak"),
            ),
            (
                "call:*:media_player.a",
                join(json!(["media_player.a"])),
                None,
            ),
            (
                "call:*:media_player.a",
                join(json!(["media_player.a", "media_player.b"])),
                Some("call:media_player.join:media_player.b"),
            ),
            (
                "call:*:media_player.a",
                join(json!("kitchen")),
                Some("call:media_player.join"),
            ),
        ],
        run,
    );
}

#[test]
fn service_that_acts_on_unnamed_entities_requires_an_open_permission() {
    let mut rows = Vec::new();
    for name in [
        "scene.reload",
        "automation.reload",
        "script.reload",
        "input_boolean.reload",
        "conversation.process",
        "google_assistant_sdk.send_text_command",
    ] {
        let domain = name.split_once('.').unwrap().0;
        let narrow: &str = format!("call:*:light.a call:{domain}.*:light.a").leak();
        let wanted: &str = format!("call:{name}").leak();
        rows.push((narrow, on(name, json!("light.a")), Some(wanted)));
        rows.push((wanted, on(name, json!("light.a")), None));
    }
    check(rows, run);
}

#[test]
fn address_within_the_home_names_its_entity() {
    let play = |id: &str| {
        call(
            "media_player.play_media",
            json!({"entity_id": "media_player.a"}),
            json!({"media_content_id": id, "media_content_type": "video"}),
        )
    };
    let player = "call:*:media_player.a";
    let camera = Some("call:media_player.play_media:camera.b");
    let open = Some("call:media_player.play_media");
    check(
        [
            (
                player,
                play("https://example.com/a%20b/c.mp3?x=/apis/y.z"),
                None,
            ),
            (
                player,
                play("media-source://media_source/local/song.mp3"),
                None,
            ),
            (player, play("media-source://radio_browser/0123-4567"), None),
            (
                player,
                play("media-source://tts/cloud?message=Good%20day."),
                None,
            ),
            (
                player,
                play("media-source://tts/tts.b?message=x"),
                Some("call:media_player.play_media:tts.b"),
            ),
            (player, play("media-source://camera/camera.b"), camera),
            (player, play("media-source://camera/Camera.B"), camera),
            (
                "call:*:media_player.a call:*:camera.b",
                play("media-source://camera/camera.b"),
                None,
            ),
            (player, play("media-source://camera"), open),
            (player, play("media-source://"), open),
            (player, play("media-source://camera/camera.b/x"), open),
            (player, play("media-source://reolink/FILE|1|0|sub"), open),
            (player, play("/api/camera_proxy/camera.b"), camera),
            (
                player,
                play("http://home:8123/api/camera_proxy_stream/camera.b"),
                camera,
            ),
            (player, play("/%61pi/camera_proxy/camera%2Eb"), camera),
            (player, play("/%2561pi/camera_proxy/camera.b"), camera),
            (
                player,
                play("/api/history/period?filter_entity_id=camera.b"),
                camera,
            ),
        ],
        run,
    );
}
