//! Properties that hold for every request.

use proptest::prelude::*;

use super::*;

const PERMISSIONS: [&str; 14] = [
    "read",
    "read:light.*",
    "read:lock.a",
    "call:*",
    "call:*:light.*",
    "call:light.*",
    "call:light.turn_on:light.a",
    "call:light.turn_on:*",
    "call:lock.*:lock.?",
    "call:homeassistant.*:light.*",
    "call:script.*:script.*",
    "call:shell_command.*",
    "health:read",
    "admin",
];

fn permissions() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(proptest::sample::select(&PERMISSIONS[..]), 0..5)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(&["light.a", "light.b", "lock.a", "switch.a", "script.x"][..])
            .prop_map(str::to_owned),
        proptest::sample::select(
            &[
                "all",
                "",
                " LIGHT.A",
                "light.a,lock.a",
                "{{ x }}",
                "{",
                "ä.b"
            ][..]
        )
        .prop_map(str::to_owned),
        "\\PC{0,12}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => Just(json!(null)),
        1 => Just(json!(5)),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(name(), inner, 0..3).prop_map(|members| json!(members)),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => proptest::sample::select(
            &["entity_id", "entities", "area_id", "device_id", "x", "lock.b", "entity_ids"][..]
        ).prop_map(str::to_owned),
        1 => text(),
    ]
}

fn asked() -> impl Strategy<Value = Value> {
    let kind = proptest::sample::select(
        &[
            "call_service",
            "call_service",
            "call_service",
            "get_states",
            "get_services",
            "history/history_during_period",
            "logbook/get_events",
            "recorder/statistics_during_period",
            "fire_event",
        ][..],
    );
    let domain = prop_oneof![
        4 => proptest::sample::select(
            &["light", "Lock", "homeassistant", "script", "shell_command", "backup"][..]
        ).prop_map(str::to_owned),
        1 => text(),
    ];
    let service = prop_oneof![
        4 => proptest::sample::select(&["turn_on", "unlock", "restart", "x", " Toggle "][..])
            .prop_map(str::to_owned),
        1 => text(),
    ];
    (kind, domain, service, value(), value(), value()).prop_map(
        |(kind, domain, service, target, data, ids)| {
            json!({
                "type": kind, "domain": domain, "service": service, "target": target,
                "service_data": data, "entity_ids": ids, "statistic_ids": ids,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A caller who repeatedly gets the permission that a denial names is allowed in the end. No denial names the same
    /// permission twice.
    #[test]
    fn permissions_named_by_denials_are_sufficient(has in permissions(), asked in asked()) {
        let mut has: Vec<String> = has.into_iter().map(str::to_owned).collect();
        loop {
            match run(&has.join(" "), &asked) {
                Ok(()) => break,
                Err(Denied { wanted }) => {
                    prop_assert!(Permission::parse(&wanted).is_some(), "{wanted}");
                    prop_assert!(!has.contains(&wanted), "{wanted} twice, of {has:?}");
                    has.push(wanted);
                }
            }
        }
    }

    /// An additional permission never causes a denial.
    #[test]
    fn more_permissions_allow_more(has in permissions(), more in permissions(), asked in asked()) {
        if run(&has.join(" "), &asked).is_ok() {
            let both = [has, more].concat();
            prop_assert!(run(&both.join(" "), &asked).is_ok(), "{both:?}");
        }
    }

    #[test]
    fn no_permission_denies_all_and_admin_allows_all(asked in asked()) {
        prop_assert!(run("", &asked).is_err());
        prop_assert!(run("admin", &asked).is_ok());
    }

    /// A caller with all permissions for lights never moves a lock, even if the call has other data.
    #[test]
    fn call_that_names_a_lock_is_denied_with_permissions_for_lights(
        mut asked in asked(),
        data in value(),
        in_target: bool,
    ) {
        let place = if in_target { "target" } else { "service_data" };
        asked["type"] = json!("call_service");
        asked[place] = json!({"entity_id": ["light.a", "lock.front"], "x": data});
        let lights = "read call:*:light.* call:light.*:light.*";
        let denied = run(lights, &asked);
        prop_assert!(denied.is_err());
    }
}
