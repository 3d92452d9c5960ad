//! The door's own description, held against what it does by a client made from it.

use latchkey_dev::stack::tool;
use serde_json::json;
use testkit::callers::token;

use crate::clients::{ClientStage, fed, text};

/// What is checked of every answer.
const CHECKS: &str = "status_code_conformance,content_type_conformance,response_headers_conformance,\
    response_schema_conformance,ignored_auth";
/// What is checked of latchkey's own routes beside: below `/api/` these are the home's affair.
const OWN_CHECKS: &str = "not_a_server_error,unsupported_method,negative_data_rejection";

/// Routes on which Home Assistant itself answers 500 to some bodies and times; that comes through as it is.
const CRASHING: &str = r"^/api/(alexa|calendars/|events/|logbook|states/|template)";
const NOTHING: &str = "^$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_is_as_it_is_described() {
    let stage = ClientStage::set().await;
    let own = format!("{CHECKS},{OWN_CHECKS}");
    let without_faults = format!("{CHECKS},not_a_server_error");
    for (paths, but, checks, examples) in [
        ("^/(health|commands|openapi)", NOTHING, own.as_str(), "50"),
        ("^/api/", CRASHING, &without_faults, "15"),
        (CRASHING, NOTHING, CHECKS, "15"),
    ] {
        // It writes into the directory it is run in.
        let directory = tempfile::tempdir().unwrap();
        let jwt = token(&["admin"], &json!({}));
        let mut command = tool("schemathesis", "schemathesis").unwrap();
        command
            .current_dir(&directory)
            .env("HOME", directory.path())
            .args(["--no-color", "run"])
            .arg(format!("{}/openapi.json", stage.port.url()))
            .args(["--url", &stage.port.url()])
            .args(["--header", &format!("Authorization: Bearer {jwt}")])
            .args(["--include-path-regex", paths, "--exclude-path-regex", but])
            .args(["--checks", checks])
            .args(["--max-examples", examples, "--mode", "all", "--seed", "1"])
            .args(["--phases", "examples,coverage,fuzzing", "--workers", "1"])
            .args(["--generation-database", "none"])
            // A cookie of its own invention would be a second token.
            .args(["--generation-with-security-parameters", "false"])
            .args(["--suppress-health-check", "all", "--warnings", "off"])
            .args(["--continue-on-failure", "--request-timeout", "20"]);
        let output = fed(command, "").await;
        let seen = text(&output);
        assert!(output.status.success(), "{paths}:\n{seen}");
    }
    stage.end().await;
}
