//! A run of a rotation.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::error::RotationError;
use super::home::{self, HomeCommands};
use super::lease::{Lease, Renewal};
use super::limits::{STORE_LIMIT, TIME_TO_END};
use super::plan::{Facts, Step, Version};
use super::report::{Progress, RotationReport};
use super::terms::RotationTerms;
use crate::base::clock::Deadline;
use crate::base::home_name::HomeName;
use crate::home::homes::Home;
use crate::home::source::{TokenVersions, Versions};
use crate::home::token::{access_token, token_id};

/// The number of times that a run reads the parameter again until it sees its own store.
const SECOND_LOOKS: u32 = 10;

/// The pause before each of these reads.
const BEFORE_A_SECOND_LOOK: Duration = Duration::from_millis(500);

/// A run of a rotation for one home.
pub(super) struct Run<'a> {
    pub(super) rotation: &'a RotationTerms,
    pub(super) home: &'a Home,
    pub(super) versions: &'a dyn TokenVersions,
    pub(super) deadline: Deadline,
    id: String,
    /// The scope of the lease: a hash of the place where the token is stored.
    scope: String,
    /// The time at which the lease expires, since the Unix epoch.
    pub(super) leased_until: Duration,
    /// The version that this run has stored.
    pub(super) stored: Option<i64>,
    steps: Vec<String>,
    revoked: u32,
}

/// The stored versions, and the facts for the plan.
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

    /// Takes the lease and does each step of the plan until the rotation is complete or must wait.
    pub(super) async fn go(
        &mut self,
        mut begin: bool,
        longest_wait: Duration,
    ) -> Result<RotationReport, RotationError> {
        let before = self.read().await?;
        self.scope = digest(&before.place);
        if let Lease::HeldUntil(until) = self.take_lease().await? {
            return Ok(self.report(Progress::Busy { until }));
        }
        let (mut is_first, mut has_rotated, mut second_looks) = (true, false, 0);
        loop {
            let look = match self.look().await {
                // Parameter Store is eventually consistent: a read may return the version from before the store.
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
                // Completing an unfinished rotation fulfils the request.
                has_rotated = look.facts.is_under_way();
                // A rotation that another run did while this run waited for the lease fulfils the request as well.
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
                    // Somebody may have stored the old token again.
                    if newest(&self.read().await?) != newest(&look.stored) {
                        continue;
                    }
                    self.revoke(&id).await?;
                    self.note(format!("revoked the token {id}, which is out of use"));
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

    /// Releases the lease.
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
                "the lease was not released; it expires by itself"
            );
        }
    }

    /// Returns a report of the steps that a run would do now.
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
                    let step = format!("revoke the token {id}, which is out of use");
                    (id, step)
                }
                Step::Drain { until } => {
                    let seconds = until.saturating_sub(look.facts.now).as_secs();
                    self.steps.push(format!(
                        "wait {seconds} s until the next token to revoke is out of use"
                    ));
                    break;
                }
                Step::Mint => {
                    let seconds = self.rotation.drain.as_secs();
                    self.steps.extend([
                        "mint a token".to_owned(),
                        "prove it over REST and on a WebSocket".to_owned(),
                        "store it in the parameter, with the same key".to_owned(),
                        format!(
                            "wait {seconds} s until the old token is out of use, and revoke it"
                        ),
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

    /// Reads the stored versions and the tokens that the home knows. The connection to the home uses the stored token,
    /// which proves that this token is valid.
    async fn look(&self) -> Result<Look, RotationError> {
        let warmth = self.home.bridge.token_changed(self.deadline).await;
        if let Some(error) = warmth.error {
            return Err(error.into());
        }
        let commands = self.commands();
        let user = commands.user().await?;
        if !user.is_owner {
            return Err(RotationError::NotOwner { user: user.name });
        }
        let tokens = commands.tokens().await?;
        let stored = self.read().await?;
        if newest(&stored) < self.stored {
            // The read returned the state from before this run's store. The plan must not use a stale state.
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
            // The connection uses another token: the parameter has changed since the connection was opened.
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

    /// Makes all execution environments stop using a token before it is revoked.
    async fn retire(&self, stored: &Versions, id: &str) {
        for version in &stored.all {
            if token_id(&version.value).as_deref() == Some(id) {
                // The fingerprint is that of the token as it is sent, without white space from an editor around it.
                if let Some(token) = access_token(&version.value) {
                    let fingerprint = token.fingerprint();
                    self.home.bridge.retire(fingerprint, version.number).await;
                }
            }
        }
    }

    pub(super) async fn revoke(&mut self, id: &str) -> Result<(), RotationError> {
        self.commands().revoke(id).await?;
        self.revoked += 1;
        Ok(())
    }

    /// Waits and renews the lease during the wait.
    async fn wait(&mut self, total: Duration) -> Result<(), RotationError> {
        self.note(format!(
            "waiting {} s until the old token is out of use",
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

    /// Takes the lease. If another run holds it, waits until it expires, provided that this is before the deadline.
    async fn take_lease(&mut self) -> Result<Lease, RotationError> {
        loop {
            let now = self.rotation.clock.now();
            let ours = now.unix + self.lease_time();
            let leases = &self.rotation.leases;
            let lease = leases.take(&self.scope, &self.id, now, ours).await?;
            let Lease::HeldUntil(until) = lease else {
                self.leased_until = ours;
                return Ok(lease);
            };
            // A margin of 10 ms makes sure that the lease has expired by then.
            let wait = until.saturating_sub(now.unix) + Duration::from_millis(10);
            if wait >= self.deadline.remaining(now) {
                return Ok(lease);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Renews the lease. Fails if another run has taken it, or if the deadline leaves no time for another step.
    pub(super) async fn renew_lease(&mut self) -> Result<(), RotationError> {
        let now = self.rotation.clock.now();
        if self.deadline.remaining(now) < self.rotation.step_limit.min(STORE_LIMIT) {
            return Err(RotationError::OutOfTime);
        }
        let until = now.unix + self.lease_time();
        let leases = &self.rotation.leases;
        match leases.renew(&self.scope, &self.id, until).await? {
            Renewal::Renewed => {
                self.leased_until = until;
                Ok(())
            }
            Renewal::Lost => Err(RotationError::LeaseLost),
        }
    }

    /// Returns the duration of a lease, which is longer than any step.
    fn lease_time(&self) -> Duration {
        self.rotation.step_limit + STORE_LIMIT
    }

    /// Reads the versions of the parameter before the deadline.
    pub(super) async fn read(&self) -> Result<Versions, RotationError> {
        let left = self.deadline.remaining(self.rotation.clock.now());
        match tokio::time::timeout(left, self.versions.read()).await {
            Ok(versions) => Ok(versions?),
            Err(_) => Err(RotationError::OutOfTime),
        }
    }

    pub(super) fn commands(&self) -> HomeCommands<'_> {
        HomeCommands {
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

/// Returns the prefix of the client names of tokens that were minted for one place. Two latchkeys can share a user of a
/// home. With this prefix, neither of them revokes the other's tokens as orphans.
fn marker(place: &str) -> String {
    format!("latchkey {} ", &digest(place)[..8])
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
