//! How a [`SimulatedHome`](super::SimulatedHome) is to be.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// How a [`SimulatedHome`](super::SimulatedHome) is to be; the defaults are Home Assistant's own.
#[derive(Clone, Debug)]
pub struct HomeOptions {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Failed logins from one address after which that address is banned
    /// (`ip_ban_enabled` with `login_attempts_threshold`); never when absent.
    pub login_attempts_threshold: Option<u32>,
    /// `get_states` and `GET /api/states` answer at least this many bytes, by means of filler
    /// sensors.
    pub states_bytes: Option<usize>,
    /// How long a socket may stay unauthenticated.
    pub auth_timeout: Duration,
    /// Silence after which the home pings; the socket is dropped, without a close frame, when
    /// half as long again brings nothing.
    pub heartbeat: Duration,
    /// The version the home says it runs.
    pub ha_version: String,
    /// Serve https and wss with this configuration.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// A path in front of every path, as behind a reverse proxy; empty, or like `/home`.
    pub prefix: String,
    /// Headers that something in front of the home demands; without them it answers with a login page.
    pub required_headers: Vec<(String, String)>,
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
        }
    }
}
