//! What the other floors stand on.
//!
//! | module | what it is |
//! |---|---|
//! | [`ambient`] | time, randomness and metrics as one value |
//! | [`clock`] | time, passed in |
//! | [`random`] | randomness, passed in |
//! | [`secret`] | the one type that holds a secret |
//! | [`config`] | all settings, read from the environment and checked |
//! | [`home_name`] | the name of a home |
//! | [`table`] | the DynamoDB table that all execution environments share |
//! | [`metrics`] | metrics: recorded in memory, delivered after the answer |
//! | [`logging`] | the log's format and level |
//! | `json` | reading of JSON that keeps numbers and order as they are |
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
