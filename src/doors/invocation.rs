//! The conversion of the runtime's context to an invocation.

use std::time::Duration;

use lambda_runtime::Context;

use crate::service::app::{App, Invocation};

/// Creates an invocation from the runtime's context.
pub(super) fn invocation(app: &App, context: &Context) -> Invocation {
    app.invocation(
        context.request_id.clone(),
        Duration::from_millis(context.deadline),
        context.tenant_id.clone(),
    )
}
