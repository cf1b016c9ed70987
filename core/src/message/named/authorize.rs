//! `authorize`.

use super::{Named, Parameters, answer, tell};
use crate::{
    Error, OauthError, Secret,
    message::{AuthorizationAnswer, AuthorizationRequest, Exchange, members},
    wire::{
        Request, Response, Url,
        json::{self, Object},
    },
};
use alloc::{boxed::Box, string::String, vec::Vec};

pub(super) const MEMBERS: [&str; 10] = [
    "endpoint",
    "state",
    "registration",
    "registration_access_token",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scopes",
    "response_type",
    "insecure_http",
];

pub(super) fn authorize(parameters: &Parameters<'_>) -> Result<Named, Error> {
    let registration = parameters.registration()?.unwrap_or_default();
    let own_id = Some(registration.client_id.clone()).filter(|id| !id.is_empty());
    let Some(client_id) = parameters.text("client_id")?.or(own_id) else {
        return Err(parameters
            .get("client_id")
            .error("missing: write the client id, or give the registration"));
    };
    let state = parameters
        .get("state")
        .required("write a fresh random text")?;
    let scopes = parameters.get("scopes");
    Ok(Box::new(Authorize {
        endpoint: parameters.endpoint("endpoint")?,
        registration_access_token: parameters
            .token("registration_access_token")?
            .or(registration.registration_access_token.clone()),
        client_id,
        client_secret: parameters
            .secret("client_secret")?
            .or(registration.client_secret.clone()),
        redirect_uri: parameters
            .text("redirect_uri")?
            .or(registration.first("redirect_uris").map(String::from)),
        scopes: match scopes.is_present() {
            true => members::scopes(&scopes)?,
            false => registration.scopes(),
        },
        response_type: parameters
            .text("response_type")?
            .or(registration.first("response_types").map(String::from))
            .unwrap_or_else(|| "token".into()),
        state: String::from(state.text("a fresh random text")?.unwrap_or_default()),
    }))
}

struct Authorize {
    endpoint: Url,
    registration_access_token: Option<Secret>,
    client_id: String,
    client_secret: Option<Secret>,
    redirect_uri: Option<String>,
    scopes: Vec<String>,
    response_type: String,
    state: String,
}

impl Authorize {
    fn message(&self) -> AuthorizationRequest<'_> {
        AuthorizationRequest {
            endpoint: &self.endpoint,
            registration_access_token: self.registration_access_token.as_ref(),
            client_id: &self.client_id,
            client_secret: self.client_secret.as_ref(),
            redirect_uri: self.redirect_uri.as_deref(),
            scopes: &self.scopes,
            response_type: &self.response_type,
            state: &self.state,
        }
    }
}

impl Exchange for Authorize {
    type Answer = Secret;

    fn request(&self) -> Result<Request, Error> {
        self.message().request()
    }

    fn parse(&self, response: &Response) -> Result<Secret, Error> {
        let led = self.message().parse(response)?;
        let mut object = Object::new();
        object.insert("kind", led.kind());
        match &led {
            AuthorizationAnswer::LoginPage { location } => {
                object.insert("location", location.as_str());
            }
            AuthorizationAnswer::Callback { error, has_code } => {
                tell(&mut object, "error", told(error));
                object.insert("has_code", *has_code);
            }
            AuthorizationAnswer::ErrorPage { error } => tell(&mut object, "error", told(error)),
            AuthorizationAnswer::Answered { status } => {
                object.insert("status", u64::from(*status));
            }
        }
        Ok(answer(object, Object::new()))
    }
}

fn told(error: &Option<OauthError>) -> Option<json::Value> {
    error.as_ref().map(json::to_value)
}
