//! The audit line: who calls what, as filter state for access logs.

use std::fmt::Write;
use svcauth_core::client::{Lease, UnverifiedClaims};

/// The name under which access logs find it is `wasm.` and this.
pub(crate) const PROPERTY: &str = "svcauth";

/// The longest text of a token's that is written.
const LONGEST: usize = 128;

/// The line of a request that carries a lease.
pub(crate) fn lease(target: &str, lease: &Lease) -> String {
    let mut line = start(target, "service");
    put(&mut line, "client_id", lease.client_id());
    put(&mut line, "subject", lease.subject());
    // Writing to a text does not fail.
    let _ = write!(line, " lease={}", lease.id());
    line
}

/// The line of a request that carries a user's own token, as that says, unverified.
pub(crate) fn user(target: &str, token: &str) -> String {
    let claims = UnverifiedClaims::of(token);
    let mut line = start(target, "user");
    put(&mut line, "client_id", claims.client_id.as_deref());
    put(&mut line, "subject", claims.subject.as_deref());
    line
}

/// The line of a request that is of another kind: `caller`, `refused`, `failed`.
pub(crate) fn plain(target: &str, kind: &str) -> String {
    start(target, kind)
}

fn start(target: &str, kind: &str) -> String {
    format!("target={target} kind={kind}")
}

/// A text from a token is anybody's: it must not look like another member, nor like another line.
fn put(line: &mut String, name: &str, text: Option<&str>) {
    line.push(' ');
    line.push_str(name);
    line.push('=');
    match text {
        None => line.push('-'),
        Some(text) => line.extend(text.chars().take(LONGEST).map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | ':' | '@' | '/' | '|' | '+' => {
                character
            }
            _ => '_',
        })),
    }
}
