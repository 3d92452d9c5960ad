//! Where the programs are that `make` installs.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Error, Result};

/// The tools directory: `LATCHKEY_TOOLS`, else the workspace's own.
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

/// The Python interpreter of one of the virtual environments.
pub(super) fn python(environment: &str) -> Result<PathBuf> {
    existing(directory().join(environment).join("bin/python"))
}

/// A program of one of the virtual environments, without anything of the surroundings; it ends with whoever runs it.
///
/// # Errors
/// When it is not installed.
pub fn tool(environment: &str, program: &str) -> Result<Command> {
    let path = directory().join(environment).join("bin").join(program);
    let mut command = Command::new(existing(path)?);
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .kill_on_drop(true);
    Ok(command)
}

/// A script of `dev/python`.
///
/// # Errors
/// When it is not there.
pub fn script(name: &str) -> Result<PathBuf> {
    existing(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(name),
    )
}

/// The Runtime Interface Emulator, which the AWS SAM CLI brings along.
pub(super) fn runtime_interface_emulator() -> Result<PathBuf> {
    let machine = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86_64"
    };
    let libraries = existing(directory().join("sam/lib"))?;
    let emulator = format!("site-packages/samcli/local/rapid/aws-lambda-rie-{machine}");
    // The path between names the interpreter's version, which is the installer's choice.
    let versions = std::fs::read_dir(&libraries).map_err(|source| Error::Process {
        name: "the SAM CLI's libraries",
        source,
    })?;
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join(&emulator)))
        .find(|path| path.exists())
        .ok_or_else(|| Error::Missing(libraries.join("python3*").join(&emulator)))
}
