//! The errors of connections.

use std::time::Duration;

use super::registry::RegistryError;

/// The reason why a connection, or a message on it, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The connection is not registered. It was closed, or its row was lost.
    #[error("the connection is not known")]
    Gone,
    /// The connection belongs to another subject or tenant than the new token.
    #[error("the new token is for another subject or tenant than the connection")]
    OtherPerson,
    /// The caller has too many connections.
    #[error("the caller already has {0} connections, the limit of the plan")]
    CallerFull(usize),
    /// The tenant has too many connections.
    #[error("the tenant already has {0} connections, the limit of the plan")]
    TenantFull(usize),
    /// The connection watches too many resources.
    #[error("the connection would have more than {0} subscriptions, the limit of the plan")]
    TooManySubscriptions(usize),
    /// The connection sends too many messages.
    #[error(
        "the connection sent more than {limit} messages per second, the limit of the plan; retry in {} ms",
        wait.as_millis()
    )]
    TooManyMessages {
        /// The limit, in messages per second.
        limit: u32,
        /// The time until a message would be accepted.
        wait: Duration,
    },
    /// The source address opens too many connections without a token, or sends too many invalid tokens.
    #[error("too many attempts to authenticate from this address; retry in {} ms", wait.as_millis())]
    TooManyAttempts {
        /// The time until an attempt would be accepted.
        wait: Duration,
    },
    /// The registry could not be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}
