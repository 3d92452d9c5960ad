//! How events come in and answers go out.
//!
//! | module | what it is |
//! |---|---|
//! | [`lambda`] | the Lambda Runtime API, and the extension that works between invocations |
//! | [`function`] | one invocation: from payload to reply |
//! | `invocation` | the runtime's description of an invocation, in the service's terms |
//! | [`trigger`] | the kind of event, told by the payload's members |
//! | `http` | the HTTP router behind API Gateway, function URLs and load balancers |
//! | [`alexa`] | Alexa Smart Home directives |
//! | [`reply`] | how outcomes and failures are rendered |

pub mod alexa;
pub mod function;
mod http;
mod invocation;
pub mod lambda;
pub mod reply;
pub mod trigger;
