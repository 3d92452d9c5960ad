//! One home: how latchkey reaches it and with which token.
//!
//! | module | what it is |
//! |---|---|
//! | [`homes`] | the homes served, each with a bridge of its own |
//! | [`bridge`] | a home and its token: runs requests, refreshes a rejected token once, retries what was not sent |
//! | [`token`] | the token, read from its source through a cache |
//! | [`verdict`] | verdicts on tokens, shared by all execution environments |
//! | [`source`] | the places that secrets are read from |
//! | [`home_assistant`] | Home Assistant's WebSocket and REST API |

pub mod bridge;
pub mod home_assistant;
pub mod homes;
pub mod source;
pub mod token;
pub mod verdict;
