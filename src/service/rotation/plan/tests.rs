//! Tests of the plan with examples, and with a model in which runs crash at any point.

use proptest::prelude::*;

use super::*;

const DRAIN: Duration = Duration::from_secs(600);
const SETTLING: Duration = Duration::from_secs(50);

fn facts(now: u64, versions: &[(&str, u64)], known: &[(&str, &str)]) -> Facts {
    Facts {
        now: Duration::from_secs(now),
        marker: "latchkey 01234567 ".into(),
        drain: DRAIN,
        settling: SETTLING,
        versions: versions
            .iter()
            .map(|(id, stored_at)| Version {
                token_id: (*id).into(),
                stored_at: Duration::from_secs(*stored_at),
            })
            .collect(),
        known: known
            .iter()
            .map(|(id, client_name)| Known {
                id: (*id).into(),
                client_name: (*client_name).into(),
            })
            .collect(),
    }
}

const OURS: &str = "latchkey 01234567 1000 0f0f0f0f";

#[test]
fn plan_with_no_token_to_revoke_mints_only_if_requested() {
    let facts = facts(5_000, &[("a", 0)], &[("a", "by hand"), ("x", "somebody's")]);
    assert_eq!(facts.next(true), Step::Mint);
    assert_eq!(facts.next(false), Step::Nothing);
    assert!(!facts.is_under_way());
}

#[test]
fn orphaned_token_is_revoked_before_minting() {
    let facts = facts(
        5_000,
        &[("a", 0)],
        // A token of another latchkey is not revoked.
        &[("c", "latchkey 76543210 1"), ("a", "by hand"), ("b", OURS)],
    );
    assert_eq!(facts.next(true), Step::RevokeOrphan { id: "b".into() });
    assert!(!facts.is_under_way());
}

#[test]
fn orphaned_token_is_not_revoked_while_settling() {
    let known = [("a", "by hand"), ("b", OURS)];
    let until = Duration::from_secs(1_050);
    let early = facts(1_049, &[("a", 0)], &known);
    assert_eq!(early.next(true), Step::Drain { until });
    let late = facts(1_050, &[("a", 0)], &known);
    assert_eq!(late.next(true), Step::RevokeOrphan { id: "b".into() });
}

#[test]
fn token_older_than_the_parameter_drains_before_revocation() {
    let known = [("new", "by hand"), ("b", OURS)];
    let until = Duration::from_secs(2_600);
    let early = facts(2_100, &[("new", 2_000)], &known);
    assert_eq!(early.next(true), Step::Drain { until });
    let late = facts(2_600, &[("new", 2_000)], &known);
    assert_eq!(late.next(true), Step::RevokeReplaced { id: "b".into() });
}

#[test]
fn replaced_token_is_revoked_after_the_drain() {
    let known = [("a", "by hand"), ("b", OURS)];
    let versions = [("a", 0), ("b", 1_000)];
    let until = Duration::from_secs(1_600);
    let early = facts(1_599, &versions, &known);
    assert_eq!(early.next(true), Step::Drain { until });
    assert!(early.is_under_way());
    let late = facts(1_600, &versions, &known);
    assert_eq!(late.next(true), Step::RevokeReplaced { id: "a".into() });
}

#[test]
fn token_replaced_by_a_person_is_not_revoked() {
    let facts = facts(
        5_000,
        &[("a", 0), ("b", 1_000)],
        &[("a", "by hand"), ("b", "by hand too")],
    );
    assert_eq!(facts.next(false), Step::Nothing);
}

#[test]
fn rollback_makes_the_new_token_the_replaced_token() {
    let known = [("a", "by hand"), ("b", OURS)];
    let versions = [("a", 0), ("b", 1_000), ("a", 1_100)];
    let until = Duration::from_secs(1_700);
    assert_eq!(
        facts(1_200, &versions, &known).next(false),
        Step::Drain { until }
    );
    assert_eq!(
        facts(1_700, &versions, &known).next(false),
        Step::RevokeReplaced { id: "b".into() }
    );
}

#[test]
fn drain_of_a_token_stored_twice_starts_at_its_last_replacement() {
    let known = [("a", OURS), ("b", OURS)];
    let versions = [("a", 0), ("a", 900), ("b", 1_000)];
    let until = Duration::from_secs(1_600);
    assert_eq!(
        facts(1_500, &versions, &known).next(false),
        Step::Drain { until }
    );
}

/// A model of a home and a parameter.
struct World {
    facts: Facts,
    minted: u32,
}

impl World {
    /// Runs a rotation that crashes after `effects` effects. Returns true if the rotation completed before that.
    fn run(&mut self, mut begin: bool, mut effects: u32) -> bool {
        begin &= !self.facts.is_under_way();
        loop {
            let step = self.facts.next(begin);
            if step == Step::Nothing {
                return true;
            }
            if effects == 0 {
                return false;
            }
            effects -= 1;
            match step {
                Step::RevokeOrphan { id } | Step::RevokeReplaced { id } => {
                    let current = &self.facts.versions.last().unwrap().token_id;
                    assert_ne!(*current, id, "the current token is never revoked");
                    self.facts.known.retain(|token| token.id != id);
                }
                Step::Drain { until } => self.facts.now = until,
                Step::Mint => {
                    self.minted += 1;
                    let id = format!("minted {}", self.minted);
                    self.facts.known.push(Known {
                        id: id.clone(),
                        client_name: name(&self.facts.marker, self.facts.now, self.minted),
                    });
                    if effects == 0 {
                        return false;
                    }
                    effects -= 1;
                    let stored_at = self.facts.now;
                    self.facts.versions.push(Version {
                        token_id: id,
                        stored_at,
                    });
                    begin = false;
                }
                Step::Nothing => return true,
            }
        }
    }
}

proptest! {
    #[test]
    fn rotation_after_any_crashes_leaves_only_the_stored_token(
        lives in proptest::collection::vec((0_u32..6, any::<bool>(), 0_u64..2_000), 0..12),
    ) {
        let mut world = World {
            facts: facts(1_000, &[("first", 0)], &[("first", "by hand"), ("x", "somebody's")]),
            minted: 0,
        };
        for (effects, begin, pause) in lives {
            world.run(begin, effects);
            world.facts.now += Duration::from_secs(pause);
        }
        prop_assert!(world.run(true, 100));
        let current = world.facts.versions.last().unwrap().token_id.clone();
        let mut left: Vec<&str> = world.facts.known.iter().map(|token| token.id.as_str()).collect();
        let mut expected = vec!["x", current.as_str()];
        expected.sort_unstable();
        left.sort_unstable();
        prop_assert_eq!(left, expected);
    }
}
