//! The life of a token with a real Home Assistant and an emulated AWS.
//!
//! Many execution environments with one token cause at most one failed login. Parameter Store fails in each way at each
//! point of a token's life.

mod cell;
mod crowd;
mod errors;
mod failing_source;
mod storm;
