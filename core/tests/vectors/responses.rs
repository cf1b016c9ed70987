use super::{bytes, document, ran, rows, tell, text};
use base64ct::{Base64, Encoding};
use serde_json::Value;
use svcauth_core::{
    Code, Error, Exchange,
    message::{
        ClientAuthentication, MetadataDocument, MetadataRequest, RegistrationRequest, TokenAnswer,
        TokenGrant, TokenRequest, TokenRules,
    },
    wire::{Response, Url, json::Object},
};

const NO_TYPE: &str =
    "RFC 6749 section 5.1 asks for token_type; allow_missing_token_type goes without";
const NO_TOKEN: &str = "the access token holds a character that no Authorization header may carry";
const OTHER_TYPE: &str = "only Bearer tokens can be used";
const NO_ALIAS: &str = "only the names of RFC 6749 are known, at the top of the answer";
const ANY_CONTENT_TYPE: &str = "a JSON object is read under any content type";

/// What each answer of a token endpoint is to us, and why, where the library that the answer comes from reads
/// it otherwise.
///
/// `ok` is followed by the life in seconds (`-` where the server does not tell) and the scopes, an error by
/// its OAuth error.
const OURS: [(&str, &str, &str); 81] = [
    ("r003", "ok 86400 user", ""),
    ("r005", "ok - user", ""),
    ("r006", "invalid_expires_in", ""),
    ("r008", "invalid_expires_in", ""),
    ("r010", "invalid_access_token", ""),
    ("r013", "missing_token_type", NO_TYPE),
    (
        "r016",
        "ok 3600 https://www.googleapis.com/auth/cloud-platform",
        "",
    ),
    ("r020", "missing_token_type", NO_TYPE),
    ("r021", "missing_token_type", NO_TYPE),
    ("r023", "missing_token_type", NO_TYPE),
    ("r024", "malformed_answer", NO_ALIAS),
    ("r025", "invalid_access_token", NO_TOKEN),
    ("r026", "unexpected_token_type", OTHER_TYPE),
    ("r030", "oauth_error incorrect_client_credentials", ""),
    ("r033", "missing_token_type", NO_TYPE),
    ("r036", "malformed_answer", ""),
    ("r040", "oauth_error invalid_request", ""),
    (
        "r042",
        "server_error invalid_request",
        "5xx is the server's trouble, and what it says is kept",
    ),
    ("r043", "oauth_error invalid_request", ANY_CONTENT_TYPE),
    ("r046", "oauth_error invalid_request", ""),
    (
        "r050",
        "oauth_error invalid_request",
        "an error_uri that is no text says nothing, the error does",
    ),
    ("r053", "invalid_access_token", ""),
    ("r056", "invalid_access_token", ""),
    ("r060", "invalid_access_token", ""),
    ("r063", "invalid_access_token", NO_TOKEN),
    ("r066", "invalid_access_token", NO_TOKEN),
    (
        "r070",
        "ok - ?",
        "the configured default, a minute, is kinder to the server than a second",
    ),
    ("r073", "malformed_answer", ""),
    ("r076", "unexpected_token_type", ""),
    (
        "r080",
        "unexpected_status",
        "the status tells: 400 is no server_error",
    ),
    ("r082", "unexpected_status", ""),
    ("r083", "malformed_answer", ""),
    ("r084", "malformed_answer", ""),
    ("r085", "malformed_answer", ""),
    ("r086", "invalid_access_token", ""),
    ("r090", "oauth_error invalid_grant", ""),
    ("r110", "ok - read write", ""),
    ("r113", "unexpected_token_type", ""),
    ("r116", "unexpected_token_type", OTHER_TYPE),
    ("r118", "ok - ?", ""),
    ("r120", "malformed_answer", ""),
    ("r123", "server_error", ""),
    ("r126", "missing_token_type", NO_TYPE),
    ("r130", "malformed_answer", ""),
    ("r133", "oauth_error internal_failure", ""),
    ("r136", "malformed_answer", ""),
    ("r140", "unexpected_status", ""),
    (
        "r142",
        "malformed_answer",
        "a form is an answer only with allow_form_answer",
    ),
    ("r143", "missing_token_type", NO_TYPE),
    ("r146", "missing_token_type", NO_TYPE),
    ("r150", "invalid_access_token", NO_TOKEN),
    ("r153", "oauth_error invalid_grant", ""),
    ("r154", "invalid_access_token", NO_TOKEN),
    ("r156", "missing_token_type", NO_TYPE),
    ("r160", "missing_token_type", ""),
    ("r163", "oauth_error invalid_grant", ""),
    ("r166", "oauth_error error", ""),
    ("r170", "unexpected_status", ""),
    ("r173", "server_error", ""),
    ("r176", "malformed_answer", ""),
    ("r180", "invalid_access_token", ""),
    (
        "r183",
        "ok 14272 user:read:email",
        "an array of texts is a list of scopes",
    ),
    (
        "r186",
        "oauth_error bad_verification_code",
        "RFC 6749 section 5.2 has these members under any status",
    ),
    ("r190", "oauth_error invalid_request", ""),
    ("r193", "unexpected_status", ""),
    ("r196", "oauth_error invalid_client", ""),
    ("r199", "malformed_answer", NO_ALIAS),
    ("r200", "malformed_answer", NO_ALIAS),
    (
        "r203",
        "ok 631138026 /orcid-profile/read-limited",
        "twenty years: TokenAnswer::lifetime takes the default",
    ),
    ("r206", "missing_token_type", NO_TYPE),
    ("r207", "ok 3600 ?", ""),
    (
        "r210",
        "invalid_access_token",
        "a colon is no character of b64token (RFC 6750 section 2.1)",
    ),
    ("r213", "ok 2592000 read write", ""),
    ("r216", "ok 28800 ?", ""),
    ("r220", "ok 2592000 ?", ""),
    ("r223", "ok 3600 ?", ""),
    ("r226", "ok - ?", ""),
    ("r230", "ok 3600 identity", ""),
    ("r233", "ok 227615 ?", ""),
    ("r236", "malformed_answer", NO_ALIAS),
    ("r240", "ok 3599 identity", ""),
];

/// Answers to messages that this crate does not have.
const OTHER_MESSAGES: [&str; 2] = ["introspection", "revocation"];

fn response(row: &Value) -> Response {
    let body = match row["body_base64"].as_str() {
        Some(encoded) => Base64::decode_vec(encoded).unwrap(),
        None => text(row, "body").into(),
    };
    let header = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().into());
    Response {
        status: row["status"].as_u64().unwrap() as u16,
        headers: row["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(header)
            .collect(),
        body: body.into(),
    }
}

fn parse_token(response: &Response, rules: TokenRules) -> Result<TokenAnswer, Error> {
    TokenRequest {
        endpoint: &Url::parse("https://as.example/token").unwrap(),
        authentication: &ClientAuthentication::None { client_id: None },
        grant: TokenGrant::ClientCredentials,
        scopes: &[],
        audience: &[],
        resource: &[],
        parameters: &[],
        rules,
    }
    .parse(response)
}

fn in_short(result: &Result<TokenAnswer, Error>) -> String {
    match result {
        Ok(answer) => {
            let life = answer
                .expires_in
                .map_or("-".into(), |seconds| seconds.to_string());
            let scopes = answer
                .scopes
                .as_ref()
                .map_or("?".into(), |scopes| scopes.join(" "));
            format!("ok {life} {scopes}")
        }
        Err(error) => match error.oauth() {
            Some(oauth) => format!("{} {}", error.code(), oauth.error),
            None => error.code().to_string(),
        },
    }
}

#[test]
fn answers_of_real_token_endpoints_are_read_by_our_policy() {
    let Some(document) = document("responses/token_responses.json") else {
        return;
    };
    let (mut tokens, mut metadata, mut others, mut differing) = (0, 0, 0, 0);
    for row in rows(&document["entries"]) {
        let (id, response) = (text(row, "id"), response(row));
        match text(row, "endpoint") {
            "token" => {
                let (_, expected, why) = OURS
                    .iter()
                    .find(|(ours, ..)| *ours == id)
                    .unwrap_or_else(|| panic!("{row} is new"));
                let result = parse_token(&response, TokenRules::default());
                assert_eq!(in_short(&result), *expected, "{row}: {why}");
                if let Err(error) = &result {
                    let printed = format!("{error}{error:?}");
                    assert!(!printed.contains(['\r', '\n', '\0']), "{row}: {printed}");
                    assert_eq!(error.status(), Some(response.status), "{row}");
                }
                // The rule lets pass what it names and nothing else.
                let lenient = TokenRules {
                    allow_missing_token_type: true,
                    allow_form_answer: false,
                };
                let lenient = parse_token(&response, lenient);
                match result.as_ref().map_err(Error::code) {
                    Err(Code::MissingTokenType) => assert!(lenient.is_ok(), "{row}"),
                    _ => assert_eq!(in_short(&lenient), *expected, "{row}"),
                }
                tokens += 1;
                differing += usize::from(!why.is_empty());
            }
            "discovery" => {
                let issuer = Url::parse("https://as.example").unwrap();
                let message = MetadataRequest {
                    issuer: &issuer,
                    document: MetadataDocument::Oauth,
                };
                assert_eq!(
                    message.parse(&response).unwrap_err().code(),
                    Code::MalformedAnswer,
                    "{row}"
                );
                metadata += 1;
            }
            other => {
                assert!(OTHER_MESSAGES.contains(&other), "{row}");
                others += 1;
            }
        }
    }
    tell(format_args!(
        "{differing} of the token answers are read otherwise than by their library"
    ));
    tell(format_args!(
        "{others} answers belong to messages that are not here"
    ));
    ran("responses/token_responses.json", tokens + metadata, 83);
}

#[test]
fn the_documents_of_duende_are_read() {
    let documents = "responses/duende_documents";
    let answer = |name: &str, status| {
        let body = bytes(&format!("{documents}/{name}"))?.into();
        let headers = vec![("Content-Type".into(), "application/json".into())];
        Some(Response {
            status,
            headers,
            body,
        })
    };
    let Some(with_refresh) = answer("success_token_response.json", 200) else {
        return;
    };
    let token = parse_token(&with_refresh, TokenRules::default()).unwrap();
    assert_eq!(
        (token.access_token.expose(), token.expires_in),
        ("access_token", Some(3600))
    );
    assert_eq!(token.refresh_token.unwrap().expose(), "refresh_token");
    assert_eq!(token.extra.to_json(), r#"{"custom":"custom"}"#);

    let without = answer("success_access_token_response.json", 200).unwrap();
    assert!(
        parse_token(&without, TokenRules::default())
            .unwrap()
            .refresh_token
            .is_none()
    );

    for name in [
        "failure_token_response.json",
        "failure_token_revocation_response.json",
    ] {
        let error = parse_token(&answer(name, 400).unwrap(), TokenRules::default()).unwrap_err();
        assert_eq!(
            (error.code(), &*error.oauth().unwrap().error),
            (Code::OauthError, "error"),
            "{name}"
        );
    }

    let endpoint = Url::parse("https://server.example.com/connect/register").unwrap();
    let message = RegistrationRequest {
        endpoint: &endpoint,
        initial_access_token: None,
        metadata: &Object::new(),
        allowed_origins: &[],
    };
    let registration = message
        .parse(&answer("success_registration_response.json", 201).unwrap())
        .unwrap();
    assert_eq!(registration.client_id, "s6BhdRkqt3");
    assert_eq!(registration.client_secret_expires_at, Some(1_577_858_400));
    assert_eq!(
        registration.registration_client_uri.unwrap().as_str(),
        "https://server.example.com/connect/register?client_id=s6BhdRkqt3"
    );
    assert_eq!(
        registration
            .metadata
            .get("client_name#ja-Jpan-JP")
            .unwrap()
            .as_str(),
        Some("クライアント名")
    );
    let error = message
        .parse(&answer("failure_registration_response.json", 400).unwrap())
        .unwrap_err();
    assert_eq!(error.oauth().unwrap().error, "invalid_redirect_uri");
    // The other three answer an introspection, which is no message of this crate.
    ran(documents, 6, 6);
}
