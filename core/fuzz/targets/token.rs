//! The answer of a token endpoint, under each set of rules.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use svcauth_core::{
    Exchange, Secret,
    message::{TokenGrant, TokenRequest, TokenRules},
    wire::is_token,
};
use svcauth_fuzz::{PLANTED, authentications, endpoint, harmless, response};

const TEN_YEARS_MS: u64 = 10 * 365 * 24 * 3600 * 1000;
const NOW_MS: u64 = 1_795_400_000_000;
const TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    svcauth_fuzz::mutate::answer(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let response = response(data);
    let endpoint = endpoint("https://hydra.example/oauth2/token");
    let secret = Secret::from(PLANTED);
    let scopes = ["read".to_owned()];
    let grants = [
        TokenGrant::ClientCredentials,
        TokenGrant::RefreshToken {
            refresh_token: &secret,
        },
        TokenGrant::TokenExchange {
            subject_token: &secret,
            subject_token_type: TYPE,
            requested_token_type: Some(TYPE),
        },
    ];
    for authentication in &authentications() {
        for grant in grants {
            for (allow_missing_token_type, allow_form_answer) in [(false, false), (true, true)] {
                let message = TokenRequest {
                    endpoint: &endpoint,
                    authentication,
                    grant,
                    scopes: &scopes,
                    audience: &[],
                    resource: &[],
                    parameters: &[],
                    rules: TokenRules {
                        allow_missing_token_type,
                        allow_form_answer,
                    },
                };
                match message.parse(&response) {
                    Err(error) => harmless(&error),
                    Ok(answer) => {
                        assert!((200..300).contains(&response.status));
                        assert!(is_token(answer.access_token.expose()));
                        let scopes = answer.scopes.iter().flatten();
                        assert!(scopes.into_iter().all(|scope| !scope.is_empty()));
                        for now in [0, NOW_MS, u64::MAX] {
                            assert!(answer.lifetime(now, 60_000).ms <= TEN_YEARS_MS);
                        }
                    }
                }
            }
        }
    }
});
