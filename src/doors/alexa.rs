//! Alexa Smart Home directives.
//!
//! Home Assistant handles directives. latchkey reads only the members that it needs, and forwards each directive
//! unchanged.

mod directive;
mod response;
mod serve;

pub use directive::Directive;
pub use response::{AlexaReply, ErrorResponse};
pub(super) use serve::serve;
