//! One invocation of the function, as far as what is done in it depends on it.

use std::time::Duration;

use lambda_runtime::Context;

use super::{App, TIME_TO_ANSWER};
use crate::clock::{Deadline, Limit, Timestamp};

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
    /// The invocation that the runtime describes so.
    pub(crate) fn invocation(&self, context: &Context) -> Invocation {
        let now = self.clock.now();
        let end = Duration::from_millis(context.deadline).saturating_sub(TIME_TO_ANSWER);
        Invocation {
            id: context.request_id.clone(),
            deadline: Deadline::at(Timestamp {
                monotonic: now.monotonic + end.saturating_sub(now.unix),
                unix: end,
            }),
            tenant: context.tenant_id.clone(),
        }
    }

    /// What is left of an invocation for all that is to come.
    pub(crate) fn time_left(&self, invocation: &Invocation) -> Limit {
        invocation.deadline.limit(Duration::MAX, self.clock.now())
    }
}
