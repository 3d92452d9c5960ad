//! The paths of the programs that `make` installs.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::error::{Error, Result};

/// Returns the tools directory: `LATCHKEY_TOOLS`, or `.tools` of the workspace.
fn directory() -> PathBuf {
    std::env::var_os("LATCHKEY_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools"),
        PathBuf::from,
    )
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    if path.exists() {
        Ok(path)
    } else {
        Err(Error::Missing(path))
    }
}

/// Returns the Python interpreter of a virtual environment.
pub(super) fn python(environment: &str) -> Result<PathBuf> {
    existing(directory().join(environment).join("bin/python"))
}

/// Returns a command for a program of a virtual environment. The program gets only `PATH` from the environment. It ends
/// when its handle is dropped.
///
/// # Errors
/// If the program is not installed.
pub fn tool(environment: &str, program: &str) -> Result<Command> {
    let path = directory().join(environment).join("bin").join(program);
    let mut command = Command::new(existing(path)?);
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .kill_on_drop(true);
    Ok(command)
}

/// Returns the path of a script in `dev/python`.
///
/// # Errors
/// If the script does not exist.
pub fn script(name: &str) -> Result<PathBuf> {
    existing(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(name),
    )
}

/// Returns a command that runs a script of `dev/js`. Node.js comes from `PATH`. The command ends when its handle is
/// dropped.
///
/// # Errors
/// If the script's packages are not installed.
pub fn node_script(name: &str) -> Result<Command> {
    let script = existing(directory().join("js").join(name))?;
    let mut command = Command::new("node");
    command
        .arg(script)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .kill_on_drop(true);
    Ok(command)
}

/// Returns the path of the Runtime Interface Emulator, which is part of the AWS SAM CLI.
pub(super) fn runtime_interface_emulator() -> Result<PathBuf> {
    let machine = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86_64"
    };
    let libraries = existing(directory().join("sam/lib"))?;
    let emulator = format!("site-packages/samcli/local/rapid/aws-lambda-rie-{machine}");
    // The name of the directory in between contains the version of Python.
    let versions = std::fs::read_dir(&libraries).map_err(|source| Error::Process {
        name: "the SAM CLI's libraries",
        source,
    })?;
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join(&emulator)))
        .find(|path| path.exists())
        .ok_or_else(|| Error::Missing(libraries.join("python3*").join(&emulator)))
}
