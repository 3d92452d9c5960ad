//! The notation of each sender, and the members that are skipped or rejected.

use serde_json::{Value, json};

use super::*;

fn read(sender: Sender, event: &Value) -> Result<Incoming, MemberError> {
    Incoming::read(sender, &event.to_string())
}

/// Returns an event of `sender` with the members in `changes` replaced.
fn event(sender: Sender, changes: &Value) -> Value {
    let mut event = match sender {
        Sender::HttpApi => json!({
            "rawPath": "/health",
            "requestContext": { "http": { "method": "GET" } },
        }),
        Sender::RestApi | Sender::LoadBalancer => json!({ "httpMethod": "GET", "path": "/health" }),
    };
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

const ALL: [Sender; 3] = [Sender::RestApi, Sender::HttpApi, Sender::LoadBalancer];

fn header<'a>(incoming: &'a Incoming, name: &str) -> Vec<&'a str> {
    let values = incoming.headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn null_members_are_absent() {
    let nulls = json!({
        "headers": null, "multiValueHeaders": null, "cookies": null, "body": null,
        "queryStringParameters": null, "multiValueQueryStringParameters": null,
        "rawQueryString": null, "isBase64Encoded": null, "pathParameters": null,
        "resource": null, "routeKey": null, "version": null,
    });
    for sender in ALL {
        let incoming = read(sender, &event(sender, &nulls)).unwrap();
        assert_eq!(
            (incoming.path.as_str(), incoming.query.as_str()),
            ("/health", "")
        );
        assert!(incoming.headers.is_empty() && incoming.body.is_empty());
    }
    let nulls = json!({ "headers": { "accept": null, "x-a": "b" } });
    for sender in ALL {
        let incoming = read(sender, &event(sender, &nulls)).unwrap();
        assert_eq!(incoming.headers.len(), 1, "{sender:?}");
        assert_eq!(header(&incoming, "x-a"), ["b"]);
    }
}

#[test]
fn queries_are_read_in_the_notation_of_each_sender() {
    for (sender, members, query) in [
        (
            Sender::HttpApi,
            json!({ "rawQueryString": "a=b%20c&a={}" }),
            "a=b%20c&a=%7B%7D",
        ),
        // A REST API decodes the query, and a load balancer does not.
        (
            Sender::RestApi,
            json!({ "queryStringParameters": { "a b": "c&d" } }),
            "a+b=c%26d",
        ),
        (
            Sender::LoadBalancer,
            json!({ "queryStringParameters": { "a%20b": "c+d" } }),
            "a%20b=c+d",
        ),
        (
            Sender::RestApi,
            json!({
                "queryStringParameters": { "a": "2" },
                "multiValueQueryStringParameters": { "a": ["1", null, "2"], "b": [], "c": null },
            }),
            "a=1&a=2",
        ),
        (
            Sender::LoadBalancer,
            json!({
                "queryStringParameters": { "a": 5, "b": null, "c": true },
                "multiValueQueryStringParameters": {},
            }),
            "a=5&c=true",
        ),
    ] {
        let incoming = read(sender, &event(sender, &members)).unwrap();
        assert_eq!(incoming.query, query, "{members}");
    }
}

#[test]
fn headers_are_read_with_all_their_values() {
    let members = json!({
        "headers": { "Accept": "b", "Host": "h", "Accept-Encoding": "gzip", "N": 5 },
        "multiValueHeaders": { "Accept": ["a", "b"], "Host": ["h"], "Accept-Encoding": ["gzip"] },
        "cookies": ["c=1", null, "d=2"],
    });
    let incoming = |sender| read(sender, &event(sender, &members)).unwrap();
    assert_eq!(header(&incoming(Sender::RestApi), "accept"), ["a", "b"]);
    assert_eq!(
        header(&incoming(Sender::LoadBalancer), "accept"),
        ["a", "b"]
    );
    assert_eq!(header(&incoming(Sender::HttpApi), "accept"), ["b"]);
    assert_eq!(header(&incoming(Sender::HttpApi), "n"), ["5"]);
    assert_eq!(header(&incoming(Sender::HttpApi), "cookie"), ["c=1; d=2"]);
    assert_eq!(
        header(&incoming(Sender::RestApi), "accept-encoding"),
        [""; 0]
    );
    assert_eq!(
        header(&incoming(Sender::LoadBalancer), "accept-encoding"),
        ["gzip"]
    );
    for sender in ALL {
        assert_eq!(header(&incoming(sender), "host"), [""; 0]);
    }
}

#[test]
fn unreadable_header_is_an_error_only_if_it_changes_the_meaning_of_the_request() {
    for value in [json!({}), json!([["a"]]), json!([{}]), json!("a\nb")] {
        for name in ["accept", "x-forwarded-for", "host"] {
            let members = json!({ "headers": { name: value } });
            for sender in ALL {
                let incoming = read(sender, &event(sender, &members)).unwrap();
                assert!(incoming.headers.is_empty(), "{name} {value}");
            }
        }
        for name in ["authorization", "Cookie", "Content-Type"] {
            let members = json!({ "headers": { name: value } });
            for sender in ALL {
                let error = read(sender, &event(sender, &members)).unwrap_err();
                assert_eq!(error.member, format!("headers.{name}"), "{value}");
            }
        }
    }
}

#[test]
fn unusable_member_is_named() {
    use Sender::{HttpApi, LoadBalancer, RestApi};
    for (sender, changes, member) in [
        (RestApi, json!({ "httpMethod": 5 }), "httpMethod"),
        (RestApi, json!({ "httpMethod": null }), "httpMethod"),
        (RestApi, json!({ "httpMethod": "" }), "httpMethod"),
        (LoadBalancer, json!({ "httpMethod": "a b" }), "httpMethod"),
        (HttpApi, json!({ "requestContext": 5 }), "requestContext"),
        (HttpApi, json!({ "requestContext": null }), "requestContext"),
        (
            HttpApi,
            json!({ "requestContext": { "http": null } }),
            "requestContext.http",
        ),
        (
            HttpApi,
            json!({ "requestContext": { "http": {} } }),
            "requestContext.http.method",
        ),
        (
            HttpApi,
            json!({ "requestContext": { "http": [] } }),
            "requestContext.http",
        ),
        (
            HttpApi,
            json!({ "requestContext": { "http": { "method": {} } } }),
            "requestContext.http.method",
        ),
        (RestApi, json!({ "path": null }), "path"),
        (LoadBalancer, json!({ "path": [] }), "path"),
        (LoadBalancer, json!({ "path": "a".repeat(40_000) }), "path"),
        (HttpApi, json!({ "rawPath": true }), "rawPath"),
        (
            HttpApi,
            json!({ "rawPath": null }),
            "requestContext.http.path",
        ),
        (HttpApi, json!({ "rawQueryString": {} }), "rawQueryString"),
        (
            RestApi,
            json!({ "queryStringParameters": 5 }),
            "queryStringParameters",
        ),
        (
            RestApi,
            json!({ "queryStringParameters": { "a": {} } }),
            "queryStringParameters.a",
        ),
        (
            LoadBalancer,
            json!({ "multiValueQueryStringParameters": { "a": [[]] } }),
            "multiValueQueryStringParameters.a",
        ),
        (HttpApi, json!({ "headers": [] }), "headers"),
        (HttpApi, json!({ "headers": { "a b": "c" } }), "headers.a b"),
        (
            HttpApi,
            json!({ "headers": { "eyJhbGciOi=": "c" } }),
            "headers",
        ),
        (
            RestApi,
            json!({ "multiValueHeaders": "x" }),
            "multiValueHeaders",
        ),
        (HttpApi, json!({ "cookies": {} }), "cookies"),
        (HttpApi, json!({ "body": {} }), "body"),
        (
            HttpApi,
            json!({ "body": "@@@", "isBase64Encoded": true }),
            "body",
        ),
        (
            HttpApi,
            json!({ "isBase64Encoded": "maybe" }),
            "isBase64Encoded",
        ),
    ] {
        let found = read(sender, &event(sender, &changes));
        assert_eq!(found.unwrap_err().member, member, "{changes}");
    }
}

#[test]
fn path_is_read_from_the_context_if_it_is_absent_elsewhere() {
    let context = json!({ "http": { "method": "GET", "path": "/api/states" } });
    let changes = json!({ "rawPath": null, "requestContext": context });
    let incoming = read(Sender::HttpApi, &event(Sender::HttpApi, &changes)).unwrap();
    assert_eq!(incoming.path, "/api/states");
}

#[test]
fn members_outside_the_request_are_ignored() {
    for value in [
        json!(5),
        json!([]),
        json!({ "claims": { "exp": 5 } }),
        json!(""),
    ] {
        let others = json!({
            "stageVariables": value, "resource": value, "routeKey": value, "pathParameters": value,
            "version": value, "authorizer": value,
        });
        for sender in ALL {
            let mut event = event(sender, &others);
            for name in ["authorizer", "stage", "timeEpoch", "identity"] {
                event["requestContext"][name] = value.clone();
            }
            assert!(read(sender, &event).is_ok(), "{event}");
        }
    }
}
