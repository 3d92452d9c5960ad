//! Tests of the HTTP router: the event formats of every sender, methods, compression, size limits, CORS and the
//! OpenAPI document.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use latchkey_dev::home::RestFault;
use serde_json::{Value, json};
use testkit::callers::{request, token};
use testkit::problem;

use super::DoorStage;

const PAGE: &str = "https://console.example";

pub(crate) async fn raw_response(stage: &DoorStage, event: &Value) -> Value {
    stage.app.handle(&event).await
}

/// Returns a header of a response, from `headers` or `multiValueHeaders`.
pub(crate) fn header<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    let single = answer["headers"][name].as_str();
    single.or_else(|| answer["multiValueHeaders"][name][0].as_str())
}

fn rest_api(path: &str, resource: &str, parameters: &Value) -> Value {
    let mut event = testkit::sample("events/rest-api-command.json");
    event["httpMethod"] = json!("GET");
    event["path"] = json!(path);
    event["resource"] = json!(resource);
    event["pathParameters"] = parameters.clone();
    event["body"] = Value::Null;
    event
}

fn load_balancer(path: &str) -> Value {
    let mut event = testkit::sample("events/alb-health.json");
    event["path"] = json!(path);
    event
}

fn http_api(path: &str, route: &str, stage: &str, proxy: Option<&str>) -> Value {
    let mut event = request("GET", path, None, None);
    event["routeKey"] = json!(route);
    event["requestContext"]["stage"] = json!(stage);
    event["pathParameters"] = json!(proxy.map(|proxy| json!({ "proxy": proxy })));
    event
}

#[tokio::test]
async fn events_of_every_sender_reach_their_route() {
    let stage = DoorStage::with_variables(&[("HTTP_BASE_PATH", "/latchkey")]).await;
    let proxy = |value: &str| json!({ "proxy": value });
    for (event, status) in [
        (rest_api("/health", "/health", &Value::Null), 200),
        (rest_api("/house/health", "/health", &Value::Null), 200),
        (
            rest_api("/house/health", "/{proxy+}", &proxy("health")),
            200,
        ),
        (rest_api("/health/", "/{proxy+}", &proxy("health/")), 200),
        (rest_api("/nowhere", "/{proxy+}", &proxy("nowhere")), 404),
        (http_api("/health", "$default", "$default", None), 200),
        (
            http_api("/latchkey/health", "$default", "$default", None),
            200,
        ),
        (http_api("/dev/health", "$default", "dev", None), 200),
        (
            http_api("/dev/latchkey/health", "$default", "dev", None),
            200,
        ),
        (
            http_api("/house/health", "GET /health", "$default", None),
            200,
        ),
        (
            http_api("/dev/health", "ANY /{proxy+}", "dev", Some("health")),
            200,
        ),
        (http_api("/device/health", "$default", "dev", None), 404),
        (http_api("/house/health", "$default", "$default", None), 404),
        (load_balancer("/health"), 200),
        (load_balancer("/latchkey/health"), 200),
        (load_balancer("/latchkeys/health"), 404),
        (load_balancer("/"), 404),
        (load_balancer(""), 404),
        // No sender sends these paths, and they must not cause a panic.
        (load_balancer(":99999"), 404),
        (load_balancer("/a b\"<>\\^`{|}#?\u{7f}\u{e4}"), 404),
        (http_api("/%zz", "$default", "$default", None), 404),
    ] {
        let answer = raw_response(&stage, &event).await;
        assert_eq!(answer["statusCode"], status, "{event}: {answer}");
        assert!(header(&answer, "x-request-id").is_some(), "{answer}");
    }
}

#[tokio::test]
async fn invalid_hosts_and_queries_do_not_fail_the_request() {
    let stage = DoorStage::start().await;
    let mut event = request("GET", "/health", None, None);
    event["headers"]["host"] = json!("a b:99999");
    event["headers"]["x-forwarded-proto"] = json!("://");
    event["requestContext"]["domainName"] = json!("a b");
    event["rawQueryString"] = json!("a=\u{e4} {}\"<>&b");
    assert_eq!(raw_response(&stage, &event).await["statusCode"], 200);
    let mut event = load_balancer("/health");
    event["headers"]["host"] = json!("[::");
    assert_eq!(raw_response(&stage, &event).await["statusCode"], 200);
}

/// An event that cannot be converted to a request is rejected in the sender's response format.
#[tokio::test]
async fn malformed_event_is_rejected_in_the_senders_format() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    let good = || request("POST", "/commands", Some(&jwt), Some(&json!({})));
    let mut no_base64 = good();
    no_base64["isBase64Encoded"] = json!(true);
    no_base64["body"] = json!("@@@");
    let mut long = good();
    long["rawPath"] = json!(format!("/{}", "a".repeat(70_000)));
    let mut long_query = load_balancer("/health");
    long_query["queryStringParameters"] = json!({ "a": "b".repeat(70_000) });
    let mut odd_header = load_balancer("/health");
    odd_header["headers"] = json!({ "a b": "c" });
    let mut no_method = rest_api("/health", "/health", &Value::Null);
    no_method["httpMethod"] = json!(7);
    for event in [no_base64, long, long_query, odd_header, no_method] {
        let answer = raw_response(&stage, &event).await;
        assert_eq!(answer["statusCode"], 400, "{answer}");
        let kind = header(&answer, "content-type");
        assert_eq!(kind, Some("application/problem+json"), "{answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(problem(&body), "bad-request");
    }
    let mut no_value = load_balancer("/health");
    no_value["multiValueQueryStringParameters"] = json!({ "a": [], "b": ["c"] });
    assert_eq!(raw_response(&stage, &no_value).await["statusCode"], 200);
}

/// A REST API without configured binary media types would pass base64 on unchanged.
#[tokio::test]
async fn rest_api_response_is_plain_text() {
    let stage = DoorStage::start().await;
    let jwt = token(&["read"], &json!({}));
    let mut event = rest_api(
        "/api/states",
        "/api/{proxy+}",
        &json!({ "proxy": "states" }),
    );
    let bearer = format!("Bearer {jwt}");
    event["headers"] = json!({ "Authorization": bearer, "Accept-Encoding": "gzip" });
    event["multiValueHeaders"] = json!({ "Authorization": [bearer], "Accept-Encoding": ["gzip"] });
    let answer = raw_response(&stage, &event).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(answer["isBase64Encoded"], false);
    assert!(answer["body"].as_str().unwrap().starts_with('['));
}

/// A load balancer accepts responses up to 1 MB. API Gateway accepts responses up to Lambda's limit.
#[tokio::test]
async fn response_above_the_senders_limit_is_replaced_by_a_problem() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    let ping = testkit::callers::run(Some(&jwt), &json!({"type": "ping"}));
    assert_eq!(stage.ask(&ping).await.0, 200);
    stage.home.set_fault(RestFault::HugeBody(2 << 20));
    let mut event = load_balancer("/api/states/light.kitchen");
    event["headers"] = json!({ "authorization": format!("Bearer {jwt}") });
    let answer = raw_response(&stage, &event).await;
    assert_eq!(answer["statusCode"], 502, "{}", answer["headers"]);
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(problem(&body), "message-too-large");
    let (status, _) = stage
        .ask(&request(
            "GET",
            "/api/states/light.kitchen",
            Some(&jwt),
            None,
        ))
        .await;
    assert_eq!(status, 200);
}

/// With multi-value headers, a load balancer sends all values of a header and accepts all values in a response.
#[tokio::test]
async fn all_values_of_a_multi_value_header_are_read() {
    let stage = DoorStage::start().await;
    let jwt = |subject: &str| format!("Bearer {}", token(&["admin"], &json!({ "sub": subject })));
    let ask = |values: Vec<String>| {
        let mut event = load_balancer("/api/");
        event["headers"] = Value::Null;
        event["multiValueHeaders"] = json!({ "authorization": values });
        event["multiValueQueryStringParameters"] = json!({});
        event
    };
    let answer = raw_response(&stage, &ask(vec![jwt("a")])).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert!(answer["multiValueHeaders"]["x-request-id"].is_array());
    let answer = raw_response(&stage, &ask(vec![jwt("a"), jwt("b")])).await;
    assert_eq!(answer["statusCode"], 401, "{answer}");
    // In `headers`, a REST API repeats only the last value.
    let mut event = rest_api("/api/", "/api/{proxy+}", &json!({ "proxy": "" }));
    event["headers"] = json!({ "Authorization": jwt("b") });
    event["multiValueHeaders"] = json!({ "Authorization": [jwt("a"), jwt("b")] });
    let answer = raw_response(&stage, &event).await;
    assert_eq!(answer["statusCode"], 401, "{answer}");
}

#[tokio::test]
async fn unsupported_method_and_options_request_get_an_allow_header() {
    let stage = DoorStage::start().await;
    for (method, path, status, allow) in [
        ("GET", "/commands", 405, "POST"),
        ("DELETE", "/commands", 405, "POST"),
        ("POST", "/health", 405, "GET,HEAD"),
        ("OPTIONS", "/health", 204, "GET,HEAD"),
        ("OPTIONS", "/commands", 204, "POST"),
        (
            "OPTIONS",
            "/api/states",
            204,
            "GET,HEAD,POST,PUT,PATCH,DELETE",
        ),
        (
            "TRACE",
            "/api/states",
            405,
            "GET,HEAD,POST,PUT,PATCH,DELETE",
        ),
    ] {
        let answer = raw_response(&stage, &request(method, path, None, None)).await;
        assert_eq!(answer["statusCode"], status, "{method} {path}: {answer}");
        assert_eq!(header(&answer, "allow"), Some(allow), "{method} {path}");
        if status == 405 {
            let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!(
                (problem(&body), &body["status"]),
                ("not-found", &json!(405))
            );
        }
    }
    assert_eq!(stage.home.counters().tcp_connections, 0);
}

#[tokio::test]
async fn head_response_has_the_get_status_and_an_empty_body() {
    let stage = DoorStage::start().await;
    let jwt = token(&["read"], &json!({}));
    for (path, jwt, status) in [
        ("/health", None, 200),
        ("/api/states", Some(&jwt), 200),
        ("/api/states", None, 401),
        ("/nowhere", None, 404),
    ] {
        let asked = request("HEAD", path, jwt.map(String::as_str), None);
        let answer = raw_response(&stage, &asked).await;
        assert_eq!(answer["statusCode"], status, "{path}: {answer}");
        let body = answer["body"].as_str().unwrap_or_default();
        assert!(body.is_empty(), "{path}: {answer}");
        assert!(
            header(&answer, "content-type").is_some(),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn large_response_is_compressed_when_the_client_accepts_gzip() {
    let stage = DoorStage::start().await;
    let jwt = token(&["read"], &json!({}));
    let ask = async |path: &str, encoding: &str| {
        let mut event = request("GET", path, Some(&jwt), None);
        event["headers"]["accept-encoding"] = json!(encoding);
        raw_response(&stage, &event).await
    };
    let plain = ask("/api/states", "identity").await;
    assert_eq!(plain["isBase64Encoded"], false);
    let packed = ask("/api/states", "br, gzip;q=0.5").await;
    assert_eq!(header(&packed, "content-encoding"), Some("gzip"));
    assert_eq!(packed["isBase64Encoded"], true);
    let bytes = STANDARD.decode(packed["body"].as_str().unwrap()).unwrap();
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    let states = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    assert_eq!(states(&text), states(plain["body"].as_str().unwrap()));
    for small in ["/health", "/api/", "/api/states/light.kitchen"] {
        let answer = ask(small, "gzip").await;
        assert_eq!(answer["statusCode"], 200, "{small}: {answer}");
        assert_eq!(header(&answer, "content-encoding"), None, "{small}");
    }
}

#[tokio::test]
async fn base64_request_body_is_decoded() {
    let stage = DoorStage::start().await;
    let jwt = token(&["call:light.*"], &json!({}));
    let call = json!({ "entity_id": "light.kitchen" });
    let mut event = request("POST", "/api/services/light/turn_on", Some(&jwt), None);
    event["body"] = json!(STANDARD.encode(call.to_string()));
    event["isBase64Encoded"] = json!(true);
    let answer = raw_response(&stage, &event).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(stage.home.counters().service_calls.len(), 1);
}

#[tokio::test]
async fn request_above_the_size_limit_gets_413() {
    let stage = DoorStage::start().await;
    let jwt = token(&["admin"], &json!({}));
    for (path, bytes) in [
        ("/commands", (4 << 20) + 1),
        ("/api/template", (6 << 20) + 1),
    ] {
        let mut event = request("POST", path, Some(&jwt), None);
        event["body"] = json!(format!("{{{}", " ".repeat(bytes)));
        let (status, body) = stage.ask(&event).await;
        assert_eq!(
            (status, problem(&body)),
            (413, "message-too-large"),
            "{path}"
        );
    }
    assert_eq!(stage.home.counters().tcp_connections, 0);
}

#[tokio::test]
async fn cors_headers_are_sent_only_to_allowed_origins() {
    let allowed = DoorStage::with_variables(&[("CORS_ORIGINS", PAGE)]).await;
    let any = DoorStage::with_variables(&[("CORS_ORIGINS", "*")]).await;
    let closed = DoorStage::start().await;
    let preflight = |origin: &str| {
        let mut event = request("OPTIONS", "/commands", None, None);
        event["headers"] = json!({
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        });
        event
    };
    let get = |origin: &str| {
        let mut event = request("GET", "/api/states", None, None);
        event["headers"]["origin"] = json!(origin);
        event
    };
    const ORIGIN: &str = "access-control-allow-origin";
    const CREDENTIALS: &str = "access-control-allow-credentials";
    for (stage, origin, seen, credentials) in [
        (&allowed, PAGE, Some(PAGE), Some("true")),
        (&allowed, "https://evil.example", None, Some("true")),
        (&any, "https://evil.example", Some("*"), None),
        (&closed, PAGE, None, None),
    ] {
        let answer = raw_response(stage, &preflight(origin)).await;
        assert!(answer["statusCode"].as_u64().unwrap() < 300, "{answer}");
        assert_eq!(header(&answer, ORIGIN), seen, "{answer}");
        assert_eq!(header(&answer, CREDENTIALS), credentials, "{answer}");
        if seen.is_some() {
            let methods = header(&answer, "access-control-allow-methods").unwrap();
            assert!(methods.contains("POST"), "{answer}");
            let headers = header(&answer, "access-control-allow-headers").unwrap();
            assert!(headers.contains("authorization"), "{answer}");
        }
        // The page must be able to read an error response too.
        let answer = raw_response(stage, &get(origin)).await;
        assert_eq!(answer["statusCode"], 401);
        assert_eq!(header(&answer, ORIGIN), seen, "{answer}");
    }
    assert_eq!(allowed.home.counters().tcp_connections, 0);
}

/// A browser sends cookies with requests of any page, so a cookie counts only for an allowed page.
#[tokio::test]
async fn cookie_authenticates_only_requests_of_allowed_pages() {
    let stage = DoorStage::with_variables(&[("CORS_ORIGINS", PAGE)]).await;
    let jwt = token(&["read"], &json!({}));
    let other = token(&["read"], &json!({ "sub": "other" }));
    let ask = async |headers: Value, cookies: Value| {
        let mut event = request("GET", "/api/states", None, None);
        event["headers"] = headers;
        event["cookies"] = cookies;
        raw_response(&stage, &event).await["statusCode"]
            .as_u64()
            .unwrap()
    };
    let cookie = json!(["a=b", format!("latchkey_token={jwt}")]);
    for (headers, status) in [
        (json!({ "origin": PAGE }), 200),
        (json!({ "sec-fetch-site": "same-origin" }), 200),
        (json!({ "origin": "https://evil.example" }), 401),
        (json!({ "sec-fetch-site": "cross-site" }), 401),
        (json!({}), 401),
        (json!({ "authorization": format!("Bearer {jwt}") }), 200),
        (
            json!({ "origin": PAGE, "authorization": format!("Bearer {other}") }),
            401,
        ),
    ] {
        assert_eq!(
            ask(headers.clone(), cookie.clone()).await,
            status,
            "{headers}"
        );
    }
}

/// The OpenAPI document lists exactly the existing routes and every problem.
#[tokio::test]
async fn openapi_document_matches_the_routes_and_problems() {
    let stage = DoorStage::start().await;
    let (status, document) = stage
        .ask(&request("GET", "/openapi.json", None, None))
        .await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let jwt = token(&[], &json!({}));
    let mut routes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let names = ["get", "post", "put", "patch", "delete"];
        for (method, operation) in methods.as_object().unwrap() {
            if !names.contains(&method.as_str()) {
                continue;
            }
            routes += 1;
            let path = path.replace(['{', '}'], "");
            let is_open = operation["security"] == json!([]);
            let (anonymous, _) = stage
                .ask(&request(&method.to_uppercase(), &path, None, None))
                .await;
            assert_eq!(anonymous == 401, !is_open, "{method} {path}: {anonymous}");
            // A caller without permissions gets 403, or 400 for an unusable request.
            let (permitted, _) = stage
                .ask(&request(&method.to_uppercase(), &path, Some(&jwt), None))
                .await;
            let expected: &[u64] = match path.as_str() {
                "/api/" => &[200],
                _ if is_open => &[200, 503],
                _ => &[400, 403],
            };
            assert!(
                expected.contains(&permitted),
                "{method} {path}: {permitted}"
            );
        }
    }
    assert!(routes > 20, "{routes}");
    let described = document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
        .as_array()
        .unwrap();
    let mut described: Vec<&str> = described.iter().filter_map(Value::as_str).collect();
    described.sort_unstable();
    let mut urns = latchkey::service::failure::ProblemName::ALL.map(|name| name.urn());
    urns.sort_unstable();
    assert_eq!(described, urns);
}
