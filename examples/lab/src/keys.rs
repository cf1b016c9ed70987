//! Signing keys and the tokens made with them.

use std::path::Path;
use std::{fs, io};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::rngs::OsRng;
use serde::Serialize;

use crate::config::Signing;
use crate::random;

const RSA_BITS: usize = 2048;

/// A private key and its public face in a key set.
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
    jwk: Jwk,
}

/// How a key id is chosen.
#[derive(Clone, Copy)]
pub(crate) enum KeyId {
    /// Hydra: a UUID.
    Random,
    /// TokenSmith: the thumbprint of RFC 7638.
    Thumbprint,
}

impl SigningKey {
    pub(crate) fn generate(signing: Signing, id: KeyId) -> io::Result<SigningKey> {
        Private::generate(signing)?.into_key(id)
    }

    /// The key in a PEM file; a new one, and the file with it, when there is none.
    pub(crate) fn from_file(path: &Path, signing: Signing, id: KeyId) -> io::Result<SigningKey> {
        match fs::read_to_string(path) {
            Ok(pem) => Private::from_pem(signing, &pem)?.into_key(id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let private = Private::generate(signing)?;
                fs::write(path, private.to_pem()?)?;
                private.into_key(id)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    pub(crate) fn kid(&self) -> &str {
        self.jwk.common.key_id.as_deref().unwrap_or_default()
    }

    /// A JWT over `claims`.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, String> {
        let mut header = Header::new(self.algorithm);
        header.kid = self.jwk.common.key_id.clone();
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|error| error.to_string())
    }
}

enum Private {
    Ec(Box<p256::SecretKey>),
    Ed(Box<ed25519_dalek::SigningKey>),
    Rsa(Box<rsa::RsaPrivateKey>),
}

impl Private {
    fn generate(signing: Signing) -> io::Result<Private> {
        Ok(match signing {
            Signing::Es256 => Private::Ec(Box::new(p256::SecretKey::random(&mut OsRng))),
            Signing::EdDsa => {
                Private::Ed(Box::new(ed25519_dalek::SigningKey::generate(&mut OsRng)))
            }
            Signing::Rs256 => Private::Rsa(Box::new(
                rsa::RsaPrivateKey::new(&mut OsRng, RSA_BITS).map_err(io::Error::other)?,
            )),
        })
    }

    fn from_pem(signing: Signing, pem: &str) -> io::Result<Private> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{error}"));
        Ok(match signing {
            Signing::Es256 => Private::Ec(Box::new(
                p256::SecretKey::from_pkcs8_pem(pem).map_err(invalid)?,
            )),
            Signing::EdDsa => Private::Ed(Box::new(
                ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map_err(invalid)?,
            )),
            Signing::Rs256 => Private::Rsa(Box::new(
                rsa::RsaPrivateKey::from_pkcs8_pem(pem).map_err(invalid)?,
            )),
        })
    }

    fn to_pem(&self) -> io::Result<String> {
        let pem = match self {
            Private::Ec(key) => key.to_pkcs8_pem(LineEnding::LF),
            Private::Ed(key) => seed(key).to_pkcs8_pem(LineEnding::LF),
            Private::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF),
        };
        Ok(pem.map_err(io::Error::other)?.to_string())
    }

    fn into_key(self, id: KeyId) -> io::Result<SigningKey> {
        let (key, algorithm) = match &self {
            Private::Ec(key) => {
                let der = key.to_pkcs8_der().map_err(io::Error::other)?;
                (EncodingKey::from_ec_der(der.as_bytes()), Algorithm::ES256)
            }
            Private::Ed(key) => {
                let der = seed(key).to_pkcs8_der().map_err(io::Error::other)?;
                (EncodingKey::from_ed_der(der.as_bytes()), Algorithm::EdDSA)
            }
            Private::Rsa(key) => {
                let der = rsa::pkcs1::EncodeRsaPrivateKey::to_pkcs1_der(key.as_ref())
                    .map_err(io::Error::other)?;
                let algorithm = match id {
                    KeyId::Random => Algorithm::RS256,
                    KeyId::Thumbprint => Algorithm::PS256,
                };
                (EncodingKey::from_rsa_der(der.as_bytes()), algorithm)
            }
        };
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).map_err(io::Error::other)?;
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk.common.key_id = Some(match id {
            KeyId::Random => random::uuid(),
            KeyId::Thumbprint => jwk
                .thumbprint(ThumbprintHash::SHA256)
                .map_err(io::Error::other)?,
        });
        Ok(SigningKey {
            algorithm,
            key,
            jwk,
        })
    }
}

/// Without the public key: jsonwebtoken takes only this form of PKCS#8.
fn seed(key: &ed25519_dalek::SigningKey) -> KeypairBytes {
    KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_written_once_and_read_afterwards() {
        let path = std::env::temp_dir().join(format!("svcauth-lab-{}.pem", random::uuid()));
        for signing in [Signing::Es256, Signing::EdDsa] {
            let first = SigningKey::from_file(&path, signing, KeyId::Thumbprint).unwrap();
            let second = SigningKey::from_file(&path, signing, KeyId::Thumbprint).unwrap();
            assert_eq!(first.kid(), second.kid());
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_key_file_of_another_kind_is_an_error() {
        let path = std::env::temp_dir().join(format!("svcauth-lab-{}.pem", random::uuid()));
        SigningKey::from_file(&path, Signing::Es256, KeyId::Random).unwrap();
        assert!(SigningKey::from_file(&path, Signing::EdDsa, KeyId::Random).is_err());
        fs::remove_file(&path).unwrap();
    }
}
