//! Several homes behind one latchkey: each is reached with its own token and settings, and what befalls one befalls no
//! other.

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

/// An application that serves the stored homes, and nobody who names none.
async fn app(aws: &AwsEmulator) -> Sandbox {
    app_with(aws, &[("HOMES_PARAMETER_PREFIX", PREFIX)]).await
}

/// An application with these variables.
async fn app_with(aws: &AwsEmulator, variables: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::builder().aws(aws);
    sandbox.envs(variables.iter().copied()).start().await
}

/// As [`app`], with a clock that stands still until it is told to move.
async fn app_out_of_time(aws: &AwsEmulator) -> (Sandbox, Arc<ManualClock>) {
    let clock = stopped_clock();
    let sandbox = Sandbox::builder().aws(aws).clock(clock.clone());
    let sandbox = sandbox.env("HOMES_PARAMETER_PREFIX", PREFIX);
    (sandbox.start().await, clock)
}
