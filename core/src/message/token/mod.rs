//! The token request (RFC 6749 sections 4.4 and 6, RFC 8693) and its answer (RFC 6749 section 5).

mod answer;

use super::{
    ClientAuthentication, Exchange,
    clean::{self, Secrets},
};
use crate::{
    Code, Error, Secret,
    wire::{Header, Method, Request, Response, Url, form, json::Object},
};
use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

/// A request to the token endpoint.
///
/// ```
/// use svcauth_core::{Exchange, message::*, wire::*};
/// let endpoint = Url::parse("https://hydra.example/oauth2/token")?;
/// let authentication = ClientAuthentication::Post {
///     client_id: "bss".into(),
///     client_secret: "s3cr3t".into(),
/// };
/// let scopes = ["read".to_string()];
/// let message = TokenRequest {
///     endpoint: &endpoint,
///     authentication: &authentication,
///     grant: TokenGrant::ClientCredentials,
///     scopes: &scopes,
///     audience: &[],
///     resource: &[],
///     parameters: &[],
///     rules: TokenRules::default(),
/// };
/// let request = message.request()?;
/// assert_eq!(
///     request.body.expose(),
///     b"grant_type=client_credentials&client_id=bss&client_secret=s3cr3t&scope=read"
/// );
///
/// let response = Response {
///     status: 200,
///     headers: vec![("Content-Type".into(), "application/json".into())],
///     body: r#"{"access_token":"abc","token_type":"bearer","expires_in":3600}"#.into(),
/// };
/// let answer = message.parse(&response)?;
/// assert_eq!((answer.access_token.expose(), answer.expires_in), ("abc", Some(3600)));
/// # Ok::<(), svcauth_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct TokenRequest<'a> {
    /// The token endpoint (RFC 6749 section 3.2).
    pub endpoint: &'a Url,
    /// How the client says who it is.
    pub authentication: &'a ClientAuthentication,
    /// On what ground a token is asked for.
    pub grant: TokenGrant<'a>,
    /// The scopes to ask for; none: the parameter is left out, and the server chooses.
    pub scopes: &'a [String],
    /// The `audience` parameters (RFC 8693 section 2.1, and Hydra).
    pub audience: &'a [String],
    /// The `resource` parameters (RFC 8707 section 2).
    pub resource: &'a [String],
    /// Further parameters, none of which may be one of the above.
    pub parameters: &'a [(String, String)],
    /// Which answers are accepted besides those that RFC 6749 allows.
    pub rules: TokenRules,
}

/// On what ground a token is asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TokenGrant<'a> {
    /// The client itself (RFC 6749 section 4.4).
    ClientCredentials,
    /// A refresh token (RFC 6749 section 6).
    RefreshToken {
        /// The token.
        refresh_token: &'a Secret,
    },
    /// Another token (RFC 8693 section 2.1).
    TokenExchange {
        /// The token that is exchanged.
        subject_token: &'a Secret,
        /// Its type.
        subject_token_type: &'a str,
        /// The type asked for; an answer of another type is an error.
        requested_token_type: Option<&'a str>,
    },
    /// The bare request line, as OPAAL takes it: no authentication, no body, no parameter.
    Bare {
        /// POST or GET.
        method: Method,
    },
}

/// Which answers are accepted besides those that RFC 6749 section 5.1 allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenRules {
    /// An answer without `token_type` is one of a Bearer token.
    pub allow_missing_token_type: bool,
    /// The answer may be form-encoded.
    pub allow_form_answer: bool,
}

/// The answer of the token endpoint (RFC 6749 section 5.1): a Bearer token (RFC 6750).
#[derive(Clone, Debug)]
pub struct TokenAnswer {
    /// The access token: at least one character, and only such as an Authorization header may carry.
    pub access_token: Secret,
    /// Its life in seconds as the server gave it, rounded down; `None` where it did not tell. See
    /// [`TokenAnswer::lifetime`].
    pub expires_in: Option<u64>,
    /// The granted scopes; `None` where the server did not tell, which means those asked for.
    pub scopes: Option<Vec<String>>,
    /// The refresh token to send next; `None`: the one at hand stays.
    pub refresh_token: Option<Secret>,
    /// The life of the refresh token in seconds, where the server told it.
    pub refresh_expires_in: Option<u64>,
    /// The type of an exchanged token (RFC 8693 section 2.2.1).
    pub issued_token_type: Option<String>,
    /// Whether the answer was JSON under a content type that is not.
    pub content_type_mismatch: bool,
    /// All other members. They may hold secrets, an ID token for instance.
    pub extra: Object,
}

/// How long a token lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// In milliseconds from the time of receipt.
    pub ms: u64,
    /// Whether the server gave a point in time instead of a duration.
    pub absolute: bool,
}

impl TokenAnswer {
    /// How long the token lives, from the wall clock's `received_wall_ms` on.
    ///
    /// `expires_in` is a number of seconds. More than ten years is none that a server means: where it is a
    /// point in time of the next ten years (OPAAL's own issuer), the token lives until then; otherwise, and
    /// where the server did not tell, it lives `default_ms`.
    pub fn lifetime(&self, received_wall_ms: u64, default_ms: u64) -> Lifetime {
        const TEN_YEARS: u64 = 10 * 365 * 24 * 3600;
        let received = received_wall_ms / 1000;
        match self.expires_in {
            // Tried first, or a clock that stands at 1970 would take each duration for a point in time.
            Some(seconds) if seconds <= TEN_YEARS => Lifetime {
                ms: seconds * 1000,
                absolute: false,
            },
            Some(until) if until > received && until - received <= TEN_YEARS => Lifetime {
                ms: until.saturating_mul(1000).saturating_sub(received_wall_ms),
                absolute: true,
            },
            _ => Lifetime {
                ms: default_ms,
                absolute: false,
            },
        }
    }
}

impl Exchange for TokenRequest<'_> {
    type Answer = TokenAnswer;

    fn request(&self) -> Result<Request, Error> {
        let url = self.endpoint.as_str().into();
        if let TokenGrant::Bare { method } = self.grant {
            return Ok(Request {
                method,
                url,
                headers: Vec::new(),
                body: Default::default(),
            });
        }
        let mut headers = Vec::with_capacity(3);
        headers.push(plain("accept", "application/json"));
        headers.push(plain("content-type", "application/x-www-form-urlencoded"));
        let mut form = form::Serializer::with_capacity(256);
        self.grant.write(&mut form);
        self.authentication.apply(&mut headers, &mut form)?;
        if !self.scopes.is_empty() {
            form.words("scope", self.scopes);
        }
        for audience in self.audience {
            form.pair("audience", audience);
        }
        for resource in self.resource {
            form.pair("resource", resource);
        }
        for (name, value) in self.parameters {
            if is_reserved(name) {
                return Err(Error::new(
                    Code::InvalidArgument,
                    "a further parameter of the token request has the name of one that is set already",
                )
                .at(name.clone()));
            }
            form.pair(name, value);
        }
        Ok(Request {
            method: Method::Post,
            url,
            headers,
            body: form.finish(),
        })
    }

    fn parse(&self, response: &Response) -> Result<TokenAnswer, Error> {
        answer::parse(self, response)
    }
}

impl TokenGrant<'_> {
    fn write(&self, form: &mut form::Serializer) {
        match self {
            TokenGrant::ClientCredentials => {
                form.pair("grant_type", "client_credentials");
            }
            TokenGrant::RefreshToken { refresh_token } => {
                form.pair("grant_type", "refresh_token");
                form.pair("refresh_token", refresh_token.expose());
            }
            TokenGrant::TokenExchange {
                subject_token,
                subject_token_type,
                requested_token_type,
            } => {
                form.pair(
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                );
                form.pair("subject_token", subject_token.expose());
                form.pair("subject_token_type", subject_token_type);
                if let Some(requested) = requested_token_type {
                    form.pair("requested_token_type", requested);
                }
            }
            TokenGrant::Bare { .. } => {}
        }
    }
}

impl TokenRequest<'_> {
    /// What may not stand in an error about the answer.
    fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        if let Some(secret) = self.authentication.client_secret() {
            let id = self.authentication.client_id().unwrap_or_default();
            secrets.add_basic(id, secret.expose());
        }
        match self.grant {
            TokenGrant::RefreshToken { refresh_token } => secrets.add(refresh_token.expose()),
            TokenGrant::TokenExchange { subject_token, .. } => secrets.add(subject_token.expose()),
            _ => &mut secrets,
        };
        for (name, value) in self.parameters {
            if clean::is_secret_name(name) {
                secrets.add(value);
            }
        }
        secrets
    }
}

impl fmt::Debug for TokenRequest<'_> {
    /// Of the further parameters only the names: an assertion is a secret too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("TokenRequest")
            .field("endpoint", self.endpoint)
            .field("authentication", self.authentication)
            .field("grant", &self.grant)
            .field("scopes", &self.scopes)
            .field("audience", &self.audience)
            .field("resource", &self.resource)
            .field("parameters", &names)
            .field("rules", &self.rules)
            .finish()
    }
}

fn plain(name: &'static str, value: &'static str) -> Header {
    Header {
        name,
        value: Cow::Borrowed(value),
        sensitive: false,
    }
}

/// A parameter that appears twice makes the request invalid (RFC 6749 section 3.2).
pub(super) fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "grant_type"
            | "client_id"
            | "client_secret"
            | "scope"
            | "audience"
            | "resource"
            | "refresh_token"
            | "subject_token"
            | "subject_token_type"
            | "requested_token_type"
    )
}

#[cfg(test)]
mod tests;
