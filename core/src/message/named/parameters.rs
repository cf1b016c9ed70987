//! What the parameters of several messages have in common.

use crate::{
    Code, Error, Secret,
    message::Registration,
    wire::{
        Origin, Url, is_token,
        json::{Field, Members},
    },
};
use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

/// The parameters of one message. Each message takes `insecure_http`.
pub(super) struct Parameters<'a> {
    members: Members<'a>,
    insecure_http: Vec<Origin>,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(members: Members<'a>) -> Result<Parameters<'a>, Error> {
        let insecure_http = members.get("insecure_http").origins()?;
        Ok(Parameters {
            members,
            insecure_http,
        })
    }

    pub(super) fn get(&self, name: &'static str) -> Field<'_> {
        self.members.get(name)
    }

    pub(super) fn first_of(&self, names: &[&'static str]) -> Option<Field<'_>> {
        self.members.first_of(names)
    }

    /// A URL to send secrets to.
    pub(super) fn endpoint(&self, name: &'static str) -> Result<Url, Error> {
        let field = self.get(name).required("write the URL")?;
        match field.url()? {
            Some(url) => self.secure(&field, url),
            None => Err(field.wrong_type("a URL")),
        }
    }

    fn secure(&self, field: &Field<'_>, url: Url) -> Result<Url, Error> {
        if url.is_https() || url.is_loopback() || self.insecure_http.contains(url.origin()) {
            return Ok(url);
        }
        let origin = url.origin();
        Err(field.error(format!(
            "uses http, which anyone on the way can read: use https, or add \"{origin}\" to insecure_http"
        )))
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Error> {
        Ok(self.get(name).text("a text")?.map(ToOwned::to_owned))
    }

    pub(super) fn secret(&self, name: &'static str) -> Result<Option<Secret>, Error> {
        secret(&self.get(name))
    }

    /// A token for an Authorization field.
    pub(super) fn token(&self, name: &'static str) -> Result<Option<Secret>, Error> {
        match self.secret(name)? {
            Some(token) if !is_token(token.expose()) => Err(self
                .get(name)
                .error("holds a character that no token has (RFC 6750 section 2.1)")),
            token => Ok(token),
        }
    }

    pub(super) fn origins(&self, name: &'static str) -> Result<Vec<Origin>, Error> {
        self.get(name).origins()
    }

    pub(super) fn registration(&self) -> Result<Option<Registration>, Error> {
        let field = self.get("registration");
        let Some(object) = field.object("the registration of an earlier answer")? else {
            return Ok(None);
        };
        let registration = Registration::from_json(object).map_err(|error| {
            let path = format!("registration.{}", error.member().unwrap_or_default());
            Error::new(Code::InvalidArgument, String::from(error.message())).at(path)
        })?;
        if let Some(uri) = &registration.registration_client_uri {
            self.secure(&field, uri.clone())?;
        }
        Ok(Some(registration))
    }

    pub(super) fn required_registration(&self) -> Result<Registration, Error> {
        let missing = "missing: give the registration that an earlier answer brought";
        self.registration()?
            .ok_or_else(|| self.get("registration").error(missing))
    }
}

/// A text that is a secret.
pub(super) fn secret(field: &Field<'_>) -> Result<Option<Secret>, Error> {
    Ok(field.text("a text")?.map(Secret::from))
}
