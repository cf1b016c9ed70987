//! Secrets that the command reads itself.

use crate::failure::Failure;
use std::{env, fs::File, io::Read, path::Path};
use svcauth::{Code, Secret};

const USER_TOKEN: &str = "SVCAUTH_USER_TOKEN";
const MOST: u64 = 64 * 1024;

/// The token of the user on whose behalf a call is made, where there is one.
pub(crate) fn user_token(file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    let (text, place) = match (file, env::var_os(USER_TOKEN)) {
        (Some(path), _) => (read(path)?, path.display().to_string()),
        // Set and empty is what a script makes of a token that it failed to get. That call was to be the
        // user's, and is not made in the service's name instead.
        (None, Some(text)) => (
            text.into_string().ok().map(Secret::from),
            format!("environment variable {USER_TOKEN}"),
        ),
        (None, None) => return Ok(None),
    };
    let usable = |token: &Secret| {
        !token.is_empty() && token.expose().bytes().all(|byte| byte.is_ascii_graphic())
    };
    match text.filter(usable) {
        Some(token) => Ok(Some(token)),
        None => Err(Failure::new(
            Code::SecretUnavailable,
            place,
            "the user's token is empty or holds characters that no token has; put the token there, and nothing else",
        )
        .with_advice("for a call in the service's own name leave out --user-token-file, and unset SVCAUTH_USER_TOKEN")),
    }
}

fn read(path: &Path) -> Result<Option<Secret>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST).read_to_end(&mut bytes))
        .map_err(|error| {
            let why =
                format!("the user's token cannot be read: {error}; name the file that holds it");
            Failure::new(Code::SecretUnavailable, path.display().to_string(), why)
        })?;
    Ok(Secret::from_bytes(bytes))
}
