//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

mod manage;

use super::{
    Exchange,
    clean::{self, Secrets},
    failure,
};
use crate::{
    Code, Error, Secret,
    wire::{
        Header, Method, Origin, Request, Response, Url, bearer,
        buffer::Buffer,
        form,
        json::{self, Object, Value},
    },
};
use alloc::{borrow::Cow, format, string::String, vec::Vec};

pub use manage::{DeleteRegistration, ReadRegistration, UpdateRegistration};

/// Registers a client (RFC 7591 section 3.1).
#[derive(Clone, Copy, Debug)]
pub struct RegistrationRequest<'a> {
    /// The client registration endpoint.
    pub endpoint: &'a Url,
    /// What the server asks for before it registers anybody.
    pub initial_access_token: Option<&'a Secret>,
    /// The client metadata, sent as it is (RFC 7591 section 2).
    pub metadata: &'a Object,
    /// Where the management of the client may live, besides the endpoint's own origin.
    pub allowed_origins: &'a [Origin],
}

/// A registered client (RFC 7591 section 3.2.1, RFC 7592 section 3).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Registration {
    /// The client id.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<Secret>,
    /// When the secret ends, in seconds since 1970; `None`: never.
    pub client_secret_expires_at: Option<u64>,
    /// The token to manage the registration with.
    pub registration_access_token: Option<Secret>,
    /// Where the registration is managed.
    pub registration_client_uri: Option<Url>,
    /// Why the server's `registration_client_uri` was left out. The client is registered all the same: to give
    /// it up would leave it behind at the server, and one more with each attempt.
    pub refused_uri: Option<Error>,
    /// All other members.
    pub metadata: Object,
    /// Tells `0`, which is never, from an answer that leaves the member out.
    expiry_stated: bool,
}

const MEMBERS: [&str; 8] = [
    "client_id",
    "client_secret",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
    "error",
    "error_description",
    "error_uri",
];

impl Exchange for RegistrationRequest<'_> {
    type Answer = Registration;

    fn request(&self) -> Result<Request, Error> {
        let mut headers = json_headers();
        if let Some(token) = self.initial_access_token {
            headers.push(bearer::header(token, "initial_access_token")?);
        }
        Ok(Request {
            method: Method::Post,
            url: self.endpoint.as_str().into(),
            headers,
            body: self.metadata.to_json().into(),
        })
    }

    fn parse(&self, response: &Response) -> Result<Registration, Error> {
        let mut secrets = Secrets::default();
        if let Some(token) = self.initial_access_token {
            secrets.add(token.expose());
        }
        let place = Place {
            origin: self.endpoint.origin(),
            path: self.endpoint.path(),
            allowed_origins: self.allowed_origins,
        };
        answer(response, place, secrets)
    }
}

impl Registration {
    /// Takes over the answer to a later request about the same client. What the answer leaves out (secret,
    /// management URI, registration access token) stays as it was.
    pub fn merge(&mut self, answer: Registration) {
        if answer.expiry_stated || answer.client_secret.is_some() {
            self.client_secret_expires_at = answer.client_secret_expires_at;
            self.expiry_stated = answer.expiry_stated;
        }
        self.client_secret = answer.client_secret.or(self.client_secret.take());
        self.registration_access_token = answer
            .registration_access_token
            .or(self.registration_access_token.take());
        self.registration_client_uri = answer
            .registration_client_uri
            .or(self.registration_client_uri.take());
        self.refused_uri = answer.refused_uri;
        if !answer.metadata.is_empty() {
            self.metadata = answer.metadata;
        }
    }

    /// The registration as one JSON object, secrets included, in the shape of RFC 7591 section 3.2.1.
    pub fn to_json(&self) -> Object {
        let mut object = Object::new();
        object.insert("client_id", self.client_id.as_str());
        if let Some(secret) = &self.client_secret {
            object.insert("client_secret", secret.expose());
        }
        if self.expiry_stated {
            object.insert(
                "client_secret_expires_at",
                self.client_secret_expires_at.unwrap_or(0),
            );
        }
        if let Some(token) = &self.registration_access_token {
            object.insert("registration_access_token", token.expose());
        }
        if let Some(uri) = &self.registration_client_uri {
            object.insert("registration_client_uri", uri.as_str());
        }
        object.append(self.metadata.clone());
        object
    }

    /// Reads what [`Registration::to_json`] wrote.
    ///
    /// # Errors
    /// [`Code::StoreCorrupt`], with the member.
    pub fn from_json(object: &Object) -> Result<Registration, Error> {
        let corrupt = |(member, why): Wrong| Error::new(Code::StoreCorrupt, why).at(member);
        let mut rest = object.clone();
        let members = MEMBERS.map(|name| rest.remove(name));
        let (mut registration, uri) = read(members, rest).map_err(corrupt)?;
        if let Some(uri) = uri {
            let uri = Url::parse(&uri).map_err(|_| {
                corrupt(("registration_client_uri", "the management URI is no URL"))
            })?;
            registration.registration_client_uri = Some(uri);
        }
        Ok(registration)
    }
}

/// The member that is wrong, and why.
type Wrong = (&'static str, &'static str);

/// Where the management URI of an answer may live.
#[derive(Clone, Copy)]
struct Place<'a> {
    origin: &'a Origin,
    path: &'a str,
    allowed_origins: &'a [Origin],
}

fn answer(response: &Response, place: Place<'_>, secrets: Secrets) -> Result<Registration, Error> {
    if !(200..=299).contains(&response.status) {
        return Err(failure::of(response, &secrets));
    }
    let (members, extra) = json::members(response.body.expose(), &MEMBERS)
        .map_err(|error| failure::unreadable(&error, response, &secrets))?;
    let [.., error, description, uri] = &members;
    if let Some(oauth) =
        failure::oauth_of(error.as_ref(), description.as_ref(), uri.as_ref(), &secrets)
    {
        return Err(failure::refused(oauth, response, &secrets));
    }
    let (mut registration, uri) = read(members, extra)
        .map_err(|(member, why)| failure::malformed(why, response, &secrets).at(member))?;
    if let Some(uri) = uri {
        match management_uri(&uri, &registration.client_id, place, &secrets) {
            Ok(uri) => registration.registration_client_uri = Some(uri),
            Err(error) => registration.refused_uri = Some(error.with_status(response.status)),
        }
    }
    Ok(registration)
}

/// The registration without its management URI, and that URI as it was given.
fn read(
    members: [Option<Value>; MEMBERS.len()],
    metadata: Object,
) -> Result<(Registration, Option<String>), Wrong> {
    let [client_id, client_secret, expires_at, token, uri, ..] = members;
    let text = |value: Option<Value>, member| match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.into_string() {
            Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            None => Err((member, "the member is no text")),
        },
    };
    let client_id = text(client_id, "client_id")?.ok_or(("client_id", "there is no client id"))?;
    // It is shown and logged wherever the client is spoken of.
    if client_id.chars().any(char::is_control) {
        return Err(("client_id", "the client id holds a control character"));
    }
    let expires_at = match expires_at {
        None | Some(Value::Null) => None,
        Some(value) => Some(point_in_time(&value).ok_or((
            "client_secret_expires_at",
            "the end of the secret is not a number of seconds since 1970",
        ))?),
    };
    let registration = Registration {
        client_id,
        client_secret: text(client_secret, "client_secret")?.map(Secret::from),
        client_secret_expires_at: expires_at.filter(|at| *at != 0),
        registration_access_token: text(token, "registration_access_token")?.map(Secret::from),
        registration_client_uri: None,
        refused_uri: None,
        metadata,
        expiry_stated: expires_at.is_some(),
    };
    Ok((registration, text(uri, "registration_client_uri")?))
}

fn point_in_time(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().or_else(|| {
            Some(number.as_f64())
                .filter(|at| *at >= 0.0)
                .map(|at| at as u64)
        }),
        _ => None,
    }
}

/// The registration access token goes to this URI, so its origin must be one that is trusted with it.
fn management_uri(
    text: &str,
    client_id: &str,
    place: Place<'_>,
    secrets: &Secrets,
) -> Result<Url, Error> {
    let refused = |why: Cow<'static, str>| {
        Err(Error::new(Code::UntrustedEndpoint, why).at("registration_client_uri"))
    };
    let uri = match Url::parse(text) {
        Ok(uri) => uri,
        Err(error) => {
            let why = format!("the management URI cannot be used: {}", error.message());
            return refused(why.into());
        }
    };
    if uri.origin() != place.origin && !place.allowed_origins.contains(uri.origin()) {
        let why = format!(
            "the management URI is at {} and the registration endpoint at {}; allow that origin by name if it \
             is right",
            clean::text(&format!("{}", uri.origin()), 200, secrets),
            place.origin
        );
        return refused(why.into());
    }
    completed(uri, client_id, place.path)
}

/// Hydra's administration answers with the registration path alone; the client id belongs behind it.
fn completed(uri: Url, client_id: &str, registration_path: &str) -> Result<Url, Error> {
    let path = uri.path().trim_end_matches('/');
    let ends_early = path == registration_path.trim_end_matches('/') || path.ends_with("/register");
    if uri.query().is_some() || !ends_early {
        return Ok(uri);
    }
    let mut segment = Buffer::default();
    form::encode_segment(&mut segment, client_id);
    uri.join_path(segment.as_str())
}

fn json_headers() -> Vec<Header> {
    let mut headers = Vec::with_capacity(3);
    headers.push(Header {
        name: "accept",
        value: "application/json".into(),
        sensitive: false,
    });
    headers.push(Header {
        name: "content-type",
        value: "application/json".into(),
        sensitive: false,
    });
    headers
}

#[cfg(test)]
mod tests;
