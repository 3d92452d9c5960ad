//! Checks of JSON examples.

use latchkey::doors::trigger::Trigger;
use latchkey::service::access::Permission;
use latchkey::service::commands::CommandsRequest;
use latchkey::service::failure::ProblemName;
use latchkey::service::rotation::RotationRequest;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use testkit::asyncapi::check_message;

use super::page::{Page, assert_found, assert_none, pages};

pub(super) fn names(object: &Map<String, Value>) -> BTreeSet<&str> {
    object.keys().map(String::as_str).collect()
}

fn has_only(value: &Value, allowed: &[&str]) -> Result<(), String> {
    let object = value.as_object().ok_or("not an object")?;
    let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
    match names(object).difference(&allowed).next() {
        Some(name) => Err(format!("a member `{name}` that latchkey does not send")),
        None => Ok(()),
    }
}

pub(super) fn has_all(value: &Value, wanted: &[&str]) -> Result<(), String> {
    has_only(value, wanted)?;
    match wanted.iter().find(|name| value.get(**name).is_none()) {
        Some(name) => Err(format!("no member `{name}`")),
        None => Ok(()),
    }
}

fn is_one_of(value: &Value, words: &[&str]) -> Result<(), String> {
    match value.as_str().is_some_and(|word| words.contains(&word)) {
        true => Ok(()),
        false => Err(format!("{value} is not one of {words:?}")),
    }
}

pub(super) fn problem(value: &Value) -> Result<(), String> {
    has_all(
        value,
        &["type", "title", "status", "detail", "action", "request_id"],
    )?;
    let urn = value["type"].as_str().unwrap_or_default();
    let name = ProblemName::ALL.into_iter().find(|name| name.urn() == urn);
    let name = name.ok_or(format!("no problem {urn}"))?;
    match value["status"] == name.status() && value["title"] == name.title() {
        true => Ok(()),
        false => Err(format!("{urn} has another status or title")),
    }
}

fn result(value: &Value) -> Result<(), String> {
    is_one_of(&value["outcome"], &["answered", "unknown"])?;
    if value["success"] == true {
        return has_all(value, &["outcome", "success", "result"]);
    }
    has_all(value, &["outcome", "success", "error"])?;
    has_all(&value["error"], &["code", "message"])
}

fn warm_home(value: &Value, around: &[&str]) -> Result<(), String> {
    has_only(value, &[around, &["token", "session", "problem"]].concat())?;
    has_all(
        &value["token"],
        &["valid", "refreshed", "fingerprint", "version"],
    )?;
    is_one_of(
        &value["session"],
        &["disconnected", "connecting", "authenticating", "ready"],
    )
}

fn answer(value: &Value) -> Result<(), String> {
    if let Some(results) = value["results"].as_array() {
        has_only(value, &["statusCode", "results"])?;
        return results.iter().try_for_each(result);
    }
    if value.get("statusCode") != Some(&Value::from(200)) {
        return Err("an answer to an event without `statusCode` 200".into());
    }
    if value.get("rotation").is_some() {
        has_all(value, &["statusCode", "rotation"])?;
        let rotation = &value["rotation"];
        has_only(
            rotation,
            &["state", "steps", "token", "revoked", "resume_at"],
        )?;
        has_all(&rotation["token"], &["fingerprint", "version"])?;
        let states = ["rotated", "draining", "nothing-to-do", "busy", "planned"];
        return is_one_of(&rotation["state"], &states);
    }
    if value.get("ignored").is_some() {
        return has_all(value, &["statusCode", "warm", "ignored"]);
    }
    match value["homes"].as_array() {
        Some(homes) => {
            has_all(value, &["statusCode", "warm", "homes"])?;
            homes.iter().try_for_each(|home| warm_home(home, &["home"]))
        }
        None => warm_home(value, &["statusCode", "warm"]),
    }
}

pub(super) fn claims(value: &Value) -> Result<(), String> {
    let allowed = ["iss", "aud", "sub", "exp", "tenant", "permissions", "plan"];
    has_only(value, &allowed)?;
    let permissions = value["permissions"].as_array().ok_or("no permissions")?;
    let permission = |text: &Value| text.as_str().and_then(Permission::parse);
    match permissions.iter().find(|text| permission(text).is_none()) {
        Some(text) => Err(format!("{text} is not a permission")),
        None => Ok(()),
    }
}

pub(super) fn event(text: &str) -> Result<(), String> {
    match Trigger::of(text).map_err(|error| error.to_string())? {
        Trigger::Direct => CommandsRequest::parse(text)
            .map(drop)
            .map_err(|error| error.to_string()),
        Trigger::RotateToken => RotationRequest::parse(text)
            .map(drop)
            .map_err(|error| error.to_string()),
        Trigger::Doctor | Trigger::WebSocket => Err("an event that latchkey does not serve".into()),
        _ => Ok(()),
    }
}

/// Checks an example by its kind: a request, an answer, a problem, a health report or the claims of a token.
fn json_example(text: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let has = |name: &str| value.get(name).is_some();
    if has("to") {
        has_only(&value, &["home", "type", "data", "to", "except"])
    } else if value["type"]
        .as_str()
        .is_some_and(|kind| !kind.starts_with("urn:"))
    {
        check_message(&value)
    } else if has("type") {
        problem(&value)
    } else if has("connections") {
        has_all(&value, &["connections", "authenticated", "tenants"])
    } else if has("results") || has("statusCode") {
        answer(&value)
    } else if has("service") {
        is_one_of(&value["status"], &["healthy", "degraded", "unhealthy"])?;
        has_all(&value, &["status", "service", "timestamp"])
    } else if has("iss") {
        claims(&value)
    } else {
        event(text)
    }
}

pub(super) fn json(pages: &[Page]) -> Vec<String> {
    let mut findings = Vec::new();
    for page in pages {
        let parts = page.parts();
        for block in parts.blocks.iter().filter(|block| block.language == "json") {
            if let Err(error) = json_example(&block.text) {
                findings.push(format!("{}: {error}", block.place));
            }
        }
        for (span, place) in parts
            .spans
            .iter()
            .filter(|(span, _)| span.starts_with("{\""))
        {
            if let Err(error) = serde_json::from_str::<Value>(span) {
                findings.push(format!("{place}: {span}: {error}"));
            }
        }
    }
    findings
}

#[test]
fn json_examples_match_latchkeys_formats() {
    assert_none(&json(&pages()));
    for (text, words) in [
        ("{", "EOF"),
        (r#"{"comand": {}}"#, "comand"),
        (r#"{"command": {"type": "ping", "id": 1}}"#, "id"),
        (r#"{"commands": []}"#, "1 to 100"),
        (r#"{"source": "rotate-token", "dryrun": true}"#, "dryrun"),
        (r#"{"source": "doctor"}"#, "does not serve"),
        (
            r#"{"results": [{"outcome": "not_sent", "success": true, "result": 1}]}"#,
            "not_sent",
        ),
        (
            r#"{"results": [{"outcome": "unknown", "success": false, "result": 1}]}"#,
            "result",
        ),
        (
            r#"{"statusCode": 200, "warm": true, "token": {"valid": true}, "session": "ready"}"#,
            "refreshed",
        ),
        (
            r#"{"statusCode": 200, "rotation": {"state": "done", "token": {"fingerprint": "a", "version": 1}}}"#,
            "done",
        ),
        (
            r#"{"status": "fine", "service": "latchkey", "timestamp": ""}"#,
            "fine",
        ),
        (r#"{"iss": "a", "permissions": ["read", "write"]}"#, "write"),
        (r#"{"type": "auth_ok", "id": true}"#, "is not a message"),
        (r#"{"type": "x", "to": {}, "from": 1}"#, "from"),
        (
            r#"{"type": "urn:latchkey:problem:forbidden", "title": "No", "status": 403,
                "detail": "", "action": "", "request_id": ""}"#,
            "title",
        ),
    ] {
        let page = Page::made(&format!("```json\n{text}\n```\n"));
        assert_found(&json(&[page]), words);
    }
    assert_found(&json(&[Page::made("`{\"a\": …}`")]), "expected value");
}
