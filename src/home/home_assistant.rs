//! A home: its REST API, as far as proving a token needs it, and its WebSocket.
//!
//! It knows nothing of where tokens come from. Tokens are handed in, and [`HomeError::Rejected`] says when one is bad.

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
