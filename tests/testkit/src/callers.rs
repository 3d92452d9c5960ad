//! Callers over HTTP: a secret, tokens that are signed with it, and requests through an HTTP API.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey::base::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

/// The parameter that stores the secret.
pub const SECRET_PARAMETER: &str = "/latchkey/callers";
/// The secret that callers' tokens are signed with.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The issuer of callers' tokens.
pub const ISSUER: &str = "https://issuer.example";
/// The audience of callers' tokens.
pub const AUDIENCE: &str = "latchkey";

/// Returns the variables of a function that authenticates its callers. Its home is at `url`.
pub fn variables(url: &str) -> [(&str, &str); 5] {
    [
        ("HA_URL", url),
        ("CALLER_JWT_ISSUER", ISSUER),
        ("CALLER_JWT_AUDIENCE", AUDIENCE),
        ("CALLER_JWT_SECRET_PARAMETER", SECRET_PARAMETER),
        ("METRICS_NAMESPACE", "Door"),
    ]
}

/// Returns a request through an HTTP API.
pub fn request(method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Value {
    let mut headers = json!({ "content-type": "application/json" });
    if let Some(token) = token {
        headers["authorization"] = json!(format!("Bearer {token}"));
    }
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "api-id.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "api-id",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1_583_348_638_390_u64,
        },
        "body": body.map(Value::to_string),
        "isBase64Encoded": false,
    })
}

/// Returns a request to run one command.
pub fn run(token: Option<&str>, command: &Value) -> Value {
    request(
        "POST",
        "/commands",
        token,
        Some(&json!({ "command": command })),
    )
}

/// Returns a token with these permissions that is valid for one hour. `changes` replaces and adds claims.
pub fn token(permissions: &[&str], changes: &Value) -> String {
    let now = SystemClock::new().now().unix;
    let mut claims = json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "somebody",
        "exp": (now + Duration::from_secs(3_600)).as_secs(),
        "permissions": permissions,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        part(&json!({"alg": "HS256", "typ": "JWT"})),
        part(&claims)
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
