//! Alexa's directives that cannot be served: each gets an answer that Alexa understands.

use latchkey_dev::home::RestFault;
use serde_json::{Value, json};
use testkit::callers::token;

use super::DoorStage;
use super::router::raw;

fn accept_grant(token: &Value) -> Value {
    json!({ "directive": {
        "header": {
            "namespace": "Alexa.Authorization",
            "name": "AcceptGrant",
            "payloadVersion": "3",
            "messageId": "abc-123-def-456",
        },
        "payload": {
            "grant": { "type": "OAuth2.AuthorizationCode", "code": "grant-code-canary" },
            "grantee": { "type": "BearerToken", "token": token },
        },
    }})
}

fn turn_on(jwt: &str) -> Value {
    json!({ "directive": {
        "header": {
            "namespace": "Alexa.PowerController",
            "name": "TurnOn",
            "payloadVersion": "3",
            "messageId": "1",
            "correlationToken": "correlation",
        },
        "endpoint": {
            "endpointId": "light#kitchen",
            "scope": { "type": "BearerToken", "token": jwt },
        },
        "payload": {},
    }})
}

#[tokio::test]
async fn a_grant_that_cannot_be_accepted_is_told_so_in_alexas_words() {
    let stage = DoorStage::set().await;
    let good = token(&["call:alexa.smart_home"], &json!({}));
    let refused = async |event: Value| {
        let answer = raw(&stage, &event).await;
        let header = &answer["event"]["header"];
        assert_eq!(header["namespace"], "Alexa.Authorization", "{answer}");
        assert_eq!(header["name"], "ErrorResponse", "{answer}");
        assert_eq!(header["payloadVersion"], "3", "{answer}");
        let payload = &answer["event"]["payload"];
        assert_eq!(payload["type"], "ACCEPT_GRANT_FAILED", "{answer}");
        assert!(payload["message"].is_string(), "{answer}");
        let text = answer.to_string();
        assert!(
            !text.contains("canary") && !text.contains(&good),
            "{answer}"
        );
    };
    // The home knows nothing of Alexa and answers with 404.
    refused(accept_grant(&json!(good))).await;
    // Amazon's own tokens are nobody's here.
    refused(accept_grant(&json!("Atza|token-canary"))).await;
    refused(accept_grant(&json!(token(&["read"], &json!({}))))).await;
    refused(accept_grant(&json!(5))).await;
    let mut odd = accept_grant(&json!(good));
    odd["directive"]["payload"] = json!([]);
    refused(odd).await;
    let mut other = accept_grant(&json!(good));
    other["directive"]["header"]["name"] = json!("Other");
    refused(other).await;
    // With a session that is open the home's own answer comes back, which is none.
    let jwt = token(&["admin"], &json!({}));
    let ping = testkit::callers::run(Some(&jwt), &json!({ "type": "ping" }));
    assert_eq!(stage.ask(&ping).await.0, 200);
    stage.home.set_fault(RestFault::EmptyJson);
    refused(accept_grant(&json!(good))).await;
    stage.home.set_fault(RestFault::Close);
    refused(accept_grant(&json!(good))).await;
}

#[tokio::test]
async fn a_directive_with_an_unreadable_member_keeps_what_can_be_read() {
    let stage = DoorStage::set().await;
    let jwt = token(&["call:alexa.smart_home"], &json!({}));
    let correlation = json!("correlation");
    let endpoint = json!("light#kitchen");
    for (member, value, seen) in [
        (
            "header.correlationToken",
            json!(5),
            [&Value::Null, &endpoint],
        ),
        ("payload", json!([]), [&correlation, &endpoint]),
        (
            "endpoint.endpointId",
            json!(5),
            [&correlation, &Value::Null],
        ),
        ("endpoint.scope", json!("x"), [&correlation, &endpoint]),
        (
            "endpoint.scope.token",
            json!(["x"]),
            [&correlation, &endpoint],
        ),
    ] {
        let mut event = turn_on(&jwt);
        let pointer = format!("/directive/{}", member.replace('.', "/"));
        *event.pointer_mut(&pointer).unwrap() = value;
        let answer = raw(&stage, &event).await;
        let said = &answer["event"];
        assert_eq!(said["header"]["namespace"], "Alexa", "{answer}");
        assert_eq!(said["payload"]["type"], "INVALID_DIRECTIVE", "{answer}");
        let message = said["payload"]["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("`directive.{member}`")),
            "{message}"
        );
        let kept = [
            &said["header"]["correlationToken"],
            &said["endpoint"]["endpointId"],
        ];
        assert_eq!(kept, seen, "{answer}");
    }
    // Null is absent, and no reason to refuse: this directive goes to the home.
    let mut event = turn_on(&jwt);
    event["directive"]["payload"] = Value::Null;
    let answer = raw(&stage, &event).await;
    assert_eq!(
        answer["event"]["payload"]["type"], "INTERNAL_ERROR",
        "{answer}"
    );
}
