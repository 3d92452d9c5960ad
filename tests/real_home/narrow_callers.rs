//! Random requests of callers with few permissions to a real home.
//!
//! A caller cannot change an entity without a permission to call it, and cannot see data without a permission to read
//! it.

mod corpus;
mod leaks;
mod people;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use futures_util::{StreamExt as _, stream};
use latchkey_dev::stack::RealHome;
use serde_json::{Value, json};
use testkit::{Sandbox, callers, seed};

use self::corpus::{Corpus, Request};
use self::leaks::Secrets;
use self::people::{OWN, Person, SUBJECTS};
use crate::start_with_callers;

const REQUESTS: usize = 6_000;
const AT_ONCE: usize = 16;

/// Domains of entities that change without a call: with the time of day, or after a call on another entity.
const SELF_CHANGING: [&str; 4] = ["calendar", "camera", "image_processing", "sun"];

/// Returns the states of all entities.
async fn states(home: &RealHome) -> Vec<Value> {
    let states = home.call(json!({"type": "get_states"})).await.unwrap();
    states.as_array().unwrap().clone()
}

/// Returns the state and the last change of each entity that callers may not call.
fn foreign_states(states: &[Value]) -> BTreeMap<String, String> {
    let mut foreign = BTreeMap::new();
    for state in states {
        let id = state["entity_id"].as_str().unwrap();
        let domain = id.split_once('.').unwrap().0;
        if !OWN.contains(&id) && !SELF_CHANGING.contains(&domain) {
            let seen = format!("{} at {}", state["state"], state["last_updated"]);
            foreign.insert(id.to_owned(), seen);
        }
    }
    foreign
}

/// Prepares the home and returns the corpus.
///
/// A light that callers may call shares an area with a foreign light. An automation switches the former, so that the
/// logbook has entries.
async fn prepare(home: &RealHome) -> Corpus {
    let area = json!({"type": "config/area_registry/create", "name": "Somewhere"});
    let area = home.call(area).await.unwrap();
    let area_id = area["area_id"].as_str().unwrap().to_owned();
    for entity_id in ["light.kitchen_lights", "light.ceiling_lights"] {
        let update = json!({
            "type": "config/entity_registry/update", "entity_id": entity_id, "area_id": area_id,
        });
        home.call(update).await.unwrap();
    }
    for _ in 0..2 {
        let drill = json!({
            "type": "call_service", "domain": "input_boolean", "service": "toggle",
            "target": {"entity_id": "input_boolean.drill"},
        });
        home.call(drill).await.unwrap();
    }
    // A call can replace a scene that a call created, but cannot replace a scene of the configuration.
    let film = json!({
        "type": "call_service", "domain": "scene", "service": "create",
        "service_data": {"scene_id": "film", "entities": {"light.ceiling_lights": "on"}},
    });
    home.call(film).await.unwrap();
    let mut registry_ids = Vec::new();
    for kind in ["config/entity_registry/list", "config/device_registry/list"] {
        let entries = home.call(json!({ "type": kind })).await.unwrap();
        let ids = entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["id"].as_str());
        registry_ids.extend(ids.flatten().map(str::to_owned));
    }
    let services = home.call(json!({"type": "get_services"})).await.unwrap();
    let services = services
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(domain, services)| {
            let names = services.as_object().unwrap().keys();
            names.map(|name| (domain.clone(), name.clone()))
        });
    let services = services.collect();
    let states = states(home).await;
    let entities = states
        .iter()
        .map(|state| state["entity_id"].as_str().unwrap().to_owned());
    Corpus {
        entities: entities.collect(),
        services,
        registry_ids,
        area_id,
    }
}

fn picture_tokens(states: &[Value]) -> impl Iterator<Item = String> {
    states
        .iter()
        .filter_map(|state| state["attributes"]["access_token"].as_str())
        .map(str::to_owned)
}

async fn secrets(home: &RealHome) -> Secrets {
    let states = states(home).await;
    let config = home.call(json!({"type": "get_config"})).await.unwrap();
    let user = home
        .call(json!({"type": "auth/current_user"}))
        .await
        .unwrap();
    let id = |state: &Value| state["entity_id"].as_str().unwrap().to_owned();
    let name = |state: &Value| {
        state["attributes"]["friendly_name"]
            .as_str()
            .map(str::to_owned)
    };
    Secrets {
        names: states
            .iter()
            .map(|state| (id(state), name(state)))
            .collect(),
        location: ["latitude", "longitude"]
            .map(|name| config[name].to_string())
            .into(),
        user_id: user["id"].as_str().unwrap().to_owned(),
        picture_tokens: picture_tokens(&states).collect(),
    }
}

/// Sends a request. Returns the status and the body of the response.
async fn ask(app: &Sandbox, person: &Person, asked: &Request) -> (u64, String) {
    let body = asked.body.as_ref();
    let mut event = callers::request(asked.method, &asked.path, Some(&person.token), body);
    event["rawQueryString"] = json!(asked.query);
    let answer = app.handle(&event).await;
    // The test does not search pictures.
    let body = match answer["isBase64Encoded"] == true {
        true => String::new(),
        false => answer["body"].as_str().unwrap_or_default().to_owned(),
    };
    (answer["statusCode"].as_u64().unwrap(), body)
}

/// Plans the requests. Each entry has the index of the caller, the request, and true if the request is a repeat.
///
/// A repeat has the idempotency key of an earlier request of the same subject.
fn plan(corpus: &Corpus, people: &[Person], rng: &mut Rng) -> Vec<(usize, Request, bool)> {
    let mut plan: Vec<(usize, Request, bool)> = Vec::with_capacity(REQUESTS);
    let mut keyed: Vec<(usize, Request)> = Vec::new();
    while plan.len() < REQUESTS {
        let who = rng.usize(..people.len());
        if rng.u8(..6) == 0 {
            let own = keyed
                .iter()
                .filter(|(subject, _)| *subject == people[who].subject);
            // A repeat by an administrator would be executed.
            let own = own.filter(|(_, asked)| asked.only_reads || !people[who].is_admin);
            if let Some((_, asked)) = rng.choice(own.collect::<Vec<_>>()) {
                plan.push((who, asked.clone(), true));
            }
            continue;
        }
        let asked = corpus.random(&people[who].entities, rng);
        if people[who].is_admin && !asked.only_reads {
            continue;
        }
        let key = asked
            .body
            .as_ref()
            .and_then(|body| body.get("idempotency_key"));
        if key.is_some() {
            keyed.push((people[who].subject, asked.clone()));
        }
        plan.push((who, asked, false));
    }
    plan
}

#[tokio::test]
async fn narrow_callers_neither_change_nor_see_foreign_entities() {
    let seed = seed::seed();
    println!("{}={seed}", seed::VARIABLE);
    let mut rng = Rng::with_seed(seed);
    let (home, aws, app) = start_with_callers().await;
    let corpus = prepare(&home).await;
    for own in OWN {
        assert!(
            corpus.entities.iter().any(|id| id == own),
            "{own} is not in this home"
        );
    }
    let mut people: Vec<Person> = (0..SUBJECTS).map(Person::admin).collect();
    people.extend((0..SUBJECTS * 10).map(|number| Person::random(number % SUBJECTS, &mut rng)));
    let plan = plan(&corpus, &people, &mut rng);
    let secrets = secrets(&home).await;
    let before = foreign_states(&states(&home).await);

    // A lock takes two seconds to turn, so the requests run at once.
    let mut answers: Vec<_> = stream::iter(plan.iter().enumerate())
        .map(async |(number, (who, asked, _))| (number, ask(&app, &people[*who], asked).await))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    answers.sort_by_key(|(number, _)| *number);

    let mut wrong = Failures::default();
    let mut statuses: BTreeMap<u64, usize> = BTreeMap::new();
    for ((who, asked, is_repeat), (_, (status, body))) in plan.iter().zip(&answers) {
        let person = &people[*who];
        if person.is_admin {
            continue;
        }
        *statuses.entry(*status).or_default() += 1;
        // The table limits the size of a kept response, so `message-too-large` is allowed. Errors of the home are
        // passed through.
        let is_wrong =
            body.contains("urn:latchkey:problem:") && !body.contains(":message-too-large");
        if *status >= 500 && is_wrong {
            wrong.add(
                &format!("status {status} for {}", asked.kind),
                person,
                asked,
                body,
            );
        }
        for leak in secrets.leaks(person, asked, *status, body) {
            let repeat = if *is_repeat { ", repeated" } else { "" };
            let kind = format!("{leak}, in the answer to {}{repeat}", asked.kind);
            wrong.add(&kind, person, asked, body);
        }
    }
    let after = foreign_states(&states(&home).await);
    let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for id in ids {
        if before.get(id) != after.get(id) {
            let change = format!("{:?}, then {:?}", before.get(id), after.get(id));
            wrong.kinds.insert(format!("{id} was changed"), (1, change));
        }
    }
    // A check of the test itself: the search finds every kind of leak in an administrator's responses.
    let nobody = Person::random(0, &mut Rng::with_seed(7));
    let seen = leaks_to_admin(&app, &people[0], &secrets, &nobody).await;
    for kind in [
        "context",
        "id",
        "name",
        "location",
        "user id",
        "token",
        "script",
        "administrator",
    ] {
        assert!(
            seen.iter().any(|leak| leak.contains(kind)),
            "{kind}: {seen:?}"
        );
    }
    assert_eq!(home.failed_logins().await.unwrap(), 0);
    aws.stop().await;
    home.stop().await;
    for status in [200, 403] {
        assert!(statuses[&status] > 500, "{statuses:?}");
    }
    assert!(
        wrong.kinds.is_empty(),
        "{}={seed}, {statuses:?}\n{wrong}",
        seed::VARIABLE
    );
}

/// Returns the leaks in an administrator's responses, judged by the permissions of a narrow caller.
async fn leaks_to_admin(
    app: &Sandbox,
    admin: &Person,
    secrets: &Secrets,
    narrow: &Person,
) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let logbook = json!({
        "type": "logbook/get_events", "start_time": "2026-01-01T00:00:00Z",
        "entity_ids": ["light.kitchen_lights"],
    });
    let simple = |kind: &str| json!({ "type": kind });
    for command in [
        simple("get_states"),
        simple("get_config"),
        simple("get_services"),
        logbook,
    ] {
        let asked = Request {
            method: "POST",
            path: "/commands".into(),
            query: String::new(),
            kind: command["type"].to_string(),
            body: Some(json!({ "command": command })),
            only_reads: true,
        };
        let (status, body) = ask(app, admin, &asked).await;
        assert_eq!(status, 200, "{body}");
        seen.extend(secrets.leaks(narrow, &asked, status, &body));
    }
    seen
}

/// Failures by kind, each with a count and one example.
#[derive(Default)]
struct Failures {
    kinds: BTreeMap<String, (usize, String)>,
}

impl Failures {
    fn add(&mut self, kind: &str, person: &Person, asked: &Request, body: &str) {
        let (count, _) = self.kinds.entry(kind.to_owned()).or_insert_with(|| {
            let start: String = body.chars().take(600).collect();
            (0, format!("{:?} {asked:?}: {start}", person.permissions))
        });
        *count += 1;
    }
}

impl std::fmt::Display for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, (count, example)) in &self.kinds {
            writeln!(f, "{count} x {kind}\n    {example}")?;
        }
        Ok(())
    }
}
