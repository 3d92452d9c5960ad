//! Simulated homes and relays in front of them.

use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::relay::{Relay, RelayOptions};

use crate::port::Port;

/// Starts a simulated home.
pub async fn home() -> SimulatedHome {
    home_with(HomeOptions::default()).await
}

/// Starts a simulated home with these options.
pub async fn home_with(options: HomeOptions) -> SimulatedHome {
    SimulatedHome::start(options).await.unwrap()
}

/// A simulated home that keeps its port while it is down, and a relay in front of it.
pub struct RelayedHome {
    /// The home.
    pub home: SimulatedHome,
    /// The relay, which can delay, cut and swallow bytes.
    pub relay: Relay,
    /// A token that the home accepts.
    pub token: String,
    /// The port of the home.
    pub port: Port,
}

impl RelayedHome {
    /// Starts a home and its relay. The system chooses the port; the address in `options` is not used.
    pub async fn start(options: HomeOptions) -> Self {
        let port = Port::reserve();
        let address = port.address;
        let home = home_with(HomeOptions { address, ..options }).await;
        let relay = Relay::start(home.address(), RelayOptions::default())
            .await
            .unwrap();
        Self {
            token: home.mint_token("latchkey"),
            home,
            relay,
            port,
        }
    }

    /// Returns the home's URL through the relay.
    pub fn url(&self) -> String {
        format!("http://{}", self.relay.addr())
    }
}

/// Starts a relay to `url`, which has an IP address and a port.
pub async fn relay_to(url: &str) -> Relay {
    let target = url.trim_start_matches("http://").parse().unwrap();
    Relay::start(target, RelayOptions::default()).await.unwrap()
}
