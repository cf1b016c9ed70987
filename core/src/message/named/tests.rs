use super::*;
use crate::wire::Response;
use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use serde_json::{Value, json};

const SECRET: &str = "s3cr3t-0123456789-Of-Somebody";

fn of(name: &str, parameters: &Value) -> Result<Named, Error> {
    exchange(name, parameters.to_string().as_bytes())
}

fn registration() -> Value {
    json!({
        "client_id": "bss", "client_secret": SECRET, "registration_access_token": SECRET,
        "registration_client_uri": "https://hydra.example/oauth2/register/bss",
        "scope": "read write", "redirect_uris": ["https://bss.example/callback"],
        "response_types": ["code"], "contacts": [], "client_id_issued_at": 1, "x": { "y": null }
    })
}

/// Method, URL and body of the request, and the names of its fields.
fn sent(name: &str, parameters: &Value) -> String {
    let request = of(name, parameters).unwrap().request().unwrap();
    let fields: Vec<&str> = request.headers.iter().map(|header| header.name).collect();
    let body = core::str::from_utf8(request.body.expose()).unwrap();
    format!(
        "{} {} {body} {}",
        request.method.as_str(),
        request.url,
        fields.join(",")
    )
}

#[test]
fn each_name_stands_for_its_message() {
    let token = "https://hydra.example/oauth2/token";
    let registration = registration();
    for (name, parameters, expected) in [
        (
            "register",
            json!({ "endpoint": "https://hydra.example/r" }),
            "POST https://hydra.example/r {} accept,content-type",
        ),
        (
            "register",
            json!({ "endpoint": "https://hydra.example/r", "metadata": { "client_name": "bss" }, "initial_access_token": "t" }),
            r#"POST https://hydra.example/r {"client_name":"bss"} accept,content-type,authorization"#,
        ),
        (
            "read_registration",
            json!({ "registration": registration }),
            "GET https://hydra.example/oauth2/register/bss  accept,authorization",
        ),
        (
            "update_registration",
            json!({ "registration": registration, "metadata": { "contacts": ["a"], "client_id_issued_at": 2 } }),
            r#"PUT https://hydra.example/oauth2/register/bss {"client_id":"bss","contacts":["a"],"redirect_uris":["https://bss.example/callback"],"response_types":["code"],"scope":"read write","x":{"y":null}} accept,content-type,authorization"#,
        ),
        (
            "delete_registration",
            json!({ "registration": registration }),
            "DELETE https://hydra.example/oauth2/register/bss  authorization",
        ),
        (
            "authorize",
            json!({ "endpoint": "https://hydra.example/a", "state": "12345678", "client_id": "bss", "scopes": ["read"] }),
            "POST https://hydra.example/a grant_type=client_credentials&scope=read&client_id=bss&response_type=token&state=12345678 content-type",
        ),
        (
            "authorize",
            json!({ "endpoint": "https://hydra.example/a", "state": "12345678", "registration": registration, "response_type": "token" }),
            "POST https://hydra.example/a grant_type=client_credentials&scope=read+write&client_id=bss&client_secret=s3cr3t-0123456789-Of-Somebody&redirect_uri=https%3A%2F%2Fbss.example%2Fcallback&response_type=token&state=12345678 content-type,authorization",
        ),
        (
            "token",
            json!({ "endpoint": token, "client_id": "bss", "client_secret": "x" }),
            "POST https://hydra.example/oauth2/token grant_type=client_credentials accept,content-type,authorization",
        ),
        (
            "token",
            json!({
                "endpoint": token, "auth": "client_secret_post", "client_id": "bss", "client_secret": "x",
                "grant": { "type": "client_credentials" }, "scopes": ["a", "b"], "audience": ["c"],
                "resource": ["https://d.example"], "parameters": { "e": "f" }
            }),
            "POST https://hydra.example/oauth2/token grant_type=client_credentials&client_id=bss&client_secret=x&scope=a+b&audience=c&resource=https%3A%2F%2Fd.example&e=f accept,content-type",
        ),
        (
            "token",
            json!({ "endpoint": token, "auth": "none", "client_id": "bss", "grant": { "type": "refresh_token", "refresh_token": "r" } }),
            "POST https://hydra.example/oauth2/token grant_type=refresh_token&refresh_token=r&client_id=bss accept,content-type",
        ),
        (
            "token",
            json!({ "endpoint": token, "auth": "none", "grant": { "type": "token_exchange", "subject_token": "s", "subject_token_type": "urn:x:s", "requested_token_type": "urn:x:r" } }),
            "POST https://hydra.example/oauth2/token grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s&subject_token_type=urn%3Ax%3As&requested_token_type=urn%3Ax%3Ar accept,content-type",
        ),
        (
            "token",
            json!({ "endpoint": "http://127.0.0.1:3333/token", "grant": "bare" }),
            "POST http://127.0.0.1:3333/token  ",
        ),
        (
            "token",
            json!({ "endpoint": "http://opaal.example/token", "grant": { "type": "bare", "method": "GET" }, "insecure_http": ["http://opaal.example"] }),
            "GET http://opaal.example/token  ",
        ),
        (
            "metadata",
            json!({ "issuer": "https://hydra.example" }),
            "GET https://hydra.example/.well-known/openid-configuration  accept",
        ),
        (
            "metadata",
            json!({ "issuer": "https://hydra.example/t", "document": "oauth" }),
            "GET https://hydra.example/.well-known/oauth-authorization-server/t  accept",
        ),
    ] {
        assert_eq!(sent(name, &parameters), expected, "{name} {parameters}");
        assert!(NAMES.contains(&name));
    }
}

#[test]
fn a_wrong_parameter_is_named_with_its_path_and_what_was_probably_meant() {
    let endpoint = "https://hydra.example/t";
    let mut other_uri = registration();
    other_uri["registration_client_uri"] = json!("http://hydra.example/r/bss");
    let mut no_id = registration();
    no_id["client_id"] = json!(7);
    for (name, parameters, member, says) in [
        ("tokn", json!({}), "name", "did you mean token?"),
        ("", json!({}), "name", "the names are register, "),
        ("register", json!({}), "endpoint", "missing"),
        (
            "register",
            json!({ "endpoint": 1 }),
            "endpoint",
            "expected an absolute URL",
        ),
        (
            "register",
            json!({ "endpoint": "http://hydra.example/" }),
            "endpoint",
            "insecure_http",
        ),
        (
            "register",
            json!({ "endpoint": endpoint, "meta": {} }),
            "meta",
            "unknown",
        ),
        (
            "register",
            json!({ "endpoint": endpoint, "metadata": [] }),
            "metadata",
            "expected an object",
        ),
        (
            "register",
            json!({ "endpoint": endpoint, "initial_access_token": "a b" }),
            "initial_access_token",
            "no token has",
        ),
        (
            "register",
            json!({ "endpoint": endpoint, "initial_access_token": "a\nb" }),
            "initial_access_token",
            "control character",
        ),
        (
            "register",
            json!({ "endpoint": endpoint, "allowed_origins": ["x"] }),
            "allowed_origins[0]",
            "absolute",
        ),
        ("read_registration", json!({}), "registration", "missing"),
        (
            "read_registration",
            json!({ "registration": [] }),
            "registration",
            "expected the registration",
        ),
        (
            "read_registration",
            json!({ "registration": no_id }),
            "registration.client_id",
            "no text",
        ),
        (
            "delete_registration",
            json!({ "registration": other_uri }),
            "registration",
            "insecure_http",
        ),
        (
            "delete_registration",
            json!({ "registration": {}, "metadata": {} }),
            "metadata",
            "unknown",
        ),
        (
            "authorize",
            json!({ "endpoint": endpoint, "state": "x" }),
            "client_id",
            "missing",
        ),
        (
            "authorize",
            json!({ "endpoint": endpoint, "client_id": "bss" }),
            "state",
            "missing",
        ),
        (
            "token",
            json!({ "endpoint": endpoint }),
            "client_id",
            "missing",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "client_id": "bss" }),
            "client_secret",
            "missing",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "client_secret": SECRET }),
            "client_secret",
            "not used",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "client_secret" }),
            "auth",
            "must be",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "grant": "refresh_token" }),
            "grant",
            "needs more than a name",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "grant": { "refresh_token": SECRET } }),
            "grant",
            "missing type",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "grant": { "type": "refresh_token" } }),
            "grant.refresh_token",
            "missing",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "grant": { "type": "bare", "refresh_token": SECRET } }),
            "grant.refresh_token",
            "unknown",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "grant": { "type": "token_exchange", "subject_token": SECRET } }),
            "grant.subject_token_type",
            "missing",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "grant": { "type": "token_exchange", "subject_token": SECRET, "subject_token_type": "jwt" } }),
            "grant.subject_token_type",
            "not a URI",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "grant": "bare", "client_secret": SECRET }),
            "client_secret",
            "no effect",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "scope": "read" }),
            "scope",
            "did you mean scopes?",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "scopes": "read" }),
            "scopes",
            "expected a list",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "scopes": ["a b"] }),
            "scopes[0]",
            "holds a space",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "parameters": { "scope": "read" } }),
            "parameters.scope",
            "not a free parameter",
        ),
        (
            "token",
            json!({ "endpoint": endpoint, "auth": "none", "parameters": { "a\nb": SECRET } }),
            "parameters.\"a\\nb\"",
            "not a name",
        ),
        (
            "metadata",
            json!({ "issuer": "https://me:s3cr3t-0123456789@hydra.example" }),
            "issuer",
            "credentials",
        ),
        (
            "metadata",
            json!({ "issuer": "https://hydra.example", "document": "oauht" }),
            "document",
            "did you mean \"oauth\"?",
        ),
    ] {
        let error = of(name, &parameters)
            .err()
            .unwrap_or_else(|| panic!("{name} {parameters}"));
        assert_eq!(
            (error.code(), error.member()),
            (Code::InvalidArgument, Some(member)),
            "{error}"
        );
        assert!(error.message().contains(says), "{error}");
        assert!(!format!("{error:?}").contains("s3cr3t"), "{error}");
    }
}

#[test]
fn parameters_that_are_no_json_object_are_refused_with_the_place() {
    for (text, offset) in [
        ("", Some(0)),
        ("null", Some(4)),
        ("[]", Some(0)),
        ("{", Some(1)),
        ("{} {}", Some(3)),
        (
            r#"{"issuer":"https://a.example","issuer":"https://a.example"}"#,
            Some(38),
        ),
    ] {
        let error = exchange("metadata", text.as_bytes()).err().unwrap();
        assert_eq!(error.code(), Code::InvalidArgument, "{text}");
        assert_eq!(error.offset().is_some(), offset.is_some(), "{text} {error}");
    }
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let deep = format!(r#"{{"issuer":{deep}}}"#);
    assert!(exchange("metadata", deep.as_bytes()).is_err());
    let long = format!(r#"{{"issuer":"{}"}}"#, "a".repeat(json::MAX_BYTES));
    assert!(exchange("metadata", long.as_bytes()).is_err());
}

#[test]
fn an_answer_keeps_what_the_server_said_besides() {
    let token = json!({ "endpoint": "https://hydra.example/t", "auth": "none" });
    let exchange = json!({
        "endpoint": "https://hydra.example/t", "auth": "none",
        "grant": { "type": "token_exchange", "subject_token": SECRET, "subject_token_type": "urn:x:s" }
    });
    let register = json!({ "endpoint": "https://hydra.example/r" });
    let metadata = json!({ "issuer": "https://hydra.example" });
    let authorize =
        json!({ "endpoint": "https://hydra.example/a", "client_id": "bss", "state": "12345678" });
    for (name, parameters, said, told) in [
        (
            "token",
            &token,
            json!({ "access_token": "abc", "token_type": "BEARER" }),
            json!({ "access_token": "abc", "token_type": "Bearer", "content_type_mismatch": false }),
        ),
        (
            "token",
            &exchange,
            json!({
                "access_token": "abc", "token_type": "bearer", "expires_in": 3600.9, "scope": ["a", "b"],
                "refresh_token": "def", "refresh_expires_in": "60", "issued_token_type": "urn:x:i",
                "content_type_mismatch": "theirs", "id_token": "ghi", "x": { "y": [1, null] }
            }),
            json!({
                "access_token": "abc", "token_type": "Bearer", "expires_in": 3600, "scope": "a b",
                "refresh_token": "def", "refresh_expires_in": 60, "issued_token_type": "urn:x:i",
                "content_type_mismatch": false, "id_token": "ghi", "x": { "y": [1, null] }
            }),
        ),
        (
            "token",
            &token,
            json!({ "access_token": "abc", "token_type": "bearer", "scope": "" }),
            json!({ "access_token": "abc", "token_type": "Bearer", "scope": "", "content_type_mismatch": false }),
        ),
        (
            "register",
            &register,
            json!({ "client_id": "bss", "client_secret": SECRET, "client_secret_expires_at": 0, "registration": "theirs" }),
            json!({ "registration": { "client_id": "bss", "client_secret": SECRET, "client_secret_expires_at": 0, "registration": "theirs" } }),
        ),
        (
            "metadata",
            &metadata,
            json!({ "issuer": "https://hydra.example", "token_endpoint": "https://hydra.example/t", "token_endpoint_auth_methods_supported": ["none"], "code_challenge_methods_supported": ["S256"] }),
            json!({ "issuer": "https://hydra.example", "token_endpoint": "https://hydra.example/t", "token_endpoint_auth_methods_supported": ["none"], "code_challenge_methods_supported": ["S256"] }),
        ),
        (
            "authorize",
            &authorize,
            json!({}),
            json!({ "kind": "answered", "status": 200 }),
        ),
    ] {
        let response = Response {
            status: 200,
            headers: vec![("content-type".into(), "application/json".into())],
            body: said.to_string().into(),
        };
        let answer = of(name, parameters).unwrap().parse(&response).unwrap();
        let answer: Value = serde_json::from_str(answer.expose()).unwrap();
        assert_eq!(answer, told, "{name}");
    }
}

#[test]
fn a_refused_management_uri_and_an_authorization_error_are_told() {
    let response = Response {
        status: 201,
        headers: vec![],
        body: r#"{"client_id":"bss","registration_client_uri":"https://evil.example/bss"}"#.into(),
    };
    let register = json!({ "endpoint": "https://hydra.example/r" });
    let answer = of("register", &register).unwrap().parse(&response).unwrap();
    let answer: Value = serde_json::from_str(answer.expose()).unwrap();
    assert_eq!(answer["registration"], json!({ "client_id": "bss" }));
    assert_eq!(answer["refused_uri"]["code"], "untrusted_endpoint");

    let allowed = json!({ "endpoint": "https://hydra.example/r", "allowed_origins": ["https://evil.example"] });
    let answer = of("register", &allowed).unwrap().parse(&response).unwrap();
    assert!(
        !answer.expose().contains("refused_uri"),
        "{}",
        answer.expose()
    );

    let location =
        "https://bss.example/callback?code=x&state=y&error=access_denied&error_description=no";
    let response = Response {
        status: 302,
        headers: vec![("Location".into(), location.into())],
        ..Response::default()
    };
    let authorize =
        json!({ "endpoint": "https://hydra.example/a", "client_id": "bss", "state": "12345678" });
    let answer = of("authorize", &authorize)
        .unwrap()
        .parse(&response)
        .unwrap();
    assert_eq!(
        answer.expose(),
        r#"{"kind":"callback","error":{"error":"access_denied","description":"no"},"has_code":true}"#
    );
}

#[test]
fn a_hostile_answer_of_many_members_is_read_in_time_and_no_error_tells_a_secret() {
    let many: Vec<String> = (0..60_000).map(|n| format!("\"m{n}\":0")).collect();
    let many = many.join(",");
    let post = json!({
        "endpoint": "https://hydra.example/t", "auth": "client_secret_post", "client_id": "bss",
        "client_secret": SECRET, "parameters": { "client_assertion": SECRET }
    });
    let register = json!({ "endpoint": "https://hydra.example/r", "initial_access_token": SECRET });
    for (name, parameters, start) in [
        (
            "token",
            &post,
            r#""access_token":"abc","token_type":"bearer""#,
        ),
        ("register", &register, r#""client_id":"bss""#),
        (
            "metadata",
            &json!({ "issuer": "https://hydra.example" }),
            r#""issuer":"https://hydra.example""#,
        ),
    ] {
        let exchange = of(name, parameters).unwrap();
        let answer = |status, body: String| {
            let response = Response {
                status,
                headers: vec![],
                body: body.into(),
            };
            exchange.parse(&response)
        };
        let told = answer(200, format!("{{{start},{many}}}")).unwrap();
        assert!(told.expose().contains("\"m59999\":0"));
        for (status, body) in [
            (200, SECRET.to_string()),
            (200, format!("{{{start},{start}}}")),
            (
                200,
                format!(r#"{{"error":"no","error_description":"you sent {SECRET}"}}"#),
            ),
            (
                400,
                format!(r#"{{"error":"{SECRET}","error_uri":"{SECRET}"}}"#),
            ),
            (500, format!("<html>{SECRET}")),
            (302, String::new()),
        ] {
            let error = answer(status, body.clone()).unwrap_err();
            assert!(
                name == "metadata" || !format!("{error:?}").contains(SECRET),
                "{error:?}"
            );
        }
    }
}
