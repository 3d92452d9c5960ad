//! Alexa directives. If the home cannot answer a directive, latchkey returns an Alexa error response.

use serde_json::{Value, json};
use testkit::callers::token;

use crate::start_with_callers;

fn directive(name: &str, token: &str) -> Value {
    json!({ "directive": {
        "header": {
            "namespace": "Alexa.PowerController",
            "name": name,
            "payloadVersion": "3",
            "messageId": "1bd5d003-31b9-476f-ad03-71d471922820",
            "correlationToken": "correlation",
        },
        "endpoint": {
            "scope": { "type": "BearerToken", "token": token },
            "endpointId": "light#bed_light",
            "cookie": {},
        },
        "payload": {},
    }})
}

/// Asserts that an answer is an Alexa error response. Returns the type of the error.
fn error_type(answer: &Value) -> &str {
    assert_eq!(
        answer["event"]["header"]["name"], "ErrorResponse",
        "{answer}"
    );
    assert_eq!(answer["event"]["header"]["namespace"], "Alexa");
    assert_eq!(answer["event"]["header"]["correlationToken"], "correlation");
    assert_eq!(answer["event"]["endpoint"]["endpointId"], "light#bed_light");
    answer["event"]["payload"]["type"].as_str().unwrap()
}

#[tokio::test]
async fn directives_reach_the_home_and_failures_are_alexa_errors() {
    let (home, aws, app) = start_with_callers().await;
    let tell = async |name: &str, token: &str| app.handle(&directive(name, token)).await;
    let good = token(&["call:alexa.smart_home"], &json!({}));
    for (name, state) in [("TurnOn", "on"), ("TurnOff", "off")] {
        let answer = tell(name, &good).await;
        assert_eq!(answer["event"]["header"]["name"], "Response", "{answer}");
        assert_eq!(answer["event"]["header"]["correlationToken"], "correlation");
        assert_eq!(home.state("light.bed_light").await.unwrap(), state);
    }
    // The home answers the consent of a user.
    let mut grant = directive("AcceptGrant", &good);
    grant["directive"]["header"]["namespace"] = json!("Alexa.Authorization");
    grant["directive"]
        .as_object_mut()
        .unwrap()
        .remove("endpoint");
    grant["directive"]["payload"] = json!({
        "grant": { "type": "OAuth2.AuthorizationCode", "code": "code" },
        "grantee": { "type": "BearerToken", "token": good },
    });
    let answer = app.handle(&grant).await;
    let header = &answer["event"]["header"];
    assert_eq!(header["namespace"], "Alexa.Authorization", "{answer}");
    assert_eq!(header["name"], "AcceptGrant.Response", "{answer}");
    for bad in [
        token(&["call:alexa.smart_home"], &json!({ "exp": 1_700_000_000 })),
        token(&["read"], &json!({})),
        "nonsense".to_owned(),
    ] {
        let answer = tell("TurnOn", &bad).await;
        assert_eq!(
            error_type(&answer),
            "INVALID_AUTHORIZATION_CREDENTIAL",
            "{answer}"
        );
    }
    assert_eq!(home.state("light.bed_light").await.unwrap(), "off");

    // The token is revoked first. Then the home is stopped.
    home.revoke(home.token()).await.unwrap();
    assert_eq!(error_type(&tell("TurnOn", &good).await), "INTERNAL_ERROR");
    let other = home.mint_token("other").await.unwrap();
    aws.put_token(testkit::PARAMETER, &other).await.unwrap();
    home.stop().await;
    assert_eq!(
        error_type(&tell("TurnOn", &good).await),
        "BRIDGE_UNREACHABLE"
    );
    aws.stop().await;
}
