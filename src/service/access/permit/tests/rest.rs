//! Requests to the home's own REST API.

use super::*;

/// Authorises a request: a text with method, path and query, and a body.
fn ask(permissions: &str, asked: &(&'static str, &'static str)) -> Result<(), Denied> {
    let (line, body) = *asked;
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = RestRequest::new(method.parse().unwrap(), path, query, body.into()).unwrap();
    Permit::of_rest(&caller(permissions), &request).map(|_| ())
}

fn check_all(rows: &[(&'static str, &'static str, Option<&'static str>)]) {
    check(
        rows.iter()
            .map(|(permissions, line, wanted)| (*permissions, (*line, ""), *wanted)),
        ask,
    );
}

#[test]
fn read_routes_require_read_permission() {
    check_all(&[
        ("", "GET /", None),
        ("", "GET ", None),
        ("", "HEAD /", None),
        ("", "GET /config", Some("read")),
        ("call:light.*", "GET /config", Some("read")),
        ("read:light.a", "GET /config", None),
        ("", "GET /states", Some("read")),
        ("call:light.*", "GET /states", Some("read")),
        ("read:light.a", "GET /states", None),
        ("read:light.a", "HEAD /states", None),
        ("", "HEAD /states", Some("read")),
        ("", "GET /services", Some("read")),
        ("health:read", "GET /services", Some("read")),
        ("read:light.a", "GET /services", None),
        ("call:light.*:light.a", "GET /services", None),
        ("", "GET /calendars", Some("read")),
        ("read:calendar.a", "GET /calendars", None),
        // The list of event types is about the whole home.
        ("read:light.*", "GET /events", Some("read")),
        ("read", "GET /events", None),
    ]);
    for (path, domain) in [
        ("states", "light"),
        ("camera_proxy", "camera"),
        ("calendars", "calendar"),
    ] {
        let line = |text: &str| -> (&'static str, &'static str) {
            (format!("{text} /{path}/{domain}.a").leak(), "")
        };
        let text = |text: String| -> &'static str { text.leak() };
        let wanted = Some(text(format!("read:{domain}.a")));
        check(
            [
                (text(format!("read:{domain}.*")), line("GET"), None),
                (text(format!("read:{domain}.a")), line("HEAD"), None),
                ("read", line("GET"), None),
                ("", line("GET"), wanted),
                ("", line("HEAD"), wanted),
                ("call:*", line("GET"), wanted),
                ("read:lock.* health:read", line("GET"), wanted),
            ],
            ask,
        );
    }
    check_all(&[
        ("read:light.*", "GET /states/LIGHT.A", None),
        ("read:light.*", "GET /states/light%2Ea", None),
        ("read:light.*", "GET /states/%6cight.a", None),
        ("read:light.*", "GET /states/%20light.a", None),
        ("read:light.*", "GET /states/LOCK.A", Some("read:lock.a")),
        ("read:light.*", "GET /states/l%6Fck.a", Some("read:lock.a")),
        (
            "read:light.*",
            "GET /states/loc%E2%84%AA.a",
            Some("read:lock.a"),
        ),
        // A text that is not an entity id is not repeated: it may be a token.
        ("read:light.*", "GET /states/eyJ.eyJ.x-x", Some("read")),
        ("read:light.*", "GET /states/light", Some("read")),
        ("read:light.*", "GET /states/*", Some("read")),
        // Only the path names the entity. The query is ignored.
        (
            "",
            "GET /states/light.a?entity_id=light.b",
            Some("read:light.a"),
        ),
        (
            "read:light.b",
            "GET /states/light.a?entity=light.b",
            Some("read:light.a"),
        ),
    ]);
}

#[test]
fn history_and_logbook_routes_require_read_permission() {
    for (path, name) in [
        ("history/period", "filter_entity_id"),
        (
            "history/period/2026-01-01T00:00:00%2B00:00",
            "filter_entity_id",
        ),
        ("logbook", "entity"),
        ("logbook/2026-01-01T00:00:00%2B00:00", "entity"),
    ] {
        let line = |query: &str| -> (&'static str, &'static str) {
            let query = query.replace("ID", name);
            (format!("GET /{path}?{query}").leak(), "")
        };
        check(
            [
                ("read:light.*", line("ID=light.a"), None),
                ("read:light.*", line("ID=light.a,light.b&end_time=x"), None),
                ("read:light.*", line("ID=light.a%2C%20Light.b"), None),
                ("read:light.*", line("ID=light.a&ID=light.b"), None),
                ("read:light.*", line("ID=+light.a"), None),
                ("read", line("end_time=x"), None),
                ("read", line(""), None),
                ("", line("ID=light.a"), Some("read:light.a")),
                ("call:*", line("ID=light.a"), Some("read:light.a")),
                ("read:light.*", line("ID=lock.a"), Some("read:lock.a")),
                (
                    "read:light.*",
                    line("ID=light.a,lock.a"),
                    Some("read:lock.a"),
                ),
                (
                    "read:light.*",
                    line("ID=light.a%2Clock.a"),
                    Some("read:lock.a"),
                ),
                (
                    "read:light.*",
                    line("ID=light.a&ID=lock.a"),
                    Some("read:lock.a"),
                ),
                (
                    "read:light.*",
                    line("ID=lock.a&ID=light.a"),
                    Some("read:lock.a"),
                ),
                ("read:light.*", line("ID=l%6Fck.a"), Some("read:lock.a")),
                // A missing, empty or invalid list means all entities.
                ("read:light.*", line(""), Some("read")),
                ("read:light.*", line("end_time=x"), Some("read")),
                ("read:light.*", line("ID"), Some("read")),
                ("read:light.*", line("ID="), Some("read")),
                ("read:light.*", line("ID=,"), Some("read")),
                ("read:light.*", line("ID=&ID=light.a"), Some("read")),
                ("read:light.*", line("ID=%20&ID=light.a"), Some("read")),
                ("read:light.*", line("ID=light.a&ID="), Some("read")),
                ("read:light.*", line("ID=all"), Some("read")),
                ("read:light.*", line("ID=light.a,*"), Some("read")),
                ("read:light.*", line("xID=light.a"), Some("read")),
                ("read:light.*", line("ID[]=light.a"), Some("read")),
            ],
            ask,
        );
    }
    check_all(&[
        (
            "read:light.*",
            "GET /history/period?ENTITY=light.a&FILTER_ENTITY_ID=light.a",
            Some("read"),
        ),
        (
            "read:light.*",
            "GET /history/period?entity=light.a",
            Some("read"),
        ),
        (
            "read:light.*",
            "GET /logbook?filter_entity_id=light.a",
            Some("read"),
        ),
        ("read:light.*", "GET /logbook?context_id=x", Some("read")),
    ]);
}

#[test]
fn service_route_requires_a_permission_for_the_targets() {
    const LIGHTS: &str = "call:light.turn_on:light.*";
    const TURN_ON: &str = "POST /services/light/turn_on";
    let open = Some("call:light.turn_on");
    check(
        [
            (LIGHTS, (TURN_ON, r#"{"entity_id":"light.a"}"#), None),
            (
                LIGHTS,
                (
                    TURN_ON,
                    r#"{"entity_id":["light.a","light.b"],"brightness":5}"#,
                ),
                None,
            ),
            (
                LIGHTS,
                (
                    "POST /services/Light/TURN%5FON",
                    r#"{"entity_id":"light.a"}"#,
                ),
                None,
            ),
            (
                LIGHTS,
                (
                    "POST /services/light/turn_on?return_response",
                    r#"{"entity_id":"light.a"}"#,
                ),
                None,
            ),
            ("call:light.*", (TURN_ON, ""), None),
            ("call:light.*", (TURN_ON, "{}"), None),
            (
                LIGHTS,
                (TURN_ON, r#"{"entity_id":"lock.a"}"#),
                Some("call:light.turn_on:lock.a"),
            ),
            (
                LIGHTS,
                (TURN_ON, r#"{"entity_id":"light.a","area_id":"x"}"#),
                open,
            ),
            (LIGHTS, (TURN_ON, ""), open),
            (LIGHTS, (TURN_ON, " \n"), open),
            (LIGHTS, (TURN_ON, "{}"), open),
            (LIGHTS, (TURN_ON, "null"), open),
            (LIGHTS, (TURN_ON, r#"["light.a"]"#), open),
            (LIGHTS, (TURN_ON, r#""light.a""#), open),
            // A body that is not JSON could have any meaning.
            (LIGHTS, (TURN_ON, r#"{"entity_id":"light.a""#), open),
            (LIGHTS, (TURN_ON, "entity_id=light.a"), open),
            (
                LIGHTS,
                (TURN_ON, "\u{feff}{\"entity_id\":\"light.a\"}"),
                open,
            ),
            // A body with a duplicate member is ambiguous.
            (
                LIGHTS,
                (TURN_ON, r#"{"entity_id":"light.a","entity_id":"light.b"}"#),
                open,
            ),
            // The home does not read targets from the query.
            (
                LIGHTS,
                ("POST /services/light/turn_on?entity_id=light.a", "{}"),
                open,
            ),
            // Over REST, the member `target` has no special meaning.
            (
                LIGHTS,
                (TURN_ON, r#"{"target":{"entity_id":"light.a"}}"#),
                open,
            ),
            (
                "call:*",
                ("POST /services/homeassistant/restart", "{}"),
                Some("admin"),
            ),
            (
                "call:*",
                ("POST /services/HomeAssistant/stop", "{}"),
                Some("admin"),
            ),
            (
                "call:*",
                ("POST /services/homeassistant%20/restart", "{}"),
                Some("admin"),
            ),
            (
                "call:*",
                ("POST /services/hassio/host_reboot", "{}"),
                Some("admin"),
            ),
            (
                "call:light.*",
                ("POST /services/lock/unlock", "{}"),
                Some("call:lock.unlock"),
            ),
            (
                "call:light.*",
                ("POST /services/lock/un%6Cock", "{}"),
                Some("call:lock.unlock"),
            ),
        ],
        ask,
    );
}

#[test]
fn alexa_route_requires_a_permission_for_any_target() {
    let directive = r#"{"directive":{"endpoint":{"endpointId":"light.a"}}}"#;
    let line = "POST /alexa/smart_home";
    let wanted = Some("call:alexa.smart_home");
    check(
        [
            ("call:alexa.smart_home", (line, directive), None),
            ("call:alexa.*", (line, directive), None),
            ("call:*", (line, directive), None),
            ("call:alexa.smart_home:*", (line, directive), None),
            ("", (line, directive), wanted),
            (
                "read call:light.* call:*:light.*",
                (line, directive),
                wanted,
            ),
            // Only the home knows the entities of a directive.
            ("call:alexa.smart_home:light.*", (line, directive), wanted),
            (
                "call:alexa.smart_home",
                ("GET /alexa/smart_home", ""),
                Some("admin"),
            ),
            (
                "call:alexa.smart_home",
                ("POST /alexa/flash_briefings", ""),
                Some("admin"),
            ),
        ],
        ask,
    );
}

#[test]
fn other_routes_require_admin() {
    const ALL: &str = "read call:* health:read";
    for line in [
        "POST /states/light.a",
        "PUT /states/light.a",
        "DELETE /states/light.a",
        "PATCH /states/light.a",
        "OPTIONS /states/light.a",
        "get /states/light.a",
        "Head /states/light.a",
        "TRACE /",
        "POST /",
        "POST /config",
        "POST /states",
        "POST /services",
        "GET /services/light/turn_on",
        "POST /services/light",
        "POST /services/light/turn_on/x",
        "PUT /services/light/turn_on",
        "GET /services/light",
        "GET /states/light.a/x",
        "GET /States/light.a",
        "GET /state/light.a",
        "POST /template",
        "GET /template",
        "POST /events/x",
        "POST /events",
        "GET /events/x",
        "GET /error_log",
        "GET /error/all",
        "POST /error_log",
        "GET /components",
        "GET /stream",
        "GET /bootstrap",
        "POST /config/core/check_config",
        "POST /config/config_entries/flow",
        "GET /config/automation/config/x",
        "GET /camera_proxy_stream/camera.a",
        "POST /camera_proxy/camera.a",
        "GET /camera_proxy",
        "GET /image_proxy/image.a",
        "GET /media_player_proxy/media_player.a",
        "GET /tts_proxy/x.mp3",
        "GET /calendars/calendar.a/x",
        "POST /calendars/calendar.a",
        "GET /history",
        "GET /history/period/x/y",
        "POST /history/period",
        "GET /logbook/x/y",
        "POST /logbook",
        "POST /intent/handle",
        "POST /conversation/process",
        "POST /webhook/x",
        "POST /mobile_app/registrations",
        "POST /hassio/host/reboot",
        "GET /hassio/supervisor/info",
        "GET /backup/download/x",
        "POST /backup/upload",
        "POST /alexa",
        "GET /google_assistant",
        "POST /google_assistant",
        "GET /websocket",
        "GET /diagnostics/config_entry/x",
        "POST /file_upload",
        "POST /image/upload",
    ] {
        check_all(&[(ALL, line, Some("admin")), ("", line, Some("admin"))]);
    }
}
