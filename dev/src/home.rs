//! A simulated home: Home Assistant's REST and WebSocket APIs as far as latchkey uses them, with
//! counters that prove what was sent and faults that can be armed while it runs.
//!
//! ```text
//! server    TCP, TLS, HTTP/1.1: one task a connection
//!   rest      REST routes and their faults
//!   socket    WebSocket: upgrade, authentication, commands, and their faults
//!     command   what each command answers
//!     outgoing  how messages are put on the wire, whole or mangled
//! token, ban, entity, service    the home's own state
//! ```
//!
//! Where it matters it does as Home Assistant's source does, down to its oddities: a failed
//! login is a REST 401 or a wrong token on the socket (a malformed `auth` is `auth_invalid` too,
//! but no strike), and only a good login on the socket, not a REST request, forgives earlier ones.

mod ban;
mod command;
mod counters;
mod entity;
mod fault;
mod options;
mod outgoing;
mod rest;
mod server;
mod service;
mod socket;
mod token;
mod wire;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::JoinHandle,
};

pub(crate) use self::token::{LEEWAY_SECONDS, unix_now};
use self::{
    ban::Bans,
    counters::Tally,
    entity::Entities,
    fault::{CommandFault, Slot},
    token::{OWNER, Tokens},
};
pub use self::{
    counters::{Counters, ServiceCall},
    fault::{Break, ConnectionFault, Fault, Junk, Refusal, RestFault, SocketFault, SocketStage},
    options::HomeOptions,
    token::HomeToken,
};

/// Events a slow subscriber may be behind before it loses some.
const EVENT_BACKLOG: usize = 4096;

/// How long a new token lasts: what Home Assistant's own pages ask for.
const TEN_YEARS_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;

/// A Home Assistant in this process, on loopback. It runs on the tokio runtime it is started on
/// and closes, connections and all, when dropped.
#[derive(Debug)]
pub struct SimulatedHome {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Option<JoinHandle<()>>,
}

impl SimulatedHome {
    /// Starts a home.
    pub async fn start(options: HomeOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            tokens: Mutex::new(Tokens::new()),
            bans: Mutex::new(Bans::new(options.login_attempts_threshold)),
            entities: Mutex::new(Entities::new(options.states_bytes)),
            tally: Tally::new(),
            connection_fault: Slot::new(),
            rest_fault: Slot::new(),
            socket_fault: Slot::new(),
            command_fault: Slot::new(),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            token_deleted: watch::Sender::new(()),
            stopping: watch::Sender::new(false),
            options,
        });
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            server: Some(server),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a slash at the end. Under TLS the host is `localhost`.
    pub fn url(&self) -> String {
        if self.shared.options.tls.is_some() {
            format!("https://localhost:{}", self.address.port())
        } else {
            format!("http://{}", self.address)
        }
    }

    /// The URL of its WebSocket.
    pub fn websocket_url(&self) -> String {
        format!("{}/api/websocket", self.url().replacen("http", "ws", 1))
    }

    /// Stops as Home Assistant does: sockets are closed with 1000, then everything else, and
    /// the port is free when this returns. Tokens, states, bans and counters stay.
    pub async fn stop(&mut self) {
        self.shared.stopping.send_replace(true);
        if let Some(server) = self.server.take() {
            // The task ends by itself; an error would mean it panicked, which the test sees.
            let _ = server.await;
        }
    }

    /// Dies as under `kill -9`: every connection just ends, and the port is free when this
    /// returns.
    pub async fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    /// Listens again on the same address after [`Self::stop`] or [`Self::kill`], which it does
    /// first if need be.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await?;
        self.shared.stopping.send_replace(false);
        let server = server::serve(listener, Arc::clone(&self.shared));
        self.server = Some(tokio::spawn(server));
        Ok(())
    }

    /// A new long-lived access token, good for ten years.
    pub fn mint_token(&self, client_name: &str) -> String {
        self.mint_expiring_token(client_name, unix_now() + TEN_YEARS_SECONDS)
    }

    /// A new long-lived access token with this `exp`, in seconds since 1970. As in Home
    /// Assistant it is still good for 10 seconds after.
    pub fn mint_expiring_token(&self, client_name: &str, exp: u64) -> String {
        locked(&self.shared.tokens).mint(OWNER, client_name, exp)
    }

    /// Makes another user of this name, an administrator (but not the owner) or an ordinary one;
    /// returns a new long-lived token of theirs, named alike.
    pub fn mint_token_of_another_user(&self, name: &str, admin: bool) -> String {
        let mut tokens = locked(&self.shared.tokens);
        let user = tokens.add_user(name, admin);
        tokens.mint(user, name, unix_now() + TEN_YEARS_SECONDS)
    }

    /// All tokens the home has, expired ones too, in the order in which they were minted.
    pub fn tokens(&self) -> Vec<HomeToken> {
        locked(&self.shared.tokens).all()
    }

    /// Whether it would accept a token. Asking this is no login.
    pub fn accepts(&self, token: &str) -> bool {
        locked(&self.shared.tokens).validate(token).is_some()
    }

    /// Deletes a token and closes its sockets at once. False when the home does not have it.
    pub fn revoke(&self, token: &str) -> bool {
        let id = locked(&self.shared.tokens).id_of(token);
        id.is_some_and(|id| self.shared.delete_token(&id))
    }

    /// Whether any address is banned.
    pub fn is_banned(&self) -> bool {
        locked(&self.shared.bans).any()
    }

    /// Lifts all bans and forgets all failed logins, as a person with an editor would.
    pub fn lift_bans(&self) {
        locked(&self.shared.bans).clear();
    }

    /// An entity's state.
    pub fn state(&self, entity_id: &str) -> Option<String> {
        locked(&self.shared.entities).state(entity_id)
    }

    /// Sets an entity's state, making the entity if need be, and tells subscribers.
    pub fn set_state(&self, entity_id: &str, state: &str) {
        let event = locked(&self.shared.entities).set_state(entity_id, state, &entity::context());
        self.shared.publish(event);
    }

    /// What the home has seen so far.
    pub fn counters(&self) -> Counters {
        self.shared.tally.snapshot()
    }

    /// Waits until the counters fulfil a condition, and returns them.
    pub async fn wait_for(&self, condition: impl Fn(&Counters) -> bool) -> Counters {
        self.shared.tally.wait_for(condition).await
    }

    /// Arms a fault until it is cleared or replaced by another of its kind. It meets whatever
    /// reaches its point from now on, on open connections too.
    pub fn set_fault(&self, fault: impl Into<Fault>) {
        self.shared.arm(fault.into(), None);
    }

    /// Arms a fault for the next `times` occasions.
    pub fn set_fault_times(&self, fault: impl Into<Fault>, times: u32) {
        self.shared.arm(fault.into(), Some(times));
    }

    /// Breaks off during the next `times` commands of this type, before they are executed
    /// ([`SocketStage::Command`]) or after ([`SocketStage::Reply`]). One such fault can be armed at
    /// a time, beside those of other kinds.
    pub fn break_during(&self, command: &str, stage: SocketStage, way: Break, times: u32) {
        let fault = CommandFault {
            command: command.to_owned(),
            stage,
            way,
        };
        self.shared.command_fault.arm(fault, Some(times));
    }

    /// Disarms all faults. What hangs goes on hanging.
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

/// What all connections of a home share. Std mutexes: nothing awaits while one is held.
#[derive(Debug)]
struct Shared {
    options: HomeOptions,
    tokens: Mutex<Tokens>,
    bans: Mutex<Bans>,
    entities: Mutex<Entities>,
    tally: Tally,
    connection_fault: Slot<ConnectionFault>,
    rest_fault: Slot<RestFault>,
    socket_fault: Slot<SocketFault>,
    command_fault: Slot<CommandFault>,
    events: broadcast::Sender<Arc<Value>>,
    token_deleted: watch::Sender<()>,
    stopping: watch::Sender<bool>,
}

impl Shared {
    fn arm(&self, fault: Fault, times: Option<u32>) {
        match fault {
            Fault::Connection(fault) => self.connection_fault.arm(fault, times),
            Fault::Rest(fault) => self.rest_fault.arm(fault, times),
            Fault::Socket(fault) => self.socket_fault.arm(fault, times),
        }
    }

    /// Takes a fault of a socket if it is wanted here, and counts it.
    fn socket_fault<T>(&self, wanted: impl Fn(&SocketFault) -> Option<T>) -> Option<T> {
        self.counted(self.socket_fault.take(wanted))
    }

    /// How to break off at this stage of this command, if a fault wants it.
    fn command_fault(&self, command: &Value, here: SocketStage) -> Option<Break> {
        let any = self.socket_fault(|fault| match fault {
            SocketFault::At(stage, way) if *stage == here => Some(*way),
            _ => None,
        });
        any.or_else(|| {
            let is_meant =
                |fault: &CommandFault| fault.stage == here && command["type"] == fault.command;
            let way = |fault: &CommandFault| is_meant(fault).then_some(fault.way);
            self.counted(self.command_fault.take(way))
        })
    }

    fn counted<T>(&self, fault: Option<T>) -> Option<T> {
        if fault.is_some() {
            self.tally.count(|counters| counters.faults_hit += 1);
        }
        fault
    }

    fn publish(&self, events: impl IntoIterator<Item = Value>) {
        for event in events {
            // Nobody may be listening.
            let _ = self.events.send(Arc::new(event));
        }
    }

    fn delete_token(&self, id: &str) -> bool {
        let deleted = locked(&self.tokens).delete(id);
        self.token_deleted.send_replace(());
        deleted
    }
}

/// A panic while a lock was held has failed its test already; the data is whole all the same.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
