//! Settings of the WebSocket door, without the authentication of callers.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::time::Duration;

use super::rates::{Rate, RateLimits};
use super::reader::Reader;

const LIMITS: &str = "CALLER_CONNECTION_LIMITS";
const QUEUE: &str = "DEADLINE_QUEUE_URL";
/// The plan name that stands for all other plans.
const OTHERS: &str = "*";

/// The settings of the WebSocket door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// True if a caller's token may be in the query of the URL.
    pub takes_query_token: bool,
    /// The time within which a new connection must authenticate.
    pub auth_limit: Duration,
    /// The time before the expiry of the caller's token at which the client is warned.
    pub warning: Duration,
    /// The time after the expiry of the caller's token at which the connection is closed.
    pub grace: Duration,
    /// The limits of each plan.
    pub limits: ConnectionLimits,
    /// The URL of the queue that returns delayed messages. `None`: only keep-warm events enforce deadlines.
    pub queue_url: Option<String>,
}

/// The limits of one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// The number of connections that one caller may have open.
    pub per_caller: usize,
    /// The number of connections that all callers of a tenant may have open together.
    pub per_tenant: usize,
    /// The number of subscriptions and watched resources of one connection.
    pub subscriptions: usize,
    /// The number of messages per second of one connection.
    pub messages: u32,
}

/// The limits of each plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The limits of named plans.
    pub plans: BTreeMap<String, ConnectionLimit>,
    /// The limits of all other plans, and of callers without a plan.
    pub others: ConnectionLimit,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            plans: BTreeMap::new(),
            others: ConnectionLimit {
                per_caller: 10,
                per_tenant: 100,
                subscriptions: 50,
                messages: 20,
            },
        }
    }
}

impl ConnectionLimits {
    /// Returns the rate limit of messages for each plan.
    pub fn message_rates(&self) -> RateLimits {
        let rate = |limit: ConnectionLimit| Rate {
            interval: Duration::from_secs(1) / limit.messages,
            burst: limit.messages,
        };
        let plans = self.plans.iter();
        RateLimits {
            plans: plans
                .map(|(plan, limit)| (plan.clone(), Some(rate(*limit))))
                .collect(),
            others: Some(rate(self.others)),
        }
    }

    /// Returns the limits of a plan.
    pub fn of(&self, plan: Option<&str>) -> ConnectionLimit {
        let named = plan.and_then(|plan| self.plans.get(plan));
        named.copied().unwrap_or(self.others)
    }
}

impl Reader<'_> {
    pub(super) fn websocket(&mut self) -> WebSocketConfig {
        WebSocketConfig {
            takes_query_token: self.choice(
                "WEBSOCKET_QUERY_TOKEN",
                &[("off", false), ("on", true)],
                false,
            ),
            auth_limit: self.seconds("WEBSOCKET_AUTH_SECONDS", 5, 1..=60),
            warning: self.seconds("WEBSOCKET_WARN_SECONDS", 60, 0..=3_600),
            grace: self.seconds("WEBSOCKET_GRACE_SECONDS", 30, 0..=300),
            limits: self.connection_limits(),
            queue_url: self.queue_url(),
        }
    }

    fn connection_limits(&mut self) -> ConnectionLimits {
        let Some(text) = self.text(LIMITS) else {
            return ConnectionLimits::default();
        };
        parse(&text).unwrap_or_else(|| {
            self.fault(
                LIMITS,
                "must be a comma-separated list of plans with limits, each plan once, like \
                 `*=10/100/50/20,guest=2/100/10/5`; the limits are connections per caller, connections per tenant, \
                 subscriptions per connection, and messages per second per connection (1 to 100000 each)",
            );
            ConnectionLimits::default()
        })
    }

    fn queue_url(&mut self) -> Option<String> {
        let text = self.text(QUEUE)?;
        let is_url = url::Url::parse(&text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_url {
            self.fault(
                QUEUE,
                "is not the URL of an SQS queue, which looks like https://sqs.REGION.amazonaws.com/ACCOUNT/NAME",
            );
        }
        Some(text)
    }
}

fn parse(text: &str) -> Option<ConnectionLimits> {
    let mut limits = ConnectionLimits::default();
    let mut has_others = false;
    for part in text.split(',') {
        let (plan, limit) = part.split_once('=')?;
        let limit = limit_of(limit.trim())?;
        let is_new = match plan.trim() {
            "" => false,
            OTHERS => {
                limits.others = limit;
                !std::mem::replace(&mut has_others, true)
            }
            plan => limits.plans.insert(plan.to_owned(), limit).is_none(),
        };
        if !is_new {
            return None;
        }
    }
    Some(limits)
}

fn limit_of(text: &str) -> Option<ConnectionLimit> {
    let numbers: Vec<u32> = text
        .split('/')
        .map(|part| u32::from_str(part.trim()).ok())
        .map(|number| number.filter(|number| (1..=100_000).contains(number)))
        .collect::<Option<_>>()?;
    let &[per_caller, per_tenant, subscriptions, messages] = numbers.as_slice() else {
        return None;
    };
    // The range fits `usize` on every platform.
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Some(ConnectionLimit {
        per_caller: size(per_caller),
        per_tenant: size(per_tenant),
        subscriptions: size(subscriptions),
        messages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;

    fn read(name: &str, value: &str) -> Result<WebSocketConfig, Vec<&'static str>> {
        let variables = [("HA_URL", "http://ha:8123"), (name, value)];
        let config = Config::read(&variables);
        config
            .map(|config| config.websocket)
            .map_err(|error| error.0.iter().map(|fault| fault.name).collect())
    }

    fn limit(
        per_caller: usize,
        per_tenant: usize,
        subscriptions: usize,
        messages: u32,
    ) -> ConnectionLimit {
        ConnectionLimit {
            per_caller,
            per_tenant,
            subscriptions,
            messages,
        }
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = read(LIMITS, "").unwrap();
        assert!(!config.takes_query_token);
        assert_eq!(config.auth_limit, Duration::from_secs(5));
        assert_eq!(config.warning, Duration::from_secs(60));
        assert_eq!(config.grace, Duration::from_secs(30));
        assert_eq!(config.limits.of(None), limit(10, 100, 50, 20));
        assert_eq!(config.queue_url, None);
    }

    #[test]
    fn plan_selects_its_limits() {
        let config = read(LIMITS, "*=1/2/3/4, guest = 5/6/7/8").unwrap();
        assert_eq!(config.limits.of(Some("guest")), limit(5, 6, 7, 8));
        assert_eq!(config.limits.of(Some("other")), limit(1, 2, 3, 4));
        assert_eq!(config.limits.of(None), limit(1, 2, 3, 4));
        let config = read(LIMITS, "guest=5/6/7/8").unwrap();
        assert_eq!(config.limits.of(None), limit(10, 100, 50, 20));
    }

    #[test]
    fn fault_names_the_variable() {
        for (name, bad) in [
            (LIMITS, "10/100/50/20"),
            (LIMITS, "*=10/100/50"),
            (LIMITS, "*=10/100/50/20/1"),
            (LIMITS, "*=0/100/50/20"),
            (LIMITS, "*=1/1/1/100001"),
            (LIMITS, "*=1/1/1/1,*=1/1/1/1"),
            (LIMITS, "=1/1/1/1"),
            (QUEUE, "queue"),
            (QUEUE, "file:///queue"),
            ("WEBSOCKET_QUERY_TOKEN", "yes"),
            ("WEBSOCKET_AUTH_SECONDS", "0"),
            ("WEBSOCKET_WARN_SECONDS", "-1"),
            ("WEBSOCKET_GRACE_SECONDS", "301"),
        ] {
            assert_eq!(read(name, bad), Err(vec![name]), "{bad}");
        }
    }
}
