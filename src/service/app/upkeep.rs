//! Maintenance of homes: keeps them warm, applies changed parameters, and rotates tokens.

use futures_util::StreamExt as _;

use super::outcome::PerHome;
use super::{AT_ONCE, App, Invocation, within};
use crate::base::home_name::HomeName;
use crate::home::bridge::Warmth;
use crate::home::homes::{Change, Extent};
use crate::service::failure::Failure;
use crate::service::rotation::{RotationError, RotationReport, RotationRequest};

impl App {
    /// Warms up all homes, at most [`AT_ONCE`] concurrently. Calls `finish` as soon as a home is done, and returns the
    /// results of `finish`.
    pub(crate) async fn keep_warm<T>(
        &self,
        invocation: &Invocation,
        finish: impl Fn(Result<Warmth, Failure>) -> T,
    ) -> Result<PerHome<T>, Failure> {
        let deadline = invocation.deadline;
        let listing = self.homes.all(invocation.tenant(), Extent::Kept);
        let homes = within(deadline.remaining(self.clock.now()), listing).await??;
        let finish = &finish;
        let warmed = homes.into_iter().map(|listed| async move {
            let (name, warmth) = match listed {
                Ok(name) => {
                    let warmth = self.warm(name.as_ref(), invocation).await;
                    (name, warmth)
                }
                Err(error) => (None, Err(Failure::Homes(error))),
            };
            (name, finish(warmth))
        });
        // Unordered: when one home is done, the next one starts.
        let warmed = futures_util::stream::iter(warmed).buffer_unordered(AT_ONCE);
        Ok(PerHome::new(
            warmed.collect().await,
            self.homes.are_several(),
        ))
    }

    /// Warms up one home. Repeats this once if the home's stored settings have changed.
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

    /// Applies the change of a parameter to the home that reads the parameter. Returns `None` if no home reads it.
    /// `finish` makes the home's result.
    pub(crate) async fn parameter_changed<T>(
        &self,
        parameter: &str,
        invocation: &Invocation,
        finish: impl Fn(Result<Warmth, Failure>) -> T,
    ) -> Result<Option<PerHome<T>>, Failure> {
        let deadline = invocation.deadline;
        let remaining = deadline.remaining(self.clock.now());
        let (name, warmth) = match within(remaining, self.homes.changed(parameter)).await? {
            Change::None => return Ok(None),
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
        Ok(Some(PerHome::new(
            vec![(name, finish(warmth))],
            self.homes.are_several(),
        )))
    }

    /// Rotates the token of one home, or of all homes, at most [`AT_ONCE`] concurrently. For all homes, calls `finish`
    /// as soon as a home is done, and returns the results of `finish`.
    pub(crate) async fn rotate<T>(
        &self,
        request: &RotationRequest,
        invocation: &Invocation,
        finish: impl Fn(Result<RotationReport, Failure>) -> T,
    ) -> Result<PerHome<RotationReport, T>, Failure> {
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
            return Ok(PerHome::Only(rotate(request.home.as_ref()).await?));
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
            (name, finish(report))
        });
        let rotated = futures_util::stream::iter(rotated).buffer_unordered(AT_ONCE);
        Ok(PerHome::each(rotated.collect().await))
    }
}
