//! Access control: authenticates callers, and authorises their requests.
//!
//! A caller authenticates with a JSON Web Token ([`Verifier`]). A request is authorised by the permissions in that
//! token ([`Permit`]). This module does not depend on the home's token or on the kind of event that holds a request.

mod authenticator;
mod caller;
mod entities;
mod error;
mod jwks;
mod keys;
mod naming;
mod permission;
mod permit;
mod permitted;
mod push_secret;
mod redact;
mod rest_request;
mod route;
mod signature;
mod unreadable;
mod verifier;

pub use authenticator::Authenticator;
pub use caller::{Caller, Reads};
pub use error::{AccessError, KeysError};
pub use jwks::HttpJwks;
pub use keys::{JwksSource, KeySource, KeyStore};
pub use permission::{Glob, Permission};
pub use permit::{Denied, Permit, only_reads};
pub use permitted::Permitted;
pub use push_secret::{PushSecret, PushSignature, SIGNATURE_WINDOW};
pub use redact::without_capabilities;
pub use rest_request::{RestError, RestRequest};
pub use route::RestRoute;
pub use unreadable::Unreadable;
pub use verifier::{Verifier, VerifierConfig};

#[cfg(test)]
mod testing;
