//! A check of the installed Home Assistant's services against latchkey's list of members that name entities.
//!
//! If a new version of Home Assistant adds a service or a member, a test fails with its name. If the member names
//! entities, add a row to `src/service/access/naming.rs`. Otherwise add a row with the reason to [`REVIEWED`].

use std::collections::BTreeSet;
use std::time::Duration;

use latchkey::home::home_assistant::Command;
use latchkey::service::access::{Caller, Permission, Permit};
use latchkey_dev::stack::{script, tool};
use serde::Deserialize;
use serde_json::{Value, json};

/// The only entity that the caller may call services on.
const OWN: &str = "light.kitchen_lights";

/// Members that look like names of other entities, of services that take entities.
///
/// A row has the domain, the members, and the reason why a caller may use these members.
const REVIEWED: &[(&str, &[&str], &str)] = &[
    (
        "assist_satellite",
        &["media_id", "preannounce_media_id", "start_media_id"],
        "a media id; latchkey checks addresses within the home",
    ),
    ("bang_olufsen", &["source_id"], "an input of the player"),
    ("blink", &["name"], "a schema that no service uses any more"),
    (
        "broadlink",
        &["device"],
        "a device whose codes the remote has learned",
    ),
    ("color_extractor", &["color_name"], "a colour"),
    (
        "ecobee",
        &["vacation_name"],
        "a vacation that the thermostat keeps",
    ),
    ("foscam", &["preset_name"], "a position of the camera"),
    (
        "group",
        &["name"],
        "the displayed name of the group; `object_id` names the entity",
    ),
    ("habitica", &["name"], "an account, or an item of its list"),
    ("homematic", &["name"], "a variable of the hub"),
    (
        "husqvarna_automower",
        &["work_area_id"],
        "a part of the mower's lawn",
    ),
    ("isy994", &["name"], "the new name of the entity"),
    (
        "kodi",
        &["artist_name", "media_id", "media_name"],
        "items of the player's own library",
    ),
    (
        "lifx",
        &["color_name", "zones"],
        "a colour, and parts of the light",
    ),
    ("light", &["color_name"], "a colour"),
    (
        "logbook",
        &["name"],
        "a name in the entry; the service does not act on it",
    ),
    (
        "media_extractor",
        &["media_content_id"],
        "a media id; latchkey checks addresses within the home",
    ),
    (
        "media_player",
        &["media_content_id"],
        "a media id; latchkey checks addresses within the home",
    ),
    ("media_player", &["source"], "an input of the player"),
    (
        "modbus",
        &["slave"],
        "an address on the bus; these services take no entities",
    ),
    (
        "music_assistant",
        &["media_id"],
        "a media id; latchkey checks addresses within the home",
    ),
    ("neato", &["zone"], "a part of the vacuum's map"),
    (
        "netatmo",
        &["person", "persons", "schedule_name"],
        "a person that the camera recognises, or a schedule of the thermostat",
    ),
    ("notify", &["target"], "the recipient of the message"),
    (
        "nx584",
        &["zone"],
        "a zone of the alarm panel in `entity_id`",
    ),
    (
        "remember_the_milk",
        &["id", "name"],
        "a task of the account",
    ),
    (
        "remote",
        &["device"],
        "a device whose codes the remote has learned",
    ),
    ("scene", &["entities"], "an object whose keys are ids"),
    ("sensibo", &["light"], "the display of the device"),
    (
        "simplisafe",
        &["label", "light"],
        "a PIN of the alarm system, its light",
    ),
    ("songpal", &["name"], "a setting of the player"),
    (
        "sonos",
        &["alarm_id", "include_linked_zones", "with_group"],
        "an alarm of the player, and the group that it plays in",
    ),
    (
        "telegram_bot",
        &[
            "callback_query_id",
            "chat_id",
            "message_id",
            "message_thread_id",
            "sticker_id",
            "target",
        ],
        "ids of chats and messages",
    ),
    ("twentemilieu", &["id"], "an account"),
    ("vizio", &["setting_name"], "a setting of the television"),
    (
        "xiaomi_miio",
        &["scene", "zone"],
        "a scene of the light itself, a part of the vacuum's map",
    ),
    ("yamaha", &["scene"], "a scene of the receiver itself"),
    (
        "zeroconf",
        &["location_name", "uuid"],
        "a record that the home announces, not a service",
    ),
    (
        "zwave_js",
        &["method_name"],
        "a method of the node in `entity_id`",
    ),
];

/// Services without a target that a caller with permissions for entities may call: domain, service and reason.
const WITHOUT_TARGET: &[(&str, &str, &str)] = &[
    ("scene", "apply", "its entities are the keys of `entities`"),
    (
        "scene",
        "create",
        "`scene_id` and `entities` are its entities",
    ),
];

/// The output of the script.
#[derive(Deserialize)]
struct Found {
    /// Domain, service, member, the way in which the member may name an entity, and true if the service takes entities.
    members: Vec<(String, String, String, String, bool)>,
    /// Domain, service, and true if the service has a target.
    services: Vec<(String, String, bool)>,
}

async fn installed_services() -> Found {
    let output = tool("homeassistant", "python")
        .unwrap()
        .arg("-B")
        .arg(script("service_members.py").unwrap())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns true if a caller with these permissions may make this call.
fn may_call(permissions: &[String], domain: &str, service: &str, data: &Value) -> bool {
    let caller = Caller {
        subject: "ann".into(),
        tenant: None,
        permissions: permissions
            .iter()
            .map(|text| Permission::parse(text).unwrap())
            .collect(),
        plan: None,
        expires_at: Duration::MAX,
    };
    let command = Command::new(json!({
        "type": "call_service", "domain": domain, "service": service, "service_data": data,
    }));
    Permit::of_commands(&caller, &[command.unwrap()]).is_ok()
}

/// Returns the members that reach foreign entities and are not reviewed, and the rows of `reviewed` that are not
/// needed.
fn mismatches(found: &Found, reviewed: &[(&str, &[&str], &str)]) -> BTreeSet<String> {
    let mut mismatches = BTreeSet::new();
    for (domain, service, member, how, takes_entities) in &found.members {
        let permissions = [format!("call:*:{OWN}"), format!("call:{domain}.*:{OWN}")];
        let others: &[&str] = match how.as_str() {
            "entity" => &["lock.front_door", "all", "evening"],
            "device" => &["0123456789abcdef0123456789abcdef"],
            "name" => &["evening"],
            other => panic!("{other}"),
        };
        let reaches = others.iter().any(|other| {
            let mut data = json!({});
            if *takes_entities {
                data["entity_id"] = json!(OWN);
            }
            data[member] = json!(other);
            let service = service.replace('*', "any_service");
            may_call(&permissions, domain, &service, &data)
        });
        let is_reviewed = reviewed
            .iter()
            .any(|row| row.0 == domain && row.1.contains(&member.as_str()));
        if reaches != is_reviewed && (reaches || *takes_entities) {
            let what = if reaches {
                "not reviewed"
            } else {
                "reviewed, but not needed"
            };
            mismatches.insert(format!("{domain}.{service} {member} ({how}): {what}"));
        }
    }
    mismatches
}

#[tokio::test]
async fn services_of_installed_home_assistant_are_reviewed() {
    let found = installed_services().await;
    check_members_that_name_entities(&found);
    check_targets_of_services(&found);
}

fn check_members_that_name_entities(found: &Found) {
    let has = |domain: &str, member: &str| {
        let mut members = found.members.iter();
        members.any(|row| row.0 == domain && row.2 == member)
    };
    // The script finds members in `services.yaml`, in schemas only, and as bare keys of schemas.
    assert!(has("group", "object_id") && has("scene", "scene_id") && has("device_tracker", "mac"));
    assert!(found.members.len() > 300, "{}", found.members.len());
    let mismatches = mismatches(found, REVIEWED);
    assert!(mismatches.is_empty(), "{mismatches:#?}");
    for (domain, members, _) in REVIEWED {
        for member in *members {
            assert!(
                has(domain, member),
                "{domain} {member} does not exist any more"
            );
        }
    }
}

fn check_targets_of_services(found: &Found) {
    assert!(found.services.len() > 900, "{}", found.services.len());
    let permissions = [format!("call:*:{OWN}")];
    let mut mismatches = Vec::new();
    let mut allowed = 0;
    for (domain, service, has_target) in &found.services {
        let is_allowed = may_call(&permissions, domain, service, &json!({ "entity_id": OWN }));
        allowed += usize::from(is_allowed);
        let is_known = WITHOUT_TARGET
            .iter()
            .any(|row| row.0 == domain && row.1 == service);
        // A name that starts with a dot is a shared part of the description.
        if is_allowed && !has_target && !is_known && !service.starts_with('.') {
            mismatches.push(format!("{domain}.{service}"));
        }
    }
    assert!(mismatches.is_empty(), "{mismatches:#?}");
    assert!(allowed > 100, "{allowed}");
}

#[test]
fn unreviewed_members_are_reported() {
    let row = |domain: &str, service: &str, member: &str, how: &str| {
        let [domain, service, member, how] = [domain, service, member, how].map(str::to_owned);
        (domain, service, member, how, true)
    };
    let found = Found {
        members: vec![
            row("scene", "create", "scene_id", "name"),
            row("scene", "rename", "new_scene_id", "name"),
            row("light", "follow", "leader", "entity"),
            row("light", "follow", "room_name", "name"),
        ],
        services: Vec::new(),
    };
    let reviewed: &[(&str, &[&str], &str)] = &[("light", &["room_name"], "a name for the room")];
    let reported: Vec<_> = mismatches(&found, reviewed).into_iter().collect();
    assert_eq!(
        reported,
        [
            "light.follow leader (entity): not reviewed",
            "scene.rename new_scene_id (name): not reviewed",
        ]
    );
}
