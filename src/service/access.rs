//! Callers: who they are and what they may do.
//!
//! A caller proves itself by a JSON Web Token ([`Verifier`]); what it asks is decided against the permissions in that
//! token ([`Permit`]). This module knows nothing of the home's token, nor of how requests come in.

mod caller;
mod door;
mod entities;
mod error;
mod jwks;
mod keys;
mod naming;
mod permission;
mod permit;
mod permitted;
mod redact;
mod rest_request;
mod route;
mod signature;
mod unreadable;
mod verifier;

pub use caller::{Caller, Reads};
pub use door::Door;
pub use error::{AccessError, KeysError};
pub use jwks::HttpJwks;
pub use keys::{JwksSource, KeySource, KeyStore};
pub use permission::{Glob, Permission};
pub use permit::{Denied, Permit};
pub use permitted::Permitted;
pub use redact::without_capabilities;
pub use rest_request::{RestError, RestRequest};
pub use route::RestRoute;
pub use unreadable::Unreadable;
pub use verifier::{Verifier, VerifierConfig};

#[cfg(test)]
mod testing;
