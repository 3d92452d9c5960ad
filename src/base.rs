//! The foundation: modules that all other floors use.
//!
//! | module | content |
//! |---|---|
//! | [`ambient`] | clock, random source and metrics as one value |
//! | [`clock`] | the clock, passed in as a value |
//! | [`random`] | the random source, passed in as a value |
//! | [`secret`] | the type that holds a Home Assistant token |
//! | [`config`] | all settings, read from the environment and validated |
//! | [`home_name`] | the name of a home |
//! | [`table`] | the DynamoDB table that all execution environments share |
//! | [`metrics`] | metrics: recorded in memory, delivered after the response |
//! | [`logging`] | log format and level |
//! | `json` | a JSON reader that preserves numbers and member order |
//! | `lock` | a mutex without poisoning |
//! | `parameter` | names of Parameter Store parameters |

pub mod ambient;
pub mod clock;
pub mod config;
pub mod home_name;
pub(crate) mod json;
pub(crate) mod lock;
pub mod logging;
pub mod metrics;
pub(crate) mod parameter;
pub mod random;
pub mod secret;
pub mod table;
