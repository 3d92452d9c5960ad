//! Something that somebody may have done, and the proof of that, in one value.

use std::sync::Arc;

use super::caller::Caller;
use super::permit::{Denied, Permit};
use super::rest_request::RestRequest;
use crate::home::home_assistant::Command;

/// Something that its caller may have done.
///
/// Only the decision makes one, and it holds the very thing that was decided on. So nothing reaches a home but what was
/// permitted, and a permit for one request cannot carry another:
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
    /// What may be done.
    pub fn what(&self) -> &T {
        &self.what
    }

    /// The permit, which says what of the answer may be seen.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }
}

impl Permitted<Arc<[Command]>> {
    /// Decides on commands, all or none.
    pub fn commands(caller: &Caller, commands: Arc<[Command]>) -> Result<Self, Denied> {
        let permit = Permit::of_commands(caller, &commands)?;
        Ok(Self {
            what: commands,
            permit,
        })
    }

    /// Commands of somebody who may invoke the function itself, which AWS has decided.
    pub fn by_invoker(commands: Arc<[Command]>) -> Self {
        Self {
            what: commands,
            permit: Permit::of_invoker(),
        }
    }
}

impl Permitted<RestRequest> {
    /// Decides on a request to the home's own REST API, whose body must be readable as far as it decides.
    pub fn request(caller: &Caller, request: RestRequest) -> Result<Self, Denied> {
        let permit = Permit::of_rest(caller, &request)?;
        Ok(Self {
            what: request,
            permit,
        })
    }

    /// The command of the WebSocket that is answered with the same content, if there is one. Who may ask for the one
    /// may run the other.
    pub fn command(&self) -> Option<Command> {
        self.what.command()
    }
}
