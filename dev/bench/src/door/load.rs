//! A load test of the HTTP API with `wrk`.

use std::process::Stdio;

use latchkey_local::LocalPort;

use crate::error::Error;

const LOAD_SECONDS: u32 = 4;

/// Returns the requests per second of a local port with 16 connections of `wrk`: for `/health`, and for commands.
/// Returns `None` if `wrk` is not installed.
pub(super) async fn load(
    port: &LocalPort,
    jwt: &str,
    body: &str,
) -> Result<Option<(f64, f64)>, Error> {
    let failed = |source| Error::Io {
        what: "running wrk".to_owned(),
        source,
    };
    let directory = tempfile::tempdir().map_err(failed)?;
    let script = directory.path().join("commands.lua");
    let lua = format!(
        "wrk.method = 'POST'\nwrk.body = [[{body}]]\nwrk.headers['Content-Type'] = 'application/json'\n\
         wrk.headers['Authorization'] = 'Bearer {jwt}'\n"
    );
    std::fs::write(&script, lua).map_err(failed)?;
    let run = async |path: &str, script: Option<&std::path::Path>| {
        let mut command = tokio::process::Command::new("wrk");
        command.args(["-t1", "-c16", &format!("-d{LOAD_SECONDS}s")]);
        if let Some(script) = script {
            command.arg("-s").arg(script);
        }
        let command = command.arg(format!("{}{path}", port.url()));
        command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
    };
    let health = match run("/health", None).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome.map_err(failed)?,
    };
    let commands = run("/commands", Some(&script)).await.map_err(failed)?;
    let of = |output: std::process::Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rate = text
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"));
        match rate.and_then(|rate| rate.trim().parse::<f64>().ok()) {
            Some(rate) if !text.contains("Non-2xx") => Ok(rate),
            _ => Err(Error::Wrong(format!("wrk: {text}"))),
        }
    };
    Ok(Some((of(health)?, of(commands)?)))
}
