//! A test of a latchkey that serves several homes. Only the tenant in the caller's token selects the home.

use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};
use testkit::callers::{AUDIENCE, ISSUER, SECRET, SECRET_PARAMETER, request, token};
use testkit::{Sandbox, home, light, problem};

const PREFIX: &str = "/homes";

#[tokio::test]
async fn tenant_claim_selects_the_home() {
    let aws = AwsEmulator::start().await.unwrap();
    aws.put_token(SECRET_PARAMETER, SECRET).await.unwrap();
    let mut homes = Vec::new();
    for name in ["cabin", "villa"] {
        let home = home().await;
        let parameter = |leaf: &str| format!("{PREFIX}/{name}/{leaf}");
        aws.put_parameter(&parameter("url"), &home.url())
            .await
            .unwrap();
        aws.put_token(&parameter("token"), &home.mint_token(name))
            .await
            .unwrap();
        homes.push(home);
    }
    let variables = [
        ("HOMES_PARAMETER_PREFIX", PREFIX),
        ("CALLER_JWT_ISSUER", ISSUER),
        ("CALLER_JWT_AUDIENCE", AUDIENCE),
        ("CALLER_JWT_SECRET_PARAMETER", SECRET_PARAMETER),
        ("CALLER_TENANT_CLAIM", "house"),
        ("METRICS", "off"),
    ];
    let app = Sandbox::builder().aws(&aws).envs(variables).start().await;
    let ask = async |claims: Value, home: Option<&str>| {
        let jwt = token(&["admin"], &claims);
        let mut body = json!({ "command": light("turn_on", "light.kitchen") });
        if let Some(home) = home {
            body["home"] = json!(home);
        }
        let asked = request("POST", "/commands", Some(&jwt), Some(&body));
        let answer = app.handle(&asked).await;
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].as_u64().unwrap(), body)
    };
    let executed = || -> Vec<usize> {
        homes
            .iter()
            .map(|home| home.counters().service_calls.len())
            .collect()
    };
    let report = async |permissions: &[&str], claims: &Value| -> Vec<String> {
        let jwt = token(permissions, claims);
        let asked = request("GET", "/health/detailed", Some(&jwt), None);
        let answer = app.handle(&asked).await;
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let homes = body["homes"].as_array().unwrap();
        homes
            .iter()
            .map(|home| home["home"].as_str().unwrap_or("-").to_owned())
            .collect()
    };
    for (claims, home, status, then) in [
        (json!({"house": "cabin"}), None, 200, [1, 0]),
        (json!({"house": "cabin"}), Some("cabin"), 200, [2, 0]),
        (json!({"house": "cabin"}), Some("villa"), 403, [2, 0]),
        (json!({"house": "villa"}), None, 200, [2, 1]),
        // The tenant claim is `house`, so this claim does not name the tenant.
        (json!({"tenant": "cabin"}), None, 403, [2, 1]),
        (json!({}), Some("cabin"), 403, [2, 1]),
        (json!({"house": "../cabin"}), None, 401, [2, 1]),
        (json!({"house": ["cabin"]}), None, 401, [2, 1]),
        (json!({"house": "nowhere"}), None, 404, [2, 1]),
    ] {
        let (seen, body) = ask(claims.clone(), home).await;
        assert_eq!(seen, status, "{claims} {home:?}: {body}");
        assert_eq!(executed(), then, "{claims} {home:?}");
        if status == 403 {
            assert_eq!(problem(&body), "forbidden");
        }
    }

    // The report of a tenant's caller lists the tenant's home. The report of a caller without a tenant lists no home,
    // unless the caller is an administrator.
    let cabin = json!({"house": "cabin"});
    assert_eq!(report(&["health:read"], &cabin).await, ["cabin"]);
    assert_eq!(report(&["admin"], &cabin).await, ["cabin"]);
    assert!(report(&["health:read"], &json!({})).await.is_empty());
    let mut all = report(&["admin"], &json!({})).await;
    all.sort_unstable();
    assert_eq!(all, ["cabin", "villa"]);

    // The tenant of the invocation does not select the home of a caller without a tenant.
    let jwt = token(&["admin"], &json!({}));
    let asked = request("GET", "/api/states", Some(&jwt), None);
    let answer = app.handle_for("cabin", &asked).await;
    assert_eq!(answer["statusCode"], 403, "{answer}");
}
