//! Managing a registration (RFC 7592).

use super::{Place, Registration, answer, json_headers};
use crate::{
    Code, Error,
    message::{Exchange, clean::Secrets, failure},
    wire::{Header, Method, Origin, Request, Response, Url, bearer, json::Object},
};
use alloc::{vec, vec::Vec};

/// Reads a registration (RFC 7592 section 2.1). The answer goes into [`Registration::merge`].
#[derive(Clone, Copy, Debug)]
pub struct ReadRegistration<'a> {
    /// The registration.
    pub registration: &'a Registration,
    /// Where the management of the client may move, besides the origin it is at.
    pub allowed_origins: &'a [Origin],
}

/// Replaces the metadata of a registration (RFC 7592 section 2.2). The answer goes into
/// [`Registration::merge`], and to the durable store before anything else happens: it may bring a new secret
/// and a new registration access token.
#[derive(Clone, Copy, Debug)]
pub struct UpdateRegistration<'a> {
    /// The registration.
    pub registration: &'a Registration,
    /// The members to change; the others are sent as they were, because an update replaces everything.
    pub metadata: Option<&'a Object>,
    /// Where the management of the client may move, besides the origin it is at.
    pub allowed_origins: &'a [Origin],
}

/// Deletes a registration (RFC 7592 section 2.3).
#[derive(Clone, Copy, Debug)]
pub struct DeleteRegistration<'a> {
    /// The registration.
    pub registration: &'a Registration,
}

impl Exchange for ReadRegistration<'_> {
    type Answer = Registration;

    fn request(&self) -> Result<Request, Error> {
        let accept = Header {
            name: "accept",
            value: "application/json".into(),
            sensitive: false,
        };
        request(self.registration, Method::Get, vec![accept])
    }

    fn parse(&self, response: &Response) -> Result<Registration, Error> {
        same_client(self.registration, self.allowed_origins, response)
    }
}

impl Exchange for UpdateRegistration<'_> {
    type Answer = Registration;

    fn request(&self) -> Result<Request, Error> {
        let mut request = request(self.registration, Method::Put, json_headers())?;
        request.body = self.document().to_json().into();
        Ok(request)
    }

    fn parse(&self, response: &Response) -> Result<Registration, Error> {
        same_client(self.registration, self.allowed_origins, response)
    }
}

impl Exchange for DeleteRegistration<'_> {
    type Answer = ();

    fn request(&self) -> Result<Request, Error> {
        request(self.registration, Method::Delete, Vec::new())
    }

    fn parse(&self, response: &Response) -> Result<(), Error> {
        match response.status {
            200..=299 => Ok(()),
            _ => Err(failure::of(response, &secrets(self.registration))),
        }
    }
}

impl UpdateRegistration<'_> {
    /// The secret is left out: it may be sent, but Hydra refuses it.
    fn document(&self) -> Object {
        let mut document = Object::new();
        document.insert("client_id", self.registration.client_id.as_str());
        let is_sent = |name: &str| name != "client_id" && !NEVER_SENT_BACK.contains(&name);
        let mut kept = self.registration.metadata.clone();
        kept.retain(|name, value| is_sent(name) && !value.is_null());
        document.append(kept);
        let changed = self.metadata.iter().flat_map(|metadata| metadata.iter());
        for (name, value) in changed.filter(|(name, _)| is_sent(name)) {
            document.insert(name, value.clone());
        }
        document
    }
}

/// RFC 7592 section 2.2.
const NEVER_SENT_BACK: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

fn request(
    registration: &Registration,
    method: Method,
    mut headers: Vec<Header>,
) -> Result<Request, Error> {
    let uri = match (
        &registration.registration_client_uri,
        &registration.refused_uri,
    ) {
        (Some(uri), _) => uri,
        (None, Some(refused)) => return Err(refused.clone()),
        (None, None) => {
            return Err(Error::new(
                Code::InvalidArgument,
                "the registration cannot be managed: the server gave no URI for it",
            )
            .at("registration_client_uri"));
        }
    };
    let Some(token) = &registration.registration_access_token else {
        return Err(Error::new(
            Code::InvalidArgument,
            "the registration cannot be managed: the server gave no registration access token",
        )
        .at("registration_access_token"));
    };
    headers.push(bearer::header(token, "registration_access_token")?);
    Ok(Request {
        method,
        url: uri.as_str().into(),
        headers,
        body: Default::default(),
    })
}

fn same_client(
    registration: &Registration,
    allowed_origins: &[Origin],
    response: &Response,
) -> Result<Registration, Error> {
    let uri = registration.registration_client_uri.as_ref();
    let nowhere = Origin {
        https: true,
        host: Default::default(),
        port: 0,
    };
    let place = Place {
        origin: uri.map_or(&nowhere, Url::origin),
        path: uri
            .and_then(|uri| uri.path().rsplit_once('/'))
            .map_or("", |(parent, _)| parent),
        allowed_origins,
    };
    let answer = answer(response, place, secrets(registration))?;
    if answer.client_id != registration.client_id {
        let why = "the answer is about another client";
        return Err(failure::malformed(why, response, &secrets(registration)).at("client_id"));
    }
    Ok(answer)
}

fn secrets(registration: &Registration) -> Secrets {
    let mut secrets = Secrets::default();
    let all = [
        &registration.client_secret,
        &registration.registration_access_token,
    ];
    for secret in all.into_iter().flatten() {
        secrets.add(secret.expose());
    }
    secrets
}
