//! Delayed messages. No timer outlives an invocation, so latchkey sends itself a message for each deadline.

mod sqs;

use std::time::Duration;

use futures_util::future::BoxFuture;
pub use sqs::SqsQueue;

/// The error of a message that could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue of deadlines could not be used ({0})")]
pub struct QueueError(pub String);

/// A queue whose messages come back as events of the function.
pub trait DeadlineQueue: Send + Sync {
    /// Sends `message`, to come back after `delay`. A queue with a limit for delays cuts the delay to this limit.
    fn send(&self, message: String, delay: Duration) -> BoxFuture<'_, Result<(), QueueError>>;
}
