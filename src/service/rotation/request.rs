//! The request for a rotation.

use crate::base::home_name::HomeName;
use crate::base::json::{JsonError, Members, shown};
use crate::service::commands::RequestError;

/// The mode of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Complete an unfinished rotation, or else do a whole new rotation.
    Rotate,
    /// Complete an unfinished rotation only.
    Resume,
    /// Report the next steps and change nothing.
    DryRun,
}

/// The event `{"source":"rotate-token"}`, with the optional members `home`, `resume`, `dry_run` and `wait`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationRequest {
    /// The home whose token is rotated. `None` for all homes.
    pub home: Option<HomeName>,
    /// The mode of the rotation.
    pub mode: Mode,
    /// True if the run waits until the old token can be revoked, provided that this is before its deadline.
    pub wait: bool,
}

const MEMBERS: [&str; 5] = ["source", "home", "resume", "dry_run", "wait"];

impl RotationRequest {
    /// Reads and checks a request.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let members = Members::parse(text)?;
        if let Some(name) = members.names().find(|name| !MEMBERS.contains(name)) {
            return Err(RequestError::Shape(format!(
                "the request has the unknown member {}; a rotation takes `home`, `resume`, `dry_run` and `wait`",
                shown(name)
            )));
        }
        let mode = match (flag(&members, "resume")?, flag(&members, "dry_run")?) {
            (_, true) => Mode::DryRun,
            (true, false) => Mode::Resume,
            (false, false) => Mode::Rotate,
        };
        let home = match members.text("home") {
            None if members.holds("home") => return Err(no_name()),
            None => None,
            Some(name) => Some(HomeName::new(&name).ok_or_else(no_name)?),
        };
        Ok(Self {
            home,
            mode,
            wait: flag(&members, "wait")?,
        })
    }
}

fn no_name() -> RequestError {
    RequestError::Shape(
        "`home` must be the name of a home: 1 to 64 letters, digits and . - _".into(),
    )
}

fn flag(members: &Members<'_>, name: &'static str) -> Result<bool, RequestError> {
    let Some(raw) = members.value(name) else {
        return Ok(false);
    };
    serde_json::from_str(raw.get())
        .map_err(JsonError::from)
        .map_err(|_| RequestError::Shape(format!("`{name}` must be true or false")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_parses_modes_and_homes() {
        for (text, home, mode) in [
            (r#"{"source":"rotate-token"}"#, None, Mode::Rotate),
            (
                r#"{"source":"rotate-token","home":"a"}"#,
                Some("a"),
                Mode::Rotate,
            ),
            (
                r#"{"source":"rotate-token","home":null,"resume":null,"dry_run":null,"wait":null}"#,
                None,
                Mode::Rotate,
            ),
            (
                r#"{"source":"rotate-token","resume":true}"#,
                None,
                Mode::Resume,
            ),
            (
                r#"{"source":"rotate-token","resume":false}"#,
                None,
                Mode::Rotate,
            ),
            (
                r#"{"source":"rotate-token","resume":true,"dry_run":true}"#,
                None,
                Mode::DryRun,
            ),
        ] {
            let home = home.and_then(HomeName::new);
            assert_eq!(
                RotationRequest::parse(text).unwrap(),
                RotationRequest {
                    home,
                    mode,
                    wait: text.contains("\"wait\":true")
                }
            );
        }
        for (text, part) in [
            (r#"{"source":"rotate-token","dryrun":true}"#, "dryrun"),
            (r#"{"source":"rotate-token","dry_run":1}"#, "`dry_run`"),
            (r#"{"source":"rotate-token","home":"a/b"}"#, "`home`"),
            (r#"{"source":"rotate-token","home":5}"#, "`home`"),
        ] {
            let error = RotationRequest::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
