//! What is done to homes without anybody calling: they are kept warm, brought up to date, given new tokens.

use futures_util::StreamExt as _;

use super::{App, within};
use crate::bridge::Warmth;
use crate::clock::Deadline;
use crate::homes::{Change, Home};
use crate::reply::{Failure, KeepWarmReply, Problem, RotationReply};
use crate::rotation::{RotationError, RotationRequest};

/// How many homes are seen to at once.
const AT_ONCE: usize = 8;

impl App {
    /// Makes all homes ready, a few at a time, and says how they are.
    pub(super) async fn keep_warm(
        &self,
        tenant: Option<&str>,
        deadline: Deadline,
        request_id: &str,
    ) -> Result<KeepWarmReply, Failure> {
        let opening = self.homes.all(tenant);
        let homes = within(deadline.remaining(self.clock.now()), opening).await??;
        let warmed = homes.into_iter().map(|(name, home)| async move {
            let warmth = match home {
                Ok(home) => Ok(home.bridge.keep_warm(deadline).await),
                Err(error) => Err(Failure::Homes(error)),
            };
            (name, self.report_warmth(warmth, request_id))
        });
        let warmed = futures_util::stream::iter(warmed).buffered(AT_ONCE);
        Ok(if self.homes.are_several() {
            KeepWarmReply::several(warmed.collect().await)
        } else {
            KeepWarmReply::one(warmed.map(|(_, warmth)| warmth).collect().await)
        })
    }

    /// Brings up to date what a changed parameter was about.
    pub(super) async fn parameter_changed(
        &self,
        parameter: &str,
        deadline: Deadline,
        request_id: &str,
    ) -> KeepWarmReply {
        let (home, warmth) = match self.homes.changed(parameter).await {
            Change::None => return KeepWarmReply::ignored(),
            Change::Token(home) => {
                let warmth = home.bridge.token_changed(deadline).await;
                (home, warmth)
            }
            Change::Settings(home) => {
                let warmth = home.bridge.keep_warm(deadline).await;
                (home, warmth)
            }
        };
        let warmth = self.report_warmth(Ok(warmth), request_id);
        if self.homes.are_several() {
            KeepWarmReply::several(vec![(home.name.clone(), warmth)])
        } else {
            KeepWarmReply::one(vec![warmth])
        }
    }

    /// Rotates the token of one home, or of every one, a few at a time.
    pub(super) async fn rotate(
        &self,
        request: &RotationRequest,
        tenant: Option<&str>,
        deadline: Deadline,
        request_id: &str,
    ) -> Result<RotationReply, Failure> {
        let rotate = async |home: &Home| match &home.versions {
            Some(versions) => {
                let rotation = &self.rotation;
                let report = rotation.run(home, &**versions, request.mode, deadline);
                Ok(report.await?)
            }
            None => Err(Failure::Rotation(RotationError::NoParameter)),
        };
        if request.home.is_some() || !self.homes.are_several() {
            let home = self.homes.find(request.home.as_ref(), tenant).await?;
            return Ok(RotationReply::one(rotate(&home).await?));
        }
        let homes = self.homes.all(tenant).await?;
        let rotated = homes.into_iter().map(|(name, home)| async move {
            let report = match home {
                Ok(home) => rotate(&home).await,
                Err(error) => Err(Failure::Homes(error)),
            };
            (
                name,
                report.map_err(|failure| self.report(&failure, request_id)),
            )
        });
        let rotated = futures_util::stream::iter(rotated).buffered(AT_ONCE);
        Ok(RotationReply::several(rotated.collect().await))
    }

    /// Writes the one log line of a home that is not all well.
    fn report_warmth(
        &self,
        warmth: Result<Warmth, Failure>,
        request_id: &str,
    ) -> (Option<Warmth>, Option<Problem>) {
        let failure = match &warmth {
            Ok(warmth) => warmth.error.clone().map(Failure::Bridge),
            Err(failure) => Some(failure.clone()),
        };
        let problem = failure.map(|failure| self.report(&failure, request_id));
        (warmth.ok(), problem)
    }
}
