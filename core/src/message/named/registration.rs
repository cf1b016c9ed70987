//! `register`, `read_registration`, `update_registration`, `delete_registration`.

use super::{Named, Parameters, answer};
use crate::{
    Error, Secret,
    message::{
        DeleteRegistration, Exchange, ReadRegistration, Registration, RegistrationRequest,
        UpdateRegistration,
    },
    wire::{
        Origin, Request, Response, Url,
        json::{self, Object},
    },
};
use alloc::{boxed::Box, vec::Vec};

pub(super) const REGISTER: [&str; 5] = [
    "endpoint",
    "metadata",
    "initial_access_token",
    "allowed_origins",
    "insecure_http",
];
pub(super) const READ: [&str; 3] = ["registration", "allowed_origins", "insecure_http"];
pub(super) const UPDATE: [&str; 4] = [
    "registration",
    "metadata",
    "allowed_origins",
    "insecure_http",
];
pub(super) const DELETE: [&str; 2] = ["registration", "insecure_http"];

pub(super) fn register(parameters: &Parameters<'_>) -> Result<Named, Error> {
    Ok(Box::new(Register {
        endpoint: parameters.endpoint("endpoint")?,
        initial_access_token: parameters.token("initial_access_token")?,
        metadata: metadata(parameters)?.unwrap_or_default(),
        allowed_origins: parameters.origins("allowed_origins")?,
    }))
}

pub(super) fn read(parameters: &Parameters<'_>) -> Result<Named, Error> {
    Ok(Box::new(Read {
        registration: parameters.required_registration()?,
        allowed_origins: parameters.origins("allowed_origins")?,
    }))
}

pub(super) fn update(parameters: &Parameters<'_>) -> Result<Named, Error> {
    Ok(Box::new(Update {
        registration: parameters.required_registration()?,
        metadata: metadata(parameters)?,
        allowed_origins: parameters.origins("allowed_origins")?,
    }))
}

pub(super) fn delete(parameters: &Parameters<'_>) -> Result<Named, Error> {
    Ok(Box::new(Delete {
        registration: parameters.required_registration()?,
    }))
}

fn metadata(parameters: &Parameters<'_>) -> Result<Option<Object>, Error> {
    let field = parameters.get("metadata");
    Ok(field
        .object("an object: the client metadata of RFC 7591 section 2")?
        .cloned())
}

struct Register {
    endpoint: Url,
    initial_access_token: Option<Secret>,
    metadata: Object,
    allowed_origins: Vec<Origin>,
}

impl Register {
    fn message(&self) -> RegistrationRequest<'_> {
        RegistrationRequest {
            endpoint: &self.endpoint,
            initial_access_token: self.initial_access_token.as_ref(),
            metadata: &self.metadata,
            allowed_origins: &self.allowed_origins,
        }
    }
}

impl Exchange for Register {
    type Answer = Secret;

    fn request(&self) -> Result<Request, Error> {
        self.message().request()
    }

    fn parse(&self, response: &Response) -> Result<Secret, Error> {
        self.message()
            .parse(response)
            .map(|registration| told(&registration))
    }
}

struct Read {
    registration: Registration,
    allowed_origins: Vec<Origin>,
}

impl Read {
    fn message(&self) -> ReadRegistration<'_> {
        ReadRegistration {
            registration: &self.registration,
            allowed_origins: &self.allowed_origins,
        }
    }
}

impl Exchange for Read {
    type Answer = Secret;

    fn request(&self) -> Result<Request, Error> {
        self.message().request()
    }

    fn parse(&self, response: &Response) -> Result<Secret, Error> {
        let answer = self.message().parse(response)?;
        Ok(merged(&self.registration, answer))
    }
}

struct Update {
    registration: Registration,
    metadata: Option<Object>,
    allowed_origins: Vec<Origin>,
}

impl Update {
    fn message(&self) -> UpdateRegistration<'_> {
        UpdateRegistration {
            registration: &self.registration,
            metadata: self.metadata.as_ref(),
            allowed_origins: &self.allowed_origins,
        }
    }
}

impl Exchange for Update {
    type Answer = Secret;

    fn request(&self) -> Result<Request, Error> {
        self.message().request()
    }

    fn parse(&self, response: &Response) -> Result<Secret, Error> {
        let answer = self.message().parse(response)?;
        Ok(merged(&self.registration, answer))
    }
}

struct Delete {
    registration: Registration,
}

impl Delete {
    fn message(&self) -> DeleteRegistration<'_> {
        DeleteRegistration {
            registration: &self.registration,
        }
    }
}

impl Exchange for Delete {
    type Answer = Secret;

    fn request(&self) -> Result<Request, Error> {
        self.message().request()
    }

    fn parse(&self, response: &Response) -> Result<Secret, Error> {
        self.message().parse(response)?;
        Ok(answer(Object::new(), Object::new()))
    }
}

fn merged(before: &Registration, answer: Registration) -> Secret {
    let mut registration = before.clone();
    registration.merge(answer);
    told(&registration)
}

fn told(registration: &Registration) -> Secret {
    let mut object = Object::new();
    object.insert("registration", registration.to_json());
    if let Some(error) = &registration.refused_uri {
        object.insert("refused_uri", json::to_value(error));
    }
    answer(object, Object::new())
}
