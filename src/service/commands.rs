//! A request to run commands, and its results.

mod request;
mod results;

pub use request::{
    CommandsRequest, MAX_COMMANDS, MAX_FRAME_BYTES, MAX_REQUEST_BYTES, RequestError,
};
pub use results::{CommandResult, CommandResults};
