//! The registered clients: their metadata, secrets and registration access tokens.

use std::collections::HashMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::random;
use crate::stats::now_ms;

/// Hydra keeps the current secret and five rotated ones.
const SECRETS_KEPT: usize = 6;
/// Hydra's scope for clients that ask for none.
const DEFAULT_SCOPE: &str = "offline_access offline openid";

/// What a client may say about itself (RFC 7591 section 2). Members it does not know are dropped,
/// as Hydra does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub(crate) client_id: Option<String>,
    pub(crate) client_name: Option<String>,
    pub(crate) client_secret: Option<String>,
    pub(crate) redirect_uris: Option<Vec<String>>,
    pub(crate) grant_types: Option<Vec<String>>,
    pub(crate) response_types: Option<Vec<String>>,
    pub(crate) scope: Option<String>,
    pub(crate) audience: Option<Vec<String>>,
    owner: Option<String>,
    policy_uri: Option<String>,
    allowed_cors_origins: Option<Vec<String>>,
    tos_uri: Option<String>,
    client_uri: Option<String>,
    logo_uri: Option<String>,
    contacts: Option<Vec<String>>,
    subject_type: Option<String>,
    jwks: Option<Map<String, Value>>,
    pub(crate) token_endpoint_auth_method: Option<String>,
    userinfo_signed_response_alg: Option<String>,
    metadata: Option<Map<String, Value>>,
    skip_consent: Option<bool>,
    skip_logout_consent: Option<bool>,
}

/// One registered client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    metadata: Metadata,
    secrets: Vec<Secret>,
    pub(crate) registration_token: Option<String>,
    created_at: String,
    updated_at: String,
}

#[derive(Clone)]
struct Secret {
    value: String,
    /// Milliseconds since 1970.
    expires_at: Option<u64>,
}

impl Client {
    /// A client with one secret, or none when it is public. The id is made up unless `metadata`
    /// has one.
    pub(crate) fn new(mut metadata: Metadata, secret_lifetime: Option<u64>) -> Client {
        let id = metadata
            .client_id
            .take()
            .filter(|id| !id.is_empty())
            .unwrap_or_else(random::uuid);
        let chosen = metadata
            .client_secret
            .take()
            .filter(|secret| !secret.is_empty());
        let mut client = Client {
            id,
            metadata,
            secrets: Vec::new(),
            registration_token: Some(random::hydra_token()),
            created_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            updated_at: humantime::format_rfc3339_micros(SystemTime::now()).to_string(),
        };
        if !client.is_public() {
            client.add_secret(chosen.unwrap_or_else(random::secret), secret_lifetime);
        }
        client
    }

    /// Replaces everything a client says about itself; a secret replaces all secrets.
    pub(crate) fn replace(&mut self, mut metadata: Metadata) {
        metadata.client_id = None;
        if let Some(secret) = metadata.client_secret.take() {
            self.secrets.clear();
            self.add_secret(secret, None);
        }
        self.metadata = metadata;
        self.updated_at = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    }

    pub(crate) fn auth_method(&self) -> &str {
        self.metadata
            .token_endpoint_auth_method
            .as_deref()
            .filter(|method| !method.is_empty())
            .unwrap_or("client_secret_basic")
    }

    pub(crate) fn is_public(&self) -> bool {
        self.auth_method() == "none"
    }

    pub(crate) fn has_grant(&self, grant: &str) -> bool {
        self.metadata
            .grant_types
            .as_ref()
            .is_some_and(|grants| grants.iter().any(|known| known == grant))
    }

    pub(crate) fn has_redirect_uri(&self, uri: &str) -> bool {
        self.metadata
            .redirect_uris
            .as_ref()
            .is_some_and(|uris| uris.iter().any(|known| known == uri))
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.scope().split(' ').any(|known| known == scope)
    }

    pub(crate) fn has_audience(&self, audience: &str) -> bool {
        self.metadata
            .audience
            .as_ref()
            .is_some_and(|known| known.iter().any(|known| known == audience))
    }

    /// The newest secret; none for a public client or when all are revoked.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.secrets.last().map(|secret| secret.value.as_str())
    }

    pub(crate) fn accepts(&self, secret: &str) -> bool {
        let now = now_ms();
        self.secrets
            .iter()
            .any(|known| known.value == secret && known.expires_at.is_none_or(|at| now < at))
    }

    /// Adds a secret beside those there are, up to Hydra's limit.
    pub(crate) fn add_secret(&mut self, value: String, lifetime: Option<u64>) {
        self.secrets.push(Secret {
            value,
            expires_at: lifetime.map(|seconds| now_ms() + seconds.saturating_mul(1000)),
        });
        if self.secrets.len() > SECRETS_KEPT {
            self.secrets.remove(0);
        }
    }

    /// Keeps the newest secret only.
    pub(crate) fn drop_old_secrets(&mut self) {
        let old = self.secrets.len().saturating_sub(1);
        self.secrets.drain(..old);
    }

    /// Revokes one secret, or all of them.
    pub(crate) fn revoke_secret(&mut self, value: Option<&str>) {
        self.secrets
            .retain(|secret| value.is_some_and(|value| secret.value != value));
    }

    fn scope(&self) -> &str {
        self.metadata
            .scope
            .as_deref()
            .filter(|scope| !scope.is_empty())
            .unwrap_or(DEFAULT_SCOPE)
    }

    /// What is told about the client. `stored`: lists as they come back from the database, never
    /// null.
    pub(crate) fn document(&self, stored: bool) -> Document<'_> {
        let list = |list: &Option<Vec<String>>| match list {
            None if stored => Some(Vec::new()),
            list => list.clone(),
        };
        let m = &self.metadata;
        Document {
            client_id: &self.id,
            client_name: m.client_name.as_deref().unwrap_or_default(),
            client_secret: None,
            redirect_uris: list(&m.redirect_uris),
            grant_types: list(&m.grant_types),
            response_types: list(&m.response_types),
            scope: self.scope(),
            audience: m.audience.clone().unwrap_or_default(),
            owner: m.owner.as_deref().unwrap_or_default(),
            policy_uri: m.policy_uri.as_deref().unwrap_or_default(),
            allowed_cors_origins: m.allowed_cors_origins.clone().unwrap_or_default(),
            tos_uri: m.tos_uri.as_deref().unwrap_or_default(),
            client_uri: m.client_uri.as_deref().unwrap_or_default(),
            logo_uri: m.logo_uri.as_deref().unwrap_or_default(),
            contacts: list(&m.contacts),
            client_secret_expires_at: self
                .secrets
                .last()
                .and_then(|secret| secret.expires_at)
                .map_or(0, |at| at / 1000),
            subject_type: m.subject_type.as_deref().unwrap_or("public"),
            jwks: m.jwks.clone().unwrap_or_default(),
            token_endpoint_auth_method: self.auth_method(),
            userinfo_signed_response_alg: m
                .userinfo_signed_response_alg
                .as_deref()
                .unwrap_or("none"),
            created_at: &self.created_at,
            updated_at: &self.updated_at,
            metadata: Some(m.metadata.clone().unwrap_or_default()),
            registration_access_token: None,
            registration_client_uri: None,
            skip_consent: m.skip_consent.unwrap_or_default(),
            skip_logout_consent: m.skip_logout_consent,
            authorization_code_grant_access_token_lifespan: None,
            authorization_code_grant_id_token_lifespan: None,
            authorization_code_grant_refresh_token_lifespan: None,
            client_credentials_grant_access_token_lifespan: None,
            implicit_grant_access_token_lifespan: None,
            implicit_grant_id_token_lifespan: None,
            jwt_bearer_grant_access_token_lifespan: None,
            refresh_token_grant_id_token_lifespan: None,
            refresh_token_grant_access_token_lifespan: None,
            refresh_token_grant_refresh_token_lifespan: None,
        }
    }
}

/// Hydra's description of a client, members in its order.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    client_id: &'a str,
    client_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret: Option<&'a str>,
    redirect_uris: Option<Vec<String>>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: &'a str,
    audience: Vec<String>,
    owner: &'a str,
    policy_uri: &'a str,
    allowed_cors_origins: Vec<String>,
    tos_uri: &'a str,
    client_uri: &'a str,
    logo_uri: &'a str,
    contacts: Option<Vec<String>>,
    client_secret_expires_at: u64,
    subject_type: &'a str,
    jwks: Map<String, Value>,
    token_endpoint_auth_method: &'a str,
    userinfo_signed_response_alg: &'a str,
    created_at: &'a str,
    updated_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registration_access_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registration_client_uri: Option<String>,
    skip_consent: bool,
    skip_logout_consent: Option<bool>,
    authorization_code_grant_access_token_lifespan: Option<()>,
    authorization_code_grant_id_token_lifespan: Option<()>,
    authorization_code_grant_refresh_token_lifespan: Option<()>,
    client_credentials_grant_access_token_lifespan: Option<()>,
    implicit_grant_access_token_lifespan: Option<()>,
    implicit_grant_id_token_lifespan: Option<()>,
    jwt_bearer_grant_access_token_lifespan: Option<()>,
    refresh_token_grant_id_token_lifespan: Option<()>,
    refresh_token_grant_access_token_lifespan: Option<()>,
    refresh_token_grant_refresh_token_lifespan: Option<()>,
}

/// All clients, by id.
pub(crate) type Clients = HashMap<String, Client>;
