//! Access to Home Assistant: the homes, their tokens and their connections.
//!
//! | module | purpose |
//! |---|---|
//! | [`homes`] | the homes that latchkey serves; each has its own bridge |
//! | [`bridge`] | runs requests in one home, replaces a rejected token once, retries requests that were not sent |
//! | [`token`] | reads the home's token from its source and caches it |
//! | [`verdict`] | shares token verdicts between execution environments |
//! | [`source`] | the stores that secrets are read from |
//! | [`home_assistant`] | clients for Home Assistant's WebSocket API and REST API |

pub mod bridge;
pub mod home_assistant;
pub mod homes;
pub mod source;
pub mod token;
pub mod verdict;
