//! Authenticates the senders of pushed events: a home with the shared secret, or an administrator.

use super::App;
use crate::base::home_name::HomeName;
use crate::base::metrics::Metric;
use crate::home::homes::HomesError;
use crate::service::access::{AccessError, Caller, Permit, PushSignature, SIGNATURE_WINDOW};
use crate::service::failure::Failure;

/// The sender of a pushed event.
#[derive(Clone, Debug)]
pub(crate) enum Pusher {
    /// A home, or another holder of the secret. It may push events of every home.
    Home,
    /// An administrator. The caller pushes events of the own tenant.
    Admin(Caller),
}

/// The credentials of a pushed event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Credentials<'a> {
    /// A signature of the body.
    Signature(&'a PushSignature),
    /// The secret, or the token of an administrator.
    Bearer(Option<&'a str>),
}

impl App {
    /// Returns the sender of a pushed event. A signature is accepted once.
    pub(crate) async fn identify_pusher(
        &self,
        credentials: Credentials<'_>,
        body: &[u8],
    ) -> Result<Pusher, Failure> {
        match (credentials, &self.push_secret) {
            (Credentials::Signature(signature), Some(secret)) => {
                secret.check(signature, body).await?;
                let window = SIGNATURE_WINDOW * 2;
                match self
                    .connections
                    .use_signature(signature.mac(), window)
                    .await?
                {
                    true => Ok(Pusher::Home),
                    false => Err(AccessError::Malformed("its signature was used before").into()),
                }
            }
            (Credentials::Signature(_), None) => Err(AccessError::NotSetUp.into()),
            (Credentials::Bearer(Some(text)), Some(secret)) if secret.is(text).await? => {
                Ok(Pusher::Home)
            }
            (Credentials::Bearer(token), _) => {
                let caller = self.admit(token).await?;
                Permit::of_administration(&caller)?;
                Ok(Pusher::Admin(caller))
            }
        }
    }

    /// Returns the tenant to which an event goes. `home` is the home that the event names.
    pub(crate) fn tenant_of_event(
        &self,
        pusher: &Pusher,
        home: Option<HomeName>,
    ) -> Result<Option<HomeName>, Failure> {
        match pusher {
            Pusher::Home => Ok(home),
            Pusher::Admin(caller) => match (&caller.tenant, home) {
                (Some(own), Some(home)) if *own != home => {
                    self.metrics.record(Metric::TenantViolation);
                    Err(HomesError::OtherTenant.into())
                }
                (Some(own), _) => Ok(Some(own.clone())),
                // A request must not select a home for a caller without a tenant.
                (None, Some(_)) if self.homes.are_several() => Err(Failure::NoTenant),
                (None, home) => Ok(home),
            },
        }
    }
}
