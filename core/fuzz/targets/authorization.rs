//! Where an authorization endpoint leads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use svcauth_core::{
    Exchange, Secret,
    message::{AuthorizationAnswer, AuthorizationRequest},
    wire::Response,
};
use svcauth_fuzz::{PLANTED, endpoint, harmless, response};

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
    check(message.parse(&response), &response);
    check(AuthorizationAnswer::of(&response), &response);
});

fn check(answer: Result<AuthorizationAnswer, svcauth_core::Error>, response: &Response) {
    match answer {
        Err(error) => harmless(&error),
        Ok(answer) => {
            assert!((200..400).contains(&response.status));
            if let AuthorizationAnswer::LoginPage { location } = &answer {
                assert!(!location.contains(['?', '#']), "{location}");
                assert!(!location.contains(char::is_control), "{location:?}");
            }
        }
    }
}
