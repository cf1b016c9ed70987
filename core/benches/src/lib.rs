//! One token request built and its answer parsed, by svcauth and by what it could be replaced by.
//!
//! Each contender sends to the same server that is not there: a function that answers with a copy of a
//! Hydra answer. `cargo bench -p svcauth-bench` prints times; the programs in `src/bin` do one thing a given
//! number of times, for `valgrind --tool=callgrind`.

use oauth2::{
    ClientId, ClientSecret, HttpResponse, Scope, TokenResponse, TokenUrl, basic::BasicClient, http,
};
use std::{convert::Infallible, hint::black_box};
use svcauth_core::{
    Exchange,
    message::{BasicEncoding, ClientAuthentication, TokenGrant, TokenRequest, TokenRules},
    wire::{Response, Url},
};

const ENDPOINT: &str = "https://hydra.example/oauth2/token";
const CLIENT_ID: &str = "00d38fce-4d9f-4100-bc0c-bfb9acc79afa";
const CLIENT_SECRET: &str = "xJDStbVK-0oA893n1~Ix58wMCd";
const CONTENT_TYPE: &str = "application/json;charset=UTF-8";

/// Something that can be done again and again; it answers the length of the access token.
pub type Work = Box<dyn Fn() -> usize>;

/// A contender: its name, and what makes its work.
pub type Contender = (&'static str, fn() -> Work);

/// All contenders, svcauth first.
pub const CONTENDERS: [Contender; 3] = [
    ("svcauth", svcauth),
    ("oauth2 5.0", oauth2_crate),
    ("serde_json alone", serde_json_alone),
];

/// An answer as Hydra gives it: a signed token of 1.1 kB, `expires_in`, `scope`, `token_type`.
pub fn answer() -> String {
    let alphabet = b"eyJhbGciOiJSUzI1NiIsImtpZCI6IjQxZTM2MDg4-_.";
    let token: String = (0..1118)
        .map(|at| char::from(alphabet[at * 7 % alphabet.len()]))
        .collect();
    format!(
        r#"{{"access_token":"{token}","expires_in":3599,"scope":"read","token_type":"bearer"}}"#
    )
}

/// svcauth's token message, all of its policy applied.
pub fn svcauth() -> Work {
    let Ok(endpoint) = Url::parse(ENDPOINT) else {
        unreachable!("a constant URL")
    };
    let authentication = ClientAuthentication::Basic {
        client_id: CLIENT_ID.into(),
        client_secret: CLIENT_SECRET.into(),
        encoding: BasicEncoding::Form,
    };
    let scopes = ["read".to_owned()];
    let response = Response {
        status: 200,
        headers: vec![("content-type".into(), CONTENT_TYPE.into())],
        body: answer().into(),
    };
    Box::new(move || {
        let message = TokenRequest {
            endpoint: &endpoint,
            authentication: &authentication,
            grant: TokenGrant::ClientCredentials,
            scopes: &scopes,
            audience: &[],
            resource: &[],
            parameters: &[],
            rules: TokenRules::default(),
        };
        let sent = message.request().map(black_box);
        let received = black_box(response.clone());
        match sent.and_then(|_| message.parse(&received)) {
            Ok(answer) => answer.access_token.expose().len() + answer.scopes.map_or(0, |s| s.len()),
            Err(error) => unreachable!("{error}"),
        }
    })
}

/// The oauth2 crate with a transport that does nothing.
pub fn oauth2_crate() -> Work {
    let Ok(token_url) = TokenUrl::new(ENDPOINT.to_owned()) else {
        unreachable!("a constant URL")
    };
    let client = BasicClient::new(ClientId::new(CLIENT_ID.to_owned()))
        .set_client_secret(ClientSecret::new(CLIENT_SECRET.to_owned()))
        .set_token_uri(token_url);
    let body = answer();
    let response: HttpResponse = match http::Response::builder()
        .header("content-type", CONTENT_TYPE)
        .body(body.into_bytes())
    {
        Ok(response) => response,
        Err(error) => unreachable!("{error}"),
    };
    Box::new(move || {
        let transport = |request: oauth2::HttpRequest| {
            black_box(request);
            Ok::<_, Infallible>(black_box(response.clone()))
        };
        match client
            .exchange_client_credentials()
            .add_scope(Scope::new("read".to_owned()))
            .request(&transport)
        {
            Ok(answer) => {
                answer.access_token().secret().len()
                    + answer.scopes().map_or(0, |scopes| scopes.len())
            }
            Err(error) => unreachable!("{error}"),
        }
    })
}

/// What is left when all care is left out: a body put together, and an answer read into a struct.
pub fn serde_json_alone() -> Work {
    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    struct Answer {
        access_token: String,
        token_type: String,
        expires_in: u64,
        scope: String,
    }
    let body = answer().into_bytes();
    Box::new(move || {
        black_box(format!(
            "grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&scope=read"
        ));
        let received = black_box(body.clone());
        match serde_json::from_slice::<Answer>(&received) {
            Ok(answer) => answer.access_token.len() + 1,
            Err(error) => unreachable!("{error}"),
        }
    })
}

/// Does the work as often as the first argument of the program says, 10,000 times without one.
pub fn repeat(work: &Work) {
    let times = std::env::args()
        .nth(1)
        .and_then(|times| times.parse().ok())
        .unwrap_or(10_000);
    for _ in 0..times {
        black_box(work());
    }
}
