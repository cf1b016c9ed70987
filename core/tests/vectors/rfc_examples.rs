use super::{document, ran, rows, text};
use base64ct::{Base64, Encoding};
use serde_json::Value;
use std::collections::BTreeSet;
use svcauth_core::{
    Code, Exchange, Secret,
    message::{
        BasicEncoding, ClientAuthentication, DeleteRegistration, ReadRegistration, Registration,
        RegistrationRequest, TokenGrant, TokenRequest, TokenRules, UpdateRegistration,
    },
    wire::{Method, Request, Response, Url, form, json},
};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A grant that this crate does not ask for.
const NOT_OURS: [&str; 1] = ["7523 2.1 (assertion elided in the RFC itself)"];

fn response(example: &Value) -> Response {
    let header = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().into());
    Response {
        status: example["status"].as_u64().unwrap() as u16,
        headers: example["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(header)
            .collect(),
        body: example["body"].to_string().into(),
    }
}

fn object(value: &Value) -> json::Object {
    json::parse_object(value.to_string().as_bytes()).unwrap()
}

fn pairs(form: &[u8]) -> BTreeSet<(String, String)> {
    form::parse(form).unwrap().into_iter().collect()
}

/// Host and the fields that every request of ours has are left out.
fn assert_same_fields(request: &Request, example: &Value) {
    for (name, value) in example["headers"].as_object().unwrap() {
        let name = name.to_ascii_lowercase();
        if name != "host" {
            let optional = name == "accept" && request.method == Method::Delete;
            assert!(
                optional || request.header(&name) == value.as_str(),
                "{name} of {example}"
            );
        }
    }
}

/// The token request that an example's fields describe, and its answer.
fn token(
    example: &Value,
) -> (
    Request,
    Result<svcauth_core::message::TokenAnswer, svcauth_core::Error>,
) {
    let request = &example["request"];
    let sent = form::parse(text(request, "body").as_bytes()).unwrap();
    let all = |name: &str| -> Vec<String> {
        sent.iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
            .collect()
    };
    let one = |name: &str| all(name).pop();
    let basic = request["headers"]["Authorization"]
        .as_str()
        .unwrap()
        .strip_prefix("Basic ")
        .unwrap();
    let user_pass = String::from_utf8(Base64::decode_vec(basic).unwrap()).unwrap();
    let (id, secret) = user_pass.split_once(':').unwrap();
    let authentication = ClientAuthentication::Basic {
        client_id: id.into(),
        client_secret: secret.into(),
        encoding: BasicEncoding::Form,
    };
    let subject_token = Secret::from(one("subject_token").unwrap_or_default());
    let (subject_type, requested) = (one("subject_token_type"), one("requested_token_type"));
    let grant = match one("grant_type").as_deref() {
        Some("client_credentials") => TokenGrant::ClientCredentials,
        Some(TOKEN_EXCHANGE) => TokenGrant::TokenExchange {
            subject_token: &subject_token,
            subject_token_type: subject_type.as_deref().unwrap(),
            requested_token_type: requested.as_deref(),
        },
        other => panic!("{other:?}"),
    };
    let path = request["path"].as_str().unwrap_or("/token");
    let message = TokenRequest {
        endpoint: &Url::parse(&format!("https://as.example.com{path}")).unwrap(),
        authentication: &authentication,
        grant,
        scopes: &all("scope"),
        audience: &all("audience"),
        resource: &all("resource"),
        parameters: &[],
        rules: TokenRules::default(),
    };
    (
        message.request().unwrap(),
        message.parse(&response(&example["response"])),
    )
}

fn registration(example: &Value) -> Registration {
    RegistrationRequest {
        endpoint: &Url::parse("https://server.example.com/register").unwrap(),
        initial_access_token: None,
        metadata: &json::Object::new(),
        allowed_origins: &[],
    }
    .parse(&response(&example["response"]))
    .unwrap()
}

#[test]
fn the_examples_of_the_rfcs_are_what_we_write_and_read() {
    let Some(document) = document("rfc_examples/rfc_http_examples.json") else {
        return;
    };
    let examples = rows(&document);
    let example = |rfc: &str| {
        examples
            .iter()
            .find(|row| text(row, "rfc") == rfc)
            .expect(rfc)
    };
    let registered = registration(example("7592 3 / 7591 3.2.1"));
    let mut count = 0;
    for row in examples {
        match text(row, "rfc") {
            rfc if rfc.starts_with("6749 4.4") || rfc.starts_with("8693") => {
                let (request, answer) = token(row);
                let sent = &row["request"];
                assert_same_fields(&request, sent);
                assert_eq!(
                    pairs(request.body.expose()),
                    pairs(text(sent, "body").as_bytes()),
                    "{rfc}"
                );
                let body = &row["response"]["body"];
                // RFC 6749 shows a made-up type of token, which nobody could use.
                if body["token_type"] == "example" {
                    assert_eq!(
                        answer.unwrap_err().code(),
                        Code::UnexpectedTokenType,
                        "{rfc}"
                    );
                } else {
                    let answer = answer.unwrap();
                    assert_eq!(body["access_token"], answer.access_token.expose(), "{rfc}");
                    assert_eq!(body["expires_in"].as_u64(), answer.expires_in, "{rfc}");
                    assert_eq!(
                        body["issued_token_type"].as_str(),
                        answer.issued_token_type.as_deref(),
                        "{rfc}"
                    );
                }
            }
            "7592 3 / 7591 3.2.1" => {
                let body = &row["response"]["body"];
                assert_eq!(body["client_id"], *registered.client_id);
                assert_eq!(
                    registered.client_secret_expires_at,
                    body["client_secret_expires_at"].as_u64()
                );
                let saved: Value = serde_json::from_str(&registered.to_json().to_json()).unwrap();
                assert_eq!(saved, *body);
            }
            "7592 2.2 request" => {
                let mut expected = row["request"]["body"].as_object().unwrap().clone();
                let change = object(&Value::Object(expected.clone()));
                let message = UpdateRegistration {
                    registration: &registered,
                    metadata: Some(&change),
                    allowed_origins: &[],
                };
                let request = message.request().unwrap();
                assert_same_fields(&request, &row["request"]);
                assert!(
                    request.url.ends_with(text(&row["request"], "path")),
                    "{}",
                    request.url
                );
                let sent: Value = serde_json::from_slice(request.body.expose()).unwrap();
                let sent = sent.as_object().unwrap();
                // Members that the example drops are dropped with null; ours were not asked to be.
                expected.retain(|name, value| sent.get(name) != Some(value));
                assert!(
                    expected.is_empty(),
                    "not sent as in the example: {expected:?}"
                );
                assert!(
                    !sent.contains_key("client_id_issued_at")
                        && !sent.contains_key("registration_access_token")
                );
            }
            "7592 2.1/2.3 requests" => {
                for sent in rows(&row["requests"]) {
                    let request = match text(sent, "method") {
                        "GET" => ReadRegistration {
                            registration: &registered,
                            allowed_origins: &[],
                        }
                        .request(),
                        _ => DeleteRegistration {
                            registration: &registered,
                        }
                        .request(),
                    }
                    .unwrap();
                    assert_eq!(request.method.as_str(), text(sent, "method"));
                    assert!(request.url.ends_with(text(sent, "path")), "{}", request.url);
                    assert_same_fields(&request, sent);
                    if sent["response"].is_object() {
                        let gone = Response {
                            status: 204,
                            ..Response::default()
                        };
                        DeleteRegistration {
                            registration: &registered,
                        }
                        .parse(&gone)
                        .unwrap();
                    }
                }
            }
            rfc => {
                assert!(NOT_OURS.contains(&rfc), "{rfc} is new");
                continue;
            }
        }
        count += 1;
    }
    ran("rfc_examples/rfc_http_examples.json", count, 6);
}
