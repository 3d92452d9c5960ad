//! One event of a connection, with the parts that serve it.

use super::frame::{Frames, Refusal};
use crate::doors::reply::report;
use crate::service::app::{App, Invocation};
use crate::service::connections::{Dialect, Opening};
use crate::service::failure::{Failure, ProblemName};

/// One event of a connection, with the parts that serve it.
pub(super) struct Door<'a> {
    pub(super) app: &'a App,
    pub(super) opening: Opening<'a>,
    pub(super) invocation: &'a Invocation,
    pub(super) frames: Frames,
}

impl Door<'_> {
    /// Refuses a message and leaves the connection open.
    pub(super) fn refuse(&self, dialect: Option<Dialect>, id: &str, failure: &Failure) -> String {
        let problem = report(self.app, failure, &self.invocation.id);
        let refusal = Refusal {
            failure,
            problem: &problem,
            closes: false,
        };
        let dialect = dialect.unwrap_or(Dialect::Envelope);
        self.frames.refusal(dialect, id, &refusal)
    }

    /// Refuses a message and closes the connection. The frame is posted, because the response of the invocation would
    /// come after the connection was closed.
    pub(super) async fn end(&self, dialect: Dialect, id: &str, failure: &Failure) {
        let problem = report(self.app, failure, &self.invocation.id);
        let last = match (dialect, problem.name) {
            (Dialect::HomeAssistant, ProblemName::Unauthenticated) => {
                self.frames.auth_invalid(id, &problem)
            }
            _ => {
                let refusal = Refusal {
                    failure,
                    problem: &problem,
                    closes: true,
                };
                self.frames.refusal(dialect, id, &refusal)
            }
        };
        let address = self.app.connections.address(&self.opening).await;
        self.app.connections.end(&address, Some(last)).await;
    }
}
