//! WWW-Authenticate: each line of the input is a field value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use svcauth_core::wire::challenge::{Challenge, parse};

fuzz_target!(|text: &str| {
    let values: Vec<&str> = text.lines().collect();
    let challenges = parse(values.iter().copied());
    let one_by_one: Vec<Challenge> = values.iter().flat_map(|value| parse([*value])).collect();
    assert_eq!(challenges, one_by_one);
    for challenge in &challenges {
        assert!(!challenge.scheme.is_empty());
        assert!(challenge.is(&challenge.scheme.to_ascii_uppercase()));
        for (position, (name, value)) in challenge.parameters.iter().enumerate() {
            assert!(!name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
            let first = challenge
                .parameters
                .iter()
                .position(|(other, _)| other == name);
            assert_eq!(first, Some(position), "{name} twice");
            assert_eq!(challenge.parameter(name), Some(value.as_str()));
        }
        assert!(challenge.token68.is_none() || challenge.parameters.is_empty());
        let written = write(challenge);
        if !challenge.parameters.is_empty() && written.len() <= 8 * 1024 {
            assert_eq!(parse([written.as_str()]), [challenge.clone()], "{written}");
        }
    }
});

fn write(challenge: &Challenge) -> String {
    let parameters: Vec<String> = challenge
        .parameters
        .iter()
        .map(|(name, value)| {
            format!(
                "{name}=\"{}\"",
                value.replace('\\', "\\\\").replace('"', "\\\"")
            )
        })
        .collect();
    format!("{} {}", challenge.scheme, parameters.join(", "))
}
