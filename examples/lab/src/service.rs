//! What the lab serves, and the endpoints that are counted and can be disturbed one by one.

use serde::{Deserialize, Serialize};

/// One listening address of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Hydra's public port.
    Issuer,
    /// Hydra's admin port, with the lab's control under `/lab`.
    Admin,
    /// OPAAL.
    Opaal,
    /// TokenSmith.
    Tokensmith,
    /// SMD.
    Smd,
    /// A place no token should ever be sent to.
    Elsewhere,
}

/// A group of paths with counters and faults of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/oauth2/token` of the issuer.
    Token,
    /// `/oauth2/register` and below, and `/admin/clients` and below.
    Register,
    /// `/oauth2/auth`.
    Authorize,
    /// `/oauth2/revoke` and introspection.
    Revoke,
    /// `/.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`.
    Discovery,
    /// `/.well-known/jwks.json` of the issuer and of TokenSmith.
    Jwks,
    /// Everything OPAAL serves.
    Opaal,
    /// TokenSmith, apart from its key set.
    Tokensmith,
    /// Everything SMD serves.
    Smd,
    /// Everything elsewhere.
    Elsewhere,
    /// Any other path.
    Other,
}

impl Endpoint {
    pub(crate) fn of(service: Service, path: &str) -> Endpoint {
        let below = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match service {
            Service::Opaal => Endpoint::Opaal,
            Service::Smd => Endpoint::Smd,
            Service::Elsewhere => Endpoint::Elsewhere,
            Service::Tokensmith if path == "/.well-known/jwks.json" => Endpoint::Jwks,
            Service::Tokensmith => Endpoint::Tokensmith,
            Service::Issuer | Service::Admin => match path {
                "/oauth2/token" => Endpoint::Token,
                "/oauth2/auth" => Endpoint::Authorize,
                "/oauth2/revoke" | "/admin/oauth2/introspect" => Endpoint::Revoke,
                "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
                    Endpoint::Discovery
                }
                "/.well-known/jwks.json" => Endpoint::Jwks,
                _ if below("/oauth2/register") || below("/admin/clients") => Endpoint::Register,
                _ => Endpoint::Other,
            },
        }
    }
}
