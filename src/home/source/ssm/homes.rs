//! Homes stored below a parameter path: `{prefix}/{home}/url` and `/token`, and optionally `/ca`, `/client-cert` and
//! `/headers`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::Parameter;
use futures_util::future::BoxFuture;

use super::super::homes::{HomeStore, StoredHome};
use super::super::{Origin, Setting, SourceError, SourceFault, TokenVersions};
use super::error::classify;
use super::{Encryption, SsmVersions, stored};
use crate::base::home_name::HomeName;

const URL: &str = "url";
const TOKEN: &str = "token";
const CA: &str = "ca";
const CLIENT_CERT: &str = "client-cert";
const HEADERS: &str = "headers";

/// A store of the homes below a parameter path.
#[derive(Debug)]
pub struct SsmHomes {
    client: Client,
    prefix: String,
}

impl SsmHomes {
    /// Creates the store of the homes below `prefix`. `prefix` must start with a slash and must not end with one.
    pub fn new(client: Client, prefix: String) -> Self {
        Self { client, prefix }
    }

    async fn get(&self, home: &HomeName) -> Result<StoredHome, SourceError> {
        let place = format!("{}/{}", self.prefix, home.as_str());
        let names = [URL, TOKEN, CA, CLIENT_CERT, HEADERS].map(|leaf| format!("{place}/{leaf}"));
        let output = self
            .client
            .get_parameters()
            .set_names(Some(names.into()))
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| classify(&error, Origin::new(Setting::Home, home.as_str())))?;
        let mut found: HashMap<String, Parameter> = output
            .parameters
            .unwrap_or_default()
            .into_iter()
            .filter_map(|parameter| {
                let (_, leaf) = parameter.name.as_deref()?.rsplit_once('/')?;
                Some((leaf.to_owned(), parameter))
            })
            .collect();
        let origin = |setting, leaf: &str| Origin::new(setting, format!("{place}/{leaf}"));
        let mut take = |leaf: &str, encryption, setting| -> Result<Option<_>, SourceError> {
            let parameter = found.remove(leaf);
            parameter
                .map(|parameter| stored(parameter, encryption, || origin(setting, leaf)))
                .transpose()
        };
        let missing = |setting, leaf: &str| origin(setting, leaf).failed(SourceFault::NotFound);
        let (optional, required) = (Encryption::Optional, Encryption::Required);
        Ok(StoredHome {
            url: take(URL, optional, Setting::HomeUrl)?
                .ok_or_else(|| missing(Setting::HomeUrl, URL))?,
            token: take(TOKEN, required, Setting::HomeToken)?
                .ok_or_else(|| missing(Setting::HomeToken, TOKEN))?,
            ca: take(CA, optional, Setting::HomeCa)?,
            client_cert: take(CLIENT_CERT, required, Setting::HomeClientCert)?,
            headers: take(HEADERS, required, Setting::HomeHeaders)?,
        })
    }

    async fn names(&self) -> Result<Vec<HomeName>, SourceError> {
        let mut pages = self
            .client
            .get_parameters_by_path()
            .path(&self.prefix)
            .recursive(true)
            // Only the names are used.
            .with_decryption(false)
            .into_paginator()
            .send();
        let mut names = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let origin = || Origin::new(Setting::Homes, &self.prefix);
            let page = page.map_err(|error| classify(&error, origin()))?;
            for parameter in page.parameters.unwrap_or_default() {
                let owner = parameter.name.as_deref().and_then(|name| self.owner(name));
                if let Some((home, URL)) = owner {
                    names.insert(home);
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}

impl HomeStore for SsmHomes {
    fn read<'a>(&'a self, home: &'a HomeName) -> BoxFuture<'a, Result<StoredHome, SourceError>> {
        Box::pin(self.get(home))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<HomeName>, SourceError>> {
        Box::pin(self.names())
    }

    fn versions(&self, home: &HomeName) -> Arc<dyn TokenVersions> {
        let name = format!("{}/{}/{TOKEN}", self.prefix, home.as_str());
        Arc::new(SsmVersions::new(
            self.client.clone(),
            &name,
            Setting::HomeToken,
        ))
    }

    fn owner<'a>(&self, parameter: &'a str) -> Option<(HomeName, &'a str)> {
        let rest = parameter.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        let (home, leaf) = rest.split_once('/')?;
        let is_ours = [URL, TOKEN, CA, CLIENT_CERT, HEADERS].contains(&leaf);
        is_ours.then_some((HomeName::new(home)?, leaf))
    }
}
