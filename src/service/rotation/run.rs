//! One run of a rotation, step by step.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::error::RotationError;
use super::home::{self, Chores};
use super::limits::{STORE_LIMIT, TIME_TO_END};
use super::plan::{Facts, Step, Version};
use super::report::{Progress, RotationReport};
use super::terms::RotationTerms;
use crate::base::clock::Deadline;
use crate::base::home_name::HomeName;
use crate::home::homes::Home;
use crate::home::source::{TokenVersions, Versions};
use crate::home::token::{access_token, token_id};

/// How often, and after what pause, a run looks again for what it has stored itself.
const SECOND_LOOKS: u32 = 10;
const BEFORE_A_SECOND_LOOK: Duration = Duration::from_millis(500);

/// One run.
pub(super) struct Run<'a> {
    pub(super) rotation: &'a RotationTerms,
    pub(super) home: &'a Home,
    pub(super) versions: &'a dyn TokenVersions,
    pub(super) deadline: Deadline,
    id: String,
    /// What tells the place of the token apart from all others.
    scope: String,
    /// Until when the lease lasts, since the Unix epoch.
    pub(super) leased_until: Duration,
    /// The version that this run has stored.
    pub(super) stored: Option<i64>,
    steps: Vec<String>,
    revoked: u32,
}

/// What is stored now, and what follows from it.
pub(super) struct Look {
    pub(super) stored: Versions,
    pub(super) facts: Facts,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        rotation: &'a RotationTerms,
        home: &'a Home,
        versions: &'a dyn TokenVersions,
        deadline: Deadline,
    ) -> Self {
        Self {
            rotation,
            home,
            versions,
            deadline,
            id: rotation.random.id(),
            scope: String::new(),
            leased_until: Duration::ZERO,
            stored: None,
            steps: Vec::new(),
            revoked: 0,
        }
    }

    /// Does what there is to do, step by step.
    pub(super) async fn go(
        &mut self,
        mut begin: bool,
        longest_wait: Duration,
    ) -> Result<RotationReport, RotationError> {
        let before = self.read().await?;
        self.scope = digest(&before.place);
        if let Some(until) = self.take_lease().await? {
            return Ok(self.report(Progress::Busy { until }));
        }
        let (mut is_first, mut has_rotated, mut second_looks) = (true, false, 0);
        loop {
            let look = match self.look().await {
                // Parameter Store may take a moment to show to all what was stored.
                Err(RotationError::Behind | RotationError::Overtaken)
                    if self.stored.is_some() && second_looks < SECOND_LOOKS =>
                {
                    second_looks += 1;
                    tokio::time::sleep(BEFORE_A_SECOND_LOOK).await;
                    continue;
                }
                look => look?,
            };
            if std::mem::take(&mut is_first) {
                // To finish the one that was begun is the rotation that was asked for.
                has_rotated = look.facts.is_under_way();
                // And one that another run has done while this one waited for the lease is one as well.
                begin &= !has_rotated && newest(&look.stored) == newest(&before);
            }
            let step = look.facts.next(begin);
            self.renew_lease().await?;
            match step {
                Step::RevokeOrphan { id } => {
                    self.revoke(&id).await?;
                    self.note(format!(
                        "revoked the token {id}, which an earlier run minted and never stored"
                    ));
                }
                Step::RevokeReplaced { id } => {
                    self.retire(&look.stored, &id).await;
                    self.renew_lease().await?;
                    // Somebody may have gone back to it by now.
                    if newest(&self.read().await?) != newest(&look.stored) {
                        continue;
                    }
                    self.revoke(&id).await?;
                    self.note(format!(
                        "revoked the token {id}, which nobody uses any more"
                    ));
                }
                Step::Drain { until } => {
                    let now = self.rotation.clock.now();
                    let wait = until.saturating_sub(now.unix);
                    let time_after = self.rotation.step_limit + STORE_LIMIT;
                    if wait > longest_wait || wait + time_after >= self.deadline.remaining(now) {
                        return Ok(self.report(Progress::Draining { until }));
                    }
                    self.wait(wait).await?;
                }
                Step::Mint => {
                    self.mint(&look).await?;
                    (begin, has_rotated) = (false, true);
                }
                Step::Nothing => {
                    let progress = if has_rotated {
                        Progress::Rotated
                    } else {
                        Progress::Nothing
                    };
                    return Ok(self.report(progress));
                }
            }
        }
    }

    /// Gives the lease back.
    pub(super) async fn end(&self) {
        let leases = &self.rotation.leases;
        if self.scope.is_empty() {
            return;
        }
        let released = leases.release(&self.scope, &self.id);
        if !matches!(
            tokio::time::timeout(TIME_TO_END / 2, released).await,
            Ok(Ok(()))
        ) {
            tracing::warn!(
                category = "rotation",
                "the lease was not given back; it ends by itself"
            );
        }
    }

    /// Says what a run would do now.
    pub(super) async fn plan(&mut self) -> Result<RotationReport, RotationError> {
        let mut look = self.look().await?;
        let begin = !look.facts.is_under_way();
        loop {
            let (revoked, step) = match look.facts.next(begin) {
                Step::RevokeOrphan { id } => {
                    let step = format!(
                        "revoke the token {id}, which an earlier run minted and never stored"
                    );
                    (id, step)
                }
                Step::RevokeReplaced { id } => {
                    let step = format!("revoke the token {id}, which nobody uses any more");
                    (id, step)
                }
                Step::Drain { until } => {
                    let seconds = until.saturating_sub(look.facts.now).as_secs();
                    self.steps.push(format!(
                        "wait {seconds} s until nobody can use the token that is to be revoked next"
                    ));
                    break;
                }
                Step::Mint => {
                    let seconds = self.rotation.drain.as_secs();
                    self.steps.extend([
                        "mint a token".to_owned(),
                        "prove it over REST and on a WebSocket".to_owned(),
                        "store it in the parameter, with the same key".to_owned(),
                        format!("wait {seconds} s until nobody can use the old token any more, and revoke it"),
                    ]);
                    break;
                }
                Step::Nothing => break,
            };
            look.facts.known.retain(|token| token.id != revoked);
            self.steps.push(step);
        }
        Ok(self.report(Progress::Planned))
    }

    /// Looks at what is stored and at what the home knows. The home is asked with the token that is stored, which
    /// thereby is proven to be good.
    async fn look(&self) -> Result<Look, RotationError> {
        let warmth = self.home.bridge.token_changed(self.deadline).await;
        if let Some(error) = warmth.error {
            return Err(error.into());
        }
        let chores = self.chores();
        let user = chores.user().await?;
        if !user.is_owner {
            return Err(RotationError::NotOwner { user: user.name });
        }
        let tokens = chores.tokens().await?;
        let stored = self.read().await?;
        if newest(&stored) < self.stored {
            // Parameter Store has not caught up with what this run has stored, and nothing may be decided on what was
            // before.
            return Err(RotationError::Behind);
        }
        let mut versions = Vec::new();
        for version in &stored.all {
            if let Some(token_id) = token_id(&version.value) {
                versions.push(Version {
                    token_id,
                    stored_at: version.stored_at,
                });
            }
        }
        let current = stored
            .all
            .last()
            .and_then(|version| token_id(&version.value));
        let Some(current) = current else {
            return Err(RotationError::NotIdentified);
        };
        if !tokens
            .iter()
            .any(|token| token.is_current && token.id == current)
        {
            // The connection is another token's: the parameter has changed since it was opened.
            return Err(RotationError::Overtaken);
        }
        let facts = Facts {
            now: self.rotation.clock.now().unix,
            marker: marker(&stored.place),
            drain: self.rotation.drain,
            settling: self.lease_time() * 2,
            versions,
            known: tokens.into_iter().map(home::Token::into_known).collect(),
        };
        Ok(Look { stored, facts })
    }

    /// Sees to it that nobody presents a token that is about to be revoked.
    async fn retire(&self, stored: &Versions, id: &str) {
        for version in &stored.all {
            if token_id(&version.value).as_deref() == Some(id) {
                // As it would be presented: without what an editor left around it.
                if let Some(token) = access_token(&version.value) {
                    let fingerprint = token.fingerprint();
                    self.home.bridge.retire(fingerprint, version.number).await;
                }
            }
        }
    }

    pub(super) async fn revoke(&mut self, id: &str) -> Result<(), RotationError> {
        self.chores().revoke(id).await?;
        self.revoked += 1;
        Ok(())
    }

    /// Waits, and keeps the lease meanwhile.
    async fn wait(&mut self, total: Duration) -> Result<(), RotationError> {
        self.note(format!(
            "waiting {} s for the old token to fall out of use",
            total.as_secs()
        ));
        let pause = self.lease_time() / 3;
        let mut left = total;
        while !left.is_zero() {
            let part = left.min(pause);
            tokio::time::sleep(part).await;
            left -= part;
            self.renew_lease().await?;
        }
        Ok(())
    }

    /// Takes the lease, or waits for it while there is time. `Some` says until when another run has it.
    async fn take_lease(&mut self) -> Result<Option<Duration>, RotationError> {
        loop {
            let now = self.rotation.clock.now();
            let ours = now.unix + self.lease_time();
            let leases = &self.rotation.leases;
            let Some(until) = leases.take(&self.scope, &self.id, now, ours).await? else {
                self.leased_until = ours;
                return Ok(None);
            };
            // A little later, so that it has ended then.
            let wait = until.saturating_sub(now.unix) + Duration::from_millis(10);
            if wait >= self.deadline.remaining(now) {
                return Ok(Some(until));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Makes sure that this run has had the lease all the time, and has time for another step.
    pub(super) async fn renew_lease(&mut self) -> Result<(), RotationError> {
        let now = self.rotation.clock.now();
        if self.deadline.remaining(now) < self.rotation.step_limit.min(STORE_LIMIT) {
            return Err(RotationError::OutOfTime);
        }
        let until = now.unix + self.lease_time();
        let leases = &self.rotation.leases;
        if leases.renew(&self.scope, &self.id, until).await? {
            self.leased_until = until;
            Ok(())
        } else {
            Err(RotationError::LeaseLost)
        }
    }

    /// Longer than any step.
    fn lease_time(&self) -> Duration {
        self.rotation.step_limit + STORE_LIMIT
    }

    /// Reads the parameter's versions, in the time there is.
    pub(super) async fn read(&self) -> Result<Versions, RotationError> {
        let left = self.deadline.remaining(self.rotation.clock.now());
        match tokio::time::timeout(left, self.versions.read()).await {
            Ok(versions) => Ok(versions?),
            Err(_) => Err(RotationError::OutOfTime),
        }
    }

    pub(super) fn chores(&self) -> Chores<'_> {
        Chores {
            bridge: &self.home.bridge,
            deadline: self.deadline,
        }
    }

    pub(super) fn note(&mut self, step: String) {
        let home = self.home.name.as_ref().map(HomeName::as_str);
        tracing::info!(category = "rotation", home, step, "rotation");
        self.steps.push(step);
    }

    fn report(&mut self, progress: Progress) -> RotationReport {
        let token = self.home.bridge.token();
        RotationReport {
            progress,
            steps: std::mem::take(&mut self.steps),
            token: token.map(|facts| (facts.fingerprint, facts.version)),
            revoked: self.revoked,
        }
    }
}

pub(super) fn newest(versions: &Versions) -> Option<i64> {
    versions.all.last().map(|version| version.number)
}

/// What the names of tokens begin with that were minted for one place: two latchkeys that share a user of a home must
/// not take each other's for orphans.
fn marker(place: &str) -> String {
    format!("latchkey {} ", &digest(place)[..8])
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
