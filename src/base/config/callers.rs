//! Reads the authentication settings of callers.

use url::Url;

use super::reader::Reader;
use super::{Callers, JwtConfig, KeysConfig};

const ISSUER: &str = "CALLER_JWT_ISSUER";
const AUDIENCE: &str = "CALLER_JWT_AUDIENCE";
const JWKS_URL: &str = "CALLER_JWT_JWKS_URL";
const SECRET_PARAMETER: &str = "CALLER_JWT_SECRET_PARAMETER";

impl Reader<'_> {
    pub(super) fn callers(&mut self, local: bool) -> Callers {
        const NAME: &str = "CALLER_AUTH";
        let anyone = self.choice(NAME, &[("jwt", false), ("none", true)], false);
        if anyone && !local {
            self.fault(
                NAME,
                "is `none`, which is for local use only; in Lambda callers must authenticate, so set it to `jwt`",
            );
        }
        let jwt = self.jwt(local);
        match jwt {
            _ if anyone => Callers::Anyone,
            Some(jwt) => Callers::Jwt(Box::new(jwt)),
            None => Callers::Nobody,
        }
    }

    /// Reads the JWT settings. Either all required settings are set, or none.
    fn jwt(&mut self, local: bool) -> Option<JwtConfig> {
        let (issuer, audience) = (self.text(ISSUER), self.text(AUDIENCE));
        let jwks = self.text(JWKS_URL);
        let secret = self.parameter(SECRET_PARAMETER);
        let tenant_claim = self.claim("CALLER_TENANT_CLAIM", "tenant");
        let permissions_claim = self.claim("CALLER_PERMISSIONS_CLAIM", "permissions");
        let plan_claim = self.claim("CALLER_PLAN_CLAIM", "plan");
        if issuer.is_none() && audience.is_none() && jwks.is_none() && secret.is_none() {
            return None;
        }
        for (name, is_set) in [(ISSUER, issuer.is_some()), (AUDIENCE, audience.is_some())] {
            if !is_set {
                self.fault(
                    name,
                    "is not set, but other variables for callers' tokens are set; set it to the value in the tokens",
                );
            }
        }
        let keys = match (jwks, secret) {
            (Some(text), None) => self.jwks(&text, local).map(KeysConfig::Jwks),
            (None, Some(parameter)) => Some(KeysConfig::Secret(parameter)),
            (Some(_), Some(_)) => {
                self.fault(
                    SECRET_PARAMETER,
                    "is set together with CALLER_JWT_JWKS_URL; set only one",
                );
                None
            }
            (None, None) => {
                self.fault(
                    JWKS_URL,
                    "is not set, and neither is CALLER_JWT_SECRET_PARAMETER; set one of them to the source of the keys",
                );
                None
            }
        };
        Some(JwtConfig {
            issuer: issuer?,
            audience: audience?,
            keys: keys?,
            tenant_claim,
            permissions_claim,
            plan_claim,
        })
    }

    fn jwks(&mut self, text: &str, local: bool) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|url| {
            let is_plain = url.username().is_empty() && url.password().is_none();
            let is_safe = url.scheme() == "https" || (local && url.scheme() == "http");
            is_plain && is_safe && url.has_host()
        });
        if url.is_none() {
            self.fault(
                JWKS_URL,
                "must be an https URL without user name and password (http is for local use only)",
            );
        }
        url
    }

    fn claim(&mut self, name: &'static str, default: &str) -> String {
        let claim = self.text(name).unwrap_or_else(|| default.to_owned());
        if claim.len() > 255 {
            self.fault(
                name,
                "is longer than 255 bytes; set it to the name of a claim",
            );
        }
        claim
    }
}
