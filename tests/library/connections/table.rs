//! Tests of the registry in the table: lost responses, failed calls, damaged items and several pages.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use latchkey::service::connections::{
    Authenticated, Connection, Dialect, MAX_NAME_BYTES, RegistryError,
};
use latchkey_dev::stack::Fault;
use serde_json::json;

use super::rows::{connection, id, identity, ids, member, tenant};
use super::{LATER, MINUTE, NOW, Scene, TABLE};

const DELETE_ITEM: &str = "dynamodb:DeleteItem";
const PUT_ITEM: &str = "dynamodb:PutItem";
const UPDATE_ITEM: &str = "dynamodb:UpdateItem";

/// Makes the next call of `action` take effect and lose its response, so that the SDK repeats the call.
async fn lose_response(scene: &Scene, action: &str) {
    let lost = Fault::new(action, "500").after().times(1);
    scene.aws().inject(&lost).await.unwrap();
    scene.aws().forget_calls().await.unwrap();
}

/// Asserts that the SDK repeated the call.
async fn assert_repeated(scene: &Scene, action: &str) {
    assert_eq!(scene.aws().calls_of(action).await.unwrap(), 2);
}

#[tokio::test]
async fn claim_with_a_lost_response_is_new() {
    let scene = Scene::shared().await;
    lose_response(&scene, PUT_ITEM).await;
    assert_eq!(scene.registry.claim(&id("a"), "1", LATER).await, Ok(true));
    assert_repeated(&scene, PUT_ITEM).await;
    lose_response(&scene, PUT_ITEM).await;
    assert_eq!(scene.registry.claim(&id("a"), "1", LATER).await, Ok(false));
}

#[tokio::test]
async fn authentication_with_a_lost_response_returns_the_former_row() {
    let scene = Scene::shared().await;
    scene.registry.open(&connection("a"), LATER).await.unwrap();
    let owner = identity("s", "home");
    for dialect in [
        None,
        Some(Dialect::Envelope),
        Some(Dialect::HomeAssistant),
        None,
    ] {
        let before = scene.find("a").await.unwrap();
        let due = before.due + MINUTE;
        lose_response(&scene, UPDATE_ITEM).await;
        let done = scene.authenticate("a", &owner, dialect, due).await;
        let expected = Authenticated::Done(Box::new(before.clone()));
        assert_eq!(done, expected);
        assert_repeated(&scene, UPDATE_ITEM).await;
        let after = Connection {
            identity: Some(owner.clone()),
            dialect: dialect.or(before.dialect),
            due,
            ..before
        };
        assert_eq!(scene.find("a").await, Some(after));
    }
}

#[tokio::test]
async fn postponement_with_a_lost_response_succeeds() {
    let scene = Scene::shared().await;
    let opened = connection("a");
    scene.registry.open(&opened, LATER).await.unwrap();
    lose_response(&scene, UPDATE_ITEM).await;
    let moved = scene.registry.postpone(&id("a"), opened.due, LATER).await;
    assert_eq!(moved, Ok(true));
    assert_repeated(&scene, UPDATE_ITEM).await;
    let moved = scene.registry.postpone(&id("a"), opened.due, LATER).await;
    assert_eq!(moved, Ok(false));
}

#[tokio::test]
async fn removal_with_a_lost_response_returns_the_row() {
    let scene = Scene::shared().await;
    scene.admit("a", "s", "home").await;
    let row = scene.find("a").await;
    lose_response(&scene, DELETE_ITEM).await;
    assert_eq!(scene.registry.remove(&id("a")).await, Ok(row));
    scene.assert_empty().await;
}

#[tokio::test]
async fn failed_removal_is_repeated_by_the_next_sweep() {
    let scene = Scene::shared().await;
    for failing in ["member#", "watch#home#", "watch#light.a", "message#1"] {
        let member = scene.admit("a", "s", "home").await;
        scene
            .registry
            .watch(&member, "light.a", LATER)
            .await
            .unwrap();
        scene.registry.claim(&id("a"), "1", LATER).await.unwrap();
        let fault = Fault::new(DELETE_ITEM, "AccessDeniedException").containing(failing);
        scene.aws().inject(&fault).await.unwrap();
        let failed = scene.registry.remove(&id("a")).await;
        assert_eq!(failed, Err(RegistryError("AccessDeniedException".into())));
        scene.aws().clear_faults().await.unwrap();
        let overdue = scene.registry.overdue(LATER, 9).await.unwrap();
        assert_eq!(overdue[0].address.id, id("a"), "{failing}");
        scene.registry.remove(&id("a")).await.unwrap();
        scene.assert_empty().await;
    }
}

#[tokio::test]
async fn removal_deletes_a_member_row_that_is_written_meanwhile() {
    let scene = Scene::shared().await;
    let (home, member) = (tenant("home"), member("a", "s", "home"));
    let members = async || {
        let members = scene.registry.members(home.as_ref(), None).await;
        members.unwrap()
    };
    for is_authenticated in [true, false] {
        if is_authenticated {
            scene.admit("a", "s", "home").await;
        } else {
            scene.registry.open(&connection("a"), LATER).await.unwrap();
        }
        // The removal has deleted the member row and is about to delete the row.
        let fault = Fault::new(DELETE_ITEM, "hang").containing(r#"{"S":"connection"}"#);
        scene.aws().inject(&fault.times(1)).await.unwrap();
        let registry = scene.registry.clone();
        let removing = tokio::spawn(async move { registry.remove(&id("a")).await });
        let within = Duration::from_secs(60);
        scene
            .aws()
            .until_hanging(DELETE_ITEM, within)
            .await
            .unwrap();
        assert!(members().await.is_empty());
        let owner = identity("s", "home");
        let done = scene.authenticate("a", &owner, None, LATER).await;
        assert!(matches!(done, Authenticated::Done(_)), "{done:?}");
        scene.registry.join(&member, LATER).await.unwrap();
        assert_eq!(ids(&members().await), ["a"]);
        scene.aws().clear_faults().await.unwrap();
        let removed = removing.await.unwrap().unwrap().unwrap();
        assert_eq!(removed.identity, Some(owner));
        scene.assert_empty().await;
    }
}

#[tokio::test]
async fn item_has_its_keys_and_its_expiry_time() {
    let scene = Scene::shared().await;
    let member = scene.admit("a", "s", "home").await;
    scene
        .registry
        .watch(&member, "light.a", LATER)
        .await
        .unwrap();
    scene.registry.claim(&id("a"), "1", LATER).await.unwrap();
    let items = scene.aws().items(TABLE).await.unwrap();
    let keys: Vec<(&str, &str)> = items
        .iter()
        .map(|item| (item["pk"].as_str().unwrap(), item["sk"].as_str().unwrap()))
        .collect();
    let hash = "043a718774c572bd8a25adbeb1bfcd5c0256ae11cecf9f9c3f925d0e52beaf89";
    assert_eq!(
        keys,
        [
            ("connection#a", "connection"),
            ("connection#a", "message#1"),
            ("connection#a", "watch#light.a"),
            ("tenant#home", &format!("member#{hash}#a")),
            ("watch#home#light.a", "a"),
        ]
    );
    for item in &items {
        assert_eq!(item["expires_at"], LATER.as_secs(), "{item:?}");
    }
    let row = &items[0];
    assert!(["0", "1", "2", "3"].contains(&row["shard"].as_str().unwrap()));
    assert_eq!(row["due"], json!((NOW + MINUTE).as_millis()));
    let expected = json!({
        "subject": "s",
        "tenant": "home",
        "permissions": ["read:light.*", "call:light.*:light.a?", "admin"],
        "expires_at": (NOW + 5 * MINUTE).as_millis(),
    });
    assert_eq!(row["identity"], expected);
}

#[tokio::test]
async fn damaged_row_does_not_hide_the_others() {
    let scene = Scene::shared().await;
    for name in ["a", "b"] {
        scene.admit(name, "s", "home").await;
    }
    let client = Client::new(scene.aws().sdk_config());
    let damage = client
        .update_item()
        .table_name(TABLE)
        .key("pk", AttributeValue::S("connection#a".into()))
        .key("sk", AttributeValue::S("connection".into()))
        .update_expression("SET #identity.#permissions = :permissions")
        .expression_attribute_names("#identity", "identity")
        .expression_attribute_names("#permissions", "permissions")
        .expression_attribute_values(
            ":permissions",
            AttributeValue::L(vec![AttributeValue::S("secret".into())]),
        );
    damage.send().await.unwrap();
    let error = scene.registry.find(&id("a")).await.unwrap_err().to_string();
    assert!(error.contains("Connection"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let overdue = scene.registry.overdue(LATER, 9).await.unwrap();
    assert_eq!(overdue, [scene.find("b").await.unwrap()]);
    let statistics = scene.registry.statistics().await.unwrap();
    assert_eq!(statistics.by_tenant[&tenant("home")], 2);
    // The caller of a damaged row is unknown, so the member row stays until it expires.
    assert_eq!(scene.registry.remove(&id("a")).await, Ok(None));
    assert_eq!(scene.registry.find(&id("a")).await, Ok(None));
}

#[tokio::test]
async fn longest_names_fit_their_keys() {
    let scene = Scene::shared().await;
    let longest = "x".repeat(MAX_NAME_BYTES);
    let member = scene.admit("a", "s", &"h".repeat(64)).await;
    scene
        .registry
        .watch(&member, &longest, LATER)
        .await
        .unwrap();
    assert_eq!(
        scene.registry.watched(&id("a")).await,
        Ok(vec![longest.clone()])
    );
    assert_eq!(
        scene.registry.claim(&id("a"), &longest, LATER).await,
        Ok(true)
    );
    let too_long = "x".repeat(1024);
    assert!(
        scene
            .registry
            .claim(&id("a"), &too_long, LATER)
            .await
            .is_err()
    );
    scene.registry.remove(&id("a")).await.unwrap();
    scene.assert_empty().await;
}

#[tokio::test]
async fn queries_read_all_pages() {
    let scene = Scene::shared().await;
    // A page has 1 MB.
    let subject = "s".repeat(300_000);
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    for name in names {
        scene.registry.open(&connection(name), LATER).await.unwrap();
        let member = member(name, &subject, "home");
        scene.registry.join(&member, LATER).await.unwrap();
    }
    let again = member("a", &subject, "home");
    let joined = scene.registry.join(&again, LATER).await.unwrap();
    assert_eq!((joined.of_caller, joined.of_tenant), (7, 7));
    scene.aws().forget_calls().await.unwrap();
    let members = scene.registry.members(tenant("home").as_ref(), None).await;
    assert_eq!(ids(&members.unwrap()), names);
    assert!(scene.aws().calls_of("dynamodb:Query").await.unwrap() > 1);
}
