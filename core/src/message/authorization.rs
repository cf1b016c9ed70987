//! The authorization request of the flow's second step, sent by a service without a user (RFC 6749 section
//! 4.1.1, with the registration access token of RFC 7592 as older set-ups want it).

use super::{
    Exchange, Registration,
    clean::{self, Secrets},
    failure,
};
use crate::{
    Error, OauthError, Secret,
    wire::{Header, Method, Request, Response, Url, bearer, form, json::Value},
};
use alloc::{string::String, vec::Vec};

/// The authorization request as OpenCHAMI's how-to sends it.
///
/// No server answers it with a token. Hydra redirects to its login page, to the callback with an error, or to
/// an error page; none of these is followed, and the flow goes on to the token request whatever came.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationRequest<'a> {
    /// The authorization endpoint (RFC 6749 section 3.1).
    pub endpoint: &'a Url,
    /// The registration access token, where the registration brought one.
    pub registration_access_token: Option<&'a Secret>,
    /// The client id.
    pub client_id: &'a str,
    /// Its secret, where there is one.
    pub client_secret: Option<&'a Secret>,
    /// The redirection endpoint, as registered.
    pub redirect_uri: Option<&'a str>,
    /// The scopes to ask for.
    pub scopes: &'a [String],
    /// `token` or `code`.
    pub response_type: &'a str,
    /// A fresh random text; Hydra asks for eight characters at least.
    pub state: &'a str,
}

/// Where the authorization endpoint led.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthorizationAnswer {
    /// To a page where a user would log in, or to some other page without an error.
    LoginPage {
        /// Its URL without query and fragment, which hold what only a browser should see.
        location: String,
    },
    /// To the client's own redirection endpoint.
    Callback {
        /// The error in it.
        error: Option<OauthError>,
        /// Whether an authorization code came along. It is not used.
        has_code: bool,
    },
    /// To a page that shows an error.
    ErrorPage {
        /// The error, where the URL tells it.
        error: Option<OauthError>,
    },
    /// Nowhere: the server answered itself.
    Answered {
        /// The status of its answer.
        status: u16,
    },
}

impl Registration {
    /// The authorization request of this client: its first redirect URI and response type, its scopes.
    ///
    /// # Errors
    /// As [`AuthorizationRequest`]'s.
    pub fn authorization_request(&self, endpoint: &Url, state: &str) -> Result<Request, Error> {
        AuthorizationRequest {
            endpoint,
            registration_access_token: self.registration_access_token.as_ref(),
            client_id: &self.client_id,
            client_secret: self.client_secret.as_ref(),
            redirect_uri: self.first("redirect_uris"),
            scopes: &self.scopes(),
            response_type: self.first("response_types").unwrap_or("token"),
            state,
        }
        .request()
    }

    /// The first text of a list in the metadata.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        let values = self.metadata.get(name).and_then(Value::as_array)?;
        values.first().and_then(Value::as_str)
    }

    /// The scopes that the client is registered for.
    pub(super) fn scopes(&self) -> Vec<String> {
        let scope = self.metadata.get("scope").and_then(Value::as_str);
        let words = scope.unwrap_or_default().split(' ');
        words
            .filter(|word| !word.is_empty())
            .map(String::from)
            .collect()
    }

    /// Reads the response to [`Self::authorization_request`]; no secret of this registration is in its errors.
    ///
    /// # Errors
    /// As [`AuthorizationAnswer::of`]'s.
    pub fn authorization_answer(&self, response: &Response) -> Result<AuthorizationAnswer, Error> {
        let secrets = secrets(
            self.registration_access_token.as_ref(),
            self.client_secret.as_ref(),
        );
        read(response, None, &secrets)
    }
}

impl AuthorizationAnswer {
    /// Reads a response of the authorization endpoint without knowing the request.
    ///
    /// What names a `state`, carries a code, or has its error in the fragment is taken for the callback.
    ///
    /// # Errors
    /// As for any message, where the response is neither a redirect nor a success.
    pub fn of(response: &Response) -> Result<AuthorizationAnswer, Error> {
        read(response, None, &Secrets::default())
    }

    /// `login_page`, `callback`, `error_page` or `answered`.
    pub fn kind(&self) -> &'static str {
        match self {
            AuthorizationAnswer::LoginPage { .. } => "login_page",
            AuthorizationAnswer::Callback { .. } => "callback",
            AuthorizationAnswer::ErrorPage { .. } => "error_page",
            AuthorizationAnswer::Answered { .. } => "answered",
        }
    }

    /// The error that the answer carries.
    pub fn error(&self) -> Option<&OauthError> {
        match self {
            AuthorizationAnswer::Callback { error, .. }
            | AuthorizationAnswer::ErrorPage { error } => error.as_ref(),
            _ => None,
        }
    }
}

impl Exchange for AuthorizationRequest<'_> {
    type Answer = AuthorizationAnswer;

    fn request(&self) -> Result<Request, Error> {
        let mut headers = Vec::with_capacity(2);
        headers.push(Header {
            name: "content-type",
            value: "application/x-www-form-urlencoded".into(),
            sensitive: false,
        });
        if let Some(token) = self.registration_access_token {
            headers.push(bearer::header(token, "registration_access_token")?);
        }
        let mut form = form::Serializer::with_capacity(256);
        form.pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.words("scope", self.scopes);
        }
        form.pair("client_id", self.client_id);
        if let Some(secret) = self.client_secret {
            form.pair("client_secret", secret.expose());
        }
        if let Some(redirect_uri) = self.redirect_uri {
            form.pair("redirect_uri", redirect_uri);
        }
        form.pair("response_type", self.response_type)
            .pair("state", self.state);
        let url = self.endpoint.as_str().into();
        Ok(Request {
            method: Method::Post,
            url,
            headers,
            body: form.finish(),
        })
    }

    /// # Errors
    /// Never for a redirect; otherwise as for any message.
    fn parse(&self, response: &Response) -> Result<AuthorizationAnswer, Error> {
        let secrets = secrets(self.registration_access_token, self.client_secret);
        read(response, self.redirect_uri, &secrets)
    }
}

fn secrets(registration_access_token: Option<&Secret>, client_secret: Option<&Secret>) -> Secrets {
    let mut secrets = Secrets::default();
    for secret in [registration_access_token, client_secret]
        .into_iter()
        .flatten()
    {
        secrets.add(secret.expose());
    }
    secrets
}

fn read(
    response: &Response,
    redirect_uri: Option<&str>,
    secrets: &Secrets,
) -> Result<AuthorizationAnswer, Error> {
    let status = response.status;
    match (status, response.field("location")) {
        (300..=399, Some(location)) => Ok(redirect(location, redirect_uri, secrets)),
        (200..=399, _) => Ok(AuthorizationAnswer::Answered { status }),
        _ => Err(failure::of(response, secrets)),
    }
}

fn redirect(location: &str, redirect_uri: Option<&str>, secrets: &Secrets) -> AuthorizationAnswer {
    let (before_fragment, fragment) = location.split_once('#').unwrap_or((location, ""));
    let (page, query) = before_fragment
        .split_once('?')
        .unwrap_or((before_fragment, ""));
    let query = pairs(query);
    let fragment = pairs(fragment);
    let value = |name: &str| {
        let mut all = query.iter().chain(&fragment);
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    };
    let kept = |name: &str| value(name).map(|text| clean::text(text, 500, secrets));
    let error = kept("error").map(|error| OauthError {
        error,
        description: kept("error_description"),
        uri: kept("error_uri"),
    });
    let is_callback = match redirect_uri {
        Some(own) => page == own.split(['?', '#']).next().unwrap_or(own),
        None => false,
    };
    let in_fragment = fragment.iter().any(|(name, _)| name == "error");
    let like_a_callback =
        value("code").is_some() || error.is_some() && (in_fragment || value("state").is_some());
    if is_callback || like_a_callback {
        AuthorizationAnswer::Callback {
            error,
            has_code: value("code").is_some(),
        }
    } else if error.is_some() || page.ends_with("/error") {
        AuthorizationAnswer::ErrorPage { error }
    } else {
        AuthorizationAnswer::LoginPage {
            location: clean::text(page, 200, secrets),
        }
    }
}

/// What cannot be read tells nothing about where the redirect leads.
fn pairs(form: &str) -> Vec<(String, String)> {
    form::parse(form.as_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn answer(location: &str, redirect_uri: Option<&str>) -> AuthorizationAnswer {
        let headers = vec![("Location".into(), location.into())];
        let response = Response {
            status: 302,
            headers,
            ..Response::default()
        };
        read(&response, redirect_uri, &Secrets::default()).unwrap()
    }

    #[test]
    fn a_redirect_is_told_by_where_it_leads() {
        let own = Some("https://bss.example/callback");
        for (location, redirect_uri, kind, error) in [
            (
                "https://id.example/login?login_challenge=x",
                own,
                "login_page",
                None,
            ),
            ("/login", own, "login_page", None),
            ("", own, "login_page", None),
            (
                "https://bss.example/callback?code=x&state=y",
                own,
                "callback",
                None,
            ),
            (
                "https://bss.example/callback?code=x&state=y",
                None,
                "callback",
                None,
            ),
            (
                "https://bss.example/callback#error=invalid_state",
                own,
                "callback",
                Some("invalid_state"),
            ),
            (
                "https://bss.example/callback#error=invalid_state",
                None,
                "callback",
                Some("invalid_state"),
            ),
            (
                "https://bss.example/callback?error=x&state=y",
                None,
                "callback",
                Some("x"),
            ),
            ("https://bss.example/callback", own, "callback", None),
            ("https://bss.example/callback.evil", own, "login_page", None),
            (
                "https://id.example/error?error=invalid_request",
                own,
                "error_page",
                Some("invalid_request"),
            ),
            ("/error", own, "error_page", None),
            (
                "https://id.example/?error=a%0Ab",
                own,
                "error_page",
                Some("a b"),
            ),
            ("https://id.example/?error=%zz", own, "login_page", None),
        ] {
            let answer = answer(location, redirect_uri);
            assert_eq!(answer.kind(), kind, "{location}");
            assert_eq!(
                answer.error().map(|error| &*error.error),
                error,
                "{location}"
            );
        }
    }

    #[test]
    fn nothing_of_a_redirects_query_is_kept_but_an_error() {
        for location in [
            "https://id.example/login?login_challenge=s3cr3t",
            "https://bss.example/callback?code=s3cr3t&state=s3cr3t",
            "https://bss.example/callback#access_token=s3cr3t",
        ] {
            let printed = alloc::format!(
                "{:?}",
                answer(location, Some("https://bss.example/callback"))
            );
            assert!(!printed.contains("s3cr3t"), "{printed}");
        }
    }

    #[test]
    fn an_answer_without_a_redirect_is_a_status_or_an_error() {
        let of = |status| {
            AuthorizationAnswer::of(&Response {
                status,
                ..Response::default()
            })
        };
        assert_eq!(of(200), Ok(AuthorizationAnswer::Answered { status: 200 }));
        assert_eq!(of(302), Ok(AuthorizationAnswer::Answered { status: 302 }));
        for (status, code) in [
            (404, crate::Code::UnexpectedStatus),
            (429, crate::Code::RateLimited),
            (500, crate::Code::ServerError),
        ] {
            assert_eq!(of(status).unwrap_err().code(), code);
        }
    }
}
