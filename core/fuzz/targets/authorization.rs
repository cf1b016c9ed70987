//! Where an authorization endpoint leads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use svcauth_core::{
    Exchange, Secret,
    message::{AuthorizationAnswer, AuthorizationRequest},
    wire::Response,
};
use svcauth_fuzz::{PLANTED, endpoint, harmless, one_line, response};

fuzz_target!(|data: &[u8]| {
    let response = response(data);
    let endpoint = endpoint("https://hydra.example/oauth2/auth");
    let token = Secret::from(PLANTED);
    let message = AuthorizationRequest {
        endpoint: &endpoint,
        registration_access_token: Some(&token),
        client_id: "bss",
        client_secret: Some(&token),
        redirect_uri: Some("https://bss.example/callback"),
        scopes: &[],
        response_type: "token",
        state: "abcdefgh",
    };
    match message.parse(&response) {
        Err(error) => harmless(&error),
        Ok(answer) => check(&answer, &response),
    }
    // It does not know the request, nor the secrets in it.
    match AuthorizationAnswer::of(&response) {
        Err(error) => drop(one_line(&error)),
        Ok(answer) => check(&answer, &response),
    }
});

fn check(answer: &AuthorizationAnswer, response: &Response) {
    assert!((200..400).contains(&response.status));
    if let AuthorizationAnswer::LoginPage { location } = answer {
        assert!(!location.contains(['?', '#']), "{location}");
        assert!(!location.contains(char::is_control), "{location:?}");
    }
}
