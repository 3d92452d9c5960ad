//! One invocation of the function, as far as what is done in it depends on it.

use std::time::Duration;

use super::{App, TIME_TO_ANSWER};
use crate::base::clock::{Deadline, Limit, Timestamp};

/// One invocation.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// Its id, which stands in problems and logs.
    pub(crate) id: String,
    /// When its answer must be ready to be sent.
    pub(crate) deadline: Deadline,
    /// The tenant that Lambda has bound this execution environment to, if it has.
    pub(crate) tenant: Option<String>,
}

impl Invocation {
    /// The tenant's name.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}

impl App {
    /// The invocation with this id that ends at `end` (since the Unix epoch), in a tenant's environment if Lambda has
    /// bound it to one.
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

    /// The same invocation, ended after `limit` at the latest.
    pub(crate) fn at_most(&self, limit: Duration, invocation: &Invocation) -> Invocation {
        Invocation {
            deadline: invocation.deadline.min(self.clock.now().after(limit)),
            ..invocation.clone()
        }
    }

    /// What is left of an invocation for all that is to come.
    pub(crate) fn time_left(&self, invocation: &Invocation) -> Limit {
        invocation.deadline.limit(Duration::MAX, self.clock.now())
    }
}
