//! The behaviour that both registries share. Each test runs over both.

use std::time::Duration;

use futures_util::future::join_all;
use latchkey::service::connections::{
    Authenticated, Connection, Dialect, Identity, Joined, Statistics,
};

use super::rows::{connection, id, identity, ids, member, tenant};
use super::{LATER, MINUTE, NOW, Scene};

/// Runs each test over both registries.
macro_rules! over_both_registries {
    ($($name:ident,)*) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name(super::Scene::memory()).await; })*
        }
        mod shared {
            $(#[tokio::test] async fn $name() { super::$name(super::Scene::shared().await).await; })*
        }
    };
}

over_both_registries! {
    opened_connection_is_found,
    authentication_returns_the_former_row,
    authentication_of_another_person_is_refused,
    closed_connection_cannot_be_authenticated,
    join_counts_the_caller_and_the_tenant,
    join_of_a_closed_connection_is_undone,
    learned_facts_are_found,
    only_one_invocation_postpones,
    removal_leaves_nothing,
    overdue_connections_are_sorted_and_limited,
    message_id_is_claimed_once,
    members_are_found_by_tenant_and_subject,
    watchers_are_found_by_tenant_and_resource,
    expired_rows_are_ignored,
    statistics_count_connections_by_tenant,
}

async fn opened_connection_is_found(scene: Scene) {
    assert_eq!(scene.find("a=").await, None);
    let full = Connection {
        dialect: Some(Dialect::HomeAssistant),
        coalesces: true,
        identity: Some(Identity {
            plan: Some("pro".into()),
            // The largest time that the row can have.
            expires_at: Duration::from_millis(u64::MAX),
            ..identity("ü#", "home")
        }),
        ..connection("a=")
    };
    for row in [
        full,
        Connection {
            identity: Some(identity("s", "")),
            ..connection("a=")
        },
        connection("a="),
    ] {
        scene.registry.open(&row, LATER).await.unwrap();
        assert_eq!(scene.find("a=").await, Some(row));
    }
    assert_eq!(scene.find("a").await, None);
}

async fn authentication_returns_the_former_row(scene: Scene) {
    let opened = connection("a");
    scene.registry.open(&opened, LATER).await.unwrap();
    let first = identity("s", "home");
    let (due, dialect) = (NOW + 2 * MINUTE, Some(Dialect::Envelope));
    let done = scene.authenticate("a", &first, dialect, due).await;
    let before = Authenticated::Done(Box::new(opened.clone()));
    assert_eq!(done, before);
    let authenticated = Connection {
        identity: Some(first.clone()),
        dialect,
        due,
        ..opened
    };
    assert_eq!(scene.find("a").await, Some(authenticated.clone()));
    // The same person has other permissions. The dialect stays.
    let second = Identity {
        permissions: Vec::new(),
        plan: Some("pro".into()),
        expires_at: NOW + 9 * MINUTE,
        ..first
    };
    let due = NOW + 3 * MINUTE;
    let done = scene.authenticate("a", &second, None, due).await;
    let before = Authenticated::Done(Box::new(authenticated.clone()));
    assert_eq!(done, before);
    let renewed = Connection {
        identity: Some(second),
        due,
        ..authenticated
    };
    assert_eq!(scene.find("a").await, Some(renewed));
}

async fn authentication_of_another_person_is_refused(scene: Scene) {
    for (owner, other) in [
        (identity("s", "home"), identity("t", "home")),
        (identity("s", "home"), identity("s", "cabin")),
        (identity("s", "home"), identity("s", "")),
        (identity("s", ""), identity("s", "home")),
        (identity("s", ""), identity("S", "")),
    ] {
        let row = Connection {
            identity: Some(owner),
            ..connection("a")
        };
        scene.registry.open(&row, LATER).await.unwrap();
        let dialect = Some(Dialect::Envelope);
        let refused = scene.authenticate("a", &other, dialect, LATER).await;
        assert_eq!(refused, Authenticated::OtherPerson, "{other:?}");
        assert_eq!(scene.find("a").await, Some(row));
    }
}

async fn closed_connection_cannot_be_authenticated(scene: Scene) {
    let owner = identity("s", "home");
    let authenticate = async || {
        let refused = scene.authenticate("a", &owner, None, LATER).await;
        assert_eq!(refused, Authenticated::Gone);
    };
    authenticate().await;
    scene.admit("a", "s", "home").await;
    scene.registry.remove(&id("a")).await.unwrap();
    authenticate().await;
    scene.assert_empty().await;
}

async fn join_counts_the_caller_and_the_tenant(scene: Scene) {
    for (name, subject, of, of_caller, of_tenant) in [
        ("a", "s", "home", 1, 1),
        ("b", "s", "home", 2, 2),
        // These subjects begin like the first one.
        ("c", "st", "home", 1, 3),
        ("d", "s#a", "home", 1, 4),
        ("e", "", "home", 1, 5),
        ("f", "s", "home-2", 1, 1),
        ("g", "s", "", 1, 1),
        ("h", "s", "home", 3, 6),
    ] {
        let row = connection(name);
        scene.registry.open(&row, LATER).await.unwrap();
        let member = member(name, subject, of);
        let expected = Joined {
            of_caller,
            of_tenant,
        };
        // A member that joins again is counted once.
        for _ in 0..2 {
            let joined = scene.registry.join(&member, LATER).await;
            assert_eq!(joined, Ok(expected), "{name}");
        }
    }
}

async fn join_of_a_closed_connection_is_undone(scene: Scene) {
    let closed = scene.admit("a", "s", "home").await;
    scene.admit("b", "s", "home").await;
    scene.registry.remove(&id("a")).await.unwrap();
    let joined = scene.registry.join(&closed, LATER).await.unwrap();
    assert_eq!((joined.of_caller, joined.of_tenant), (1, 1));
    scene.registry.remove(&id("b")).await.unwrap();
    scene.assert_empty().await;
}

async fn learned_facts_are_found(scene: Scene) {
    let learn = async |coalesces| {
        let id = id("a");
        let learned = scene.registry.learn(&id, Dialect::HomeAssistant, coalesces);
        learned.await.unwrap();
    };
    learn(true).await;
    assert_eq!(scene.find("a").await, None);
    scene.registry.open(&connection("a"), LATER).await.unwrap();
    for coalesces in [true, false] {
        learn(coalesces).await;
        let learned = Connection {
            dialect: Some(Dialect::HomeAssistant),
            coalesces,
            ..connection("a")
        };
        assert_eq!(scene.find("a").await, Some(learned));
    }
    scene.registry.remove(&id("a")).await.unwrap();
    learn(true).await;
    scene.assert_empty().await;
}

async fn only_one_invocation_postpones(scene: Scene) {
    let opened = connection("a");
    scene.registry.open(&opened, LATER).await.unwrap();
    let contested = id("a");
    let rivals = (1..=8).map(|rival| {
        let to = opened.due + rival * MINUTE;
        scene.registry.postpone(&contested, opened.due, to)
    });
    let outcomes: Vec<bool> = join_all(rivals)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let winners: Vec<u32> = (1..=8)
        .zip(&outcomes)
        .filter(|(_, won)| **won)
        .map(|(rival, _)| rival)
        .collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    let due = scene.find("a").await.unwrap().due;
    assert_eq!(due, opened.due + winners[0] * MINUTE);
    let missing = id("b");
    assert_eq!(
        scene.registry.postpone(&missing, due, LATER).await,
        Ok(false)
    );
    assert_eq!(scene.find("b").await, None);
}

async fn removal_leaves_nothing(scene: Scene) {
    let mut members = Vec::new();
    for (name, subject, of) in [("a", "s", "home"), ("b", "s", "home"), ("c", "", "")] {
        let member = scene.admit(name, subject, of).await;
        for resource in ["light.kitchen", "light#kitchen", "*"] {
            scene
                .registry
                .watch(&member, resource, LATER)
                .await
                .unwrap();
        }
        for message in ["1", "2"] {
            assert_eq!(
                scene.registry.claim(&id(name), message, LATER).await,
                Ok(true)
            );
        }
        members.push(member);
    }
    scene.registry.open(&connection("d"), LATER).await.unwrap();
    let before = scene.find("a").await;
    assert!(before.is_some());
    assert_eq!(scene.registry.remove(&id("a")).await, Ok(before));
    assert_eq!(scene.registry.remove(&id("a")).await, Ok(None));
    // The others stay.
    let home = tenant("home");
    let watchers = scene
        .registry
        .watchers(home.as_ref(), "light.kitchen")
        .await;
    assert_eq!(watchers, Ok(vec![members[1].clone()]));
    let left = scene.registry.members(home.as_ref(), None).await;
    assert_eq!(left, Ok(vec![members[1].clone()]));
    assert_eq!(scene.registry.watched(&id("a")).await, Ok(Vec::new()));
    assert_eq!(scene.registry.watched(&id("b")).await.unwrap().len(), 3);
    assert_eq!(scene.registry.claim(&id("b"), "1", LATER).await, Ok(false));
    for name in ["b", "c", "d"] {
        assert!(scene.registry.remove(&id(name)).await.unwrap().is_some());
    }
    scene.assert_empty().await;
}

async fn overdue_connections_are_sorted_and_limited(scene: Scene) {
    // The connections are in all shards.
    for number in 0..20_u32 {
        let row = Connection {
            due: NOW - number * MINUTE,
            ..connection(&format!("c{number}"))
        };
        scene.registry.open(&row, LATER).await.unwrap();
    }
    let future = Connection {
        due: NOW + Duration::from_millis(1),
        ..connection("future")
    };
    scene.registry.open(&future, LATER).await.unwrap();
    for most in [0, 1, 3, 20, 100] {
        let overdue = scene.registry.overdue(NOW, most).await.unwrap();
        let found: Vec<String> = overdue.into_iter().map(|it| it.address.id.0).collect();
        let expected: Vec<String> = (0..20)
            .rev()
            .map(|it| format!("c{it}"))
            .take(most)
            .collect();
        assert_eq!(found, expected, "most: {most}");
    }
    let (last, to) = (id("c19"), NOW + MINUTE);
    let from = NOW - 19 * MINUTE;
    assert_eq!(scene.registry.postpone(&last, from, to).await, Ok(true));
    let overdue = scene.registry.overdue(NOW, 1).await.unwrap();
    assert_eq!(overdue[0].address.id, id("c18"));
}

async fn message_id_is_claimed_once(scene: Scene) {
    let first = id("a");
    let rivals = (0..8).map(|_| scene.registry.claim(&first, "1", LATER));
    let claims = join_all(rivals).await;
    let won = claims.iter().filter(|it| **it == Ok(true)).count();
    assert_eq!(won, 1, "{claims:?}");
    for (name, message, is_new) in [
        ("a", "1", false),
        ("a", "1 ", true),
        ("a", "", true),
        ("b", "1", true),
        ("b", "1", false),
    ] {
        let claimed = scene.registry.claim(&id(name), message, LATER).await;
        assert_eq!(claimed, Ok(is_new), "{name} {message}");
    }
}

async fn members_are_found_by_tenant_and_subject(scene: Scene) {
    for (name, subject, of) in [
        ("a", "s", "home"),
        ("b", "s", "home"),
        ("c", "s#b", "home"),
        ("d", "s", "cabin"),
        ("e", "s", ""),
    ] {
        scene.admit(name, subject, of).await;
    }
    for (of, subject, expected) in [
        ("home", None, &["a", "b", "c"][..]),
        ("home", Some("s"), &["a", "b"]),
        ("home", Some("s#b"), &["c"]),
        ("home", Some("x"), &[]),
        ("cabin", None, &["d"]),
        ("", None, &["e"]),
        ("", Some("s"), &["e"]),
        ("attic", None, &[]),
    ] {
        let of = tenant(of);
        let found = scene.registry.members(of.as_ref(), subject).await.unwrap();
        assert_eq!(ids(&found), expected, "{of:?} {subject:?}");
    }
    let found = scene.registry.members(tenant("").as_ref(), None).await;
    assert_eq!(found, Ok(vec![member("e", "s", "")]));
}

async fn watchers_are_found_by_tenant_and_resource(scene: Scene) {
    for (name, of) in [("a", "home"), ("b", "home"), ("c", "cabin"), ("d", "")] {
        let member = scene.admit(name, "s", of).await;
        for resource in ["light.a", "light.b"] {
            scene
                .registry
                .watch(&member, resource, LATER)
                .await
                .unwrap();
        }
    }
    let unwatched = member("a", "s", "home");
    for _ in 0..2 {
        scene.registry.unwatch(&unwatched, "light.b").await.unwrap();
    }
    for (of, resource, expected) in [
        ("home", "light.a", &["a", "b"][..]),
        ("home", "light.b", &["b"]),
        ("home", "light", &[]),
        ("cabin", "light.a", &["c"]),
        ("", "light.b", &["d"]),
        ("", "home#light.a", &[]),
    ] {
        let of = tenant(of);
        let found = scene
            .registry
            .watchers(of.as_ref(), resource)
            .await
            .unwrap();
        assert_eq!(ids(&found), expected, "{of:?} {resource}");
    }
    let mut watched = scene.registry.watched(&id("b")).await.unwrap();
    watched.sort();
    assert_eq!(watched, ["light.a", "light.b"]);
    assert_eq!(scene.registry.watched(&id("a")).await.unwrap(), ["light.a"]);
}

async fn expired_rows_are_ignored(scene: Scene) {
    let soon = NOW + MINUTE;
    let row = Connection {
        identity: Some(identity("s", "home")),
        due: NOW,
        ..connection("a")
    };
    let member = member("a", "s", "home");
    let home = tenant("home");
    scene.registry.open(&row, soon).await.unwrap();
    scene.registry.join(&member, soon).await.unwrap();
    scene
        .registry
        .watch(&member, "light.a", soon)
        .await
        .unwrap();
    assert_eq!(scene.registry.claim(&id("a"), "1", soon).await, Ok(true));

    scene.advance(MINUTE).await;
    assert_eq!(scene.find("a").await, Some(row));
    assert_eq!(scene.registry.overdue(soon, 9).await.unwrap().len(), 1);
    assert_eq!(scene.registry.claim(&id("a"), "1", soon).await, Ok(false));

    scene.advance(Duration::from_secs(1)).await;
    assert_eq!(scene.find("a").await, None);
    assert_eq!(scene.registry.overdue(LATER, 9).await, Ok(Vec::new()));
    let members = scene.registry.members(home.as_ref(), None).await;
    assert_eq!(members, Ok(Vec::new()));
    let watchers = scene.registry.watchers(home.as_ref(), "light.a").await;
    assert_eq!(watchers, Ok(Vec::new()));
    assert_eq!(scene.registry.watched(&id("a")).await, Ok(Vec::new()));
    assert_eq!(scene.registry.statistics().await, Ok(Statistics::default()));
    assert_eq!(
        scene.registry.postpone(&id("a"), NOW, LATER).await,
        Ok(false)
    );
    let owner = identity("s", "home");
    let gone = scene.authenticate("a", &owner, None, LATER).await;
    assert_eq!(gone, Authenticated::Gone);
    assert_eq!(scene.registry.claim(&id("a"), "1", LATER).await, Ok(true));
    // The expired member is not counted.
    scene.registry.open(&connection("b"), LATER).await.unwrap();
    let joined = scene
        .registry
        .join(&self::member("b", "s", "home"), LATER)
        .await;
    assert_eq!(
        joined,
        Ok(Joined {
            of_caller: 1,
            of_tenant: 1
        })
    );
}

async fn statistics_count_connections_by_tenant(scene: Scene) {
    assert_eq!(scene.registry.statistics().await, Ok(Statistics::default()));
    for (name, of) in [("a", "home"), ("b", "home"), ("c", "cabin"), ("d", "")] {
        scene.admit(name, "s", of).await;
    }
    for name in ["e", "f"] {
        scene.registry.open(&connection(name), LATER).await.unwrap();
    }
    let by_tenant = [("home", 2), ("cabin", 1), ("", 1)];
    let expected = Statistics {
        connections: 6,
        authenticated: 4,
        by_tenant: by_tenant.map(|(name, count)| (tenant(name), count)).into(),
    };
    assert_eq!(scene.registry.statistics().await, Ok(expected));
}
