use super::{bytes, ran};
use svcauth_core::{
    Code, Exchange,
    message::{MetadataDocument, MetadataRequest},
    wire::{Response, Url},
};

#[test]
fn metadata_is_read_when_it_speaks_for_the_issuer_asked() {
    const IDENTITY_SERVER: &str = "https://demo.identityserver.io";
    let mut count = 0;
    for (file, issuer, expected) in [
        (
            "discovery.json",
            IDENTITY_SERVER,
            Ok(("https://demo.identityserver.io/connect/token", true)),
        ),
        (
            "discovery_mtls.json",
            IDENTITY_SERVER,
            Ok(("https://demo.identityserver.io/connect/token", false)),
        ),
        (
            "discovery.json",
            "https://demo.identityserver.io/",
            Err(Code::IssuerMismatch),
        ),
        (
            "discovery.json",
            "https://evil.example",
            Err(Code::IssuerMismatch),
        ),
        // A template that nobody filled in.
        (
            "discovery_variable.json",
            IDENTITY_SERVER,
            Err(Code::IssuerMismatch),
        ),
        // A key set is no metadata.
        (
            "discovery_jwks.json",
            IDENTITY_SERVER,
            Err(Code::MalformedAnswer),
        ),
    ] {
        let Some(body) = bytes(&format!("discovery/duende/{file}")) else {
            return;
        };
        let issuer = Url::parse(issuer).unwrap();
        let response = Response {
            status: 200,
            body: body.into(),
            ..Response::default()
        };
        let answer = MetadataRequest {
            issuer: &issuer,
            document: MetadataDocument::Openid,
        }
        .parse(&response);
        match (answer, expected) {
            (Ok(metadata), Ok((token_endpoint, registers))) => {
                assert_eq!(
                    metadata.token_endpoint.unwrap().as_str(),
                    token_endpoint,
                    "{file}"
                );
                assert_eq!(
                    metadata.registration_endpoint.is_some(),
                    registers,
                    "{file}"
                );
                assert!(
                    metadata.extra.get("subject_types_supported").is_some(),
                    "{file}"
                );
                let methods = &metadata.token_endpoint_auth_methods_supported;
                assert!(
                    methods.iter().any(|method| method == "client_secret_basic"),
                    "{file}"
                );
            }
            (Err(error), Err(code)) => assert_eq!(error.code(), code, "{file}"),
            (answer, _) => panic!("{file}: {answer:?}"),
        }
        count += 1;
    }
    ran("discovery/duende", count, 6);
}
