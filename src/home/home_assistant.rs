//! Clients for one home: its REST API and its WebSocket API.
//!
//! The module does not depend on the source of tokens. Callers pass tokens in, and [`HomeError::Rejected`] reports a
//! bad token.

mod answerer;
mod connection;
mod error;
mod extras;
mod freshness;
mod http_connection;
mod http_pool;
mod message;
mod rest_client;
mod session;
mod socket;
mod socket_watch;
mod target;
mod token_check;
mod transport;

pub use answerer::Expected;
pub use connection::{Connection, Heard, Outcome, Sieve, Status};
pub use error::{HomeError, Stage};
pub use extras::{Extras, Labels};
pub use freshness::{FRESH, Freshness, PING_TIMEOUT, STALE, freshness};
pub use message::{Answer, Command, CommandError, CommandFailure, JsonSlice};
pub use rest_client::{BrokenAnswer, RestAnswer, RestBody, RestCall, RestOutcome};
pub use session::{Checkout, Session, SessionReport, SessionState};
pub use socket::reseed_masks;
