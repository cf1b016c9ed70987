//! What to do next about an error whose sentence does not say it already.

use svcauth::{Code, Error};

/// One sentence, or nothing where the error has said it.
pub(crate) fn about(error: &Error) -> Option<String> {
    let advice = match (error.oauth(), error.code()) {
        (Some(oauth), Code::OauthError) => refused(&oauth.error, error.status()),
        (_, Code::ServerError | Code::RateLimited) => return Some(later(error)),
        (_, Code::MalformedAnswer | Code::UnexpectedRedirect | Code::UnexpectedStatus) => {
            "check that the URL is the server's own endpoint, not a login page or a proxy; `svcauth -vv` shows each \
             request"
        }
        (_, Code::MissingEndpoint) => {
            "ask the server's operator for that URL; `svcauth config example` shows where endpoints stand"
        }
        (_, Code::TlsFailed) if error.message().contains("InvalidContentType") => {
            "what listens there speaks no TLS: see that the URL's scheme and port are right"
        }
        (_, Code::UntrustedEndpoint) => {
            "let the server's operator mend its metadata, or give the endpoints instead of it"
        }
        (_, Code::IssuerMismatch) => {
            "write the issuer exactly as its metadata names it, or give endpoints.token instead of it"
        }
        (_, Code::ScopeNotGranted) => {
            "let the server's operator allow the scope for this client, or set require_scopes to false"
        }
        (_, Code::MissingTokenType) => "set allow_missing_token_type if this server is to be used",
        (_, Code::InvalidExpiresIn | Code::InvalidAccessToken | Code::UnexpectedTokenType) => {
            "show the server's operator this answer; `svcauth -vv` shows from which URL it came"
        }
        (_, Code::ConnectionBroken) => {
            "try again, or use --wait SECONDS; if it stays, see that the URL's scheme and port are right, and the \
             server's log"
        }
        (_, Code::InvalidConfiguration) => {
            "see `svcauth config example` and `svcauth config schema`"
        }
        (_, Code::Internal) => "please report it",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn refused(error: &str, status: Option<u16>) -> &'static str {
    match error {
        "invalid_client" => {
            "check client id and secret, and that client.auth is the method the client is registered with; a \
             registered client that the server has lost: svcauth register --forget"
        }
        "invalid_scope" => {
            "ask only for scopes that the client is registered with (targets.*.scopes)"
        }
        "unauthorized_client" => "let the server's operator allow this grant for the client",
        "unsupported_grant_type" => "choose a grant that the server offers (targets.*.grant)",
        "invalid_grant" => "put a fresh token where targets.*.grant.subject_token points",
        "invalid_target" => "check targets.*.audience and targets.*.resource",
        "invalid_request" => {
            "compare the target's audience, resource and parameters with what the server knows of the client"
        }
        "access_denied" => "let the server's operator allow this client what it asks for",
        _ if status == Some(401) => "check the credentials that the configuration names",
        _ => "show the server's operator this answer",
    }
}

fn later(error: &Error) -> String {
    match error.retry_after_ms() {
        Some(ms) => format!(
            "try again in {} s, as the server asks, or use --wait",
            ms.div_ceil(1000)
        ),
        None => "try again later, or use --wait SECONDS".to_owned(),
    }
}
