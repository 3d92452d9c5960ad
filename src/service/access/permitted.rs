//! A request together with its permit, the proof that the caller is authorised.

use std::sync::Arc;

use super::caller::Caller;
use super::permit::{Denied, Permit};
use super::rest_request::RestRequest;
use crate::home::home_assistant::Command;

/// A request whose caller is authorised.
///
/// Only authorisation creates a value of this type, and the value holds the same request that was checked. So no other
/// request reaches a home, and the permit of one request cannot be combined with another request:
///
/// ```
/// use std::sync::Arc;
/// use latchkey::service::access::{Caller, Permitted};
/// use latchkey::home::home_assistant::Command;
///
/// let ping = Command::parse(r#"{"type":"ping"}"#).unwrap();
/// let permitted = Permitted::commands(&Caller::unproven(), Arc::new([ping])).unwrap();
/// assert_eq!(permitted.what().len(), 1);
/// ```
///
/// ```compile_fail,E0451
/// use std::sync::Arc;
/// use latchkey::service::access::{Caller, Permitted};
/// use latchkey::home::home_assistant::Command;
///
/// let ping = Command::parse(r#"{"type":"ping"}"#).unwrap();
/// let permitted = Permitted::commands(&Caller::unproven(), Arc::new([ping])).unwrap();
/// let other: Arc<[Command]> = Arc::new([Command::parse(r#"{"type":"get_states"}"#).unwrap()]);
/// let forged = Permitted { what: other, permit: permitted.permit().clone() };
/// ```
#[derive(Clone, Debug)]
pub struct Permitted<T> {
    what: T,
    permit: Permit,
}

impl<T> Permitted<T> {
    /// Returns the request.
    pub fn what(&self) -> &T {
        &self.what
    }

    /// Returns the permit, which redacts the answer.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }
}

impl Permitted<Arc<[Command]>> {
    /// Authorises a batch of commands. Fails if one of them is denied.
    pub fn commands(caller: &Caller, commands: Arc<[Command]>) -> Result<Self, Denied> {
        let permit = Permit::of_commands(caller, &commands)?;
        Ok(Self {
            what: commands,
            permit,
        })
    }

    /// Authorises the commands of a direct invocation. AWS has authorised the invoker, who may run all commands.
    pub fn by_invoker(commands: Arc<[Command]>) -> Self {
        Self {
            what: commands,
            permit: Permit::of_invoker(),
        }
    }
}

impl Permitted<RestRequest> {
    /// Authorises a request to the home's own REST API. Check the body of a service call
    /// [before](RestRequest::with_readable_body).
    pub fn request(caller: &Caller, request: RestRequest) -> Result<Self, Denied> {
        let permit = Permit::of_rest(caller, &request)?;
        Ok(Self {
            what: request,
            permit,
        })
    }

    /// Returns the WebSocket command with the same answer, if such a command exists. The authorisation of the request
    /// includes this command.
    pub fn command(&self) -> Option<Command> {
        self.what.command()
    }
}
