//! `metadata`.

use super::{Named, Parameters, answer, tell};
use crate::{
    Error, Secret,
    message::{Exchange, MetadataDocument, MetadataRequest},
    wire::{Request, Response, Url, json::Object},
};
use alloc::boxed::Box;

pub(super) const MEMBERS: [&str; 3] = ["issuer", "document", "insecure_http"];

pub(super) fn metadata(parameters: &Parameters<'_>) -> Result<Named, Error> {
    Ok(Box::new(Metadata {
        issuer: parameters.endpoint("issuer")?,
        document: parameters.get("document").choice(&[
            ("openid", MetadataDocument::Openid),
            ("oauth", MetadataDocument::Oauth),
        ])?,
    }))
}

struct Metadata {
    issuer: Url,
    document: MetadataDocument,
}

impl Metadata {
    fn message(&self) -> MetadataRequest<'_> {
        MetadataRequest {
            issuer: &self.issuer,
            document: self.document,
        }
    }
}

impl Exchange for Metadata {
    type Answer = Secret;

    fn request(&self) -> Result<Request, Error> {
        self.message().request()
    }

    fn parse(&self, response: &Response) -> Result<Secret, Error> {
        let metadata = self.message().parse(response)?;
        let mut object = Object::new();
        object.insert("issuer", metadata.issuer);
        for (name, url) in [
            ("token_endpoint", &metadata.token_endpoint),
            ("authorization_endpoint", &metadata.authorization_endpoint),
            ("registration_endpoint", &metadata.registration_endpoint),
            ("jwks_uri", &metadata.jwks_uri),
            ("revocation_endpoint", &metadata.revocation_endpoint),
            ("introspection_endpoint", &metadata.introspection_endpoint),
        ] {
            tell(&mut object, name, url.as_ref().map(Url::as_str));
        }
        let methods = metadata.token_endpoint_auth_methods_supported;
        let methods = Some(methods).filter(|methods| !methods.is_empty());
        tell(
            &mut object,
            "token_endpoint_auth_methods_supported",
            methods,
        );
        Ok(answer(object, metadata.extra))
    }
}
