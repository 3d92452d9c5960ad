//! An SQS queue.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::{DeadlineQueue, QueueError};
use crate::service::connections::gateway::SdkSettings;

/// The longest delay that SQS accepts.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// A queue in SQS.
pub struct SqsQueue {
    settings: SdkSettings,
    url: String,
    client: OnceCell<Client>,
}

impl SqsQueue {
    /// Creates an adapter for the queue at `url`. It makes its client at the first use.
    pub fn new(settings: SdkSettings, url: String) -> Self {
        Self {
            settings,
            url,
            client: OnceCell::new(),
        }
    }
}

impl DeadlineQueue for SqsQueue {
    fn send(&self, message: String, delay: Duration) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(async move {
            let request = self
                .client
                .get_or_init(async || Client::new(&(self.settings)().await))
                .await
                .send_message()
                .queue_url(&self.url)
                .message_body(message)
                .delay_seconds(whole_seconds(delay));
            match request.send().await {
                Ok(_) => Ok(()),
                Err(error) => Err(QueueError(error.code().unwrap_or("no answer").to_owned())),
            }
        })
    }
}

/// Returns a delay in whole seconds, rounded up, because a message must not come back early.
fn whole_seconds(delay: Duration) -> i32 {
    let seconds = delay.min(LONGEST_DELAY).as_millis().div_ceil(1_000);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_is_whole_seconds_up_to_the_limit_of_sqs() {
        for (milliseconds, seconds) in [(0, 0), (1, 1), (1_000, 1), (4_001, 5), (7_200_000, 900)] {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), seconds);
        }
    }
}
