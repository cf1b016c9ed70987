//! What a lab can be told before it starts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a lab is set up. Every member has a default: `LabConfig { ttl: 2, ..LabConfig::default() }`.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// Lifetime of access tokens in seconds, at least 1. Like Hydra, the token answer says one
    /// second less (but never 0).
    pub ttl: u64,
    /// Lifetime of refresh tokens in seconds.
    pub refresh_ttl: u64,
    /// What access tokens are signed with.
    pub signing: Signing,
    /// A PKCS#8 PEM file with the signing key. It is written when it does not exist, so that the
    /// tokens of one run are good in the next. Its key must fit `signing`.
    pub key_file: Option<PathBuf>,
    /// The claim `iss` and the issuer in the metadata, when these are to differ from the address.
    pub issuer: Option<String>,
    /// Ports to listen on; 0 lets the system choose.
    pub ports: Ports,
    /// Whether clients may register themselves at `/oauth2/register`.
    pub dynamic_registration: bool,
    /// Answer a creation without a chosen id with a `registration_client_uri` that lacks the
    /// client id, as Hydra's admin port does.
    pub minimal_client_uri: bool,
    /// Whether `/admin/clients/{id}/secrets/rotate` exists (Hydra's master) or is 404 (v2.3.0).
    pub secret_rotation: bool,
    /// Seconds after which a generated secret expires (`client_secret_expires_at`); none: never.
    pub secret_lifetime: Option<u64>,
    /// Whether a client with `token_endpoint_auth_method` none may use client_credentials. Hydra
    /// refuses that.
    pub public_clients: bool,
    /// How the SMD stand-in behaves; [`Lab::set_smd`](crate::Lab::set_smd) changes it later.
    pub smd: SmdConfig,
    /// Whether SMD's inventory starts with four nodes, or empty.
    pub inventory: bool,
    /// Serve https with a certificate of a throw-away authority made at start.
    pub tls: bool,
    /// With `tls`: refuse connections without a certificate of that authority, on all ports but
    /// the admin port. [`Lab::client_certificate`](crate::Lab::client_certificate) makes one.
    pub require_client_certificate: bool,
}

impl Default for LabConfig {
    fn default() -> Self {
        LabConfig {
            ttl: 20,
            refresh_ttl: 86400,
            signing: Signing::Es256,
            key_file: None,
            issuer: None,
            ports: Ports::default(),
            dynamic_registration: true,
            minimal_client_uri: false,
            secret_rotation: true,
            secret_lifetime: None,
            public_clients: true,
            smd: SmdConfig::default(),
            inventory: true,
            tls: false,
            require_client_certificate: false,
        }
    }
}

/// One port for each service; 0 lets the system choose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// Hydra's public port.
    pub issuer: u16,
    /// Hydra's admin port, and the lab's control under `/lab`.
    pub admin: u16,
    /// OPAAL.
    pub opaal: u16,
    /// TokenSmith.
    pub tokensmith: u16,
    /// SMD.
    pub smd: u16,
    /// A place no token should ever be sent to.
    pub elsewhere: u16,
}

/// What access tokens are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// ECDSA on P-256: a key is made in well under a millisecond.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA, as Hydra does it; making keys takes long, above all without optimisation.
    Rs256,
}

/// How the SMD stand-in checks tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmdConfig {
    /// Whose middleware it imitates.
    pub flavor: Flavor,
    /// When it fetches the key sets.
    pub keys: KeyFetch,
    /// Whether a 401 carries WWW-Authenticate (RFC 6750 section 3); the real SMD sends none.
    pub challenge: bool,
    /// The audience a token must name; none: any, even an empty one (the real SMD's way).
    pub audience: Option<String>,
    /// A scope a token must carry, else 403 (with `challenge`: insufficient_scope).
    pub scope: Option<String>,
    /// Seconds a token is accepted after its expiry.
    pub skew: u64,
}

impl Default for SmdConfig {
    fn default() -> Self {
        SmdConfig {
            flavor: Flavor::Legacy,
            keys: KeyFetch::Once,
            challenge: false,
            audience: None,
            scope: None,
            skew: 0,
        }
    }
}

/// Whose middleware the SMD stand-in imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavor {
    /// jwtauth: token in the header or in cookie `jwt`; "no token found", "token is expired",
    /// "token is unauthorized".
    Legacy,
    /// TokenSmith's: header only; "missing bearer token", "invalid token".
    Tokensmith,
}

/// When the SMD stand-in fetches the key sets of the issuer and of TokenSmith.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyFetch {
    /// Once at start, as the real one: after a key change it takes old tokens and refuses new
    /// ones until [`Lab::smd_fetch_keys`](crate::Lab::smd_fetch_keys).
    Once,
    /// Again for every token whose key it does not know; a withdrawn key stays good.
    UnknownKey,
    /// For every call: after a key change all old tokens are dead at once.
    Always,
}
