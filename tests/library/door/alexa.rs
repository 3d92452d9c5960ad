//! Tests of Alexa directives that cannot be served. Each directive gets a response that Alexa understands.

use latchkey_dev::home::RestFault;
use serde_json::{Value, json};
use testkit::callers::token;

use super::DoorStage;
use super::router::raw_response;

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
async fn rejected_grant_gets_an_accept_grant_failed_response() {
    let stage = DoorStage::start().await;
    let good = token(&["call:alexa.smart_home"], &json!({}));
    let refused = async |event: Value| {
        let answer = raw_response(&stage, &event).await;
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
    // The home has no Alexa integration and answers 404.
    refused(accept_grant(&json!(good))).await;
    // latchkey rejects Amazon's own tokens.
    refused(accept_grant(&json!("Atza|token-canary"))).await;
    refused(accept_grant(&json!(token(&["read"], &json!({}))))).await;
    refused(accept_grant(&json!(5))).await;
    let mut odd = accept_grant(&json!(good));
    odd["directive"]["payload"] = json!([]);
    refused(odd).await;
    let mut other = accept_grant(&json!(good));
    other["directive"]["header"]["name"] = json!("Other");
    refused(other).await;
    // With an open session, latchkey reads the home's response, which is not a response to a grant.
    let jwt = token(&["admin"], &json!({}));
    let ping = testkit::callers::run(Some(&jwt), &json!({ "type": "ping" }));
    assert_eq!(stage.ask(&ping).await.0, 200);
    stage.home.set_fault(RestFault::EmptyJson);
    refused(accept_grant(&json!(good))).await;
    stage.home.set_fault(RestFault::Close);
    refused(accept_grant(&json!(good))).await;
}

#[tokio::test]
async fn invalid_directive_response_keeps_the_readable_members() {
    let stage = DoorStage::start().await;
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
        let answer = raw_response(&stage, &event).await;
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
    // A null member counts as absent, so this directive reaches the home.
    let mut event = turn_on(&jwt);
    event["directive"]["payload"] = Value::Null;
    let answer = raw_response(&stage, &event).await;
    assert_eq!(
        answer["event"]["payload"]["type"], "INTERNAL_ERROR",
        "{answer}"
    );
}
