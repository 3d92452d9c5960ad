//! Tests with events as local gateways and load balancers send them: null for absent members, and claims of any type.

use serde_json::{Value, json};
use testkit::callers::{request, token};

use super::DoorStage;
use super::router::{header, raw_response};

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default()
}

#[tokio::test]
async fn authorizer_claims_of_any_type_are_ignored() {
    let stage = DoorStage::start().await;
    let jwt = token(&["read"], &json!({}));
    for claim in [
        json!(1_787_996_002),
        json!(null),
        json!(["a", 5]),
        json!({ "a": null }),
        json!(true),
    ] {
        for authorizer in [
            json!({ "jwt": { "claims": { "sub": "x", "exp": claim }, "scopes": null } }),
            json!({ "jwt": { "claims": claim, "scopes": claim } }),
            json!({ "jwt": claim, "lambda": claim, "iam": claim }),
            claim.clone(),
        ] {
            let mut event = request("GET", "/api/states/light.kitchen", Some(&jwt), None);
            event["requestContext"]["authorizer"] = authorizer;
            let answer = raw_response(&stage, &event).await;
            assert_eq!(answer["statusCode"], 200, "{event}: {answer}");
            assert_eq!(body(&answer)["entity_id"], "light.kitchen", "{answer}");
        }
    }
}

#[tokio::test]
async fn null_member_of_an_event_counts_as_absent() {
    let stage = DoorStage::start().await;
    let jwt = token(&["read"], &json!({}));
    let bearer = format!("Bearer {jwt}");
    let mut balancer = testkit::sample("events/alb-health.json");
    balancer["path"] = json!("/api/states/light.kitchen");
    balancer["headers"] = json!({ "authorization": bearer, "accept": null });
    for name in [
        "queryStringParameters",
        "isBase64Encoded",
        "body",
        "multiValueHeaders",
        "multiValueQueryStringParameters",
    ] {
        balancer[name] = Value::Null;
    }
    let mut rest = testkit::sample("events/rest-api-command.json");
    rest["httpMethod"] = json!("GET");
    rest["path"] = json!("/api/states/light.kitchen");
    rest["headers"] = json!({ "Authorization": bearer, "Accept": null });
    for name in [
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "body",
        "isBase64Encoded",
        "resource",
        "requestContext",
    ] {
        rest[name] = Value::Null;
    }
    let mut http = request("GET", "/api/states/light.kitchen", Some(&jwt), None);
    http["headers"]["accept"] = Value::Null;
    for name in [
        "rawQueryString",
        "cookies",
        "version",
        "routeKey",
        "isBase64Encoded",
    ] {
        http[name] = Value::Null;
    }
    for event in [balancer, rest, http] {
        let answer = raw_response(&stage, &event).await;
        assert_eq!(answer["statusCode"], 200, "{event}: {answer}");
        assert_eq!(body(&answer)["entity_id"], "light.kitchen", "{answer}");
    }
}

#[tokio::test]
async fn unusable_member_is_named_in_the_detail() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    let good = || request("POST", "/commands", Some(&jwt), Some(&json!({})));
    for (member, value) in [
        ("requestContext.http.method", json!(5)),
        ("requestContext.http", json!([])),
        ("rawPath", json!({})),
        ("rawQueryString", json!(5)),
        ("headers", json!(5)),
        ("headers.authorization", json!({})),
        ("body", json!({})),
        ("isBase64Encoded", json!("maybe")),
    ] {
        let mut event = good();
        let pointer = format!("/{}", member.replace('.', "/"));
        *event.pointer_mut(&pointer).unwrap() = value;
        let answer = raw_response(&stage, &event).await;
        assert_eq!(answer["statusCode"], 400, "{member}: {answer}");
        assert_eq!(
            header(&answer, "content-type"),
            Some("application/problem+json")
        );
        let detail = body(&answer)["detail"].to_string();
        assert!(detail.contains(&format!("`{member}`")), "{detail}");
    }
    let mut event = testkit::sample("events/alb-health.json");
    event["httpMethod"] = json!(5);
    let answer = raw_response(&stage, &event).await;
    let detail = body(&answer)["detail"].to_string();
    assert!(detail.contains("`httpMethod` is a number"), "{answer}");
    assert!(answer["statusDescription"].is_string(), "{answer}");
}

/// Checks the exact members of each sender's response format.
#[tokio::test]
async fn response_has_the_format_of_its_sender() {
    let stage = DoorStage::start().await;
    let names = |answer: &Value| -> Vec<String> {
        let mut names: Vec<_> = answer.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    let common = [
        "body",
        "headers",
        "isBase64Encoded",
        "multiValueHeaders",
        "statusCode",
    ];
    for (path, own, single, all) in [
        (
            "tests/fixtures/events/apigw-rest-health-query.json",
            None,
            false,
            true,
        ),
        ("events/http-api-health.json", Some("cookies"), true, false),
        (
            "tests/fixtures/events/function-url-health-iam.json",
            Some("cookies"),
            true,
            false,
        ),
        (
            "events/alb-health.json",
            Some("statusDescription"),
            true,
            true,
        ),
    ] {
        let answer = raw_response(&stage, &testkit::sample(path)).await;
        let mut expected: Vec<&str> = common.into_iter().chain(own).collect();
        expected.sort_unstable();
        assert_eq!(names(&answer), expected, "{path}");
        assert_eq!(
            answer["headers"]["content-type"].is_string(),
            single,
            "{path}"
        );
        assert_eq!(
            answer["multiValueHeaders"]["content-type"].is_array(),
            all,
            "{path}"
        );
    }
}
