//! The role of the function.

use futures_util::future::BoxFuture;
use serde_json::Value;

/// Invokes the function. A test calls the function in its own process, or through the Runtime Interface Emulator.
pub trait Invoke: Send + Sync + 'static {
    /// Invokes the function with an event. Returns the function's answer, or the text of its error.
    fn invoke(&self, event: Value) -> BoxFuture<'static, Result<Value, String>>;
}
