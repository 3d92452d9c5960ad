//! Searches for the tokens of callers and of the home in answers and logs.

use latchkey_dev::home::RestFault;
use latchkey_dev::stack::Function;
use serde_json::{Value, json};
use testkit::callers::{request, token, variables};
use testkit::canary::Canary;
use testkit::{Socket, Stage, invoke};

/// The authorisation code that Alexa sends with a user's consent.
const GRANT_CODE: &str = "RHqZwkJxVbGnTyUiOpLmKjHgFdSaQwErTyUiOpZxCvBnM0192837465\
    qPwOeIrUtYlAkSjDhFgZmXnCbV5566778899aabbccddeeffQQWWEERR";
/// The token that Alexa sends with a user's consent.
const AMAZON_TOKEN: &str = "Atza|IwEBIJxWcVtBrNyMuKiLoPzAqSwDeFrGtHyJuKiLo9182736450\
    mNbVcXzLkJhGfDsApOiUyTrEwQ1122334455zzxxccvvbbnnmmLLKKJJ";

/// The secret of homes that push events.
const EVENTS_SECRET: &str = "Zx81kPq3VbN7mTfYw0Lr6QhJ2sUoDe9iAcXg5yBvKtEwQ4RtYuIoPaSdFgHj\
    KlZxCvBnMqWeRtYuIoP0192837465aSdFgHjKlQwErTyUiOpZxCvBn";

/// Returns events of WebSocket connections with a token in each place.
fn in_socket(jwt: &str) -> Vec<Value> {
    let (open, silent) = (Socket::new("open"), Socket::new("silent"));
    let none = json!({});
    let protocol = json!({"Sec-WebSocket-Protocol": format!("latchkey, latchkey.bearer.{jwt}")});
    let cookie = json!({
        "Cookie": format!("latchkey_token={jwt}"), "Origin": "https://console.example",
    });
    let auth = json!({"type": "auth", "access_token": jwt});
    let envelope = json!({"type": "auth", "id": "a", "payload": {"token": jwt}});
    let call = json!({
        "id": 5, "type": "call_service", "domain": "light", "service": "toggle",
        "target": {"entity_id": "light.kitchen"},
    });
    vec![
        open.connect(&none, &json!({"token": jwt})),
        open.connect(&cookie, &none),
        open.connect(&protocol, &none),
        open.connect_with(jwt),
        open.message(&call),
        open.message(&auth),
        open.message(&json!({"id": 6, "type": "get_states"})),
        open.message(&json!({"id": 7, "type": jwt})),
        open.disconnect(),
        silent.connect(&none, &none),
        silent.message(&envelope),
        silent.message(&json!([auth, envelope])),
        silent.text(jwt),
        silent.disconnect(),
    ]
}

#[tokio::test]
async fn answers_and_logs_redact_tokens_of_home_and_callers() {
    let Stage {
        home,
        aws,
        token: homes_own,
    } = Stage::builder().callers().start().await;
    let url = home.url();
    let options = variables(&url).into_iter().fold(
        testkit::options(crate::BOOTSTRAP, &aws, &url)
            .env("LOG_LEVEL", "trace")
            .env("METRICS", "emf")
            .env("CALLER_AUTH", "jwt")
            .env("CORS_ORIGINS", "https://console.example")
            .env("WEBSOCKET_QUERY_TOKEN", "on")
            .env("EVENTS_SECRET_PARAMETER", "/latchkey/events"),
        |options, (name, value)| options.env(name, value),
    );
    let function = Function::start(options).await.unwrap();
    let admin = token(&["admin"], &json!({ "plan": "x" }));
    let reader = token(&["read:light.*"], &json!({ "sub": "reader" }));
    let expired = token(&["admin"], &json!({ "exp": 1_700_000_000 }));
    let forged = format!("{}x", &admin[..admin.len() - 1]);
    let mut canary = Canary::new(&homes_own);
    aws.put_token("/latchkey/events", EVENTS_SECRET)
        .await
        .unwrap();
    canary.watch(EVENTS_SECRET);
    for jwt in [&admin, &reader, &expired, &forged] {
        canary.watch(jwt);
    }
    let call = json!({ "entity_id": "light.kitchen" });
    let ping = json!({ "command": { "type": "ping" } });
    let in_cookie = |jwt: &str| {
        let mut event = request("GET", "/api/states", None, None);
        event["cookies"] = json!([format!("latchkey_token={jwt}")]);
        event["headers"]["origin"] = json!("https://console.example");
        event
    };
    let in_directive = |jwt: &str| {
        json!({ "directive": {
            "header": {
                "namespace": "Alexa.Discovery", "name": "Discover",
                "payloadVersion": "3", "messageId": "1",
            },
            "payload": { "scope": { "type": "BearerToken", "token": jwt } },
        } })
    };
    let in_grant = |token: &str| {
        json!({ "directive": {
            "header": {
                "namespace": "Alexa.Authorization", "name": "AcceptGrant",
                "payloadVersion": "3", "messageId": "1",
            },
            "payload": {
                "grant": { "type": "OAuth2.AuthorizationCode", "code": GRANT_CODE },
                "grantee": { "type": "BearerToken", "token": token },
            },
        } })
    };
    canary.watch(GRANT_CODE);
    canary.watch(AMAZON_TOKEN);
    let mut events: Vec<Value> = vec![in_grant(AMAZON_TOKEN)];
    for jwt in [&admin, &reader, &expired, &forged] {
        for (method, path, body) in [
            ("POST", "/commands", Some(&ping)),
            ("POST", "/commands", Some(&call)),
            ("GET", "/health/detailed", None),
            ("GET", "/api/config", None),
            ("GET", "/api/states", None),
            ("HEAD", "/api/states", None),
            ("POST", "/api/services/light/toggle", Some(&call)),
            ("POST", "/api/template", Some(&call)),
            ("GET", "/nowhere", None),
            ("DELETE", "/commands", None),
            ("OPTIONS", "/commands", None),
        ] {
            events.push(request(method, path, Some(jwt), body));
        }
        events.push(in_cookie(jwt));
        events.push(in_directive(jwt));
        events.push(in_grant(jwt));
        let mut two = in_cookie(&admin);
        two["headers"]["authorization"] = json!(format!("Bearer {jwt}"));
        events.push(two);
        events.extend(in_socket(jwt));
    }
    let pushed = json!({"home": "x", "type": "x", "data": 1, "to": {"tenant": true}});
    events.push(request(
        "POST",
        "/events",
        Some(EVENTS_SECRET),
        Some(&pushed),
    ));
    for fault in [None, Some(RestFault::CutBody), Some(RestFault::Close)] {
        if let Some(fault) = fault {
            home.set_fault(fault);
        }
        for event in &events {
            let answer = invoke(&function, event).await;
            canary.search("an answer", &answer.to_string());
        }
    }
    canary.search("the function's output", &function.stop().await);
}
