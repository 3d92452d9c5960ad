//! A check of latchkey's responses against its OpenAPI description, with generated requests.

use latchkey_dev::stack::tool;
use serde_json::json;
use testkit::callers::token;

use crate::clients::{ClientStage, run_with_input, text};

/// The checks of every response.
const CHECKS: &str = "status_code_conformance,content_type_conformance,response_headers_conformance,\
    response_schema_conformance,ignored_auth";
/// Further checks of latchkey's own routes. The home decides these points below `/api/`.
const OWN_CHECKS: &str = "not_a_server_error,unsupported_method,negative_data_rejection";

/// Routes on which Home Assistant answers 500 to some bodies and times. latchkey passes these responses through.
const CRASHING: &str = r"^/api/(alexa|calendars/|events/|logbook|states/|template)";
const NOTHING: &str = "^$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_match_the_openapi_description() {
    let stage = ClientStage::start().await;
    let own = format!("{CHECKS},{OWN_CHECKS}");
    let without_faults = format!("{CHECKS},not_a_server_error");
    for (paths, but, checks, examples) in [
        ("^/(health|commands|openapi)", NOTHING, own.as_str(), "50"),
        ("^/api/", CRASHING, &without_faults, "15"),
        (CRASHING, NOTHING, CHECKS, "15"),
    ] {
        // Schemathesis writes into its working directory.
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
            // A generated cookie would be a second token.
            .args(["--generation-with-security-parameters", "false"])
            .args(["--suppress-health-check", "all", "--warnings", "off"])
            .args(["--continue-on-failure", "--request-timeout", "20"]);
        let output = run_with_input(command, "").await;
        let seen = text(&output);
        assert!(output.status.success(), "{paths}:\n{seen}");
    }
    stage.stop().await;
}
