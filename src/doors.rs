//! The doors: they receive events and render replies.
//!
//! | module | content |
//! |---|---|
//! | [`lambda`] | the Lambda Runtime API, and the extension that runs between invocations |
//! | [`function`] | one invocation, from payload to reply |
//! | `invocation` | the conversion of the runtime's context to an invocation |
//! | [`trigger`] | the kind of event, detected by the payload's members |
//! | `http` | the HTTP router for API Gateway, function URLs and load balancers |
//! | [`websocket`] | events of a WebSocket API, and the deadlines of its connections |
//! | `callers_token`, `headers`, `values` | the parts of events that several doors read |
//! | [`alexa`] | Alexa Smart Home directives |
//! | [`reply`] | the rendering of outcomes and failures |

pub mod alexa;
mod callers_token;
pub mod function;
mod headers;
mod http;
mod invocation;
pub mod lambda;
pub mod reply;
pub mod trigger;
mod values;
pub mod websocket;
