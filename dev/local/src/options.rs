//! The options of a run.

use std::path::PathBuf;

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunOptions {
    /// The function's executable.
    pub(crate) bootstrap: PathBuf,
    /// The home to use.
    pub(crate) home: HomeChoice,
    /// The light to switch. The default depends on the home.
    pub(crate) light: Option<String>,
    /// True to leave everything running until Ctrl-C or the end of standard input.
    pub(crate) keep: bool,
}

impl RunOptions {
    /// Reads the options from the variables `HOME_ASSISTANT` (`simulated` or `real`), `HA_URL` (the
    /// user's own home), `LIGHT` and `KEEP`.
    ///
    /// # Errors
    /// If a variable has an unknown value, or if both `HA_URL` and `HOME_ASSISTANT` are set.
    pub(crate) fn from_environment(bootstrap: impl Into<PathBuf>) -> Result<Self, String> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = match (variable("HA_URL"), variable("HOME_ASSISTANT").as_deref()) {
            (Some(url), None) => HomeChoice::Own(url),
            (Some(_), Some(_)) => {
                return Err(
                    "HA_URL and HOME_ASSISTANT are both set: set only one of them".to_owned(),
                );
            }
            (None, None | Some("simulated")) => HomeChoice::Simulated,
            (None, Some("real")) => HomeChoice::Real,
            (None, Some(other)) => {
                return Err(format!(
                    "HOME_ASSISTANT is `{other}`: use `simulated` or `real`, or set HA_URL to your own home"
                ));
            }
        };
        Ok(Self {
            bootstrap: bootstrap.into(),
            home,
            light: variable("LIGHT"),
            keep: variable("KEEP").is_some_and(|value| value != "0"),
        })
    }
}

/// The home of a run.
#[derive(Clone, Debug)]
pub(crate) enum HomeChoice {
    /// The simulated home, in this process.
    Simulated,
    /// A real Home Assistant, installed in the tools directory.
    Real,
    /// The home at this URL. Its token comes from standard input.
    Own(String),
}
