//! Tables of services whose data name entities in other members than `entity_id`, and of services that act on entities
//! that no member names.
//!
//! `tests/real_home/members.rs` compares these tables with the services of the installed Home Assistant.

/// The way in which a member names entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The part of the entity id after the dot, for entities of this domain: `evening` names `scene.evening`.
    ObjectId(&'static str),
    /// Entity ids, as in `entity_id`. Home Assistant may also accept `all` or a registry id.
    EntityIds,
    /// A name that only the home can resolve: a device, a room, a person or an address.
    Unknown,
}

use Naming::{EntityIds, ObjectId, Unknown};

/// The members that name entities: domain, service (`*` for all services of the domain), member, kind of name.
const MEMBERS: [(&str, &str, &str, Naming); 34] = [
    ("bluesound", "join", "master", EntityIds),
    ("camera", "play_stream", "media_player", EntityIds),
    ("conversation", "*", "agent_id", Unknown),
    ("deconz", "*", "entity", EntityIds),
    (
        "device_tracker",
        "see",
        "dev_id",
        ObjectId("device_tracker"),
    ),
    ("device_tracker", "see", "mac", Unknown),
    ("device_tracker", "see", "host_name", Unknown),
    ("device_tracker", "see", "hostname", Unknown),
    ("google_assistant_sdk", "*", "media_player", EntityIds),
    ("group", "remove", "object_id", ObjectId("group")),
    ("group", "set", "add_entities", EntityIds),
    ("group", "set", "entities", EntityIds),
    ("group", "set", "object_id", ObjectId("group")),
    ("group", "set", "remove_entities", EntityIds),
    ("hue", "hue_activate_scene", "group_name", Unknown),
    ("hue", "hue_activate_scene", "scene_name", Unknown),
    ("media_player", "join", "group_members", EntityIds),
    ("microsoft_face", "*", "group", Unknown),
    ("microsoft_face", "*", "name", Unknown),
    ("microsoft_face", "*", "person", Unknown),
    ("mill", "set_room_temperature", "room_name", Unknown),
    ("music_assistant", "*", "source_player", EntityIds),
    ("renault", "*", "vehicle", Unknown),
    ("roon", "transfer", "transfer_id", EntityIds),
    ("scene", "create", "scene_id", ObjectId("scene")),
    ("scene", "create", "snapshot_entities", EntityIds),
    ("sharkiq", "*", "rooms", Unknown),
    ("snapcast", "join", "master", EntityIds),
    ("soundtouch", "*", "master", EntityIds),
    ("soundtouch", "*", "slaves", EntityIds),
    ("system_bridge", "*", "bridge", Unknown),
    ("unifiprotect", "*", "doorbells", Unknown),
    ("yolink", "*", "target_device", Unknown),
    ("zha", "*", "group", Unknown),
];

/// Services that act on entities that the call does not name: domain (`*` for all domains), service.
const ACT_ON_MORE: [(&str, &str); 4] = [
    // Reads all entities of the domain from the home's configuration again.
    ("*", "reload"),
    ("blackbird", "set_all_zones"),
    // Takes a sentence, which may name any entity.
    ("conversation", "process"),
    ("google_assistant_sdk", "send_text_command"),
];

/// Domains whose services act only on the entities that the call names.
const ENTITY_DOMAINS: [&str; 41] = [
    "alarm_control_panel",
    "assist_satellite",
    "automation",
    "button",
    "calendar",
    "camera",
    "climate",
    "counter",
    "cover",
    "date",
    "datetime",
    "fan",
    "homeassistant",
    "humidifier",
    "image_processing",
    "input_boolean",
    "input_button",
    "input_datetime",
    "input_number",
    "input_select",
    "input_text",
    "lawn_mower",
    "light",
    "lock",
    "media_player",
    "number",
    "remote",
    "scene",
    "script",
    "select",
    "siren",
    "switch",
    "text",
    "time",
    "timer",
    "todo",
    "update",
    "vacuum",
    "valve",
    "water_heater",
    "weather",
];

/// Returns the way in which a member of a service's data names entities. `None` if the member is not known to name any.
pub(super) fn naming(domain: &str, service: &str, member: &str) -> Option<Naming> {
    let row = MEMBERS.iter().find(|(of_domain, of_service, name, _)| {
        *of_domain == domain && (*of_service == "*" || *of_service == service) && *name == member
    });
    match row {
        Some((.., naming)) => Some(*naming),
        // `media_player_entity_id` and the like.
        None if member.ends_with("entity_id") || member.ends_with("entity_ids") => Some(EntityIds),
        None => None,
    }
}

/// Returns true if a service acts on entities that the call does not name.
pub(super) fn acts_on_more(domain: &str, service: &str) -> bool {
    ACT_ON_MORE
        .iter()
        .any(|row| row.1 == service && (row.0 == "*" || row.0 == domain))
}

/// Returns true if the services of a domain act only on the entities that the call names.
pub(super) fn acts_on_entities(domain: &str) -> bool {
    ENTITY_DOMAINS.contains(&domain)
}

/// Returns the domain of the entities on which a service is called. `None` if it accepts entities of any domain.
pub(super) fn domain_called_on<'a>(domain: &'a str, service: &str) -> Option<&'a str> {
    let by_object_id = MEMBERS.iter().find_map(|row| match row {
        (of_domain, of_service, _, ObjectId(named))
            if *of_domain == domain && *of_service == service =>
        {
            Some(*named)
        }
        _ => None,
    });
    match (domain, service) {
        ("homeassistant", _) | ("scene", "apply") => None,
        _ => by_object_id.or_else(|| acts_on_entities(domain).then_some(domain)),
    }
}

/// Returns the entity that a service belongs to: each script is also a service of the domain `script`.
pub(super) fn entity_of_service(domain: &str, service: &str) -> Option<String> {
    let is_one =
        domain == "script" && !matches!(service, "turn_on" | "turn_off" | "toggle" | "reload");
    is_one.then(|| format!("{domain}.{service}"))
}
