//! What an issuer says about itself.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use svcauth_core::{
    Exchange,
    message::{MetadataDocument, MetadataRequest},
    wire::Url,
};
use svcauth_fuzz::{endpoint, one_line, response, without_mark};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    svcauth_fuzz::mutate::answer(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let response = response(data);
    // The issuer that the document names is the one that was asked, or most of it would never be read.
    let body = without_mark(response.body.expose());
    let named = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|document| Url::parse(document["issuer"].as_str()?).ok());
    for issuer in named.into_iter().chain([endpoint("https://demo.example")]) {
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
