//! A frozen execution environment.
//!
//! Lambda freezes an execution environment between invocations. The test freezes the executable with SIGSTOP and
//! continues it with SIGCONT.

use std::path::{Path, PathBuf};
use std::time::Duration;

use latchkey_dev::home::HomeOptions;
use latchkey_dev::stack::{Function, FunctionOptions};
use serde_json::json;
use testkit::{bootstrap, home_with};
use tokio::process::Command;

use crate::BOOTSTRAP;

const LIGHT: &str = "light.kitchen";

/// The process of the function.
struct Process(u32);

impl Process {
    /// Finds the process that runs `executable` with this home. Each test has its own home.
    fn find(executable: &Path, home_url: &str) -> Option<Self> {
        let is_it = |process: &Path| {
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            let home = format!("HA_URL={home_url}");
            std::fs::read_link(process.join("exe")).is_ok_and(|exe| exe == executable)
                && environment
                    .split(|byte| *byte == 0)
                    .any(|variable| variable == home.as_bytes())
        };
        std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .find(|pid: &u32| is_it(&PathBuf::from(format!("/proc/{pid}"))))
            .map(Self)
    }

    async fn signal(&self, signal: &str) {
        let pid = self.0.to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.await.unwrap().success());
    }
}

#[tokio::test]
async fn function_frozen_past_the_heartbeat_executes_the_next_command_once() {
    let home = home_with(HomeOptions {
        heartbeat: Duration::from_secs(1),
        ..HomeOptions::default()
    })
    .await;
    let executable = bootstrap(BOOTSTRAP).canonicalize().unwrap();
    let function = Function::start(
        FunctionOptions::new(&executable)
            .local()
            .env("HA_URL", home.url())
            .env("HA_TOKEN", home.mint_token("latchkey"))
            .env("METRICS", "off")
            .env("CALLER_AUTH", "none"),
    )
    .await
    .unwrap();
    let toggle = json!({ "command": {
        "type": "call_service", "domain": "light", "service": "toggle",
        "target": { "entity_id": LIGHT },
    } });
    let answer = function.invoke(&toggle).await.unwrap().json();
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
    let process = Process::find(&executable, &home.url()).unwrap();
    for round in 2..=3 {
        process.signal("STOP").await;
        // The home sends a ping, waits half a heartbeat for the pong, and closes the connection.
        home.wait_for(|counters| counters.open_sockets == 0).await;
        process.signal("CONT").await;
        let answer = function.invoke(&toggle).await.unwrap().json();
        assert_eq!(answer["results"][0]["outcome"], "answered", "{answer}");
        assert_eq!(answer["results"][0]["success"], true, "{answer}");
        let counters = home.counters();
        assert_eq!(counters.calls_of("light", "toggle", LIGHT), round);
        assert_eq!(counters.websocket_upgrades, u64::try_from(round).unwrap());
        assert_eq!(counters.failed_logins, 0);
    }
    function.stop().await;
}
