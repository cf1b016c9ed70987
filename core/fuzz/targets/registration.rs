//! Answers about a registration: to a new one, and to what manages it afterwards.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use svcauth_core::{
    Exchange, Secret,
    message::{
        DeleteRegistration, ReadRegistration, Registration, RegistrationRequest, UpdateRegistration,
    },
    wire::{
        Response,
        json::{self, Object},
    },
};
use svcauth_fuzz::{PLANTED, endpoint, harmless, response};

/// What an update never sends back (RFC 7592 section 2.2).
const NEVER_SENT: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    svcauth_fuzz::mutate::answer(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let response = response(data);
    let endpoint = endpoint("https://hydra.example/oauth2/register");
    let token = Secret::from(PLANTED);
    let message = RegistrationRequest {
        endpoint: &endpoint,
        initial_access_token: Some(&token),
        metadata: &Object::new(),
        allowed_origins: &[],
    };
    match message.parse(&response) {
        Err(error) => harmless(&error),
        Ok(registration) => {
            if let Some(uri) = &registration.registration_client_uri {
                assert_eq!(uri.origin(), endpoint.origin(), "managed elsewhere");
            }
            if let Some(error) = &registration.refused_uri {
                harmless(error);
            }
            keeps(&registration);
            manage(registration, &response);
        }
    }
    manage(known(), &response);
});

/// A registration whose secrets are planted.
fn known() -> Registration {
    let mut object = Object::new();
    object.insert("client_id", "bss");
    object.insert("client_secret", PLANTED);
    object.insert("registration_access_token", "Zq7Plant-the-other-one");
    object.insert(
        "registration_client_uri",
        "https://hydra.example/oauth2/register/bss",
    );
    Registration::from_json(&object).expect("a registration")
}

/// What was stored is what is loaded.
fn keeps(registration: &Registration) {
    let stored = registration.to_json().to_json();
    let object = json::parse_object(stored.as_bytes()).expect("what was stored is JSON");
    let loaded = Registration::from_json(&object).expect("what was stored is a registration");
    assert_eq!(loaded.to_json().to_json(), stored);
}

fn manage(mut registration: Registration, response: &Response) {
    let origin = registration
        .registration_client_uri
        .as_ref()
        .map(|uri| uri.origin().clone());
    let client_id = registration.client_id.clone();
    let delete = DeleteRegistration {
        registration: &registration,
    };
    if let Err(error) = delete.parse(response) {
        harmless(&error);
    }
    let read = ReadRegistration {
        registration: &registration,
        allowed_origins: &[],
    };
    match read.parse(response) {
        Err(error) => harmless(&error),
        Ok(answer) => {
            registration.merge(answer);
            assert_eq!(registration.client_id, client_id, "another client");
            let now = registration.registration_client_uri.as_ref();
            assert_eq!(
                now.map(|uri| uri.origin().clone()),
                origin,
                "managed elsewhere"
            );
            keeps(&registration);
        }
    }
    let update = UpdateRegistration {
        registration: &registration,
        metadata: None,
        allowed_origins: &[],
    };
    match update.request() {
        Err(error) => harmless(&error),
        Ok(request) => {
            let sent = json::parse_object(request.body.expose()).expect("an update is JSON");
            assert!(NEVER_SENT.iter().all(|name| sent.get(name).is_none()));
        }
    }
}
