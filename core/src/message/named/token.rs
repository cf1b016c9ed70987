//! `token`.

use super::{Named, Parameters, answer, parameters::secret, tell};
use crate::{
    Error, Secret,
    message::{
        BasicEncoding, ClientAuthentication, Exchange, TokenGrant, TokenRequest, TokenRules,
        members, token::is_reserved,
    },
    wire::{
        Method, Request, Response, Url,
        buffer::wipe,
        json::{Field, Object},
    },
};
use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};

pub(super) const MEMBERS: [&str; 13] = [
    "endpoint",
    "auth",
    "basic_encoding",
    "client_id",
    "client_secret",
    "grant",
    "scopes",
    "audience",
    "resource",
    "parameters",
    "allow_missing_token_type",
    "allow_form_answer",
    "insecure_http",
];

/// What a bare request has no use for.
const NOT_BARE: [&str; 8] = [
    "auth",
    "basic_encoding",
    "client_id",
    "client_secret",
    "scopes",
    "audience",
    "resource",
    "parameters",
];

pub(super) fn token(parameters: &Parameters<'_>) -> Result<Named, Error> {
    let grant = grant(&parameters.get("grant"))?;
    if let (Grant::Bare(_), Some(idle)) = (&grant, parameters.first_of(&NOT_BARE)) {
        return Err(idle.error(
            "has no effect with grant \"bare\", whose request has no parameters: remove it",
        ));
    }
    let audience = parameters.get("audience");
    Ok(Box::new(Token {
        endpoint: parameters.endpoint("endpoint")?,
        authentication: match grant {
            Grant::Bare(_) => ClientAuthentication::None { client_id: None },
            _ => authentication(parameters)?,
        },
        grant,
        scopes: members::scopes(&parameters.get("scopes"))?,
        audience: members::texts(&audience, "a list such as [\"smd\"]", "an audience")?,
        resource: members::resource(&parameters.get("resource"))?,
        parameters: further(&parameters.get("parameters"))?,
        rules: TokenRules {
            allow_missing_token_type: parameters.get("allow_missing_token_type").boolean(false)?,
            allow_form_answer: parameters.get("allow_form_answer").boolean(false)?,
        },
    }))
}

#[derive(Clone, Copy)]
enum Auth {
    Basic,
    Post,
    None,
}

fn authentication(parameters: &Parameters<'_>) -> Result<ClientAuthentication, Error> {
    let auth = parameters.get("auth").choice(&[
        ("client_secret_basic", Auth::Basic),
        ("client_secret_post", Auth::Post),
        ("none", Auth::None),
    ])?;
    let encoding = parameters
        .get("basic_encoding")
        .choice(&[("form", BasicEncoding::Form), ("raw", BasicEncoding::Raw)])?;
    let client_id = parameters.text("client_id")?;
    let client_secret = parameters.secret("client_secret")?;
    if let Auth::None = auth {
        return match client_secret {
            None => Ok(ClientAuthentication::None { client_id }),
            Some(_) => Err(parameters.get("client_secret").error(
                "not used, because auth is \"none\": remove it, or set auth to \"client_secret_basic\"",
            )),
        };
    }
    let missing = |name, what| {
        Err(parameters.get(name).error(alloc::format!(
            "missing: write the {what}, or set auth to \"none\""
        )))
    };
    let (client_id, client_secret) = match (client_id, client_secret) {
        (Some(client_id), Some(client_secret)) => (client_id, client_secret),
        (None, _) => return missing("client_id", "client id"),
        (_, None) => return missing("client_secret", "client's secret"),
    };
    Ok(match auth {
        Auth::Post => ClientAuthentication::Post {
            client_id,
            client_secret,
        },
        _ => ClientAuthentication::Basic {
            client_id,
            client_secret,
            encoding,
        },
    })
}

enum Grant {
    ClientCredentials,
    RefreshToken(Secret),
    TokenExchange {
        subject_token: Secret,
        subject_token_type: String,
        requested_token_type: Option<String>,
    },
    Bare(Method),
}

#[derive(Clone, Copy)]
enum Kind {
    ClientCredentials,
    RefreshToken,
    TokenExchange,
    Bare,
}

fn grant(field: &Field<'_>) -> Result<Grant, Error> {
    let kinds = [
        ("client_credentials", Kind::ClientCredentials),
        ("refresh_token", Kind::RefreshToken),
        ("token_exchange", Kind::TokenExchange),
        ("bare", Kind::Bare),
    ];
    let is_object = field
        .value()
        .is_some_and(|value| value.as_object().is_some());
    if !is_object {
        return match field.choice(&kinds)? {
            Kind::ClientCredentials => Ok(Grant::ClientCredentials),
            Kind::Bare => Ok(Grant::Bare(Method::Post)),
            Kind::RefreshToken => Err(field.error(
                "needs more than a name: write {\"type\": \"refresh_token\", \"refresh_token\": …}",
            )),
            Kind::TokenExchange => Err(field.error(
                "needs more than a name: write {\"type\": \"token_exchange\", \"subject_token\": …, \
                 \"subject_token_type\": …}",
            )),
        };
    }
    let entries = field.entries("an object")?;
    let Some((_, kind)) = entries.into_iter().find(|(name, _)| *name == "type") else {
        return Err(field.error(
            "missing type: write \"client_credentials\", \"refresh_token\", \"token_exchange\" or \"bare\"",
        ));
    };
    match kind.choice(&kinds)? {
        Kind::ClientCredentials => field.members(&["type"]).map(|_| Grant::ClientCredentials),
        Kind::RefreshToken => {
            let members = field.members(&["type", "refresh_token"])?;
            let token = members
                .get("refresh_token")
                .required("write the refresh token")?;
            Ok(Grant::RefreshToken(secret(&token)?.unwrap_or_default()))
        }
        Kind::TokenExchange => {
            let members = field.members(&[
                "type",
                "subject_token",
                "subject_token_type",
                "requested_token_type",
            ])?;
            let token = members
                .get("subject_token")
                .required("write the token that is exchanged")?;
            let kind = members.get("subject_token_type").required(
                "write the type of the subject token, such as \"urn:ietf:params:oauth:token-type:jwt\"",
            )?;
            Ok(Grant::TokenExchange {
                subject_token: secret(&token)?.unwrap_or_default(),
                subject_token_type: members::token_type(&kind)?.unwrap_or_default(),
                requested_token_type: members::token_type(&members.get("requested_token_type"))?,
            })
        }
        Kind::Bare => {
            let members = field.members(&["type", "method"])?;
            let methods = [("POST", Method::Post), ("GET", Method::Get)];
            Ok(Grant::Bare(members.get("method").choice(&methods)?))
        }
    }
}

/// Further parameters of the request. A value may be a secret, an assertion for instance.
#[derive(Default)]
struct Further(Vec<(String, String)>);

impl Drop for Further {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|(_, value)| wipe(value));
    }
}

fn further(field: &Field<'_>) -> Result<Further, Error> {
    let mut further = Further::default();
    for (name, value) in field.entries("an object such as {\"tenant\": \"blue\"}")? {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(
                value.error("not a name for a parameter: it is empty or holds a control character")
            );
        }
        if is_reserved(name) {
            return Err(value.error(
                "not a free parameter: it comes from grant, scopes, audience, resource, client_id or client_secret",
            ));
        }
        let text = value.text("a string")?.unwrap_or_default();
        further.0.push((name.to_owned(), text.to_owned()));
    }
    Ok(further)
}

struct Token {
    endpoint: Url,
    authentication: ClientAuthentication,
    grant: Grant,
    scopes: Vec<String>,
    audience: Vec<String>,
    resource: Vec<String>,
    parameters: Further,
    rules: TokenRules,
}

impl Token {
    fn message(&self) -> TokenRequest<'_> {
        TokenRequest {
            endpoint: &self.endpoint,
            authentication: &self.authentication,
            grant: match &self.grant {
                Grant::ClientCredentials => TokenGrant::ClientCredentials,
                Grant::RefreshToken(refresh_token) => TokenGrant::RefreshToken { refresh_token },
                Grant::TokenExchange {
                    subject_token,
                    subject_token_type,
                    requested_token_type,
                } => TokenGrant::TokenExchange {
                    subject_token,
                    subject_token_type,
                    requested_token_type: requested_token_type.as_deref(),
                },
                Grant::Bare(method) => TokenGrant::Bare { method: *method },
            },
            scopes: &self.scopes,
            audience: &self.audience,
            resource: &self.resource,
            parameters: &self.parameters.0,
            rules: self.rules,
        }
    }
}

impl Exchange for Token {
    type Answer = Secret;

    fn request(&self) -> Result<Request, Error> {
        self.message().request()
    }

    fn parse(&self, response: &Response) -> Result<Secret, Error> {
        let token = self.message().parse(response)?;
        let mut object = Object::new();
        object.insert("access_token", token.access_token.expose());
        object.insert("token_type", "Bearer");
        tell(&mut object, "expires_in", token.expires_in);
        let scope = token.scopes.map(|scopes| scopes.join(" "));
        tell(&mut object, "scope", scope);
        let refresh_token = token.refresh_token.as_ref().map(Secret::expose);
        tell(&mut object, "refresh_token", refresh_token);
        tell(&mut object, "refresh_expires_in", token.refresh_expires_in);
        tell(&mut object, "issued_token_type", token.issued_token_type);
        object.insert("content_type_mismatch", token.content_type_mismatch);
        Ok(answer(object, token.extra))
    }
}
