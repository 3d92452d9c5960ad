//! The handle of a simulated home.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    context,
    counters::Counters,
    fault::{Break, CommandFault, Fault, SocketStage},
    options::HomeOptions,
    server,
    shared::Shared,
    token::{HomeToken, OWNER},
};
use crate::{expiry::unix_now, lock::locked};

/// The lifetime of a new token. Home Assistant's frontend asks for the same.
const TEN_YEARS_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;

/// A simulated Home Assistant in this process, on loopback. The home runs on the tokio runtime that
/// starts it. Dropping the handle closes the home and all its connections.
#[derive(Debug)]
pub struct SimulatedHome {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Option<JoinHandle<()>>,
}

impl SimulatedHome {
    /// Starts a home.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(options: HomeOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(options));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            server: Some(server),
        })
    }

    /// Returns the address that the home listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL, without a slash at the end. With TLS, the host is `localhost`.
    pub fn url(&self) -> String {
        if self.shared.options.tls.is_some() {
            format!("https://localhost:{}", self.address.port())
        } else {
            format!("http://{}", self.address)
        }
    }

    /// Returns the URL of the WebSocket API.
    pub fn websocket_url(&self) -> String {
        format!("{}/api/websocket", self.url().replacen("http", "ws", 1))
    }

    /// Stops the home as Home Assistant stops: the home closes its WebSockets with 1000, then all
    /// other connections. When this returns, the port is free. Tokens, states, bans and counters
    /// stay.
    pub async fn stop(&mut self) {
        self.shared.stopping.send_replace(true);
        if let Some(server) = self.server.take() {
            // An error means that the task panicked, which the test's output shows.
            let _ = server.await;
        }
    }

    /// Stops the home as `kill -9` would: every connection ends without a close frame. When this
    /// returns, the port is free.
    pub async fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    /// Listens on the same address again. A running home is stopped first.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await?;
        self.shared.stopping.send_replace(false);
        let server = server::serve(listener, Arc::clone(&self.shared));
        self.server = Some(tokio::spawn(server));
        Ok(())
    }

    /// Creates a long-lived access token that is valid for ten years.
    pub fn mint_token(&self, client_name: &str) -> String {
        self.mint_expiring_token(client_name, unix_now() + TEN_YEARS_SECONDS)
    }

    /// Creates a long-lived access token with this `exp`, in seconds since 1970. As in Home
    /// Assistant, the token is valid for 10 more seconds.
    pub fn mint_expiring_token(&self, client_name: &str, exp: u64) -> String {
        locked(&self.shared.tokens).mint(OWNER, client_name, exp)
    }

    /// Creates another user, who is not the owner, and a long-lived token of that user. Both have
    /// this name. `admin` makes the user an administrator.
    pub fn mint_token_of_another_user(&self, name: &str, admin: bool) -> String {
        let mut tokens = locked(&self.shared.tokens);
        let user = tokens.add_user(name, admin);
        tokens.mint(user, name, unix_now() + TEN_YEARS_SECONDS)
    }

    /// Returns all tokens, including expired ones, in order of creation.
    pub fn tokens(&self) -> Vec<HomeToken> {
        locked(&self.shared.tokens).all()
    }

    /// Returns true if the home would accept a token. This does not count as a login.
    pub fn accepts(&self, token: &str) -> bool {
        locked(&self.shared.tokens).validate(token).is_some()
    }

    /// Deletes a token and closes its WebSockets at once. Returns false if the token is unknown.
    pub fn revoke(&self, token: &str) -> bool {
        let id = locked(&self.shared.tokens).id_of(token);
        id.is_some_and(|id| self.shared.delete_token(&id))
    }

    /// Returns true if any address is banned.
    pub fn is_banned(&self) -> bool {
        locked(&self.shared.bans).any()
    }

    /// Removes all bans and resets the count of failed logins.
    pub fn lift_bans(&self) {
        locked(&self.shared.bans).clear();
    }

    /// Returns the state of an entity.
    pub fn state(&self, entity_id: &str) -> Option<String> {
        locked(&self.shared.entities).state(entity_id)
    }

    /// Sets the state of an entity and sends the event to subscribers. Creates an unknown entity.
    pub fn set_state(&self, entity_id: &str, state: &str) {
        let event = locked(&self.shared.entities).set_state(entity_id, state, &context::new());
        self.shared.publish(event);
    }

    /// Returns the counters.
    pub fn counters(&self) -> Counters {
        self.shared.tally.snapshot()
    }

    /// Waits until the counters meet a condition, and returns the counters.
    pub async fn wait_for(&self, condition: impl Fn(&Counters) -> bool) -> Counters {
        self.shared.tally.wait_for(condition).await
    }

    /// Arms a fault. The fault stays armed until it is cleared or replaced by another fault of the
    /// same kind, and affects open connections too.
    pub fn set_fault(&self, fault: impl Into<Fault>) {
        self.shared.arm(fault.into(), None);
    }

    /// Arms a fault that takes effect `times` times.
    pub fn set_fault_times(&self, fault: impl Into<Fault>, times: u32) {
        self.shared.arm(fault.into(), Some(times));
    }

    /// Breaks the WebSocket during the next `times` commands of this type, before their execution
    /// ([`SocketStage::Command`]) or after it ([`SocketStage::Reply`]). Only one such fault can be
    /// armed at a time; faults of other kinds can be armed as well.
    pub fn break_during(&self, command: &str, stage: SocketStage, way: Break, times: u32) {
        let fault = CommandFault {
            command: command.to_owned(),
            stage,
            way,
        };
        self.shared.command_fault.arm(fault, Some(times));
    }

    /// Disarms all faults. Connections that already hang continue to hang.
    pub fn clear_faults(&self) {
        self.shared.connection_fault.clear();
        self.shared.rest_fault.clear();
        self.shared.socket_fault.clear();
        self.shared.command_fault.clear();
    }
}

impl Drop for SimulatedHome {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}
