//! Documents that are refused: where, and with which words.

use crate::documents::{MINIMAL, patched, text};
use serde_json::Value;
use svcauth_core::{Code, Config};

/// Whether the schema refuses the document too, or cannot express the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Schema {
    Tells,
    Silent,
}
use Schema::{Silent, Tells};

/// A change to [`MINIMAL`] (a merge patch, RFC 7396), the member that the error names, a part of its
/// sentence.
#[rustfmt::skip]
pub(crate) const ROWS: &[(&str, &str, &str, Schema)] = &[
    // names
    (r#"{"isuer": "https://a.example"}"#, "isuer", "unknown, did you mean issuer?", Tells),
    (r#"{"token_url": "https://a.example"}"#, "token_url", "known here are $schema, issuer, ", Tells),
    (r#"{"targets": {"smd": {"scope": ["read"]}}}"#, "targets.smd.scope", "unknown, did you mean scopes?", Tells),
    (r#"{"targets": {"smd.v2": {"urls": [], "url": 1}}}"#, r#"targets."smd.v2".url"#, "did you mean urls?", Tells),
    (r#"{"schedule": {"refresh_window_ms": 3}}"#, "schedule.refresh_window_ms", "did you mean refresh_window_s?", Tells),
    (r#"{"timeouts": {"requestS": 3}}"#, "timeouts.requestS", "did you mean request_s?", Tells),
    (r#"{"client": {"client_id": "bss"}}"#, "client.client_id", "known here are auth, ", Tells),
    (r#"{"client": {"credentials": [{"client_id": "bss", "secret": {"env": "X"}}]}}"#, "client.credentials[0].secret", "unknown", Tells),
    (r#"{"store": {"fil\ne": "x"}}"#, r#"store."fil\ne""#, "did you mean file?", Tells),
    // types
    (r#"{"issuer": 7}"#, "issuer", "expected an absolute URL such as \"https://hydra.example\", found a number", Tells),
    (r#"{"discovery": true}"#, "discovery", "expected \"auto\", \"openid\" or \"oauth\", found true or false", Tells),
    (r#"{"targets": []}"#, "targets", "found a list", Tells),
    (r#"{"targets": {"smd": "https://smd.example"}}"#, "targets.smd", "expected an object, found a string", Tells),
    (r#"{"targets": {"smd": {"scopes": "read"}}}"#, "targets.smd.scopes", "expected a list such as [\"read\", \"write\"], found a string", Tells),
    (r#"{"targets": {"smd": {"scopes": [["read"]]}}}"#, "targets.smd.scopes[0]", "found a list", Tells),
    (r#"{"targets": {"smd": {"audience": ["smd", null]}}}"#, "targets.smd.audience[1]", "found null", Tells),
    (r#"{"targets": {"smd": {"require_scopes": "yes"}}}"#, "targets.smd.require_scopes", "expected true or false, found a string", Tells),
    (r#"{"targets": {"smd": {"parameters": {"tenant": 7}}}}"#, "targets.smd.parameters.tenant", "expected a string, found a number", Tells),
    (r#"{"timeouts": {"request_s": "10s"}}"#, "timeouts.request_s", "expected a number of seconds, found a string", Tells),
    (r#"{"limits": {"events": 2.5}}"#, "limits.events", "must be a whole number between 1 and 65536", Tells),
    (r#"{"proxy": {"url": "http://a.example"}}"#, "proxy", "found an object", Tells),
    (r#"{"client": {"credentials": {"client_id": "bss"}}}"#, "client.credentials", "expected a list such as", Tells),
    (r#"{"insecure_http": "http://smd.example"}"#, "insecure_http", "expected a list of origins", Tells),
    // URLs
    (r#"{"issuer": null}"#, "issuer", "missing: write the issuer's URL, or the token endpoint's", Tells),
    (r#"{"issuer": "hydra.example"}"#, "issuer", "https://", Tells),
    (r#"{"issuer": ""}"#, "issuer", "empty: expected an absolute URL", Tells),
    (r#"{"issuer": "https://u:p@hydra.example"}"#, "issuer", "credentials", Tells),
    (r#"{"issuer": "https://hydra.example/?tenant=1"}"#, "issuer", "holds a query", Silent),
    (r#"{"issuer": "http://hydra.example:4444"}"#, "issuer", "add \"http://hydra.example:4444\" to insecure_http", Silent),
    (r#"{"endpoints": {"token": "http://hydra.example/token"}}"#, "endpoints.token", "uses http", Silent),
    (r#"{"endpoints": {"token": "https://hydra.example/#x"}}"#, "endpoints.token", "fragment", Tells),
    (r#"{"targets": {"smd": {"urls": ["http://smd:27779/hsm/v2"]}}}"#, "targets.smd.urls[0]", "add \"http://smd:27779\" to insecure_http", Silent),
    (r#"{"targets": {"smd": {"urls": ["https://smd.example?x=1"]}}}"#, "targets.smd.urls[0]", "holds a query", Tells),
    (r#"{"targets": {"smd": {"urls": ["https://smd.example/a/../b"]}}}"#, "targets.smd.urls[0]", "dot segment", Tells),
    (r#"{"targets": {"smd": {"urls": ["https://smd.example/a/%2e%2E/b"]}}}"#, "targets.smd.urls[0]", "encoded slash", Tells),
    (r#"{"targets": {"smd": {"urls": ["https://smd.example/a%2Fb"]}}}"#, "targets.smd.urls[0]", "encoded slash", Tells),
    (r#"{"targets": {"smd": {"urls": ["https://smd.example/a%5cb"]}}}"#, "targets.smd.urls[0]", "backslash", Tells),
    (r#"{"targets": {"smd": {"urls": ["https://smd.example\\b"]}}}"#, "targets.smd.urls[0]", "\\", Tells),
    (r#"{"targets": {"smd": {"urls": null}}}"#, "targets.smd.urls", "missing: list what belongs to the target", Tells),
    (r#"{"targets": {"smd": {"urls": ["https://a.example/x", "https://A.example:443/x/"]}}}"#, "targets.smd.urls[1]", "stands here twice", Silent),
    (r#"{"targets": {"pcs": {"urls": ["https://smd.example/hsm/v2/"]}}}"#, "targets.smd.urls[0]", "the same URL as one of target pcs", Silent),
    (r#"{"insecure_http": ["https://smd.example"]}"#, "insecure_http[0]", "needs no exception", Tells),
    (r#"{"insecure_http": ["http://smd.example/hsm"]}"#, "insecure_http[0]", "without path", Tells),
    (r#"{"insecure_http": ["http://smd.example", "http://SMD.example:80"]}"#, "insecure_http[1]", "twice", Silent),
    (r#"{"allowed_registration_origins": ["http://admin.example"]}"#, "allowed_registration_origins[0]", "uses http", Silent),
    (r#"{"proxy": "system"}"#, "proxy", "must be \"environment\", \"none\" or a URL", Tells),
    (r#"{"proxy": "http://u:p@proxy.example"}"#, "proxy", "set HTTPS_PROXY in the environment", Tells),
    (r#"{"proxy": "socks5://proxy.example"}"#, "proxy", "must be", Tells),
    // who the service is
    (r#"{"client": {"auth": "client_secret"}}"#, "client.auth", "must be \"client_secret_basic\", \"client_secret_post\" or \"none\"", Tells),
    (r#"{"client": {"auth": "client_secret_bsaic"}}"#, "client.auth", "did you mean \"client_secret_basic\"?", Tells),
    (r#"{"client": null}"#, "client.credentials", "missing: target smd gets its token by client_credentials", Silent),
    (r#"{"client": {"credentials": []}}"#, "client.credentials", "missing", Silent),
    (r#"{"client": {"credentials": [{"client_secret": {"env": "X"}}]}}"#, "client.credentials[0].client_id", "missing: write the client id", Tells),
    (r#"{"client": {"credentials": [{"client_id": "bss"}]}}"#, "client.credentials[0].client_secret", "such as {\"file\": \"/run/secrets/bss\"}", Tells),
    (r#"{"client": {"credentials": [{"client_id": "b\nss", "client_secret": {"env": "X"}}]}}"#, "client.credentials[0].client_id", "control character", Tells),
    (r#"{"client": {"auth": "none"}}"#, "client.credentials[0].client_secret", "not used, because client.auth is \"none\"", Tells),
    (r#"{"client": {"basic_encoding": "raw", "credentials": [{"client_id": "a:b", "client_secret": {"env": "X"}}]}}"#, "client.credentials[0].client_id", "holds a colon", Silent),
    (r#"{"client": {"credentials": [{"client_id": "a", "client_secret": {"env": "X"}}, {"client_id": "a", "client_secret": {"env": "X"}}]}}"#, "client.credentials[1]", "the same client_id and secret", Tells),
    (r#"{"client": {"credentials": [{"client_id": "a", "client_secret": {"env": "X"}}, {"client_id": "b", "client_secret": {"env": "X"}}, {"client_id": "c", "client_secret": {"env": "X"}}]}}"#, "client.credentials", "more than two", Tells),
    (r#"{"client": {"static_token": {"env": "ACCESS_TOKEN"}}}"#, "client.static_token", "contradicts client.credentials", Tells),
    (r#"{"client": {"registration": {}}, "store": {"file": "s"}}"#, "client.registration", "contradicts client.credentials", Tells),
    (r#"{"client": {"credentials": null, "static_token": {"env": "T"}, "registration": {}}, "store": {"file": "s"}}"#, "client.registration", "contradicts client.static_token", Tells),
    (r#"{"client": {"credentials": null, "registration": {}}}"#, "store", "missing: write {\"file\": …}; client.registration", Tells),
    (r#"{"issuer": null, "endpoints": {"token": "https://a.example"}, "client": {"credentials": null, "registration": {}}, "store": {"file": "s"}}"#, "endpoints.registration", "missing: write the URL at which clients register", Tells),
    (r#"{"issuer": null, "endpoints": {"token": "https://a.example", "registration": "https://a.example/r"}, "client": {"credentials": null, "registration": {"authorize": true}}, "store": {"file": "s"}}"#, "endpoints.authorization", "or remove client.registration.authorize", Silent),
    (r#"{"client": {"credentials": null, "registration": {"metadata": {"token_endpoint_auth_method": "none"}}}, "store": {"file": "s"}}"#, "client.registration.metadata.token_endpoint_auth_method", "make both the same (\"client_secret_basic\" is in effect)", Silent),
    (r#"{"client": {"credentials": null, "registration": {"metadata": {"client_secret": "x"}}}, "store": {"file": "s"}}"#, "client.registration.metadata.client_secret", "no place for a secret", Tells),
    // secrets
    (r#"{"client": {"credentials": [{"client_id": "bss", "client_secret": "s"}]}}"#, "client.credentials[0].client_secret", "such as {\"file\": \"/run/secrets/bss\"}, found a string", Tells),
    (r#"{"client": {"credentials": [{"client_id": "bss", "client_secret": {}}]}}"#, "client.credentials[0].client_secret", "with exactly one member", Tells),
    (r#"{"client": {"credentials": [{"client_id": "bss", "client_secret": {"file": "a", "env": "b"}}]}}"#, "client.credentials[0].client_secret", "with exactly one member", Tells),
    (r#"{"client": {"credentials": [{"client_id": "bss", "client_secret": {"flie": "a"}}]}}"#, "client.credentials[0].client_secret", "did you mean file?", Tells),
    (r#"{"client": {"credentials": [{"client_id": "bss", "client_secret": {"file": ""}}]}}"#, "client.credentials[0].client_secret.file", "empty: expected the name of the file", Tells),
    (r#"{"client": {"credentials": [{"client_id": "bss", "client_secret": {"env": "A=b"}}]}}"#, "client.credentials[0].client_secret.env", "name of the variable only", Tells),
    (r#"{"client": {"credentials": null, "static_token": {"value": "a b"}}}"#, "client.static_token", "no bearer token has", Silent),
    // targets
    (r#"{"targets": {"": {"urls": []}}}"#, r#"targets."""#, "not a name for a target", Tells),
    (r#"{"targets": {"s m": {"urls": []}}}"#, r#"targets."s m""#, "not a name for a target", Tells),
    (r#"{"targets": {"smd": {"scopes": ["read write"]}}}"#, "targets.smd.scopes[0]", "write each scope as an item of its own", Tells),
    (r#"{"targets": {"smd": {"scopes": ["rëad"]}}}"#, "targets.smd.scopes[0]", "RFC 6749 section 3.3", Tells),
    (r#"{"targets": {"smd": {"scopes": ["a\"b"]}}}"#, "targets.smd.scopes[0]", "RFC 6749 section 3.3", Tells),
    (r#"{"targets": {"smd": {"scopes": ["read", "read"]}}}"#, "targets.smd.scopes[1]", "twice", Tells),
    (r#"{"targets": {"smd": {"scopes": [], "require_scopes": true}}}"#, "targets.smd.require_scopes", "no effect without scopes", Tells),
    (r#"{"targets": {"smd": {"audience": [""]}}}"#, "targets.smd.audience[0]", "empty", Tells),
    (r#"{"targets": {"smd": {"resource": ["smd"]}}}"#, "targets.smd.resource[0]", "not an absolute URI", Tells),
    (r#"{"targets": {"smd": {"resource": ["https://smd.example/#x"]}}}"#, "targets.smd.resource[0]", "without fragment", Tells),
    (r#"{"targets": {"smd": {"parameters": {"scope": "x"}}}}"#, "targets.smd.parameters.scope", "list the scopes in scopes", Tells),
    (r#"{"targets": {"smd": {"parameters": {"grant_type": "x"}}}}"#, "targets.smd.parameters.grant_type", "it comes from grant", Tells),
    (r#"{"targets": {"smd": {"parameters": {"client_id": "x"}}}}"#, "targets.smd.parameters.client_id", "it comes from client.credentials", Tells),
    (r#"{"targets": {"smd": {"parameters": {"tenant": "a\r\nb"}}}}"#, "targets.smd.parameters.tenant", "control character", Tells),
    (r#"{"targets": {"smd": {"default_lifetime_s": 0}}}"#, "targets.smd.default_lifetime_s", "must be between 1 and 31536000 seconds", Tells),
    (r#"{"targets": {"smd": {"user_token": "forward"}}}"#, "targets.smd.user_token", "must be \"pass\", \"exchange\" or \"never\"", Tells),
    (r#"{"targets": {"pcs": {"urls": [], "token_of": "smdd"}}}"#, "targets.pcs.token_of", "no target has this name, did you mean smd?", Silent),
    (r#"{"targets": {"pcs": {"urls": [], "token_of": "pcs"}}}"#, "targets.pcs.token_of", "names the target itself", Silent),
    (r#"{"targets": {"a": {"urls": [], "token_of": "b"}, "b": {"urls": [], "token_of": "smd"}}}"#, "targets.a.token_of", "has token_of itself", Silent),
    (r#"{"targets": {"a": {"urls": [], "token_of": "b"}, "b": {"urls": [], "token_of": "a"}}}"#, "targets.a.token_of", "has token_of itself", Silent),
    (r#"{"targets": {"pcs": {"urls": [], "token_of": "smd", "scopes": ["read"]}}}"#, "targets.pcs.scopes", "no effect beside token_of", Tells),
    (r#"{"targets": {"pcs": {"urls": [], "token_of": "smd", "user_token": "exchange"}}}"#, "targets.pcs.user_token", "remove token_of", Tells),
    // grants
    (r#"{"targets": {"smd": {"grant": "password"}}}"#, "targets.smd.grant", "must be", Tells),
    (r#"{"targets": {"smd": {"grant": "client_credential"}}}"#, "targets.smd.grant", "did you mean \"client_credentials\"?", Tells),
    (r#"{"targets": {"smd": {"grant": "token_exchange"}}}"#, "targets.smd.grant", "needs more than a name", Tells),
    (r#"{"targets": {"smd": {"grant": 7}}}"#, "targets.smd.grant", "found a number", Tells),
    (r#"{"targets": {"smd": {"grant": {"method": "GET"}}}}"#, "targets.smd.grant", "missing type", Tells),
    (r#"{"targets": {"smd": {"grant": {"type": "bare"}}}}"#, "targets.smd.scopes", "no effect with grant \"bare\"", Tells),
    (r#"{"targets": {"smd": {"scopes": null, "grant": {"type": "bare", "method": "PUT"}}}}"#, "targets.smd.grant.method", "must be \"POST\" or \"GET\"", Tells),
    (r#"{"targets": {"smd": {"scopes": null, "grant": "bare", "user_token": "exchange"}}}"#, "targets.smd.user_token", "a bare request has no parameters", Tells),
    (r#"{"targets": {"smd": {"grant": {"type": "client_credentials", "method": "GET"}}}}"#, "targets.smd.grant.method", "unknown", Tells),
    (r#"{"targets": {"smd": {"grant": {"type": "token_exchange", "subject_token_type": "urn:x:y"}}}}"#, "targets.smd.grant.subject_token", "missing: say where the token is", Tells),
    (r#"{"targets": {"smd": {"grant": {"type": "token_exchange", "subject_token": {"env": "T"}}}}}"#, "targets.smd.grant.subject_token_type", "missing: write the type", Tells),
    (r#"{"targets": {"smd": {"grant": {"type": "token_exchange", "subject_token": {"env": "T"}, "subject_token_type": "jwt"}}}}"#, "targets.smd.grant.subject_token_type", "not a URI", Tells),
    (r#"{"targets": {"smd": {"grant": {"type": "token_exchange", "subject_token": {"env": "T"}, "subject_token_type": "urn:x:y"}}}}"#, "store", "set refresh_tokens in its grant to \"reusable\" or \"ignore\"", Silent),
    (r#"{"client": null, "targets": {"smd": {"grant": {"type": "token_exchange", "subject_token": {"env": "T"}, "subject_token_type": "urn:x:y", "refresh_tokens": "ignore"}}}}"#, "client.credentials", "set client.auth to \"none\"", Silent),
    (r#"{"client": {"credentials": null, "static_token": {"env": "T"}}, "targets": {"smd": {"scopes": null, "grant": "bare"}}}"#, "targets.smd.grant", "client.static_token is the token", Silent),
    (r#"{"client": {"credentials": null, "static_token": {"env": "T"}}, "targets": {"smd": {"user_token": "exchange"}}}"#, "targets.smd.user_token", "with client.static_token none is requested", Silent),
    // numbers
    (r#"{"schedule": {"jitter": 1.1}}"#, "schedule.jitter", "must be between 0 and 1", Tells),
    (r#"{"schedule": {"refresh_window_fraction": -0.1}}"#, "schedule.refresh_window_fraction", "must be between 0 and 1", Tells),
    (r#"{"schedule": {"refresh_window_fraction": 0.8}}"#, "schedule.refresh_window_fraction", "as soon as it came", Silent),
    (r#"{"schedule": {"refresh_window_fraction": 0.05}}"#, "schedule.refresh_window_fraction", "less than schedule.serve_margin_fraction", Silent),
    (r#"{"schedule": {"refresh_window_s": 1}}"#, "schedule.refresh_window_s", "less than schedule.serve_margin_s", Silent),
    (r#"{"schedule": {"refresh_window_s": -5}}"#, "schedule.refresh_window_s", "must be between 0 and 86400 seconds", Tells),
    (r#"{"schedule": {"refresh_floor_s": 0}}"#, "schedule.refresh_floor_s", "must be between 0.1 and 86400 seconds", Tells),
    (r#"{"schedule": {"backoff_initial_s": 0}}"#, "schedule.backoff_initial_s", "must be between 0.1", Tells),
    (r#"{"schedule": {"rejection_cooldown_s": 0}}"#, "schedule.rejection_cooldown_s", "must be between 0.1", Tells),
    (r#"{"schedule": {"backoff_max_s": 0.5}}"#, "schedule.backoff_max_s", "less than schedule.backoff_initial_s: make it at least 1", Silent),
    (r#"{"schedule": {"rate_limited_initial_s": 90}}"#, "schedule.rate_limited_max_s", "make it at least 90", Silent),
    (r#"{"schedule": {"refused_max_s": 1}}"#, "schedule.refused_max_s", "make it at least 30", Silent),
    (r#"{"timeouts": {"connect_s": 0}}"#, "timeouts.connect_s", "must be between 0.01 and 3600 seconds", Tells),
    (r#"{"timeouts": {"wait_s": 1e300}}"#, "timeouts.wait_s", "must be between 0 and 3600 seconds", Tells),
    (r#"{"limits": {"answer_bytes": 0}}"#, "limits.answer_bytes", "must be a whole number between 1024 and 1048576", Tells),
    (r#"{"limits": {"subjects": -1}}"#, "limits.subjects", "must be a whole number", Tells),
    // files
    (r#"{"store": {}}"#, "store.file", "missing: name the file that keeps state", Tells),
    (r#"{"tls": {"only_ca_file": true}}"#, "tls.ca_file", "missing", Tells),
    (r#"{"tls": {"certificate_file": "a.pem"}}"#, "tls.key_file", "missing: name the file with the key", Tells),
    (r#"{"tls": {"key_file": "a.key"}}"#, "tls.certificate_file", "missing: name the file with the certificate", Tells),
];

#[test]
fn a_wrong_document_is_refused_at_the_member_that_is_wrong() {
    let mut wrong = Vec::new();
    for (patch, member, sentence, _) in ROWS {
        let patch: Value = serde_json::from_str(patch).unwrap();
        match Config::from_json(text(&patched(MINIMAL, &patch)).as_bytes()) {
            Ok(_) => wrong.push(format!("{patch}: accepted")),
            Err(error)
                if error.code() != Code::InvalidConfiguration
                    || error.member() != Some(member)
                    || !error.message().contains(sentence) =>
            {
                wrong.push(format!(
                    "{patch}:\n  {error}\n  expected {member}: …{sentence}…"
                ));
            }
            Err(_) => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        ROWS.len(),
        wrong.join("\n")
    );
    println!("{} documents refused as expected", ROWS.len());
}

#[test]
fn a_sentence_says_what_to_do_in_one_line() {
    for (patch, ..) in ROWS {
        let patch: Value = serde_json::from_str(patch).unwrap();
        let error = Config::from_json(text(&patched(MINIMAL, &patch)).as_bytes()).unwrap_err();
        let message = error.message();
        assert!(
            !message.ends_with('.') && !message.contains('\n'),
            "{message}"
        );
        assert!(message.len() < 320, "{message}");
        let first = message.chars().next().unwrap();
        assert!(!first.is_uppercase(), "{message}");
    }
}

#[test]
fn a_text_that_is_no_json_is_refused_at_its_byte() {
    let deep = format!("{{\"issuer\": {}{}}}", "[".repeat(40), "]".repeat(40));
    for (document, offset, sentence) in [
        ("", 0, "line 1, column 1"),
        ("  ", 2, "line 1, column 3"),
        (
            "{\"issuer\": \"https://a.example\",}",
            31,
            "line 1, column 32",
        ),
        (
            "{\n  \"issuer\": \"https://a.example\"\n  \"proxy\": \"none\"\n}",
            36,
            "line 3, column 3",
        ),
        ("{\n  // who\n}", 4, "line 2, column 3"),
        ("{\"issuer\": \"https://a.example\"", 30, "too early"),
        ("{\"proxy\": \"none\", \"proxy\": \"none\"}", 24, "twice"),
        ("{} {}", 3, "line 1, column 4"),
        (&deep, 42, "32"),
    ] {
        let error = Config::from_json(document.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidConfiguration, "{document}");
        assert_eq!(error.offset(), Some(offset), "{document}: {error}");
        assert!(error.message().contains(sentence), "{document}: {error}");
    }
    let error = Config::from_json(b"\xff\xfe{\0}\0").unwrap_err();
    assert_eq!(error.code(), Code::InvalidConfiguration);
    for document in ["[]", "null", "\"https://a.example\"", "7"] {
        let error = Config::from_json(document.as_bytes()).unwrap_err();
        assert!(
            error.message().contains("expected an object"),
            "{document}: {error}"
        );
    }
}
