//! The critical step of a rotation: mints, proves and stores a new token.

use secrecy::SecretString;

use super::error::RotationError;
use super::limits::{LIFESPAN_DAYS, STORE_TIME};
use super::plan;
use super::run::{Look, Run, newest};
use crate::base::secret::AccessToken;
use crate::home::source::StoreOutcome;
use crate::home::token::token_id;

impl Run<'_> {
    /// Mints a token, proves it and stores it. Revokes the token at once if it is certain that it was not stored.
    pub(super) async fn mint(&mut self, look: &Look) -> Result<(), RotationError> {
        let base = look.stored.all.last().ok_or(RotationError::NotIdentified)?;
        let number = self.rotation.random.u32();
        let name = plan::name(&look.facts.marker, self.rotation.clock.now().unix, number);
        let text = self.commands().mint(&name, LIFESPAN_DAYS).await?;
        let id = token_id(&text).ok_or(RotationError::NotIdentified)?;
        self.note(format!("minted the token {id}"));
        match self
            .prove_and_store(&text, base.number, base.key_id.as_deref())
            .await
        {
            Ok(version) => {
                self.stored = Some(version);
                self.note(format!("stored it as version {version}"));
                Ok(())
            }
            // The token may be stored. The next run reads the parameter and decides.
            Err(error @ (RotationError::StoredOrNot(_) | RotationError::LeaseLost)) => Err(error),
            Err(error) => {
                match self.revoke(&id).await {
                    Ok(()) => self.note(format!("revoked the token {id} again")),
                    Err(left) => {
                        tracing::warn!(
                            category = "rotation",
                            error = %left,
                            "the new token was not revoked; the next run revokes it"
                        );
                    }
                }
                Err(error)
            }
        }
    }

    async fn prove_and_store(
        &mut self,
        text: &SecretString,
        base: i64,
        key_id: Option<&str>,
    ) -> Result<i64, RotationError> {
        self.renew_lease().await?;
        let token = AccessToken::new(text.clone());
        let proven = self.home.bridge.try_out(&token, self.deadline).await;
        proven.map_err(RotationError::Unproven)?;
        loop {
            self.renew_lease().await?;
            if newest(&self.read().await?) != Some(base) {
                return Err(RotationError::Overtaken);
            }
            // The lease outlasts the store, so no other run can begin before the store has ended.
            if self.rotation.clock.now().unix + STORE_TIME < self.leased_until {
                break;
            }
        }
        let (error, is_refusal) = match self.versions.store(text, key_id).await {
            StoreOutcome::Stored { version } => return Ok(version),
            StoreOutcome::Refused(error) => (error, true),
            StoreOutcome::Unknown(error) => (error, false),
        };
        match self.read().await.ok().and_then(|mut now| now.all.pop()) {
            Some(now) if token_id(&now.value) == token_id(text) => Ok(now.number),
            Some(now) if is_refusal && now.number == base => Err(RotationError::NotStored(error)),
            _ => Err(RotationError::StoredOrNot(error)),
        }
    }
}
