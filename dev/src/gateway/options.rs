//! The options of a gateway.

use std::time::Duration;

use super::rate_limit::RateLimit;

/// The options of a gateway. The defaults are the limits of API Gateway.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// The name of the stage, which is the path of the client's URL.
    pub stage: String,
    /// The id of the API.
    pub api_id: String,
    /// True if clients may connect with any path. In front of AWS, a CloudFront function replaces the path
    /// `/api/websocket`, which clients of Home Assistant use, by the stage. This option stands for that function.
    pub accepts_any_path: bool,
    /// The time without frames in either direction after which a connection is closed.
    pub idle: Duration,
    /// The longest time that a connection stays open.
    pub lifetime: Duration,
    /// The time limit for an answer of the function.
    pub integration_timeout: Duration,
    /// The time from the request to post a frame to its delivery.
    pub post_delay: Duration,
    /// The limit for posted frames. A request above it gets 429.
    pub post_rate: Option<RateLimit>,
    /// The limit for new connections. A handshake above it gets 429.
    pub connection_rate: Option<RateLimit>,
}

impl GatewayOptions {
    /// Accepts clients with any path.
    #[must_use]
    pub fn any_path(self) -> Self {
        Self {
            accepts_any_path: true,
            ..self
        }
    }
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            stage: "prod".to_owned(),
            api_id: "w1s2o3c4k5".to_owned(),
            accepts_any_path: false,
            idle: Duration::from_secs(10 * 60),
            lifetime: Duration::from_secs(2 * 60 * 60),
            integration_timeout: Duration::from_secs(29),
            post_delay: Duration::ZERO,
            post_rate: None,
            connection_rate: None,
        }
    }
}
