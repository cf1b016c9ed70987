//! URLs, and which target one belongs to; browsers' reader is the second opinion.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use svcauth_core::{
    Client, Config, Now,
    client::{Call, Calls, Capabilities, Decision},
    wire::{Url, url},
};
use svcauth_fuzz::one_line;

/// Name and prefix of each target; the last covers the client's own endpoints.
const TARGETS: [(&str, &str); 4] = [
    ("boot", "https://smd.example/hsm/v2/boot"),
    ("local", "http://[::1]:27779/"),
    ("smd", "https://smd.example/hsm/v2"),
    ("wide", "https://hydra.example"),
];

static CALLS: LazyLock<std::sync::Arc<Calls>> = LazyLock::new(|| {
    let targets: Vec<String> = TARGETS
        .iter()
        .map(|(name, url)| format!("{name:?}: {{ \"urls\": [{url:?}] }}"))
        .collect();
    let document = format!(
        r#"{{ "endpoints": {{ "token": "https://hydra.example/oauth2/token" }},
            "client": {{ "credentials": [{{ "client_id": "x", "client_secret": {{ "value": "y" }} }}] }},
            "targets": {{ {} }} }}"#,
        targets.join(", ")
    );
    let config = Config::from_json(document.as_bytes()).expect("a configuration");
    let client = Client::new(config, Capabilities::none(), 1, Now::default());
    client.expect("a client").calls()
});

fuzz_target!(|text: &str| {
    let parts = url::parts(text);
    match Url::parse(text) {
        Err(error) => {
            assert!(
                parts.is_none(),
                "{text:?} has parts and is refused: {error}"
            );
            one_line(&error);
        }
        Ok(url) => {
            let parts = parts.expect("the parts of a URL");
            assert_eq!(url.as_str(), text);
            assert_eq!((url.path(), url.query()), (parts.path, parts.query));
            assert!(parts.is_of(url.origin()));
            assert_eq!(url.is_https(), parts.https);
            let origin = url.origin().to_string();
            assert_eq!(
                Url::parse(&origin).expect("an origin").origin(),
                url.origin()
            );
            for joined in [url.join_path("a/b"), url.with_path("/a/b")] {
                let joined = joined.expect("a path of a URL");
                assert!(joined.path().ends_with("/a/b") && joined.query().is_none());
                assert_eq!(joined.origin(), url.origin());
            }
        }
    }
    belongs(text);
});

/// Whoever reads the URL comes to the target that it was held to belong to.
fn belongs(text: &str) {
    let call = Call {
        url: text,
        ..Call::default()
    };
    let Decision::Lease { target, .. } = CALLS.decide(&call) else {
        return;
    };
    let (name, prefix) = TARGETS[target.index()];
    assert_eq!(CALLS.target_name(target), name);
    let other = ::url::Url::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let prefix = ::url::Url::parse(prefix).expect("a prefix");
    assert_eq!(other.origin(), prefix.origin(), "{text:?} for {name}");
    assert!(other.username().is_empty() && other.password().is_none());
    let mut segments = other.path_segments().expect("segments");
    for expected in prefix.path_segments().expect("segments") {
        assert!(
            expected.is_empty() || segments.next() == Some(expected),
            "{text:?} for {name}"
        );
    }
    assert_ne!(
        other.path().trim_end_matches('/'),
        "/oauth2/token",
        "{text:?}"
    );
}
