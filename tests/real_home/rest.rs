//! Home Assistant's REST API through latchkey. A caller presents a caller token instead of the home's token.

use latchkey_dev::stack::http_client;
use serde_json::{Value, json};
use testkit::Sandbox;
use testkit::callers::{request, token};

use crate::start_with_callers;

const LIGHT: &str = "light.bed_light";

async fn ask(
    app: &Sandbox,
    method: &str,
    path: &str,
    permissions: &[&str],
    body: Option<Value>,
) -> (u64, Value) {
    let jwt = token(permissions, &json!({}));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut event = request(method, path, Some(&jwt), body.as_ref());
    event["rawQueryString"] = json!(query);
    let answer = app.handle(&event).await;
    let text = answer["body"].as_str().unwrap_or_default();
    let body = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    (answer["statusCode"].as_u64().unwrap(), body)
}

#[tokio::test]
async fn rest_requests_reach_the_home_within_permissions() {
    let (home, aws, app) = start_with_callers().await;

    let (status, body) = ask(&app, "GET", "/api/", &[], None).await;
    assert_eq!((status, &body["message"]), (200, &json!("API running.")));
    let (status, body) = ask(&app, "GET", "/api/config", &["read"], None).await;
    assert_eq!(
        (status, &body["location_name"]),
        (200, &json!("Latchkey test home"))
    );

    let (status, body) = ask(&app, "GET", "/api/states", &["read:light.*"], None).await;
    assert_eq!(status, 200);
    let states = body.as_array().unwrap();
    assert!(states.len() > 2);
    assert!(
        states
            .iter()
            .all(|state| { state["entity_id"].as_str().unwrap().starts_with("light.") })
    );
    let (status, all) = ask(&app, "GET", "/api/states", &["read"], None).await;
    assert_eq!(status, 200);
    assert!(all.as_array().unwrap().len() > states.len());

    // A service call changes the state, and the caller may read the new state.
    let permissions = ["call:light.turn_on:light.bed_light", "read:light.*"];
    let call = json!({ "entity_id": LIGHT });
    let path = "/api/services/light/turn_on";
    let (status, changed) = ask(&app, "POST", path, &permissions, Some(call.clone())).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(home.state(LIGHT).await.unwrap(), "on");
    let path = format!("/api/states/{LIGHT}");
    let (status, state) = ask(&app, "GET", &path, &permissions, None).await;
    assert_eq!((status, &state["state"]), (200, &json!("on")));
    let (status, _) = ask(
        &app,
        "GET",
        "/api/states/lock.front_door",
        &permissions,
        None,
    )
    .await;
    assert_eq!(status, 403);
    let elsewhere = json!({ "entity_id": [LIGHT, "light.ceiling_lights"] });
    let path = "/api/services/light/turn_on";
    let (status, _) = ask(&app, "POST", path, &permissions, Some(elsewhere)).await;
    assert_eq!(status, 403);

    // As UTF-7, this body would name a light that the caller may not call.
    let disguised = r#"{"entity_id":"light.bed_light","z":"+ACI-,+ACI-entity_id+ACI-:+ACI-light.ceiling_lights"}"#;
    let before = home.state("light.ceiling_lights").await.unwrap();
    let jwt = token(&["call:light.toggle:light.bed_light"], &json!({}));
    let mut event = request("POST", "/api/services/light/toggle", Some(&jwt), None);
    event["headers"]["content-type"] = json!("application/json; charset=utf-7");
    event["body"] = json!(disguised);
    let answer = app.handle(&event).await;
    assert_ne!(answer["statusCode"], 200, "{answer}");
    assert_eq!(home.state("light.ceiling_lights").await.unwrap(), before);

    let (status, services) = ask(&app, "GET", "/api/services", &permissions, None).await;
    assert_eq!(status, 200);
    assert_eq!(services.as_array().unwrap().len(), 1, "{services}");
    assert_eq!(services[0]["domain"], "light");
    assert_eq!(services[0]["services"].as_object().unwrap().len(), 1);

    // Errors of the home are passed through.
    let (status, body) = ask(&app, "GET", "/api/states/light.nowhere", &["read"], None).await;
    assert_eq!(
        (status, &body["message"]),
        (404, &json!("Entity not found."))
    );
    let (status, _) = ask(
        &app,
        "POST",
        "/api/services/light/nonsense",
        &["admin"],
        Some(call),
    )
    .await;
    assert_eq!(status, 400);

    let template = json!({ "template": "{{ 1 + 1 }}" });
    let (status, body) = ask(
        &app,
        "POST",
        "/api/template",
        &["admin"],
        Some(template.clone()),
    )
    .await;
    assert_eq!((status, &body), (200, &json!(2)));
    let (status, _) = ask(&app, "POST", "/api/template", &["read"], Some(template)).await;
    assert_eq!(status, 403);

    // The token is revoked and replaced. The request is retried once with the new token.
    let other = home.mint_token("other").await.unwrap();
    home.revoke(home.token()).await.unwrap();
    aws.put_token(testkit::PARAMETER, &other).await.unwrap();
    let (status, _) = ask(&app, "GET", "/api/config", &["read"], None).await;
    assert_eq!(status, 200);
    assert_eq!(home.failed_logins().await.unwrap(), 1);
    aws.stop().await;
    home.stop().await;
}

/// The session answers some reads. Each value equals the value of the home's REST API.
#[tokio::test]
async fn reads_over_the_session_equal_rest_responses() {
    let (home, aws, app) = start_with_callers().await;
    let client = http_client().unwrap();
    let own = async |path: &str| -> Value {
        let url = format!("{}{path}", home.url());
        let answer = client.get(url).bearer_auth(home.token()).send();
        answer.await.unwrap().json().await.unwrap()
    };
    for path in ["/api/", "/api/config", "/api/services", "/api/states"] {
        // The reads are repeated until the state does not change between them.
        let (seen, truth) = loop {
            let before = own(path).await;
            let (status, seen) = ask(&app, "GET", path, &["read"], None).await;
            assert_eq!(status, 200, "{path}: {seen}");
            if own(path).await == before {
                break (seen, before);
            }
        };
        assert_eq!(seen, truth, "{path}");
    }
    // The home answers 404 to a path that ends with a slash.
    let (status, _) = ask(&app, "GET", "/api/states/", &["read"], None).await;
    assert_eq!(status, 404);
    aws.stop().await;
    home.stop().await;
}
