//! Each route for each kind of caller: unauthenticated, expired, of another tenant, without the permission and with it.

use serde_json::{Value, json};
use testkit::callers::{AUDIENCE, ISSUER, SECRET_PARAMETER, request, token};
use testkit::{Sandbox, Stage};

const PREFIX: &str = "/homes";
const TENANT: &str = "cabin";

/// A route and the permission for it.
struct Route {
    method: &'static str,
    path: &'static str,
    body: Option<Value>,
    /// The permission that is sufficient.
    permission: &'static str,
    /// Permissions that are not sufficient.
    insufficient: &'static [&'static str],
}

fn routes() -> Vec<Route> {
    let read = |path, permission| Route {
        method: "GET",
        path,
        body: None,
        permission,
        insufficient: &["call:*", "read:lock.*", "health:read"],
    };
    let read_all = |path| Route {
        insufficient: &["call:*", "read:light.*", "health:read"],
        ..read(path, "read")
    };
    let admin = |method, path, body| Route {
        method,
        path,
        body,
        permission: "admin",
        insufficient: &["call:*", "read", "health:read"],
    };
    let turn_on = |path, body| Route {
        method: "POST",
        path,
        body: Some(body),
        permission: "call:light.turn_on:light.bed_light",
        insufficient: &[
            "read",
            "call:light.turn_off",
            "call:light.*:light.ceiling_lights",
        ],
    };
    let light = json!({ "entity_id": "light.bed_light" });
    let call = json!({
        "type": "call_service", "domain": "light", "service": "turn_on", "service_data": light,
    });
    let discovery = json!({ "directive": {
        "header": {
            "namespace": "Alexa.Discovery", "name": "Discover", "payloadVersion": "3", "messageId": "1",
        },
        "payload": { "scope": { "type": "BearerToken", "token": "x" } },
    } });
    vec![
        Route {
            insufficient: &["call:*", "read"],
            ..read("/health/detailed", "health:read")
        },
        turn_on("/commands", json!({ "command": call })),
        turn_on("/api/services/light/turn_on", light),
        Route {
            method: "POST",
            path: "/api/alexa/smart_home",
            body: Some(discovery),
            permission: "call:alexa.smart_home",
            insufficient: &["read", "call:light.*", "health:read"],
        },
        Route {
            insufficient: &["call:*", "health:read"],
            ..read("/api/states", "read:light.*")
        },
        read("/api/states/light.bed_light", "read:light.*"),
        read(
            "/api/history/period?filter_entity_id=light.bed_light",
            "read:light.*",
        ),
        read(
            "/api/history/period/2026-01-01T00:00:00%2B00:00?filter_entity_id=light.bed_light",
            "read:light.*",
        ),
        read("/api/logbook?entity=light.bed_light", "read:light.*"),
        read(
            "/api/logbook/2026-01-01T00:00:00%2B00:00?entity=light.bed_light",
            "read:light.*",
        ),
        read("/api/camera_proxy/camera.demo_camera", "read:camera.*"),
        read(
            "/api/calendars/calendar.calendar_1?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z",
            "read:calendar.*",
        ),
        Route {
            insufficient: &["call:*", "health:read"],
            ..read("/api/calendars", "read:calendar.*")
        },
        Route {
            insufficient: &["call:*", "health:read"],
            ..read("/api/config", "read:light.*")
        },
        read_all("/api/events"),
        read_all("/api/history/period?filter_entity_id=light.bed_light,lock.front_door"),
        Route {
            insufficient: &["health:read"],
            ..read("/api/services", "read")
        },
        admin(
            "POST",
            "/api/states/sensor.made_up",
            Some(json!({ "state": "1" })),
        ),
        admin("DELETE", "/api/states/sensor.made_up", None),
        admin("POST", "/api/events/made_up", Some(json!({}))),
        admin("POST", "/api/template", Some(json!({ "template": "1" }))),
        admin("GET", "/api/error_log", None),
        admin("GET", "/api/components", None),
        admin("POST", "/api/config/core/check_config", None),
        admin(
            "POST",
            "/api/services/homeassistant/check_config",
            Some(json!({})),
        ),
    ]
}

#[tokio::test]
async fn route_is_served_only_with_its_permission() {
    let Stage { home, aws, .. } = Stage::real().callers().start().await;
    aws.put_parameter(&format!("{PREFIX}/{TENANT}/url"), home.url())
        .await
        .unwrap();
    aws.put_token(&format!("{PREFIX}/{TENANT}/token"), home.token())
        .await
        .unwrap();
    let variables = [
        ("HOMES_PARAMETER_PREFIX", PREFIX),
        ("CALLER_JWT_ISSUER", ISSUER),
        ("CALLER_JWT_AUDIENCE", AUDIENCE),
        ("CALLER_JWT_SECRET_PARAMETER", SECRET_PARAMETER),
        ("CALLER_RATE_LIMITS", "*=unlimited"),
        ("METRICS", "off"),
    ];
    let app = Sandbox::builder().aws(&aws).envs(variables).start().await;
    let status = async |route: &Route, jwt: Option<&str>| {
        let (path, query) = route.path.split_once('?').unwrap_or((route.path, ""));
        let mut event = request(route.method, path, jwt, route.body.as_ref());
        event["rawQueryString"] = json!(query);
        let answer = app.handle(&event).await;
        (answer["statusCode"].as_u64().unwrap(), answer)
    };
    let own = |permissions: &[&str]| token(permissions, &json!({ "tenant": TENANT }));
    let expired = token(
        &["admin"],
        &json!({ "tenant": TENANT, "exp": 1_700_000_000 }),
    );
    let others = token(&["admin"], &json!({ "tenant": "villa" }));
    for route in routes() {
        let what = format!("{} {}", route.method, route.path);
        for nobody in [None, Some(expired.as_str())] {
            let (seen, answer) = status(&route, nobody).await;
            assert_eq!(seen, 401, "{what}: {answer}");
        }
        for permission in route.insufficient {
            let (seen, answer) = status(&route, Some(&own(&[*permission]))).await;
            assert_eq!(seen, 403, "{what} with {permission}: {answer}");
        }
        let (seen, answer) = status(&route, Some(&own(&[]))).await;
        assert_eq!(seen, 403, "{what}: {answer}");
        let (seen, answer) = status(&route, Some(&others)).await;
        if route.path == "/health/detailed" {
            // The report shows only open homes of the caller's tenant, and this tenant does not have one.
            let report: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!((seen, &report["homes"]), (200, &json!([])), "{answer}");
        } else {
            assert_eq!(seen, 404, "{what} as another tenant: {answer}");
        }
        let (seen, answer) = status(&route, Some(&own(&[route.permission]))).await;
        if route.path.contains("camera_proxy") {
            // A picture is encoded as Base64.
            assert_eq!(answer["isBase64Encoded"], true);
        }
        assert!(
            (200..300).contains(&seen),
            "{what} with {}: {answer}",
            route.permission
        );
    }
    assert_eq!(home.failed_logins().await.unwrap(), 0);
    aws.stop().await;
    home.stop().await;
}
