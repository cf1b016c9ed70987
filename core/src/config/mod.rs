//! The configuration document: one JSON object for every host.
//!
//! [`Config::from_json`] reads it, [`SCHEMA`] describes it. Unknown members are errors that name their path
//! and the member that was probably meant.

mod check;
mod decode;
mod defaults;
mod settings;

use crate::{
    Code, Error, Secret,
    wire::{
        Method, Origin, Url,
        json::{Object, error_at},
    },
};
use alloc::{string::String, vec::Vec};
use serde::Serialize;

pub use crate::message::BasicEncoding;
pub use settings::HostSettings;

/// The published JSON Schema of the document (draft 2020-12).
pub const SCHEMA: &str = include_str!("../../svcauth.schema.json");

/// The error about the member at `path`.
fn invalid(path: String, message: impl Into<String>) -> Error {
    error_at(Code::InvalidConfiguration, path, message)
}

/// One identity and the targets it calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The issuer; its metadata names the endpoints that [`Endpoints`] leaves out.
    pub issuer: Option<Url>,
    /// Endpoints given explicitly; they win over metadata.
    pub endpoints: Endpoints,
    /// Which metadata document is asked for.
    pub discovery: Discovery,
    /// Who this service is.
    pub client: ClientConfig,
    /// The targets, sorted by name.
    pub targets: Vec<Target>,
    /// Origins that may be spoken to without TLS, besides loopback.
    pub insecure_http: Vec<Origin>,
    /// Accept a token answer without `token_type`, against RFC 6749 section 5.1.
    pub allow_missing_token_type: bool,
    /// Accept a form-encoded token answer.
    pub allow_form_answer: bool,
    /// Accept a `registration_client_uri` of one of these origins, besides the registration endpoint's.
    pub allowed_registration_origins: Vec<Origin>,
    /// Where state that outlives the process is kept.
    pub store: Option<StoreConfig>,
    /// When things are done again.
    pub schedule: Schedule,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How large things may get.
    pub limits: Limits,
    /// How TLS is spoken; for the host.
    pub tls: Tls,
    /// Which proxy is used; for the host.
    pub proxy: Proxy,
}

impl Config {
    /// Reads and checks a document.
    ///
    /// ```
    /// let config = svcauth_core::Config::from_json(br#"{
    ///     "issuer": "https://hydra.example",
    ///     "client": {
    ///         "credentials": [{ "client_id": "bss", "client_secret": { "file": "/run/secrets/bss" } }]
    ///     },
    ///     "targets": { "smd": { "urls": ["https://smd.example/hsm/v2"], "scopes": ["read"] } }
    /// }"#)?;
    /// assert_eq!(config.target_index("smd"), Some(0));
    ///
    /// let error = svcauth_core::Config::from_json(br#"{"isuer": "https://hydra.example"}"#).unwrap_err();
    /// assert_eq!(error.to_string(), "isuer: unknown, did you mean issuer? (invalid_configuration)");
    /// # Ok::<(), svcauth_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Code::InvalidConfiguration`](crate::Code::InvalidConfiguration), with the path of the member that is
    /// wrong or the byte offset at which the text is no JSON.
    pub fn from_json(text: &[u8]) -> Result<Config, Error> {
        let config = decode::document(text)?;
        check::contradictions(&config)?;
        Ok(config)
    }

    /// The place of the target `name` in [`Config::targets`].
    pub fn target_index(&self, name: &str) -> Option<usize> {
        self.targets
            .binary_search_by(|target| target.name.as_str().cmp(name))
            .ok()
    }

    /// All targets, in the order of their names.
    #[cfg(feature = "proxy")]
    pub fn target_ids(&self) -> impl Iterator<Item = crate::client::TargetId> + use<> {
        (0..self.targets.len()).map(crate::client::TargetId::new)
    }

    /// Whether this configuration can only be run by a host with a store that outlives the process.
    pub fn needs_durable_store(&self) -> bool {
        self.client.registration.is_some() || self.targets.iter().any(check::spends_tokens)
    }
}

/// Endpoints of the authorization server, each optional where metadata names it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Endpoints {
    /// The token endpoint (RFC 6749 section 3.2).
    pub token: Option<Url>,
    /// The authorization endpoint (RFC 6749 section 3.1).
    pub authorization: Option<Url>,
    /// The client registration endpoint (RFC 7591 section 3).
    pub registration: Option<Url>,
}

/// Which metadata document describes the issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discovery {
    /// OpenID Connect Discovery, then RFC 8414 where the first is not there.
    #[default]
    Auto,
    /// OpenID Connect Discovery 1.0 section 4 only.
    Openid,
    /// RFC 8414 section 3 only.
    Oauth,
}

/// Who the service is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ClientConfig {
    /// How the client authenticates at the token endpoint.
    pub auth: AuthMethod,
    /// How `client_secret_basic` encodes id and secret.
    pub basic_encoding: BasicEncoding,
    /// Up to two active pairs, the preferred one first. Empty where the client registers itself, needs no
    /// authentication or has a static token.
    pub credentials: Vec<Credential>,
    /// A ready access token, for development: nothing is requested.
    pub static_token: Option<SecretReference>,
    /// How the client registers when it has no credentials.
    pub registration: Option<RegistrationConfig>,
}

/// Client authentication at the token endpoint (RFC 7591 section 2, `token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// `client_secret_basic`: RFC 6749 section 2.3.1, the Authorization header.
    #[default]
    ClientSecretBasic,
    /// `client_secret_post`: RFC 6749 section 2.3.1, the body.
    ClientSecretPost,
    /// `none`: a client_id at the most.
    None,
}

/// One identity at the authorization server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Credential {
    /// The client id.
    pub client_id: String,
    /// Where its secret is; none for a public client.
    pub client_secret: Option<SecretReference>,
}

/// Where a secret is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretReference {
    /// The content of a file, without one line break at its end.
    File(String),
    /// An environment variable.
    Env(String),
    /// What the host's own function answers for this name (vault, SPIFFE).
    Callback(String),
    /// The secret itself, for development.
    Value(Secret),
}

/// Dynamic client registration (RFC 7591).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegistrationConfig {
    /// The initial access token, where the server asks for one.
    pub initial_access_token: Option<SecretReference>,
    /// The client metadata to send, as it is (RFC 7591 section 2).
    pub metadata: Object,
    /// Whether the flow's authorization step follows a registration.
    pub authorize: bool,
}

/// A service that is called, and the token it is called with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// The member's name in the document.
    pub name: String,
    /// Origin and path prefix of what belongs to the target; the longest match over all targets wins.
    pub urls: Vec<Url>,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// The `audience` parameters to send.
    pub audience: Vec<String>,
    /// The `resource` parameters to send (RFC 8707).
    pub resource: Vec<String>,
    /// Further parameters of the token request.
    pub parameters: Vec<(String, String)>,
    /// How the service's own token is got.
    pub grant: Grant,
    /// What happens to a user's token.
    pub user_token: UserToken,
    /// Whether a token without all scopes asked for is an error.
    pub require_scopes: bool,
    /// The target whose token this one uses; an index into [`Config::targets`].
    pub token_of: Option<usize>,
    /// The life of a token whose answer does not tell, in milliseconds.
    pub default_lifetime_ms: u64,
}

/// How a service gets its own token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grant {
    /// `client_credentials`: RFC 6749 section 4.4.
    ClientCredentials,
    /// `token_exchange`: RFC 8693, for instance TokenSmith's bootstrap token.
    TokenExchange {
        /// The token that is exchanged.
        subject_token: SecretReference,
        /// Its type.
        subject_token_type: String,
        /// The type asked for.
        requested_token_type: Option<String>,
        /// What happens to refresh tokens in the answer.
        refresh_tokens: RefreshTokens,
    },
    /// `bare`: a request without parameters, as OPAAL takes it.
    Bare {
        /// POST or GET.
        method: Method,
    },
}

/// How refresh tokens of an answer are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshTokens {
    /// Each may be sent once: it is saved in the durable store, and marked as spent before it is sent.
    #[default]
    OneUse,
    /// The same may be sent again after a failure.
    Reusable,
    /// They are not used.
    Ignore,
}

/// What a target gets when the call belongs to a user. The token that came in is to be verified by then: it is
/// passed on, or exchanged, as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserToken {
    /// The user's token as it is.
    #[default]
    Pass,
    /// A token that the user's token is exchanged for (RFC 8693).
    Exchange,
    /// The service's own token; the user's is never sent there.
    Never,
}

/// The durable store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreConfig {
    /// A file of the host.
    pub file: String,
}

/// When things are done again. All times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Schedule {
    /// The longest time before its expiry that a token is refreshed: 300,000.
    pub refresh_window_ms: u64,
    /// The same as a part of the lifetime; the shorter one counts: 0.25.
    pub refresh_window_fraction: f64,
    /// How far the window is spread either way, so that services started together part: 0.2.
    pub jitter: f64,
    /// How long before its expiry a token is served no more: 5,000.
    pub serve_margin_ms: u64,
    /// The same as a part of the lifetime; the shorter one counts: 0.1.
    pub serve_margin_fraction: f64,
    /// The shortest time between two successful refreshes (or half a lifetime, if that is shorter): 1,000.
    pub refresh_floor_ms: u64,
    /// The first back-off after a failure: 1,000.
    pub backoff_initial_ms: u64,
    /// The longest back-off after a failure: 60,000.
    pub backoff_max_ms: u64,
    /// The first back-off after 429 without Retry-After: 10,000.
    pub rate_limited_initial_ms: u64,
    /// The longest back-off after 429 without Retry-After: 60,000.
    pub rate_limited_max_ms: u64,
    /// The first back-off after a refusal that a person has to mend: 30,000.
    pub refused_initial_ms: u64,
    /// The longest back-off after a refusal that a person has to mend: 300,000.
    pub refused_max_ms: u64,
    /// The longest Retry-After that is obeyed: 300,000.
    pub retry_after_max_ms: u64,
    /// How often at most a rejection by a called service is acted on: 10,000.
    pub rejection_cooldown_ms: u64,
    /// How often secrets are looked at again while a refusal lasts: 5,000.
    pub secret_poll_ms: u64,
    /// How long metadata is used: 3,600,000.
    pub metadata_lifetime_ms: u64,
    /// Whether a service's token is refreshed although nobody asks for it: true.
    pub keep_fresh: bool,
}

/// How long things may take. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Timeouts {
    /// To connect, TLS included: 5,000.
    pub connect_ms: u64,
    /// One request to the authorization server, from the first byte to the last: 10,000.
    pub request_ms: u64,
    /// Reading a secret: 5,000.
    pub secret_ms: u64,
    /// One operation on the store: 5,000.
    pub store_ms: u64,
    /// How long a caller waits for a token unless it says otherwise: 30,000.
    pub wait_ms: u64,
}

/// How large things may get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Limits {
    /// The body of an answer, in bytes: 1,048,576.
    pub answer_bytes: usize,
    /// Users whose exchanged tokens are kept: 256. Where one more comes, the one that was asked for least lately
    /// goes. While tokens are being got there may be four times as many users; one more is told
    /// `too_many_subjects`.
    pub subjects: usize,
    /// Events waiting to be fetched: 256.
    pub events: usize,
}

/// How the host speaks TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tls {
    /// A PEM file of certificate authorities that are trusted besides the system's.
    pub ca_file: Option<String>,
    /// Whether the system's authorities are not trusted.
    pub only_ca_file: bool,
    /// A PEM file with the client's certificate chain.
    pub certificate_file: Option<String>,
    /// A PEM file with the key that belongs to it.
    pub key_file: Option<String>,
}

/// Which proxy the host uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// What HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say.
    #[default]
    Environment,
    /// None.
    None,
    /// This one.
    Url(String),
}
