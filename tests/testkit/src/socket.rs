//! Events of a WebSocket API, without a gateway.

use serde_json::{Value, json};

/// A connection of a client to the function, as events.
#[derive(Clone, Debug)]
pub struct Socket {
    /// The id of the connection.
    pub id: String,
    /// The host of the gateway.
    pub domain: String,
}

impl Socket {
    /// Returns the connection with this id. Its gateway does not exist, so no frame can be posted to it.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            domain: "api-id.execute-api.eu-central-1.amazonaws.com".to_owned(),
        }
    }

    /// Returns the event that opens the connection, with these headers and query parameters.
    pub fn connect(&self, headers: &Value, query: &Value) -> Value {
        let mut event = self.event("$connect", "CONNECT");
        event["headers"] = headers.clone();
        event["queryStringParameters"] = query.clone();
        event
    }

    /// Returns the event that opens the connection with a token in the header `Authorization`.
    pub fn connect_with(&self, token: &str) -> Value {
        let headers = json!({ "Authorization": format!("Bearer {token}") });
        self.connect(&headers, &json!({}))
    }

    /// Returns the event of a message.
    pub fn message(&self, message: &Value) -> Value {
        self.text(&message.to_string())
    }

    /// Returns the event of a message with this text.
    pub fn text(&self, text: &str) -> Value {
        let mut event = self.event("$default", "MESSAGE");
        event["body"] = json!(text);
        event
    }

    /// Returns the event that ends the connection.
    pub fn disconnect(&self) -> Value {
        self.event("$disconnect", "DISCONNECT")
    }

    fn event(&self, route: &str, kind: &str) -> Value {
        json!({
            "requestContext": {
                "routeKey": route,
                "eventType": kind,
                "extendedRequestId": "x=",
                "requestTime": "12/Mar/2026:19:03:58 +0000",
                "messageDirection": "IN",
                "stage": "prod",
                "connectedAt": 1_583_348_638_390_u64,
                "requestTimeEpoch": 1_583_348_638_390_u64,
                "identity": { "sourceIp": "192.0.2.1", "userAgent": "test" },
                "requestId": "x=",
                "domainName": self.domain,
                "connectionId": self.id,
                "apiId": "api-id",
            },
            "isBase64Encoded": false,
        })
    }
}
