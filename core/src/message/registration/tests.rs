use super::*;
use crate::wire::json::parse_object;

const ENDPOINT: &str = "https://hydra.example/oauth2/register";
const ANSWER: &str = r#"{"client_id":"bss","client_secret":"s3cr3t-1","client_secret_expires_at":0,
    "registration_access_token":"rat-1","registration_client_uri":"https://hydra.example/oauth2/register/bss",
    "client_id_issued_at":1,"scope":"read","contacts":null,"created_at":"2026"}"#;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn object(text: &str) -> Object {
    parse_object(text.as_bytes()).unwrap()
}

fn response(status: u16, body: &str) -> Response {
    Response {
        status,
        body: body.into(),
        ..Response::default()
    }
}

fn register(body: &str) -> Result<Registration, Error> {
    register_at(ENDPOINT, &[], body)
}

fn register_at(endpoint: &str, allowed: &[Origin], body: &str) -> Result<Registration, Error> {
    RegistrationRequest {
        endpoint: &url(endpoint),
        initial_access_token: Some(&Secret::from("initial-token")),
        metadata: &Object::new(),
        allowed_origins: allowed,
    }
    .parse(&response(201, body))
}

fn update(registration: &Registration, status: u16, body: &str) -> Result<Registration, Error> {
    UpdateRegistration {
        registration,
        metadata: None,
        allowed_origins: &[],
    }
    .parse(&response(status, body))
}

fn body(request: &Request) -> &str {
    core::str::from_utf8(request.body.expose()).unwrap()
}

#[test]
fn the_metadata_is_sent_as_it_is_with_the_initial_access_token() {
    let metadata = object(r#"{"client_name":"bss","redirect_uris":[],"state":"12345678910"}"#);
    let endpoint = url(ENDPOINT);
    let message = RegistrationRequest {
        endpoint: &endpoint,
        initial_access_token: Some(&Secret::from("initial-token")),
        metadata: &metadata,
        allowed_origins: &[],
    };
    let request = message.request().unwrap();
    assert_eq!((request.method, &*request.url), (Method::Post, ENDPOINT));
    assert_eq!(
        request.header("authorization"),
        Some("Bearer initial-token")
    );
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(body(&request), metadata.to_json());
    let open = RegistrationRequest {
        initial_access_token: None,
        ..message
    }
    .request()
    .unwrap();
    assert_eq!(open.header("authorization"), None);
    let token = Secret::from("two\r\nlines");
    let error = RegistrationRequest {
        initial_access_token: Some(&token),
        ..message
    }
    .request()
    .unwrap_err();
    assert_eq!(
        (error.code(), error.member()),
        (Code::InvalidArgument, Some("initial_access_token"))
    );
}

#[test]
fn a_registration_has_its_members_and_keeps_all_others() {
    let registration = register(ANSWER).unwrap();
    assert_eq!(registration.client_id, "bss");
    assert_eq!(registration.client_secret, Some("s3cr3t-1".into()));
    assert_eq!(registration.client_secret_expires_at, None);
    assert_eq!(registration.registration_access_token, Some("rat-1".into()));
    assert_eq!(
        registration.metadata.to_json(),
        r#"{"client_id_issued_at":1,"scope":"read","contacts":null,"created_at":"2026"}"#
    );
    let printed = format!("{registration:?}");
    assert!(
        !printed.contains("s3cr3t") && !printed.contains("rat-1"),
        "{printed}"
    );
}

#[test]
fn the_end_of_a_secret_is_a_point_in_time_or_never() {
    for (written, expected) in [
        ("0", Ok(None)),
        ("null", Ok(None)),
        ("1577858400", Ok(Some(1577858400))),
        ("1577858400.5", Ok(Some(1577858400))),
        (r#""1577858400""#, Ok(Some(1577858400))),
        (r#""soon""#, Err(())),
        ("-1", Err(())),
        ("[]", Err(())),
    ] {
        let answer = register(&format!(
            r#"{{"client_id":"bss","client_secret_expires_at":{written}}}"#
        ));
        match answer {
            Ok(registration) => assert_eq!(
                Ok(registration.client_secret_expires_at),
                expected,
                "{written}"
            ),
            Err(error) => {
                assert_eq!(expected, Err(()), "{written}");
                assert_eq!(
                    (error.code(), error.member()),
                    (Code::MalformedAnswer, Some("client_secret_expires_at"))
                );
            }
        }
    }
}

#[test]
fn an_answer_that_names_no_client_is_an_error_without_secrets() {
    for (answer, code) in [
        ("{}", Code::MalformedAnswer),
        (r#"{"client_id":""}"#, Code::MalformedAnswer),
        (r#"{"client_id":1}"#, Code::MalformedAnswer),
        (r#"{"client_secret":"s3cr3t-1"}"#, Code::MalformedAnswer),
        (
            r#"{"client_id":"a","client_secret":1}"#,
            Code::MalformedAnswer,
        ),
        (
            r#"{"client_id":"a","registration_access_token":["rat-1"]}"#,
            Code::MalformedAnswer,
        ),
        (
            r#"{"client_id":"a","client_secret":"s3cr3t-1","client_id":"b"}"#,
            Code::MalformedAnswer,
        ),
        (
            r#"{"error":"invalid_client_metadata","error_description":"initial-token"}"#,
            Code::OauthError,
        ),
        ("initial-token", Code::MalformedAnswer),
    ] {
        let error = register(answer).unwrap_err();
        assert_eq!(error.code(), code, "{answer}");
        let printed = format!("{error:?}");
        for secret in ["s3cr3t-1", "rat-1", "initial-token"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}

#[test]
fn a_client_id_that_would_write_on_a_terminal_or_break_a_line_is_refused() {
    for id in [
        "bss\\u001b[2J",
        "bss\\r\\nX: y",
        "bss\\u009b2J",
        "bss\\u007f",
    ] {
        let error = register(&format!(r#"{{"client_id":"{id}"}}"#)).unwrap_err();
        assert_eq!(
            (error.code(), error.member()),
            (Code::MalformedAnswer, Some("client_id")),
            "{id}"
        );
    }
    assert!(register(r#"{"client_id":"b\u00e9s s"}"#).is_ok());
}

#[test]
fn the_management_uri_is_trusted_by_its_origin() {
    let allowed = [Origin::parse("http://127.0.0.1:4444").unwrap()];
    let admin = "http://127.0.0.1:4445/admin/clients";
    for (endpoint, allowed, uri, expected) in [
        (
            ENDPOINT,
            &[][..],
            "https://hydra.example/oauth2/register/bss",
            Some("https://hydra.example/oauth2/register/bss"),
        ),
        (
            ENDPOINT,
            &[],
            "https://HYDRA.example:443/x",
            Some("https://HYDRA.example:443/x"),
        ),
        (
            ENDPOINT,
            &[],
            "https://hydra.example/register?client_id=bss",
            Some("https://hydra.example/register?client_id=bss"),
        ),
        (
            ENDPOINT,
            &[],
            "https://hydra.example/oauth2/register",
            Some("https://hydra.example/oauth2/register/a%2Fb%20c"),
        ),
        (
            ENDPOINT,
            &[],
            "https://hydra.example/oauth2/register/",
            Some("https://hydra.example/oauth2/register/a%2Fb%20c"),
        ),
        (
            ENDPOINT,
            &[],
            "http://hydra.example/oauth2/register/bss",
            None,
        ),
        (
            ENDPOINT,
            &[],
            "https://hydra.example:8443/oauth2/register/bss",
            None,
        ),
        (
            ENDPOINT,
            &[],
            "https://evil.example/oauth2/register/bss",
            None,
        ),
        (ENDPOINT, &[], "https://hydra.example@evil.example/", None),
        (ENDPOINT, &[], "/oauth2/register/bss", None),
        (ENDPOINT, &[], "javascript:alert(1)", None),
        (admin, &[], "http://127.0.0.1:4444/oauth2/register/", None),
        (
            admin,
            &allowed,
            "http://127.0.0.1:4444/oauth2/register/",
            Some("http://127.0.0.1:4444/oauth2/register/a%2Fb%20c"),
        ),
        (
            admin,
            &[],
            "http://127.0.0.1:4445/admin/clients/",
            Some("http://127.0.0.1:4445/admin/clients/a%2Fb%20c"),
        ),
    ] {
        let answer = format!(
            r#"{{"client_id":"a/b c","client_secret":"s3cr3t-1","registration_access_token":"rat-1","registration_client_uri":"{uri}"}}"#
        );
        let registration = register_at(endpoint, allowed, &answer).unwrap();
        let found = registration
            .registration_client_uri
            .as_ref()
            .map(Url::as_str);
        assert_eq!(found, expected, "{uri}");
        assert_eq!(
            registration.refused_uri.is_some(),
            expected.is_none(),
            "{uri}"
        );
        let read = ReadRegistration {
            registration: &registration,
            allowed_origins: allowed,
        }
        .request();
        match read {
            Ok(request) => assert_eq!(Some(&*request.url), expected),
            Err(error) => {
                assert_eq!(error.code(), Code::UntrustedEndpoint, "{uri}");
                assert_eq!(error.member(), Some("registration_client_uri"));
                assert_eq!(registration.client_secret, Some("s3cr3t-1".into()));
            }
        }
    }
}

#[test]
fn an_update_sends_back_everything_but_what_rfc_7592_forbids() {
    let registration = register(ANSWER).unwrap();
    let change = object(
        r#"{"scope":"read write","client_name":"bss2","client_id_issued_at":2,"client_id":"x"}"#,
    );
    let message = UpdateRegistration {
        registration: &registration,
        metadata: Some(&change),
        allowed_origins: &[],
    };
    let request = message.request().unwrap();
    assert_eq!(request.method, Method::Put);
    assert_eq!(request.url, "https://hydra.example/oauth2/register/bss");
    assert_eq!(request.header("authorization"), Some("Bearer rat-1"));
    assert_eq!(
        body(&request),
        r#"{"client_id":"bss","scope":"read write","created_at":"2026","client_name":"bss2"}"#
    );
    let unchanged = UpdateRegistration {
        metadata: None,
        ..message
    }
    .request()
    .unwrap();
    assert_eq!(
        body(&unchanged),
        r#"{"client_id":"bss","scope":"read","created_at":"2026"}"#
    );
}

#[test]
fn what_an_answer_leaves_out_is_kept_and_what_it_brings_replaces() {
    let before = register(ANSWER).unwrap();

    let mut hydra = before.clone();
    hydra.merge(
        update(
            &before,
            200,
            r#"{"client_id":"bss","registration_access_token":"rat-2","scope":"write"}"#,
        )
        .unwrap(),
    );
    assert_eq!(hydra.client_secret, Some("s3cr3t-1".into()));
    assert_eq!(hydra.registration_access_token, Some("rat-2".into()));
    assert_eq!(
        hydra.registration_client_uri,
        before.registration_client_uri
    );
    assert_eq!(hydra.metadata.to_json(), r#"{"scope":"write"}"#);

    let mut keycloak = before.clone();
    keycloak.merge(update(&before, 200, r#"{"client_id":"bss","client_secret":"s3cr3t-2","client_secret_expires_at":1900000000}"#).unwrap());
    assert_eq!(keycloak.client_secret, Some("s3cr3t-2".into()));
    assert_eq!(keycloak.client_secret_expires_at, Some(1_900_000_000));

    let mut silent = keycloak.clone();
    silent.merge(update(&keycloak, 200, r#"{"client_id":"bss"}"#).unwrap());
    assert_eq!(silent.client_secret_expires_at, Some(1_900_000_000));
    let mut never = keycloak.clone();
    never.merge(
        update(
            &keycloak,
            200,
            r#"{"client_id":"bss","client_secret_expires_at":0}"#,
        )
        .unwrap(),
    );
    assert_eq!(never.client_secret_expires_at, None);

    let moved = r#"{"client_id":"bss","registration_client_uri":"https://evil.example/bss"}"#;
    let mut moved_away = before.clone();
    moved_away.merge(update(&before, 200, moved).unwrap());
    assert_eq!(
        moved_away.registration_client_uri,
        before.registration_client_uri
    );
    assert!(moved_away.refused_uri.is_some());

    let error = update(&before, 200, r#"{"client_id":"other"}"#).unwrap_err();
    assert_eq!(
        (error.code(), error.member()),
        (Code::MalformedAnswer, Some("client_id"))
    );
}

#[test]
fn a_registration_survives_being_saved() {
    for answer in [
        ANSWER,
        r#"{"client_id":"bss"}"#,
        r#"{"client_id":"bss","client_secret":"é\"\\","client_secret_expires_at":1900000000,"x":[1,null]}"#,
    ] {
        let registration = register(answer).unwrap();
        let saved = registration.to_json().to_json();
        let read = Registration::from_json(&object(&saved)).unwrap();
        assert_eq!(read.to_json(), registration.to_json());
        assert_eq!(format!("{read:?}"), format!("{registration:?}"));
        assert_eq!(read.client_secret, registration.client_secret);
    }
    for (saved, member) in [
        ("{}", "client_id"),
        (r#"{"client_id":"a","client_secret":7}"#, "client_secret"),
        (
            r#"{"client_id":"a","registration_client_uri":"nowhere"}"#,
            "registration_client_uri",
        ),
    ] {
        let error = Registration::from_json(&object(saved)).unwrap_err();
        assert_eq!(
            (error.code(), error.member()),
            (Code::StoreCorrupt, Some(member))
        );
    }
}

#[test]
fn a_registration_is_deleted_with_its_own_token() {
    let registration = register(ANSWER).unwrap();
    let message = DeleteRegistration {
        registration: &registration,
    };
    let request = message.request().unwrap();
    assert_eq!(
        (request.method, request.header("authorization")),
        (Method::Delete, Some("Bearer rat-1"))
    );
    assert!(request.body.is_empty());
    for (status, code) in [
        (200, None),
        (204, None),
        (302, Some(Code::UnexpectedRedirect)),
        (401, Some(Code::OauthError)),
    ] {
        let answer = response(status, r#"{"error":"rat-1 s3cr3t-1"}"#);
        let error = message.parse(&answer).err();
        assert_eq!(error.as_ref().map(Error::code), code, "{status}");
        let printed = format!("{error:?}");
        assert!(
            !printed.contains("rat-1") && !printed.contains("s3cr3t-1"),
            "{printed}"
        );
    }
    for left_out in ["registration_access_token", "registration_client_uri"] {
        let mut answer = object(ANSWER);
        answer.remove(left_out);
        let registration = register(&answer.to_json()).unwrap();
        let error = DeleteRegistration {
            registration: &registration,
        }
        .request()
        .unwrap_err();
        assert_eq!(
            (error.code(), error.member()),
            (Code::InvalidArgument, Some(left_out))
        );
    }
}
