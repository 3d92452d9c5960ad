//! The token's life over a real Home Assistant and an emulated AWS: many sandboxes with one token cost at most one
//! failed login, and Parameter Store may fail in every way at every point.

mod cell;
mod crowd;
mod errors;
mod failing_source;
mod storm;
