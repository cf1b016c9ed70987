use super::{directory, ran, tell};
use serde_json::{Value, json};
use std::{fs, path::Path};
use svcauth_core::{
    Client, Config, Error, Exchange, Now, Secret,
    client::{Answered, Call, Capabilities},
    message::{
        AuthorizationRequest, ClientAuthentication, DeleteRegistration, MetadataDocument,
        MetadataRequest, ReadRegistration, Registration, RegistrationRequest, TokenGrant,
        TokenRequest, TokenRules, UpdateRegistration, named,
    },
    wire::{Origin, Response, Url, json::Object},
};

/// What each recorded answer says. A `*` stands for any end of a file's name.
///
/// A token is followed by its life and its scopes, a registration by whether it has a secret and a management
/// URI, metadata by the path of the token endpoint, an error by its OAuth error.
const RECORDED: &[(&str, &str)] = &[
    ("hydra/01-discovery", "metadata /oauth2/token"),
    ("hydra/01b-as-metadata", "unexpected_status"),
    // Registered at the administration's port, managed at the public one: that origin must be allowed.
    (
        "hydra/03-admin-create-minimal",
        "registration with secret, URI refused",
    ),
    (
        "hydra/04-admin-create-basic",
        "registration with secret, URI refused",
    ),
    (
        "hydra/05-admin-create-duplicate",
        "oauth_error invalid_client_metadata",
    ),
    (
        "hydra/06-admin-create-bad-method",
        "registration with secret, URI refused",
    ),
    ("hydra/07-admin-get", "registration"),
    (
        "hydra/07b-admin-get-missing",
        "oauth_error Unable to locate the resource",
    ),
    (
        "hydra/08-admin-create-short-secret",
        "oauth_error invalid_client_metadata",
    ),
    ("hydra/10-register", "registration with secret, URI"),
    (
        "hydra/10b-register-minimal",
        "registration with secret, URI",
    ),
    (
        "hydra/10c-register-with-secret",
        "oauth_error The request was malformed or contained invalid parameters",
    ),
    (
        "hydra/10d-register-with-id",
        "registration with secret, URI",
    ),
    (
        "hydra/10e-register-bad-json",
        "oauth_error The request was malformed or contained invalid parameters",
    ),
    ("hydra/11-register-get", "registration"),
    (
        "hydra/12-*",
        "oauth_error The request could not be authorized",
    ),
    (
        "hydra/13-*",
        "oauth_error The request could not be authorized",
    ),
    (
        "hydra/14-*",
        "oauth_error The request could not be authorized",
    ),
    ("hydra/20-oauth2-auth-blog", "login_page"),
    (
        "hydra/20b-oauth2-auth-wrong-redirect",
        "error_page invalid_request",
    ),
    (
        "hydra/20c-oauth2-auth-short-state",
        "callback invalid_state",
    ),
    ("hydra/20d-oauth2-auth-no-bearer", "login_page"),
    ("hydra/21-token-post-blog", "token 19 read"),
    ("hydra/22-token-post", "token 19 read"),
    ("hydra/22b-token-post-noscope", "token 19 "),
    ("hydra/22c-*", "oauth_error invalid_client"),
    ("hydra/23-token-basic-urlencoded", "token 19 read"),
    ("hydra/23b-token-basic-raw", "oauth_error invalid_request"),
    ("hydra/23c-token-basic-aud", "token 19 read write"),
    ("hydra/23d-token-basic-two-aud", "token 19 read"),
    (
        "hydra/23e-token-basic-bad-aud",
        "oauth_error invalid_request",
    ),
    ("hydra/23f-token-basic-resource", "token 19 read"),
    ("hydra/23g-*", "oauth_error invalid_client"),
    ("hydra/23h-token-both", "oauth_error invalid_client"),
    ("hydra/24d-token-no-client", "oauth_error invalid_request"),
    ("hydra/24*", "oauth_error invalid_client"),
    ("hydra/25-token-unknown-scope", "oauth_error invalid_scope"),
    (
        "hydra/26c-token-grant-not-allowed",
        "oauth_error unauthorized_client",
    ),
    ("hydra/26d-token-GET", "unexpected_status"),
    ("hydra/26*", "oauth_error invalid_request"),
    ("hydra/30-register-put", "registration"),
    (
        "hydra/30b-register-get-old-rat",
        "oauth_error The request could not be authorized",
    ),
    ("hydra/30c-register-get-new-rat", "registration"),
    ("hydra/30d-token-after-put", "token 19 read"),
    (
        "hydra/30e-register-put-with-secret",
        "oauth_error The requested action was forbidden",
    ),
    ("hydra/30f-register-get-after-refused-put", "registration"),
    ("hydra/31b-token-old-secret-after-rotate", "token 19 read"),
    (
        "hydra/31c-token-new-secret-after-rotate",
        "oauth_error invalid_client",
    ),
    ("hydra/31e-token-old-secret-after-delete", "token 19 read"),
    ("hydra/32-admin-put-new-secret", "registration with secret"),
    ("hydra/32b-token-old-secret", "oauth_error invalid_client"),
    ("hydra/32c-token-new-secret", "token 19 read"),
    ("hydra/32d-admin-patch-secret", "registration with secret"),
    ("hydra/32e-token-patched", "token 19 read"),
    ("hydra/40-register-delete", "deleted"),
    (
        "hydra/40b-register-get-after-delete",
        "oauth_error The request could not be authorized",
    ),
    ("hydra/40c-token-after-delete", "oauth_error invalid_client"),
    ("hydra/41-admin-delete", "deleted"),
    ("opaal/07-discovery", "unexpected_status"),
    // OPAAL passes a page that is no JSON on as an application/json of status 200.
    ("opaal/08-token-upstream-404", "malformed_answer"),
    ("opaal/10-token-hydra-down", "server_error"),
    ("opaal/*", "token 19 read"),
    ("tokensmith/03*", "unexpected_status"),
    ("tokensmith/10-exchange", "token 3600 read"),
    ("tokensmith/11-exchange-again", "oauth_error invalid_grant"),
    ("tokensmith/12-refresh", "token 3600 read"),
    (
        "tokensmith/13-refresh-replay-old",
        "oauth_error invalid_grant",
    ),
    ("tokensmith/13b-refresh-after-replay", "token 3600 read"),
    ("tokensmith/14*", "token 3600 read write"),
    (
        "tokensmith/15d-exchange-with-audience-scope",
        "token 3600 read",
    ),
    ("tokensmith/15*", "oauth_error invalid_request"),
    (
        "tokensmith/16-client-credentials",
        "oauth_error unsupported_grant_type",
    ),
    ("tokensmith/16c-get", "unexpected_status"),
    ("tokensmith/16*", "oauth_error invalid_request"),
    ("tokensmith/17-refresh-garbage", "oauth_error invalid_grant"),
    (
        "tokensmith/17b-refresh-empty",
        "oauth_error invalid_request",
    ),
    ("tokensmith/19-session-nomtls", "server_error server_error"),
    (
        "tokensmith/21-exchange-garbage-xff-11",
        "rate_limited too_many_requests",
    ),
    (
        "tokensmith/21-exchange-garbage-xff-12",
        "rate_limited too_many_requests",
    ),
    (
        "tokensmith/20-exchange-garbage-*",
        "oauth_error invalid_grant",
    ),
    (
        "tokensmith/21-exchange-garbage-xff-*",
        "oauth_error invalid_grant",
    ),
    (
        "tokensmith/31-mtls-session-nocert",
        "oauth_error invalid_client",
    ),
    (
        "tokensmith/32-mtls-session-unknown-cn",
        "oauth_error invalid_client",
    ),
    ("tokensmith/3*", "token 3600 read"),
];

/// What a recorded file holds.
struct Recorded {
    method: String,
    url: Url,
    response: Response,
}

#[test]
fn the_recorded_answers_of_hydra_opaal_and_tokensmith_are_understood() {
    let Some(directory) = directory() else { return };
    let (mut count, mut skipped) = (0, 0);
    for server in ["hydra", "opaal", "tokensmith"] {
        let files = fs::read_dir(directory.join("recorded").join(server)).unwrap();
        for path in files.map(|file| file.unwrap().path()) {
            let name = format!("{server}/{}", path.file_stem().unwrap().to_str().unwrap());
            let Some(said) = recorded(&path).and_then(|recorded| said(&recorded)) else {
                skipped += 1;
                continue;
            };
            let (_, expected) = RECORDED
                .iter()
                .find(|(pattern, _)| match pattern.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => name == *pattern,
                })
                .unwrap_or_else(|| panic!("{name} is new: {said}"));
            assert_eq!(said, *expected, "{name}");
            count += 1;
        }
    }
    tell(format_args!(
        "{skipped} recorded files hold no answer, or one to a message that is not here"
    ));
    ran("recorded/hydra, opaal and tokensmith", count, 120);
}

#[test]
fn smds_recorded_401s_are_a_reason_for_another_token_and_nothing_else_is() {
    let Some(directory) = directory() else { return };
    let config = Config::from_json(
        br#"{
            "client": { "static_token": { "value": "token" } },
            "targets": { "smd": { "urls": ["http://127.0.0.1:27779/hsm/v2"] } }
        }"#,
    )
    .unwrap();
    let client = Client::new(config, Capabilities::none(), 1, Now::default()).unwrap();
    let (calls, mut seen) = (client.calls(), [0, 0]);
    for file in fs::read_dir(directory.join("recorded/smd")).unwrap() {
        let Recorded { url, response, .. } = recorded(&file.unwrap().path()).unwrap();
        let call = Call {
            url: url.as_str(),
            ..Call::default()
        };
        let challenges = response
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"))
            .map(|(_, value)| value.as_str());
        let answered = calls.answered(&calls.decide(&call), response.status, challenges, true);
        let expected = match response.status {
            401 => Answered::Retry,
            _ => Answered::Deliver,
        };
        assert_eq!(answered, expected, "{url} {}", response.status);
        seen[usize::from(answered == Answered::Retry)] += 1;
    }
    tell(format_args!(
        "{} of SMD's answers ask for another token",
        seen[1]
    ));
    ran("recorded/smd", seen[0] + seen[1], 28);
}

#[test]
fn a_registration_at_hydra_keeps_its_secret_through_reading_updating_and_deleting() {
    let Some(directory) = directory() else { return };
    let recorded = |name: &str| recorded(&directory.join("recorded/hydra").join(name)).unwrap();
    let created = recorded("10-register.txt");
    let mut registration = register(&created.url, &[], &created.response).unwrap();
    let secret = registration.client_secret.clone();
    let token = registration.registration_access_token.clone();

    let sent = ReadRegistration {
        registration: &registration,
        allowed_origins: &[],
    };
    let read = recorded("11-register-get.txt");
    assert_eq!(sent.request().unwrap().url, read.url.as_str());
    let answer = sent.parse(&read.response).unwrap();
    registration.merge(answer);
    assert_eq!(
        (
            &registration.client_secret,
            &registration.registration_access_token
        ),
        (&secret, &token)
    );

    let updated = recorded("30-register-put.txt");
    let sent = UpdateRegistration {
        registration: &registration,
        metadata: None,
        allowed_origins: &[],
    };
    assert_eq!(sent.request().unwrap().url, updated.url.as_str());
    let answer = sent.parse(&updated.response).unwrap();
    registration.merge(answer);
    assert_eq!(registration.client_secret, secret);
    assert_ne!(registration.registration_access_token, token);
    assert_eq!(
        registration.metadata.get("client_name").unwrap().as_str(),
        Some("bss2")
    );

    let deleted = recorded("40-register-delete.txt");
    let sent = DeleteRegistration {
        registration: &registration,
    };
    assert_eq!(sent.request().unwrap().url, deleted.url.as_str());
    sent.parse(&deleted.response).unwrap();
    life_by_name(
        &created,
        [&read.response, &updated.response, &deleted.response],
    );
    let gone = recorded("40b-register-get-after-delete.txt").response;
    assert_eq!(sent.parse(&gone).unwrap_err().status(), Some(401));
    ran("recorded/hydra, one registration's life", 5, 5);
}

/// The same life through messages by name, each fed with what the one before answered.
fn life_by_name(created: &Recorded, [read, updated, deleted]: [&Response; 3]) {
    let turn = |name: &str, parameters: Value, response: &Response| -> Value {
        let exchange = named::exchange(name, parameters.to_string().as_bytes()).unwrap();
        exchange.request().unwrap();
        let json = exchange.parse(response).unwrap();
        serde_json::from_str(json.expose()).unwrap()
    };
    let first = turn(
        "register",
        json!({ "endpoint": created.url.as_str() }),
        &created.response,
    );
    let second = turn(
        "read_registration",
        json!({ "registration": first["registration"] }),
        read,
    );
    let secret = &first["registration"]["client_secret"];
    assert!(secret.is_string() && second["registration"]["client_secret"] == *secret);
    let parameters =
        json!({ "registration": second["registration"], "metadata": { "client_name": "bss2" } });
    let third = turn("update_registration", parameters, updated);
    assert_eq!(third["registration"]["client_name"], "bss2");
    assert_eq!(third["registration"]["client_secret"], *secret);
    let token = |answer: &Value| answer["registration"]["registration_access_token"].clone();
    assert!(token(&third).is_string() && token(&third) != token(&first));
    let last = turn(
        "delete_registration",
        json!({ "registration": third["registration"] }),
        deleted,
    );
    assert_eq!(last, json!({}));
}

#[test]
fn what_hydras_administration_registers_is_managed_where_it_is_allowed() {
    let Some(directory) = directory() else { return };
    let created = recorded(&directory.join("recorded/hydra/03-admin-create-minimal.txt")).unwrap();
    let public = [Origin::parse("http://127.0.0.1:4444").unwrap()];
    let registration = register(&created.url, &public, &created.response).unwrap();
    let uri = registration.registration_client_uri.unwrap();
    assert_eq!(
        uri.as_str(),
        format!(
            "http://127.0.0.1:4444/oauth2/register/{}",
            registration.client_id
        )
    );
    ran("recorded/hydra, an administration's answer", 1, 1);
}

/// What a recorded answer says, in the words of [`RECORDED`]; `None` for other messages.
fn said(recorded: &Recorded) -> Option<String> {
    let Recorded {
        method,
        url,
        response,
    } = recorded;
    let result = match (method.as_str(), url.path()) {
        (_, "/oauth2/token" | "/oauth/token" | "/token" | "/service-identity/session") => {
            token(url, response)
        }
        (_, "/oauth2/auth") => authorization(url, response),
        (_, path) if path.starts_with("/.well-known/o") => metadata(url, response),
        (_, path) if path.ends_with("/rotate") => return None,
        ("DELETE", path) if is_registration(path) => {
            let registration = Registration::default();
            let typed = DeleteRegistration {
                registration: &registration,
            }
            .parse(response);
            let parameters = json!({ "registration": { "client_id": "any" } });
            by_name("delete_registration", parameters, response, &typed);
            typed.map(|()| "deleted".into())
        }
        (_, path) if is_registration(path) => {
            let typed = register(url, &[], response);
            let told = by_name(
                "register",
                json!({ "endpoint": url.as_str() }),
                response,
                &typed,
            );
            if let Ok(registration) = &typed {
                let whole: Value = serde_json::from_str(&registration.to_json().to_json()).unwrap();
                assert_eq!(told["registration"], whole);
                assert_eq!(
                    told.get("refused_uri").is_some(),
                    registration.refused_uri.is_some()
                );
            }
            typed.map(|registration| registration_in_short(&registration))
        }
        _ => return None,
    };
    Some(result.unwrap_or_else(|error| match error.oauth() {
        Some(oauth) => format!("{} {}", error.code(), oauth.error),
        None => error.code().to_string(),
    }))
}

/// A message by its name reads an answer as the message itself does; the answer as JSON.
fn by_name<T>(
    name: &str,
    parameters: Value,
    response: &Response,
    typed: &Result<T, Error>,
) -> Value {
    let exchange = named::exchange(name, parameters.to_string().as_bytes()).unwrap();
    match (exchange.parse(response), typed) {
        (Ok(json), Ok(_)) => serde_json::from_str(json.expose()).unwrap(),
        (Err(error), Err(typed)) => {
            assert_eq!(&error, typed);
            Value::Null
        }
        (by_name, _) => panic!("{name}: by name {by_name:?}"),
    }
}

fn is_registration(path: &str) -> bool {
    path.starts_with("/admin/clients") || path.starts_with("/oauth2/register")
}

fn token(url: &Url, response: &Response) -> Result<String, Error> {
    let answer = TokenRequest {
        endpoint: url,
        authentication: &ClientAuthentication::None { client_id: None },
        grant: TokenGrant::ClientCredentials,
        scopes: &[],
        audience: &[],
        resource: &[],
        parameters: &[],
        rules: TokenRules::default(),
    }
    .parse(response);
    let parameters = json!({ "endpoint": url.as_str(), "auth": "none" });
    let told = by_name("token", parameters, response, &answer);
    let answer = answer?;
    assert_eq!(told["access_token"], answer.access_token.expose());
    assert_eq!(told["expires_in"], json!(answer.expires_in));
    let refresh_token = answer.refresh_token.as_ref().map(Secret::expose);
    assert_eq!(
        told.get("refresh_token").and_then(Value::as_str),
        refresh_token
    );
    assert!(!answer.content_type_mismatch);
    // TokenSmith's answers all bring the next refresh token, the others' none.
    assert_eq!(
        answer.refresh_token.is_some(),
        answer.issued_token_type.is_some()
    );
    Ok(format!(
        "token {} {}",
        answer.expires_in.unwrap(),
        answer.scopes.unwrap().join(" ")
    ))
}

fn authorization(url: &Url, response: &Response) -> Result<String, Error> {
    let answer = AuthorizationRequest {
        endpoint: url,
        registration_access_token: None,
        client_id: "00d38fce-4d9f-4100-bc0c-bfb9acc79afa",
        client_secret: Some(&Secret::from("xJDStbVK-0oA893n1~Ix58wMCd")),
        redirect_uri: Some("http://hydra:5555/callback"),
        scopes: &[],
        response_type: "token",
        state: "12345678910",
    }
    .parse(response);
    let parameters = json!({
        "endpoint": url.as_str(), "client_id": "00d38fce-4d9f-4100-bc0c-bfb9acc79afa",
        "client_secret": "xJDStbVK-0oA893n1~Ix58wMCd", "redirect_uri": "http://hydra:5555/callback",
        "state": "12345678910"
    });
    let told = by_name("authorize", parameters, response, &answer);
    let answer = answer?;
    assert_eq!(told["kind"], answer.kind());
    let error = answer.error().map(|error| error.error.as_str());
    assert_eq!(told["error"]["error"].as_str(), error);
    let printed = format!("{answer:?}");
    assert!(!printed.contains("login_challenge"), "{printed}");
    let error = answer.error().map(|error| error.error.as_str());
    Ok([Some(answer.kind()), error]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" "))
}

fn metadata(url: &Url, response: &Response) -> Result<String, Error> {
    let issuer = Url::parse(&url.origin().to_string()).unwrap();
    let metadata = MetadataRequest {
        issuer: &issuer,
        document: MetadataDocument::Openid,
    }
    .parse(response);
    let told = by_name(
        "metadata",
        json!({ "issuer": issuer.as_str() }),
        response,
        &metadata,
    );
    let metadata = metadata?;
    let endpoint = metadata.token_endpoint.as_ref().map(Url::as_str);
    assert_eq!(told["token_endpoint"].as_str(), endpoint);
    assert_eq!(
        told["scopes_supported"].is_array(),
        metadata.extra.get("scopes_supported").is_some()
    );
    Ok(format!(
        "metadata {}",
        metadata.token_endpoint.unwrap().path()
    ))
}

fn register(
    url: &Url,
    allowed_origins: &[Origin],
    response: &Response,
) -> Result<Registration, Error> {
    let metadata = Object::new();
    RegistrationRequest {
        endpoint: url,
        initial_access_token: None,
        metadata: &metadata,
        allowed_origins,
    }
    .parse(response)
}

fn registration_in_short(registration: &Registration) -> String {
    let secret = registration
        .client_secret
        .as_ref()
        .map_or("", |_| " with secret");
    let uri = match (
        &registration.registration_client_uri,
        &registration.refused_uri,
    ) {
        (Some(uri), _) => {
            assert!(uri.path().ends_with(&registration.client_id), "{uri}");
            ", URI"
        }
        (None, Some(_)) => ", URI refused",
        (None, None) => "",
    };
    format!("registration{secret}{uri}")
}

/// A file of the recordings; `None` where the server did not answer.
fn recorded(path: &Path) -> Option<Recorded> {
    let recorded = fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    let (request, response) = recorded.split_once("\n== response\n")?;
    let mut lines = request.lines().filter_map(|line| line.strip_prefix("> "));
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?, first.next()?);
    let host = lines.find_map(|line| line.strip_prefix("Host: "))?;
    let url = Url::parse(&format!("http://{host}{target}")).unwrap();
    let (head, body) = response.split_once("\n\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut response = Response {
        status,
        ..Response::default()
    };
    let fields = lines.filter_map(|line| line.split_once(": "));
    response.headers = fields
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    // A remark may follow what the server sent.
    let mut fields = response.headers.iter();
    let length = fields
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.parse().unwrap());
    response.body = body[..length].into();
    Some(Recorded {
        method: method.into(),
        url,
        response,
    })
}
