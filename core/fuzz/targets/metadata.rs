//! What an issuer says about itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use svcauth_core::{
    Exchange,
    message::{MetadataDocument, MetadataRequest},
};
use svcauth_fuzz::{endpoint, one_line, response};

fuzz_target!(|data: &[u8]| {
    let response = response(data);
    for issuer in ["https://demo.example", "http://127.0.0.1:4444/"] {
        let issuer = endpoint(issuer);
        let message = MetadataRequest {
            issuer: &issuer,
            document: MetadataDocument::Openid,
        };
        match message.parse(&response) {
            Err(error) => drop(one_line(&error)),
            Ok(metadata) => {
                assert_eq!(metadata.issuer, issuer.as_str());
                let endpoints = [
                    &metadata.token_endpoint,
                    &metadata.authorization_endpoint,
                    &metadata.registration_endpoint,
                    &metadata.jwks_uri,
                    &metadata.revocation_endpoint,
                    &metadata.introspection_endpoint,
                ];
                for url in endpoints.into_iter().flatten() {
                    assert!(url.is_https() || !issuer.is_https(), "{url} below {issuer}");
                }
            }
        }
    }
});
