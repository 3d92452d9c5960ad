//! The invocation of the function: its id, deadline and tenant.

use std::time::Duration;

use super::{App, TIME_TO_ANSWER};
use crate::base::clock::{Deadline, Limit, Timestamp};

/// One invocation.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// The request id, which appears in problems and logs.
    pub(crate) id: String,
    /// The time at which the response must be ready to be sent.
    pub(crate) deadline: Deadline,
    /// The tenant to which Lambda has bound this execution environment, if any.
    pub(crate) tenant: Option<String>,
}

impl Invocation {
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}

impl App {
    /// Creates an invocation with this id that ends at `end` (since the Unix epoch). `tenant` is the tenant to which
    /// Lambda has bound the execution environment, if any.
    pub(crate) fn invocation(
        &self,
        id: String,
        end: Duration,
        tenant: Option<String>,
    ) -> Invocation {
        let now = self.clock.now();
        let end = end.saturating_sub(TIME_TO_ANSWER);
        Invocation {
            id,
            deadline: Deadline::at(Timestamp {
                monotonic: now.monotonic + end.saturating_sub(now.unix),
                unix: end,
            }),
            tenant,
        }
    }

    /// Returns the same invocation with a deadline of at most `limit` from now.
    pub(crate) fn at_most(&self, limit: Duration, invocation: &Invocation) -> Invocation {
        Invocation {
            deadline: invocation.deadline.min(self.clock.now().after(limit)),
            ..invocation.clone()
        }
    }

    /// Returns the time that is left until the invocation's deadline.
    pub(crate) fn time_left(&self, invocation: &Invocation) -> Limit {
        invocation.deadline.limit(Duration::MAX, self.clock.now())
    }
}
