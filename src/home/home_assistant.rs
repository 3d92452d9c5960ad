//! Clients for one home: its REST API and its WebSocket API.
//!
//! The module does not depend on the source of tokens. Callers pass tokens in, and [`HomeError::Rejected`] reports a
//! bad token.

mod answerer;
mod connection;
mod error;
mod extras;
mod message;
mod preconnect;
mod rest_client;
mod session;
mod socket;
mod target;
mod token_check;
mod transport;

pub use answerer::Expected;
pub use connection::{Connection, Heard, Outcome, Sieve, Status};
pub use error::{HomeError, Stage};
pub use extras::{Extras, Labels};
pub use message::{Answer, Command, CommandError, CommandFailure, JsonSlice};
pub use rest_client::{BrokenAnswer, RestAnswer, RestBody, RestCall, RestOutcome};
pub use session::{
    Checkout, FRESH, Freshness, PING_TIMEOUT, STALE, Session, SessionReport, SessionState,
    freshness,
};
pub use socket::reseed_masks;
