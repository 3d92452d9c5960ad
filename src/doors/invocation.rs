//! The runtime's description of an invocation, in the service's terms.

use std::time::Duration;

use lambda_runtime::Context;

use crate::service::app::{App, Invocation};

/// The invocation that the runtime describes.
pub(super) fn invocation(app: &App, context: &Context) -> Invocation {
    app.invocation(
        context.request_id.clone(),
        Duration::from_millis(context.deadline),
        context.tenant_id.clone(),
    )
}
