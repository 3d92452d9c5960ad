//! One run of a rotation, step by step.

use std::time::Duration;

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::home::{self, Chores};
use super::plan::{Facts, Step, Version};
use super::{LIFESPAN_DAYS, Progress, Rotation, RotationError, RotationReport, STORE_LIMIT};
use crate::clock::Deadline;
use crate::homes::Home;
use crate::secret::AccessToken;
use crate::source::{HomeName, StoreOutcome, TokenVersions, Versions};
use crate::token::token_id;

/// One run.
pub(super) struct Run<'a> {
    rotation: &'a Rotation,
    home: &'a Home,
    versions: &'a dyn TokenVersions,
    deadline: Deadline,
    id: String,
    /// What tells the place of the token apart from all others.
    scope: String,
    steps: Vec<String>,
    revoked: u32,
}

/// What is stored now, and what follows from it.
struct Look {
    stored: Versions,
    facts: Facts,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        rotation: &'a Rotation,
        home: &'a Home,
        versions: &'a dyn TokenVersions,
        deadline: Deadline,
    ) -> Self {
        Self {
            rotation,
            home,
            versions,
            deadline,
            id: format!("{:032x}", rotation.random().u128(..)),
            scope: String::new(),
            steps: Vec::new(),
            revoked: 0,
        }
    }

    /// Does what there is to do, step by step.
    pub(super) async fn go(&mut self, mut begin: bool) -> Result<RotationReport, RotationError> {
        let place = self.versions.read().await?.place;
        self.scope = digest(&place);
        if let Some(until) = self.take_lease().await? {
            return Ok(self.report(Progress::Busy { until }));
        }
        let (mut is_first, mut has_rotated) = (true, false);
        loop {
            let look = self.look().await?;
            if std::mem::take(&mut is_first) && look.facts.is_under_way() {
                // To finish the one that was begun is the rotation that was asked for.
                begin = false;
                has_rotated = true;
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
                    self.revoke(&id).await?;
                    self.note(format!(
                        "revoked the token {id}, which nobody uses any more"
                    ));
                }
                Step::Drain { until } => {
                    let wait = until.saturating_sub(self.rotation.clock.now().unix);
                    if wait >= self.deadline.remaining(self.rotation.clock.now()) {
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
        if !self.scope.is_empty()
            && let Err(error) = leases.release(&self.scope, &self.id).await
        {
            tracing::warn!(category = "rotation", error = %error, "the lease was not given back; it ends by itself");
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
                        "wait {seconds} s until nobody can use the replaced token any more, and revoke it"
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

    /// Looks at what is stored and at what the home knows. The home is asked with the token that is stored, which thereby is
    /// proven to be good.
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
        let stored = self.versions.read().await?;
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
            versions,
            known: tokens.into_iter().map(home::Token::into_known).collect(),
        };
        Ok(Look { stored, facts })
    }

    /// Mints a token, proves it and stores it. A token that is certainly not stored is revoked at once.
    async fn mint(&mut self, look: &Look) -> Result<(), RotationError> {
        let base = look.stored.all.last().ok_or(RotationError::NotIdentified)?;
        let number: u32 = self.rotation.random().u32(..);
        let minted_at = self.rotation.clock.now().unix.as_secs();
        let name = format!("{}{minted_at} {number:08x}", look.facts.marker);
        let text = self.chores().mint(&name, LIFESPAN_DAYS).await?;
        let id = token_id(&text).ok_or(RotationError::NotIdentified)?;
        self.note(format!("minted the token {id}"));
        match self
            .prove_and_store(&text, base.number, base.key_id.as_deref())
            .await
        {
            Ok(version) => {
                self.note(format!("stored it as version {version}"));
                Ok(())
            }
            // It may be stored. If it is not, the next run will know.
            Err(error @ (RotationError::StoredOrNot(_) | RotationError::LeaseLost)) => Err(error),
            Err(error) => {
                match self.revoke(&id).await {
                    Ok(()) => self.note(format!("revoked the token {id} again")),
                    Err(left) => {
                        tracing::warn!(category = "rotation", error = %left, "the new token is left to the next run");
                    }
                }
                Err(error)
            }
        }
    }

    async fn prove_and_store(
        &self,
        text: &SecretString,
        base: i64,
        key_id: Option<&str>,
    ) -> Result<i64, RotationError> {
        self.renew_lease().await?;
        let token = AccessToken::new(text.clone());
        let proven = self.home.bridge.try_out(&token, self.deadline).await;
        proven.map_err(RotationError::Unproven)?;
        self.renew_lease().await?;
        // Last, so that nothing comes between.
        let newest = |versions: &Versions| versions.all.last().map(|version| version.number);
        if newest(&self.versions.read().await?) != Some(base) {
            return Err(RotationError::Overtaken);
        }
        match self.versions.store(text, key_id).await {
            StoreOutcome::Stored { version } => Ok(version),
            StoreOutcome::Refused(error) => Err(RotationError::NotStored(error)),
            StoreOutcome::Unknown(error) => {
                let now = self.versions.read().await;
                let stored = now.ok().and_then(|mut versions| versions.all.pop());
                match stored.filter(|version| token_id(&version.value) == token_id(text)) {
                    Some(version) => Ok(version.number),
                    None => Err(RotationError::StoredOrNot(error)),
                }
            }
        }
    }

    /// Sees to it that nobody presents a token that is about to be revoked.
    async fn retire(&self, stored: &Versions, id: &str) {
        for version in &stored.all {
            if token_id(&version.value).as_deref() == Some(id) {
                let fingerprint = AccessToken::new(version.value.clone()).fingerprint();
                self.home.bridge.retire(fingerprint, version.number).await;
            }
        }
    }

    async fn revoke(&mut self, id: &str) -> Result<(), RotationError> {
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
    async fn take_lease(&self) -> Result<Option<Duration>, RotationError> {
        loop {
            let now = self.rotation.clock.now();
            let ours = now.unix + self.lease_time();
            let leases = &self.rotation.leases;
            let Some(until) = leases.take(&self.scope, &self.id, now, ours).await? else {
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
    async fn renew_lease(&self) -> Result<(), RotationError> {
        let now = self.rotation.clock.now();
        if self.deadline.remaining(now) < self.rotation.step_limit.min(STORE_LIMIT) {
            return Err(RotationError::OutOfTime);
        }
        let until = now.unix + self.lease_time();
        let leases = &self.rotation.leases;
        if leases.renew(&self.scope, &self.id, until).await? {
            Ok(())
        } else {
            Err(RotationError::LeaseLost)
        }
    }

    /// Longer than any step.
    fn lease_time(&self) -> Duration {
        self.rotation.step_limit + STORE_LIMIT
    }

    fn chores(&self) -> Chores<'_> {
        Chores {
            bridge: &self.home.bridge,
            deadline: self.deadline,
        }
    }

    fn note(&mut self, step: String) {
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

/// What the names of tokens begin with that were minted for one place: two latchkeys that share a user of a home must not
/// take each other's for orphans.
fn marker(place: &str) -> String {
    format!("latchkey {} ", &digest(place)[..8])
}

fn digest(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
