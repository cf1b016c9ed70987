//! What the members of a document must be to each other.

use super::{AuthMethod, Config, Grant, RefreshTokens, Target, UserToken, invalid};
use crate::{
    Error,
    order::sorted,
    wire::{
        Url,
        json::{in_seconds, join},
    },
};
use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

/// The first contradiction in `config`, as an error that says how to resolve it.
pub(super) fn contradictions(config: &Config) -> Result<(), Error> {
    client(config)?;
    endpoints(config)?;
    transport(config)?;
    targets(config)?;
    prefixes(&config.targets)?;
    store(config)?;
    schedule(config)?;
    tls(config)
}

fn client(config: &Config) -> Result<(), Error> {
    let client = &config.client;
    let sources = [
        ("client.credentials", !client.credentials.is_empty()),
        ("client.static_token", client.static_token.is_some()),
        ("client.registration", client.registration.is_some()),
    ];
    let mut given = sources
        .iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| *name);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        return fail(
            second,
            format!(
                "contradicts {first}: keep the one by which this service is known, remove the other"
            ),
        );
    }
    Ok(())
}

fn endpoints(config: &Config) -> Result<(), Error> {
    if config
        .issuer
        .as_ref()
        .is_some_and(|issuer| issuer.query().is_some())
    {
        return fail(
            "issuer",
            "holds a query, which no issuer has (RFC 8414 section 2): remove it",
        );
    }
    if config.issuer.is_some() {
        return Ok(());
    }
    let (endpoints, client) = (&config.endpoints, &config.client);
    if let Some(registration) = &client.registration {
        if endpoints.registration.is_none() {
            return fail(
                "endpoints.registration",
                "missing: write the URL at which clients register, or the issuer whose metadata names it",
            );
        }
        if registration.authorize && endpoints.authorization.is_none() {
            return fail(
                "endpoints.authorization",
                "missing: write the URL of the authorization endpoint, or the issuer whose metadata names it, \
                 or remove client.registration.authorize",
            );
        }
    }
    let only_registers = client.registration.is_some() && config.targets.is_empty();
    if endpoints.token.is_none() && client.static_token.is_none() && !only_registers {
        return fail(
            "issuer",
            "missing: write the issuer's URL, or the token endpoint's URL in endpoints.token",
        );
    }
    Ok(())
}

/// Nothing secret over plain http, except where it stays on the machine or was allowed.
fn transport(config: &Config) -> Result<(), Error> {
    let endpoints = &config.endpoints;
    let named = [
        ("issuer", &config.issuer),
        ("endpoints.token", &endpoints.token),
        ("endpoints.authorization", &endpoints.authorization),
        ("endpoints.registration", &endpoints.registration),
    ];
    for (path, url) in named {
        if let Some(url) = url {
            secure(config, path, url)?;
        }
    }
    for target in &config.targets {
        for (index, url) in target.urls.iter().enumerate() {
            secure(config, &url_path(target, index), url)?;
        }
    }
    for (index, origin) in config.insecure_http.iter().enumerate() {
        if origin.https {
            return fail(
                &format!("insecure_http[{index}]"),
                "uses https, which needs no exception: remove it, or write the http origin that is meant",
            );
        }
    }
    for (index, origin) in config.allowed_registration_origins.iter().enumerate() {
        let path = format!("allowed_registration_origins[{index}]");
        secure(config, &path, &Url::parse(&origin.to_string())?)?;
    }
    Ok(())
}

fn secure(config: &Config, path: &str, url: &Url) -> Result<(), Error> {
    if url.is_https() || url.is_loopback() || config.insecure_http.contains(url.origin()) {
        return Ok(());
    }
    let origin = url.origin();
    fail(
        path,
        format!(
            "uses http, which anyone on the way can read: use https, or add \"{origin}\" to insecure_http"
        ),
    )
}

fn targets(config: &Config) -> Result<(), Error> {
    let client = &config.client;
    let identified = !client.credentials.is_empty() || client.registration.is_some();
    for target in &config.targets {
        let exchanges = target.user_token == UserToken::Exchange;
        let at = |member: &str| join(&join("targets", &target.name), member);
        if exchanges && target.token_of.is_some() {
            return fail(
                &at("user_token"),
                "\"exchange\" needs a request of its own, and token_of takes the token of another target: \
                 remove token_of, or choose \"pass\" or \"never\"",
            );
        }
        if exchanges && matches!(target.grant, Grant::Bare { .. }) {
            return fail(
                &at("user_token"),
                "\"exchange\" has to send the user's token, and a bare request has no parameters: \
                 choose \"pass\" or \"never\", or another grant",
            );
        }
        if client.static_token.is_some() {
            if exchanges {
                return fail(
                    &at("user_token"),
                    "\"exchange\" has to request a token, and with client.static_token none is requested: \
                     choose \"pass\" or \"never\"",
                );
            }
            if target.grant != Grant::ClientCredentials {
                return fail(
                    &at("grant"),
                    "has no effect, because client.static_token is the token: remove one of the two",
                );
            }
            continue;
        }
        if target.token_of.is_some() || identified {
            continue;
        }
        let name = &target.name;
        match target.grant {
            Grant::ClientCredentials => {
                return fail(
                    "client.credentials",
                    format!(
                        "missing: target {name} gets its token by client_credentials, so write client_id and \
                         client_secret, or client.registration, or choose another grant for it"
                    ),
                );
            }
            Grant::TokenExchange { .. } if client.auth != AuthMethod::None => {
                return fail(
                    "client.credentials",
                    format!(
                        "missing: write client_id and client_secret, or set client.auth to \"none\" \
                         if the exchange for target {name} needs no client authentication"
                    ),
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// Two targets must not claim the same calls.
fn prefixes(targets: &[Target]) -> Result<(), Error> {
    let mut owners: Vec<(&Target, usize)> = vec![];
    let mut prefixes: Vec<String> = vec![];
    for target in targets {
        for (index, url) in target.urls.iter().enumerate() {
            owners.push((target, index));
            prefixes.push(format!(
                "{}{}",
                url.origin(),
                url.path().trim_end_matches('/')
            ));
        }
    }
    for pair in sorted(prefixes.iter().map(String::as_str)).windows(2) {
        if let [(prefix, first), (same, second)] = pair
            && prefix == same
        {
            let ((first, _), (second, index)) = (owners[*first], owners[*second]);
            let message = match first.name == second.name {
                true => "stands here twice: remove one".to_owned(),
                false => format!(
                    "the same URL as one of target {}: a call there could not be told apart; \
                     give it to one of the two, or make one path longer",
                    first.name
                ),
            };
            return fail(&url_path(second, index), message);
        }
    }
    Ok(())
}

fn store(config: &Config) -> Result<(), Error> {
    if config.store.is_some() {
        return Ok(());
    }
    if config.client.registration.is_some() {
        return fail(
            "store",
            "missing: write {\"file\": …}; client.registration keeps there what the server answered, \
             or each start would register another client",
        );
    }
    if let Some(target) = config.targets.iter().find(|target| spends_tokens(target)) {
        return fail(
            "store",
            format!(
                "missing: write {{\"file\": …}}; target {} keeps there which one-use refresh tokens are spent. \
                 Or set refresh_tokens in its grant to \"reusable\" or \"ignore\"",
                target.name
            ),
        );
    }
    Ok(())
}

/// Whether the target's tokens must be saved before they are used.
pub(super) fn spends_tokens(target: &Target) -> bool {
    matches!(
        &target.grant,
        Grant::TokenExchange {
            refresh_tokens: RefreshTokens::OneUse,
            ..
        }
    )
}

fn schedule(config: &Config) -> Result<(), Error> {
    let schedule = &config.schedule;
    let pairs = [
        (
            "backoff",
            schedule.backoff_initial_ms,
            schedule.backoff_max_ms,
        ),
        (
            "rate_limited",
            schedule.rate_limited_initial_ms,
            schedule.rate_limited_max_ms,
        ),
        (
            "refused",
            schedule.refused_initial_ms,
            schedule.refused_max_ms,
        ),
    ];
    for (name, initial, max) in pairs {
        if max < initial {
            return fail(
                &format!("schedule.{name}_max_s"),
                format!(
                    "less than schedule.{name}_initial_s: make it at least {}",
                    in_seconds(initial)
                ),
            );
        }
    }
    // The earliest refresh must leave a part of each life in which nothing is asked for.
    if schedule.refresh_window_fraction * (1.0 + schedule.jitter) > 0.9 {
        return fail(
            "schedule.refresh_window_fraction",
            "with schedule.jitter added it is more than 0.9 of a token's life, so that each token would be \
             refreshed as soon as it came: make one of the two smaller",
        );
    }
    if schedule.refresh_window_ms < schedule.serve_margin_ms {
        return fail(
            "schedule.refresh_window_s",
            "less than schedule.serve_margin_s, so that tokens would be put away before they are refreshed: \
             make it larger, or the margin smaller",
        );
    }
    if schedule.refresh_window_fraction < schedule.serve_margin_fraction {
        return fail(
            "schedule.refresh_window_fraction",
            "less than schedule.serve_margin_fraction, so that tokens would be put away before they are \
             refreshed: make it larger, or the margin smaller",
        );
    }
    Ok(())
}

fn tls(config: &Config) -> Result<(), Error> {
    let tls = &config.tls;
    if tls.only_ca_file && tls.ca_file.is_none() {
        return fail(
            "tls.ca_file",
            "missing: with tls.only_ca_file nothing else is trusted, so name the file of authorities",
        );
    }
    match (&tls.certificate_file, &tls.key_file) {
        (Some(_), None) => fail(
            "tls.key_file",
            "missing: name the file with the key that belongs to tls.certificate_file",
        ),
        (None, Some(_)) => fail(
            "tls.certificate_file",
            "missing: name the file with the certificate that belongs to tls.key_file",
        ),
        _ => Ok(()),
    }
}

fn url_path(target: &Target, index: usize) -> String {
    format!("{}[{index}]", join(&join("targets", &target.name), "urls"))
}

fn fail<T>(path: &str, message: impl Into<String>) -> Result<T, Error> {
    Err(invalid(path.to_owned(), message))
}
