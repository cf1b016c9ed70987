//! From the JSON document to the types, member by member.

mod client;
mod target;

use super::{
    Config, Discovery, Endpoints, Limits, Proxy, Schedule, StoreConfig, Timeouts, Tls, invalid,
};
use crate::{
    Code, Error,
    wire::{
        Origin,
        json::{self, Field, Members, Value},
    },
};
use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};
use core::ops::RangeInclusive;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// A pause between two requests; zero would be a storm.
const PAUSE: RangeInclusive<u64> = 100..=DAY;
/// The time that one task may take.
const PATIENCE: RangeInclusive<u64> = 10..=HOUR;

/// The document, read but not yet checked for contradictions.
pub(super) fn document(text: &[u8]) -> Result<Config, Error> {
    let value = json::parse(text).map_err(|error| unreadable(text, &error))?;
    let Value::Object(object) = &value else {
        return Err(invalid(
            String::new(),
            "expected an object: the configuration starts with { and ends with }",
        ));
    };
    let members = Members::document(
        object,
        &[
            "$schema",
            "issuer",
            "endpoints",
            "discovery",
            "client",
            "targets",
            "insecure_http",
            "allow_missing_token_type",
            "allow_form_answer",
            "allowed_registration_origins",
            "store",
            "schedule",
            "timeouts",
            "limits",
            "tls",
            "proxy",
        ],
        Code::InvalidConfiguration,
    )?;
    Ok(Config {
        issuer: members.get("issuer").url()?,
        endpoints: endpoints(&members.get("endpoints"))?,
        discovery: members.get("discovery").choice(&[
            ("auto", Discovery::Auto),
            ("openid", Discovery::Openid),
            ("oauth", Discovery::Oauth),
        ])?,
        client: client::client(&members.get("client"))?,
        targets: target::targets(&members.get("targets"))?,
        insecure_http: members.get("insecure_http").origins()?,
        allow_missing_token_type: members.get("allow_missing_token_type").boolean(false)?,
        allow_form_answer: members.get("allow_form_answer").boolean(false)?,
        allowed_registration_origins: members.get("allowed_registration_origins").origins()?,
        store: store(members.get("store"))?,
        schedule: schedule(&members.get("schedule"))?,
        timeouts: timeouts(&members.get("timeouts"))?,
        limits: limits(&members.get("limits"))?,
        tls: tls(&members.get("tls"))?,
        proxy: proxy(&members.get("proxy"))?,
    })
}

/// The error about a text that is no JSON, with line and column for people and the offset for programs.
fn unreadable(text: &[u8], error: &Error) -> Error {
    let message = error.message();
    let Some(offset) = error.offset() else {
        return invalid(String::new(), message);
    };
    let before = text.get(..offset).unwrap_or(text);
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before
        .rsplit(|byte| *byte == b'\n')
        .next()
        .map_or(0, <[u8]>::len)
        + 1;
    invalid(
        String::new(),
        format!("line {line}, column {column}: {message}"),
    )
    .at_offset(offset)
}

fn endpoints(field: &Field<'_>) -> Result<Endpoints, Error> {
    let members = field.members(&["token", "authorization", "registration"])?;
    Ok(Endpoints {
        token: members.get("token").url()?,
        authorization: members.get("authorization").url()?,
        registration: members.get("registration").url()?,
    })
}

fn store(field: Field<'_>) -> Result<Option<StoreConfig>, Error> {
    let Some(field) = field.present() else {
        return Ok(None);
    };
    let members = field.members(&["file"])?;
    let advice = "name the file that keeps state, such as \"/var/lib/bss/svcauth.json\"";
    let file = file(&members.get("file").required(advice)?)?.unwrap_or_default();
    Ok(Some(StoreConfig { file }))
}

fn schedule(field: &Field<'_>) -> Result<Schedule, Error> {
    let members = field.members(&[
        "refresh_window_s",
        "refresh_window_fraction",
        "jitter",
        "serve_margin_s",
        "serve_margin_fraction",
        "refresh_floor_s",
        "backoff_initial_s",
        "backoff_max_s",
        "rate_limited_initial_s",
        "rate_limited_max_s",
        "refused_initial_s",
        "refused_max_s",
        "retry_after_max_s",
        "rejection_cooldown_s",
        "secret_poll_s",
        "metadata_lifetime_s",
        "keep_fresh",
    ])?;
    let defaults = Schedule::default();
    let time = |name, default, range| members.get(name).milliseconds(default, range);
    let fraction = |name, default| members.get(name).fraction(default);
    let pause = |name, default| time(name, default, PAUSE);
    let schedule = Schedule {
        refresh_window_ms: time("refresh_window_s", defaults.refresh_window_ms, 0..=DAY)?,
        refresh_window_fraction: fraction(
            "refresh_window_fraction",
            defaults.refresh_window_fraction,
        )?,
        jitter: fraction("jitter", defaults.jitter)?,
        serve_margin_ms: time("serve_margin_s", defaults.serve_margin_ms, 0..=HOUR)?,
        serve_margin_fraction: fraction("serve_margin_fraction", defaults.serve_margin_fraction)?,
        refresh_floor_ms: pause("refresh_floor_s", defaults.refresh_floor_ms)?,
        backoff_initial_ms: pause("backoff_initial_s", defaults.backoff_initial_ms)?,
        backoff_max_ms: pause("backoff_max_s", defaults.backoff_max_ms)?,
        rate_limited_initial_ms: pause("rate_limited_initial_s", defaults.rate_limited_initial_ms)?,
        rate_limited_max_ms: pause("rate_limited_max_s", defaults.rate_limited_max_ms)?,
        refused_initial_ms: pause("refused_initial_s", defaults.refused_initial_ms)?,
        refused_max_ms: pause("refused_max_s", defaults.refused_max_ms)?,
        retry_after_max_ms: pause("retry_after_max_s", defaults.retry_after_max_ms)?,
        rejection_cooldown_ms: pause("rejection_cooldown_s", defaults.rejection_cooldown_ms)?,
        secret_poll_ms: pause("secret_poll_s", defaults.secret_poll_ms)?,
        metadata_lifetime_ms: time(
            "metadata_lifetime_s",
            defaults.metadata_lifetime_ms,
            SECOND..=30 * DAY,
        )?,
        keep_fresh: members.get("keep_fresh").boolean(defaults.keep_fresh)?,
    };
    Ok(schedule)
}

fn timeouts(field: &Field<'_>) -> Result<Timeouts, Error> {
    let members = field.members(&["connect_s", "request_s", "secret_s", "store_s", "wait_s"])?;
    let defaults = Timeouts::default();
    let time = |name, default| members.get(name).milliseconds(default, PATIENCE);
    Ok(Timeouts {
        connect_ms: time("connect_s", defaults.connect_ms)?,
        request_ms: time("request_s", defaults.request_ms)?,
        secret_ms: time("secret_s", defaults.secret_ms)?,
        store_ms: time("store_s", defaults.store_ms)?,
        wait_ms: members
            .get("wait_s")
            .milliseconds(defaults.wait_ms, 0..=HOUR)?,
    })
}

fn limits(field: &Field<'_>) -> Result<Limits, Error> {
    let members = field.members(&["answer_bytes", "subjects", "events"])?;
    let defaults = Limits::default();
    let count = |name, default, range| members.get(name).count(default, range);
    Ok(Limits {
        answer_bytes: count("answer_bytes", defaults.answer_bytes, 1_024..=1_048_576)?,
        subjects: count("subjects", defaults.subjects, 1..=100_000)?,
        events: count("events", defaults.events, 1..=65_536)?,
    })
}

fn tls(field: &Field<'_>) -> Result<Tls, Error> {
    let members = field.members(&["ca_file", "only_ca_file", "certificate_file", "key_file"])?;
    Ok(Tls {
        ca_file: file(&members.get("ca_file"))?,
        only_ca_file: members.get("only_ca_file").boolean(false)?,
        certificate_file: file(&members.get("certificate_file"))?,
        key_file: file(&members.get("key_file"))?,
    })
}

fn proxy(field: &Field<'_>) -> Result<Proxy, Error> {
    const SHAPE: &str = "\"environment\", \"none\" or a URL such as \"http://proxy.example:3128\"";
    let text = match field.text(SHAPE)? {
        None | Some("environment") => return Ok(Proxy::Environment),
        Some("none") => return Ok(Proxy::None),
        Some(text) => text,
    };
    if text.contains('@') {
        return Err(field.error(
            "holds a user name or password: leave proxy out and set HTTPS_PROXY in the environment",
        ));
    }
    match Origin::parse(text.strip_suffix('/').unwrap_or(text)) {
        Ok(origin) => Ok(Proxy::Url(origin.to_string())),
        Err(_) => Err(field.error(format!("must be {SHAPE}"))),
    }
}

/// The name of a file.
fn file(field: &Field<'_>) -> Result<Option<String>, Error> {
    Ok(field.text("the name of a file")?.map(ToOwned::to_owned))
}
