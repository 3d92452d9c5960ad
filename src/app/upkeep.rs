//! What is done to homes without anybody calling: they are kept warm, brought up to date, given new tokens.

use futures_util::StreamExt as _;

use super::{AT_ONCE, App, Invocation, within};
use crate::bridge::Warmth;
use crate::homes::{Change, Extent};
use crate::reply::{Failure, KeepWarmReply, Problem, RotationReply};
use crate::rotation::{RotationError, RotationRequest};
use crate::source::HomeName;

impl App {
    /// Makes all homes ready, a few at a time, and says how they are.
    pub(crate) async fn keep_warm(
        &self,
        invocation: &Invocation,
    ) -> Result<KeepWarmReply, Failure> {
        let deadline = invocation.deadline;
        let listing = self.homes.all(invocation.tenant(), Extent::Kept);
        let homes = within(deadline.remaining(self.clock.now()), listing).await??;
        let warmed = homes.into_iter().map(|listed| async move {
            let (name, warmth) = match listed {
                Ok(name) => {
                    let warmth = self.warm(name.as_ref(), invocation).await;
                    (name, warmth)
                }
                Err(error) => (None, Err(Failure::Homes(error))),
            };
            (name, self.report_warmth(warmth, &invocation.id))
        });
        // Whoever is done makes room for the next, whichever that is.
        let warmed = futures_util::stream::iter(warmed).buffer_unordered(AT_ONCE);
        Ok(if self.homes.are_several() {
            let mut warmed: Vec<_> = warmed.collect().await;
            warmed.sort_by(|(one, _), (other, _)| one.cmp(other));
            KeepWarmReply::several(warmed)
        } else {
            KeepWarmReply::one(warmed.map(|(_, warmth)| warmth).collect().await)
        })
    }

    /// Makes one home ready; once more if what is stored of it turns out to have changed.
    async fn warm(
        &self,
        name: Option<&HomeName>,
        invocation: &Invocation,
    ) -> Result<Warmth, Failure> {
        let deadline = invocation.deadline;
        let home = self.find(name, invocation).await?;
        let warmth = home.bridge.keep_warm(deadline).await;
        if !home.is_outdated() {
            return Ok(warmth);
        }
        let home = self.find(name, invocation).await?;
        Ok(home.bridge.keep_warm(deadline).await)
    }

    /// Brings up to date what a changed parameter was about.
    pub(crate) async fn parameter_changed(
        &self,
        parameter: &str,
        invocation: &Invocation,
    ) -> Result<KeepWarmReply, Failure> {
        let deadline = invocation.deadline;
        let remaining = deadline.remaining(self.clock.now());
        let (name, warmth) = match within(remaining, self.homes.changed(parameter)).await? {
            Change::None => return Ok(KeepWarmReply::ignored()),
            Change::Failed(name, error) => (Some(name), Err(Failure::Homes(error))),
            Change::Token(home) => {
                let mut warmth = Ok(home.bridge.token_changed(deadline).await);
                if home.is_outdated() {
                    warmth = self.warm(home.name.as_ref(), invocation).await;
                }
                (home.name.clone(), warmth)
            }
            Change::Settings(home) => {
                let warmth = home.bridge.keep_warm(deadline).await;
                (home.name.clone(), Ok(warmth))
            }
        };
        let warmth = self.report_warmth(warmth, &invocation.id);
        Ok(if self.homes.are_several() {
            KeepWarmReply::several(vec![(name, warmth)])
        } else {
            KeepWarmReply::one(vec![warmth])
        })
    }

    /// Rotates the token of one home, or of every one, a few at a time.
    pub(crate) async fn rotate(
        &self,
        request: &RotationRequest,
        invocation: &Invocation,
    ) -> Result<RotationReply, Failure> {
        let deadline = invocation.deadline;
        let rotate = async |name: Option<&HomeName>| {
            let home = self.find(name, invocation).await?;
            match &home.versions {
                Some(versions) => {
                    let rotation = &self.rotation;
                    let report =
                        rotation.run(&home, &**versions, request.mode, request.wait, deadline);
                    Ok(report.await?)
                }
                None => Err(Failure::Rotation(RotationError::NoParameter)),
            }
        };
        if request.home.is_some() || !self.homes.are_several() {
            return Ok(RotationReply::one(rotate(request.home.as_ref()).await?));
        }
        let listing = self.homes.all(invocation.tenant(), Extent::Stored);
        let homes = within(deadline.remaining(self.clock.now()), listing).await??;
        let rotated = homes.into_iter().map(|listed| async {
            let (name, report) = match listed {
                Ok(name) => {
                    let report = rotate(name.as_ref()).await;
                    (name, report)
                }
                Err(error) => (None, Err(Failure::Homes(error))),
            };
            (
                name,
                report.map_err(|failure| self.report(&failure, &invocation.id)),
            )
        });
        let rotated = futures_util::stream::iter(rotated).buffer_unordered(AT_ONCE);
        let mut rotated: Vec<_> = rotated.collect().await;
        rotated.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(RotationReply::several(rotated))
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
