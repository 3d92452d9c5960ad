//! Alexa Smart Home directives.
//!
//! Home Assistant understands directives. latchkey reads only the members it needs, and passes directives on.

mod directive;
mod response;
mod serve;

pub use directive::Directive;
pub use response::{AlexaReply, ErrorResponse};
pub(super) use serve::serve;
