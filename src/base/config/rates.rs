//! Reads the rate limits of each plan.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::Reader;

const NAME: &str = "CALLER_RATE_LIMITS";
/// The plan name that stands for all other plans.
const OTHERS: &str = "*";
const UNLIMITED: &str = "unlimited";

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time until one more request is allowed.
    pub interval: Duration,
    /// The number of requests that are allowed at once after a pause.
    pub burst: u32,
}

/// The rate limits of each plan. `None` means unlimited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// The limits of named plans.
    pub plans: BTreeMap<String, Option<Rate>>,
    /// The limit of all other plans, and of callers without a plan.
    pub others: Option<Rate>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            plans: BTreeMap::new(),
            others: Some(Rate {
                interval: Duration::from_millis(50),
                burst: 100,
            }),
        }
    }
}

impl RateLimits {
    /// Returns the limit of a plan.
    pub fn of(&self, plan: Option<&str>) -> Option<Rate> {
        let named = plan.and_then(|plan| self.plans.get(plan));
        named.copied().unwrap_or(self.others)
    }
}

impl Reader<'_> {
    pub(super) fn rate_limits(&mut self) -> RateLimits {
        let Some(text) = self.text(NAME) else {
            return RateLimits::default();
        };
        parse(&text).unwrap_or_else(|| {
            self.fault(
                NAME,
                "must be a comma-separated list of plans with limits, each plan once, like \
                 `*=20/100,guest=0.5/10,staff=unlimited`; a limit is requests per second (0.001 to 10000), a slash, \
                 and requests at once (1 to 100000)",
            );
            RateLimits::default()
        })
    }
}

fn parse(text: &str) -> Option<RateLimits> {
    let mut limits = RateLimits::default();
    let mut has_others = false;
    for part in text.split(',') {
        let (plan, limit) = part.split_once('=')?;
        let (plan, limit) = (plan.trim(), limit.trim());
        let rate = match limit {
            UNLIMITED => None,
            limit => Some(rate(limit)?),
        };
        let is_new = match plan {
            "" => false,
            OTHERS => {
                limits.others = rate;
                !std::mem::replace(&mut has_others, true)
            }
            plan => limits.plans.insert(plan.to_owned(), rate).is_none(),
        };
        if !is_new {
            return None;
        }
    }
    Some(limits)
}

fn rate(text: &str) -> Option<Rate> {
    let (per_second, burst) = text.split_once('/')?;
    let per_second: f64 = per_second.trim().parse().ok()?;
    let burst: u32 = burst.trim().parse().ok()?;
    let is_in_range = (0.001..=10_000.0).contains(&per_second) && (1..=100_000).contains(&burst);
    is_in_range.then(|| Rate {
        interval: Duration::from_secs_f64(1.0 / per_second),
        burst,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(per_second: f64, burst: u32) -> Option<Rate> {
        Some(Rate {
            interval: Duration::from_secs_f64(1.0 / per_second),
            burst,
        })
    }

    #[test]
    fn rate_limits_are_found_by_plan() {
        let limits = parse("guest=0.5/10, staff = unlimited,*=5/50").unwrap();
        assert_eq!(limits.of(Some("guest")), limit(0.5, 10));
        assert_eq!(limits.of(Some("staff")), None);
        assert_eq!(limits.of(Some("other")), limit(5.0, 50));
        assert_eq!(limits.of(None), limit(5.0, 50));
        let named = parse("guest=1/1").unwrap();
        assert_eq!(named.of(None), limit(20.0, 100));
        assert_eq!(parse("*=unlimited").unwrap().of(None), None);
    }

    #[test]
    fn malformed_rate_limits_are_rejected() {
        for bad in [
            "guest",
            "=1/1",
            "guest=1",
            "guest=1/",
            "guest=/1",
            "guest=0/1",
            "guest=-1/1",
            "guest=1/0",
            "guest=NaN/1",
            "guest=inf/1",
            "guest=1/1.5",
            "guest=1/1,guest=2/2",
            "*=1/1,*=1/1",
            "guest=1/1,",
            "guest=10001/1",
            "guest=1/100001",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
