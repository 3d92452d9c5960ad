//! Mutates every member of every event that latchkey serves. Each response has the sender's format and a status below
//! 500. A 400 names the member.

use std::collections::BTreeMap;

use latchkey::doors::trigger::Trigger;
use serde_json::{Value, json};

use super::DoorStage;
use super::router::raw_response;

/// Returns the replacement values of a member. `None` deletes the member.
fn mutations() -> [Option<Value>; 7] {
    [
        Some(Value::Null),
        None,
        Some(json!(5)),
        Some(json!([])),
        Some(json!({})),
        Some(json!("")),
        Some(json!(true)),
    ]
}

/// Returns the paths of all members and elements, at every depth.
fn paths(value: &Value) -> Vec<Vec<String>> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), value))
            .collect(),
        Value::Array(values) => (0..)
            .zip(values)
            .map(|(index, value): (usize, _)| (index.to_string(), value))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let with_own = |(name, child): (String, &Value)| {
        let inner = paths(child).into_iter().map({
            let name = name.clone();
            move |path| [vec![name.clone()], path].concat()
        });
        let inner: Vec<_> = inner.collect();
        [vec![vec![name]], inner].concat()
    };
    children.into_iter().flat_map(with_own).collect()
}

fn mutated(event: &Value, path: &[String], mutation: Option<&Value>) -> Value {
    let mut event = event.clone();
    let (last, above) = path.split_last().unwrap();
    let parent = above.iter().fold(&mut event, |value, name| match value {
        Value::Array(values) => &mut values[name.parse::<usize>().unwrap()],
        value => &mut value[name],
    });
    match (parent, mutation) {
        (Value::Object(members), Some(value)) => {
            members.insert(last.clone(), value.clone());
        }
        (Value::Object(members), None) => {
            members.remove(last).unwrap();
        }
        (Value::Array(values), Some(value)) => {
            values[last.parse::<usize>().unwrap()] = value.clone();
        }
        (Value::Array(values), None) => {
            values.remove(last.parse().unwrap());
        }
        (other, _) => panic!("no members in {other}"),
    }
    event
}

/// Returns true if a detail names the member, an enclosing object or a nested member.
fn names(detail: &str, path: &[String]) -> bool {
    let named = |name: &str| {
        ["`", "."]
            .iter()
            .any(|end| detail.contains(&format!("`{name}{end}")))
    };
    let above = (1..=path.len()).any(|length| named(&path[..length].join(".")));
    // The detail calls an unreadable body `The request`, and names a command by its index.
    let as_it_is_called = match path[0].as_str() {
        "body" | "isBase64Encoded" => detail.starts_with("The request "),
        "command" => detail.starts_with("Command 0: "),
        "commands" => path
            .get(1)
            .is_some_and(|index| detail.starts_with(&format!("Command {index}: "))),
        _ => false,
    };
    above || path.iter().any(|name| named(name)) || as_it_is_called
}

/// Returns the status and the detail of a response in its sender's format. The error says why the format is wrong.
fn read(trigger: Option<Trigger>, answer: &Value) -> Result<(u64, String), String> {
    if let Some(event) = answer.get("event") {
        let kind = event["payload"]["type"].as_str().unwrap_or_default();
        let known = [
            ("Alexa", "INTERNAL_ERROR", 404),
            ("Alexa", "INVALID_DIRECTIVE", 400),
            ("Alexa.Authorization", "ACCEPT_GRANT_FAILED", 404),
        ];
        let namespace = event["header"]["namespace"].as_str().unwrap_or_default();
        let row = known
            .iter()
            .find(|row| (row.0, row.1) == (namespace, kind))
            .filter(|_| trigger == Some(Trigger::Alexa))
            .ok_or("not a valid response for Alexa")?;
        return Ok((row.2, event["payload"]["message"].to_string()));
    }
    if answer["batchItemFailures"].is_array() && trigger == Some(Trigger::Queue) {
        return Ok((200, String::new()));
    }
    let status = answer["statusCode"].as_u64().ok_or("no status")?;
    let own = match trigger {
        Some(Trigger::HttpV1) => None,
        Some(Trigger::HttpV2 | Trigger::FunctionUrl) => Some("cookies"),
        Some(Trigger::Alb) => Some("statusDescription"),
        Some(Trigger::Alexa) if status == 200 => {
            return Err("not a valid response for Alexa".into());
        }
        _ => return Ok((status, answer["detail"].as_str().unwrap_or_default().into())),
    };
    let body = answer["body"].as_str().ok_or("no body")?;
    let has_form = ["headers", "multiValueHeaders"]
        .iter()
        .all(|name| answer[name].is_object())
        && answer["isBase64Encoded"].is_boolean()
        && ["cookies", "statusDescription"]
            .iter()
            .all(|name| answer.get(name).is_some() == (own == Some(*name)));
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or_default();
    has_form
        .then(|| (status, detail.to_owned()))
        .ok_or_else(|| "the response does not have the sender's format".to_owned())
}

/// Returns true if the member identifies the HTTP sender. Without this member, the response format is unknown.
fn identifies_the_sender(path: &[String]) -> bool {
    ["requestContext", "version"].contains(&path[0].as_str())
}

/// Returns the number of mutations of one event, and the complaints.
async fn check_all_mutations(stage: &DoorStage, path: &str, trigger: &str) -> (usize, Vec<String>) {
    let event = testkit::sample(&format!("tests/fixtures/events/{path}"));
    let original = Trigger::of(&event.to_string()).unwrap();
    assert_eq!(original.name(), trigger);
    let (_, usual) = read(Some(original), &raw_response(stage, &event).await).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for member in paths(&event) {
        for mutation in mutations() {
            count += 1;
            let event = mutated(&event, &member, mutation.as_ref());
            let seen = Trigger::of(&event.to_string()).ok();
            let answer = raw_response(stage, &event).await;
            let complaint = match read(seen, &answer) {
                Err(error) => Some(error),
                Ok((500.., _)) => Some("5xx".to_owned()),
                Ok((400, detail)) if detail != usual && !names(&detail, &member) => {
                    Some("the detail does not name the member".to_owned())
                }
                Ok(_) if seen.is_none() && answer.get("body").is_some() => {
                    Some("an unsupported event got an HTTP response".to_owned())
                }
                Ok(_) if seen.is_none() && is_http(original) && !identifies_the_sender(&member) => {
                    Some("the response does not have the sender's format".to_owned())
                }
                Ok(_) => None,
            };
            wrong.extend(complaint.map(|complaint| {
                let member = member.join(".");
                format!("{path}: {member} {mutation:?}: {complaint}: {answer}")
            }));
        }
    }
    (count, wrong)
}

fn is_http(trigger: Trigger) -> bool {
    matches!(
        trigger,
        Trigger::HttpV1 | Trigger::HttpV2 | Trigger::FunctionUrl | Trigger::Alb
    )
}

#[tokio::test]
async fn mutated_event_gets_a_status_below_500_and_a_detail_that_names_the_member() {
    let stage = DoorStage::with_variables(&[("CALLER_AUTH", "none")]).await;
    let triggers: BTreeMap<String, String> =
        serde_json::from_value(testkit::sample("tests/fixtures/events/expected.json")).unwrap();
    let (mut count, mut wrong, mut served) = (0, Vec::new(), std::collections::BTreeSet::new());
    for (path, trigger) in &triggers {
        if ["unsupported", "websocket", "doctor"].contains(&trigger.as_str()) {
            continue;
        }
        let (tried, complaints) = check_all_mutations(&stage, path, trigger).await;
        served.insert(trigger.as_str());
        count += tried;
        wrong.extend(complaints);
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count > 4_000, "{count}");
    assert_eq!(served.len(), 10, "{served:?}");
}
