//! Tests of several homes behind one latchkey. Each home has its own token and settings. A fault in one home does not
//! affect another home.

mod cache;
mod changes;
mod moved;
mod naming;
mod settings;
mod tenants;
mod warmth;

use std::sync::Arc;

use latchkey::base::clock::ManualClock;
use latchkey_dev::stack::AwsEmulator;
use testkit::homes::PREFIX;
use testkit::{Sandbox, stopped_clock};

/// Starts an application that serves only the stored homes. Each request must name a home.
async fn app(aws: &AwsEmulator) -> Sandbox {
    app_with(aws, &[("HOMES_PARAMETER_PREFIX", PREFIX)]).await
}

/// Starts an application with these variables.
async fn app_with(aws: &AwsEmulator, variables: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::builder().aws(aws);
    sandbox.envs(variables.iter().copied()).start().await
}

/// Starts an application like [`app`], with a clock that only the test moves.
async fn app_with_stopped_clock(aws: &AwsEmulator) -> (Sandbox, Arc<ManualClock>) {
    let clock = stopped_clock();
    let sandbox = Sandbox::builder().aws(aws).clock(clock.clone());
    let sandbox = sandbox.env("HOMES_PARAMETER_PREFIX", PREFIX);
    (sandbox.start().await, clock)
}
