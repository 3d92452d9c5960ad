//! The options of a simulated home.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// The options of a simulated home. The defaults are those of Home Assistant.
#[derive(Clone, Debug)]
pub struct HomeOptions {
    /// The address to listen on. With port 0, the system chooses a port.
    pub address: SocketAddr,
    /// The number of failed logins after which an address is banned (`ip_ban_enabled` with
    /// `login_attempts_threshold`). `None` disables the ban.
    pub login_attempts_threshold: Option<u32>,
    /// The minimum size of the results of `get_states` and `GET /api/states`, reached with filler
    /// sensors.
    pub states_bytes: Option<usize>,
    /// The time limit for authentication on a WebSocket.
    pub auth_timeout: Duration,
    /// The idle time after which the home sends a ping. If nothing arrives for half of this time
    /// after the ping, the home drops the WebSocket without a close frame.
    pub heartbeat: Duration,
    /// The version that the home reports.
    pub ha_version: String,
    /// The TLS configuration. `None` serves plain HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// A prefix of every path, as behind a reverse proxy: empty, or like `/home`.
    pub prefix: String,
    /// Headers that an access proxy requires. A request without them gets a login page.
    pub required_headers: Vec<(String, String)>,
    /// True if the home has the integration `alexa`, which serves `POST /api/alexa/smart_home`.
    pub has_alexa: bool,
}

impl Default for HomeOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            login_attempts_threshold: None,
            states_bytes: None,
            auth_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(55),
            ha_version: "2025.4.4".to_owned(),
            tls: None,
            prefix: String::new(),
            required_headers: Vec::new(),
            has_alexa: false,
        }
    }
}
