//! Errors of the configuration.

use std::fmt;

/// A fault of one variable. It never shows the value of the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the variable.
    pub name: &'static str,
    /// The fault and its remedy.
    pub problem: String,
}

/// All faults of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Fault>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not usable: ")?;
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} {}", fault.name, fault.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
