//! Verifies the signatures of JSON Web Tokens with ring, latchkey's only cryptography library.
//!
//! `jsonwebtoken` parses tokens and key sets, and delegates the cryptography to a provider. This module is that
//! provider.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature as rings;

/// Installs the provider. Call it before the first verification. Further calls have no effect.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: no_signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    // An error means that an earlier call has installed the same provider.
    let _ = PROVIDER.install_default();
}

/// Always fails: latchkey only verifies tokens and does not sign them.
fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    Ok(Box::new(RingVerifier {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let is_valid = match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                rsa(self.algorithm).is_some_and(|how| {
                    let key = rings::RsaPublicKeyComponents { n, e };
                    key.verify(how, message, signature).is_ok()
                })
            }
            DecodingKeyKind::SecretOrDer(key) => match self.algorithm {
                // ring compares in constant time.
                Algorithm::HS256 => {
                    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
                    ring::hmac::verify(&key, message, signature).is_ok()
                }
                other => point(other).is_some_and(|how| {
                    let key = rings::UnparsedPublicKey::new(how, key);
                    key.verify(message, signature).is_ok()
                }),
            },
        };
        is_valid.then_some(()).ok_or_else(signature::Error::new)
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static rings::RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&rings::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&rings::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&rings::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&rings::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&rings::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&rings::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn point(algorithm: Algorithm) -> Option<&'static dyn rings::VerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&rings::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&rings::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Some(&rings::ED25519),
        _ => None,
    }
}
