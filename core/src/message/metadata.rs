//! Authorization server metadata (RFC 8414, OpenID Connect Discovery 1.0).

use super::{Exchange, clean::Secrets, failure};
use crate::{
    Code, Error,
    wire::{
        Header, Method, Request, Response, Url,
        json::{self, Object, Value},
    },
};
use alloc::{format, string::String, vec, vec::Vec};

/// Asks an issuer for its metadata.
#[derive(Clone, Copy, Debug)]
pub struct MetadataRequest<'a> {
    /// The issuer; the document must name it byte for byte.
    pub issuer: &'a Url,
    /// Which of the two documents.
    pub document: MetadataDocument,
}

/// The two places where metadata is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataDocument {
    /// OpenID Connect Discovery 1.0 section 4: the suffix `/.well-known/openid-configuration`.
    Openid,
    /// RFC 8414 section 3.1: `/.well-known/oauth-authorization-server` before the issuer's path.
    Oauth,
}

/// What an issuer says about itself (RFC 8414 section 2).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// The issuer, as it was asked for.
    pub issuer: String,
    /// Where tokens are asked for.
    pub token_endpoint: Option<Url>,
    /// Where authorization is asked for.
    pub authorization_endpoint: Option<Url>,
    /// Where clients register.
    pub registration_endpoint: Option<Url>,
    /// The key set.
    pub jwks_uri: Option<Url>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// Where tokens are looked up (RFC 7662).
    pub introspection_endpoint: Option<Url>,
    /// How clients may authenticate. What is configured wins over it.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// All other members.
    pub extra: Object,
}

const MEMBERS: [&str; 8] = [
    "issuer",
    "token_endpoint",
    "authorization_endpoint",
    "registration_endpoint",
    "jwks_uri",
    "revocation_endpoint",
    "introspection_endpoint",
    "token_endpoint_auth_methods_supported",
];

impl Exchange for MetadataRequest<'_> {
    type Answer = Metadata;

    fn request(&self) -> Result<Request, Error> {
        if self.issuer.query().is_some() {
            return Err(Error::new(
                Code::InvalidArgument,
                "an issuer has no query (RFC 8414 section 2)",
            )
            .at("issuer"));
        }
        let path = match self.issuer.path() {
            "/" => "",
            path => path.strip_suffix('/').unwrap_or(path),
        };
        let url = self.issuer.with_path(&match self.document {
            MetadataDocument::Openid => format!("{path}/.well-known/openid-configuration"),
            MetadataDocument::Oauth => format!("/.well-known/oauth-authorization-server{path}"),
        })?;
        let accept = Header {
            name: "accept",
            value: "application/json".into(),
            sensitive: false,
        };
        Ok(Request {
            method: Method::Get,
            url: url.as_str().into(),
            headers: vec![accept],
            body: Default::default(),
        })
    }

    /// # Errors
    /// [`Code::IssuerMismatch`]: the document speaks for another issuer. [`Code::UntrustedEndpoint`]: it names
    /// an endpoint that may not be used, `http` below an `https` issuer above all. Otherwise as for any
    /// message.
    fn parse(&self, response: &Response) -> Result<Metadata, Error> {
        let secrets = Secrets::default();
        if !(200..=299).contains(&response.status) {
            return Err(failure::of(response, &secrets));
        }
        let (members, extra) = json::members(response.body.expose(), &MEMBERS)
            .map_err(|error| failure::unreadable(&error, response, &secrets))?;
        let [
            issuer,
            token,
            authorization,
            registration,
            jwks,
            revocation,
            introspection,
            methods,
        ] = members;
        let issuer = self.same_issuer(issuer, response)?;
        let endpoint = |value, member| self.endpoint(value, member, response);
        Ok(Metadata {
            issuer,
            token_endpoint: endpoint(token, "token_endpoint")?,
            authorization_endpoint: endpoint(authorization, "authorization_endpoint")?,
            registration_endpoint: endpoint(registration, "registration_endpoint")?,
            jwks_uri: endpoint(jwks, "jwks_uri")?,
            revocation_endpoint: endpoint(revocation, "revocation_endpoint")?,
            introspection_endpoint: endpoint(introspection, "introspection_endpoint")?,
            token_endpoint_auth_methods_supported: texts(methods),
            extra,
        })
    }
}

impl MetadataRequest<'_> {
    fn same_issuer(&self, issuer: Option<Value>, response: &Response) -> Result<String, Error> {
        let Some(issuer) = issuer.and_then(Value::into_string) else {
            let why = "the metadata does not name its issuer";
            return Err(failure::malformed(why, response, &Secrets::default()).at("issuer"));
        };
        if issuer == self.issuer.as_str() {
            return Ok(issuer);
        }
        let theirs = super::clean::text(&issuer, 200, &Secrets::default());
        Err(Error::new(
            Code::IssuerMismatch,
            format!(
                "the metadata speaks for {theirs:?} and not for {:?}; set the issuer to exactly that text, or \
                 set the endpoints",
                self.issuer.as_str()
            ),
        )
        .at("issuer")
        .with_status(response.status))
    }

    fn endpoint(
        &self,
        value: Option<Value>,
        member: &'static str,
        response: &Response,
    ) -> Result<Option<Url>, Error> {
        let error = |code, message: String| {
            Err(Error::new(code, message)
                .at(member)
                .with_status(response.status))
        };
        let text = match value {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => match value.into_string() {
                Some(text) => text,
                None => return error(Code::MalformedAnswer, "the endpoint is no text".into()),
            },
        };
        let url = match Url::parse(&text) {
            Ok(url) => url,
            Err(why) => return error(Code::UntrustedEndpoint, why.message().into()),
        };
        if self.issuer.is_https() && !url.is_https() {
            return error(
                Code::UntrustedEndpoint,
                format!(
                    "{} would be spoken to without TLS, under an https issuer",
                    url.origin()
                ),
            );
        }
        Ok(Some(url))
    }
}

fn texts(value: Option<Value>) -> Vec<String> {
    let array = value.as_ref().and_then(Value::as_array).unwrap_or_default();
    array
        .iter()
        .filter_map(Value::as_str)
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use MetadataDocument::{Oauth, Openid};

    fn parse(issuer: &str, body: &str) -> Result<Metadata, Error> {
        let issuer = Url::parse(issuer).unwrap();
        let response = Response {
            status: 200,
            body: body.into(),
            ..Response::default()
        };
        MetadataRequest {
            issuer: &issuer,
            document: Openid,
        }
        .parse(&response)
    }

    #[test]
    fn the_document_is_asked_for_where_each_specification_puts_it() {
        for (issuer, document, url) in [
            (
                "https://a.example",
                Openid,
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/",
                Openid,
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/t/1",
                Openid,
                "https://a.example/t/1/.well-known/openid-configuration",
            ),
            (
                "https://a.example/t/1/",
                Openid,
                "https://a.example/t/1/.well-known/openid-configuration",
            ),
            (
                "https://a.example",
                Oauth,
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example/",
                Oauth,
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://A.example:443/t/1/",
                Oauth,
                "https://A.example:443/.well-known/oauth-authorization-server/t/1",
            ),
        ] {
            let issuer = Url::parse(issuer).unwrap();
            let request = MetadataRequest {
                issuer: &issuer,
                document,
            }
            .request()
            .unwrap();
            assert_eq!((request.method, &*request.url), (Method::Get, url));
        }
        let issuer = Url::parse("https://a.example/?tenant=1").unwrap();
        let error = MetadataRequest {
            issuer: &issuer,
            document: Oauth,
        }
        .request()
        .unwrap_err();
        assert_eq!(
            (error.code(), error.member()),
            (Code::InvalidArgument, Some("issuer"))
        );
    }

    #[test]
    fn another_issuer_is_refused_however_alike() {
        for (asked, named, same) in [
            ("https://a.example", "https://a.example", true),
            ("https://a.example/", "https://a.example/", true),
            ("https://a.example", "https://a.example/", false),
            ("https://a.example/", "https://a.example", false),
            ("https://a.example", "https://A.example", false),
            ("https://a.example", "https://a.example:443", false),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://evil.example", false),
        ] {
            match parse(asked, &format!(r#"{{"issuer":"{named}"}}"#)) {
                Ok(metadata) => assert!(same && metadata.issuer == named, "{asked} {named}"),
                Err(error) => {
                    assert!(!same, "{asked} {named}");
                    assert_eq!(
                        (error.code(), error.member()),
                        (Code::IssuerMismatch, Some("issuer"))
                    );
                    assert!(error.message().contains(named), "{error}");
                }
            }
        }
        for body in ["{}", r#"{"issuer":null}"#, r#"{"issuer":1}"#] {
            assert_eq!(
                parse("https://a.example", body).unwrap_err().code(),
                Code::MalformedAnswer
            );
        }
    }

    #[test]
    fn an_endpoint_that_could_leak_credentials_is_refused() {
        for (issuer, endpoint, code) in [
            ("https://a.example", r#""https://b.example/token""#, None),
            ("https://a.example", "null", None),
            (
                "http://127.0.0.1:4444",
                r#""http://127.0.0.1:4444/token""#,
                None,
            ),
            (
                "https://a.example",
                r#""http://a.example/token""#,
                Some(Code::UntrustedEndpoint),
            ),
            (
                "https://a.example",
                r#""http://127.0.0.1/token""#,
                Some(Code::UntrustedEndpoint),
            ),
            (
                "https://a.example",
                r#""https://u:p@a.example/""#,
                Some(Code::UntrustedEndpoint),
            ),
            (
                "https://a.example",
                r#""https://a.example/#x""#,
                Some(Code::UntrustedEndpoint),
            ),
            (
                "https://a.example",
                r#""file:///etc/passwd""#,
                Some(Code::UntrustedEndpoint),
            ),
            (
                "https://a.example",
                r#""/token""#,
                Some(Code::UntrustedEndpoint),
            ),
            ("https://a.example", r#""""#, Some(Code::UntrustedEndpoint)),
            ("https://a.example", "1", Some(Code::MalformedAnswer)),
        ] {
            for member in &MEMBERS[1..7] {
                let body = format!(r#"{{"issuer":"{issuer}","{member}":{endpoint}}}"#);
                let error = parse(issuer, &body).err();
                assert_eq!(error.as_ref().map(Error::code), code, "{body}");
                assert_eq!(
                    error.as_ref().and_then(Error::member),
                    code.map(|_| *member),
                    "{body}"
                );
            }
        }
    }
}
