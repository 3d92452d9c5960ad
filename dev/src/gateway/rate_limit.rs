//! Rate limits.

use tokio::time::Instant;

/// A limit for the rate of requests: a token bucket, as in API Gateway.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// The tokens that the bucket gets in a second. A request takes one token.
    pub per_second: f64,
    /// The size of the bucket, which is full at the start.
    pub burst: u32,
}

/// The token bucket of a rate limit.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        Self {
            limit,
            tokens: f64::from(limit.burst),
            filled_at: now,
        }
    }

    /// Takes a token. Returns false if the bucket is empty.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        let tokens = self.tokens + elapsed * self.limit.per_second;
        self.tokens = tokens.min(f64::from(self.limit.burst));
        self.filled_at = now;
        let has_token = self.tokens >= 1.0;
        if has_token {
            self.tokens -= 1.0;
        }
        has_token
    }
}
