//! `svcauth call`: one call with the right token.

use crate::{
    arguments::{CallOptions, Common},
    failure::{self, Failure},
    output::Output,
    secret,
    session::{Session, seconds, without_query, without_secrets},
};
use base64ct::{Base64, Encoding};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    time::{Duration, Instant},
};
use svcauth::{
    Code, Event, Secret,
    core::{
        client::{Answered, Attempt, Call, Decision, Lease},
        wire::Url,
    },
    host::{proxy::Proxies, tls},
    ureq::{
        self, Agent, Body,
        http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header},
    },
};

/// What is sent, as often as it is sent.
struct Sending {
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

/// What came of it.
struct Answer {
    response: Response<Body>,
    target: Option<String>,
    /// `service` or `user`, as in the event `call`.
    kind: &'static str,
    retried: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    url: &'a str,
    method: &'a str,
    status: u16,
    target: Option<&'a str>,
    kind: &'a str,
    retried: bool,
    headers: BTreeMap<&'a str, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

pub(crate) fn run(options: &CallOptions, common: &Common, output: &Output) -> Result<u8, Failure> {
    let sending = sending(options)?;
    let user_token = secret::user_token(options.user_token_file.as_deref())?;
    let mut session = Session::open(common, output)?;
    let agent = agent(&session, seconds(options.max_time)?)?;
    let answer = send(&mut session, &agent, &sending, user_token.as_ref())?;
    let status = answer.response.status().as_u16();
    show(&sending, answer, options.include, output)?;
    Ok(if status >= 400 { failure::STATUS } else { 0 })
}

/// The status that a GET of `url` brings, with the token that belongs to it.
pub(crate) fn probe(session: &mut Session<'_>, url: &str) -> Result<u16, Failure> {
    let sending = Sending {
        url: Url::parse(url)?,
        method: Method::GET,
        headers: HeaderMap::new(),
        body: None,
    };
    let agent = agent(
        session,
        Duration::from_millis(session.config.timeouts.request_ms),
    )?;
    let answer = send(session, &agent, &sending, None)?;
    Ok(answer.response.status().as_u16())
}

fn sending(options: &CallOptions) -> Result<Sending, Failure> {
    let url = Url::parse(&options.url).map_err(|error| {
        Failure::new(
            error.code(),
            without_secrets(&options.url),
            error.message().to_owned(),
        )
    })?;
    let method = options
        .method
        .as_deref()
        .unwrap_or(if options.data.is_some() {
            "POST"
        } else {
            "GET"
        });
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| {
        Failure::new(
            Code::InvalidArgument,
            "-X",
            format!("{method:?} is no HTTP method"),
        )
    })?;
    let mut headers = HeaderMap::new();
    for field in &options.headers {
        let (name, value) = header(field)?;
        headers.append(name, value);
    }
    let body = options.data.as_deref().map(body).transpose()?;
    if let Some(body) = &body
        && !headers.contains_key(header::CONTENT_TYPE)
    {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
        let kind = if is_json {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(Sending {
        url,
        method,
        headers,
        body,
    })
}

/// The field is not repeated in errors: it may hold something secret.
fn header(field: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let wrong = |sentence: &str| Failure::new(Code::InvalidArgument, "-H", sentence);
    let (name, value) = field
        .split_once(':')
        .ok_or_else(|| wrong("a header field is written 'name: value'"))?;
    let name = HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| wrong("the name before the colon is no name of a header field"))?;
    if name == header::AUTHORIZATION || name == header::PROXY_AUTHORIZATION {
        return Err(wrong(
            "credentials are no arguments, everybody on this machine could read them; the target's token is added by \
             itself, a user's token comes from --user-token-file",
        ));
    }
    let value = HeaderValue::from_str(value.trim()).map_err(|_| {
        wrong("the value after the colon holds characters that no header field has")
    })?;
    Ok((name, value))
}

fn body(data: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let (read, place) = match (data, data.strip_prefix('@')) {
        ("-" | "@-", _) => (io::stdin().lock().read_to_end(&mut bytes), "stdin"),
        (_, Some(path)) => (
            File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
            path,
        ),
        _ => return Ok(data.as_bytes().to_vec()),
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => {
            let sentence =
                format!("the body cannot be read: {error}; write -d @FILE, or -d - for stdin");
            Err(Failure::new(Code::InvalidArgument, place, sentence))
        }
    }
}

fn agent(session: &Session<'_>, time: Duration) -> Result<Agent, Failure> {
    let config = &session.config;
    Ok(Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("svcauth/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls::settings(&config.tls)?)
        .proxy(None)
        .timeout_connect(Some(Duration::from_millis(config.timeouts.connect_ms)))
        .timeout_global(Some(time))
        .allow_non_standard_methods(true)
        .build()
        .into())
}

fn send(
    session: &mut Session<'_>,
    agent: &Agent,
    sending: &Sending,
    user_token: Option<&Secret>,
) -> Result<Answer, Failure> {
    let call = Call {
        url: sending.url.as_str(),
        user_token: user_token.map(Secret::expose),
        ..Call::default()
    };
    let calls = session.client.calls();
    let (target, subject) = match calls.decide(&call) {
        Decision::Refuse(error) => return Err(error.into()),
        decision @ Decision::UserToken { .. } => {
            let authorization = decision.authorization().unwrap_or_default();
            let response = send_once(session, agent, sending, authorization.expose())?;
            let event = calls.event(&call, &decision, &attempt(sending, &response, None, false));
            return Ok(noted(session, &event, response));
        }
        Decision::Lease { target, subject } => (target, subject),
        _ => return Err(no_target(session, &sending.url)),
    };
    let mut lease = session.lease(target, subject)?;
    // Metadata that came with the token may have named the URL as an endpoint of the client's own.
    let calls = session.client.calls();
    let decision = calls.decide(&call);
    if !matches!(decision, Decision::Lease { .. }) {
        return Err(no_target(session, &sending.url));
    }
    let mut response = send_once(session, agent, sending, lease.authorization())?;
    let mut retried = false;
    let challenges: Vec<String> = response
        .headers()
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    let asked = calls.answered(
        &decision,
        response.status().as_u16(),
        challenges.iter().map(String::as_str),
        true,
    );
    if asked == Answered::Retry
        && let Some(other) = session.replace(target, subject, &lease)
    {
        response = send_once(session, agent, sending, other.authorization())?;
        lease = other;
        retried = true;
    }
    let attempt = attempt(sending, &response, Some(&lease), retried);
    let event = calls.event(&call, &decision, &attempt);
    Ok(noted(session, &event, response))
}

fn attempt<'a>(
    sending: &'a Sending,
    response: &Response<Body>,
    lease: Option<&'a Lease>,
    retried: bool,
) -> Attempt<'a> {
    Attempt {
        method: sending.method.as_str(),
        lease,
        status: Some(response.status().as_u16()),
        retried,
    }
}

/// Tells the audit trail's entry, which says what the call was.
fn noted(session: &Session<'_>, event: &Event, response: Response<Body>) -> Answer {
    session.output().event(event);
    let (target, kind, retried) = match event {
        Event::Call {
            target,
            kind,
            retried,
            ..
        } => (target.clone(), *kind, *retried),
        _ => (None, "none", false),
    };
    Answer {
        response,
        target,
        kind,
        retried,
    }
}

fn send_once(
    session: &Session<'_>,
    agent: &Agent,
    sending: &Sending,
    authorization: &str,
) -> Result<Response<Body>, Failure> {
    let url = &sending.url;
    let invalid = |sentence: String| {
        Failure::new(Code::InvalidArgument, without_query(url.as_str()), sentence)
    };
    let mut value = HeaderValue::from_str(authorization)
        .map_err(|_| invalid("the token holds characters that no header field has".to_owned()))?;
    value.set_sensitive(true);
    let mut request = Request::builder()
        .method(sending.method.clone())
        .uri(url.as_str());
    for (name, value) in &sending.headers {
        request = request.header(name, value);
    }
    request = request.header(header::AUTHORIZATION, value);
    let proxies = Proxies::new(&session.config.proxy)?;
    let proxy = proxies.of(url.is_https()).cloned();
    let started = Instant::now();
    let sent = match &sending.body {
        Some(body) => request
            .body(body.as_slice())
            .map_err(ureq::Error::from)
            .and_then(|request| agent.run(agent.configure_request(request).proxy(proxy).build())),
        None => request
            .body(())
            .map_err(ureq::Error::from)
            .and_then(|request| agent.run(agent.configure_request(request).proxy(proxy).build())),
    };
    let took = started.elapsed().as_millis();
    let what = format!("{} {}", sending.method, without_query(url.as_str()));
    match sent {
        Ok(response) => {
            session.output().step(&format!(
                "{what} -> {} ({took} ms)",
                response.status().as_u16()
            ));
            Ok(response)
        }
        Err(error) => {
            session
                .output()
                .step(&format!("{what} -> no answer ({took} ms)"));
            let way = url
                .as_str()
                .parse()
                .map(|uri| proxies.on_the_way(&uri))
                .unwrap_or_default();
            Err(unanswered(&error, url, &way))
        }
    }
}

fn unanswered(error: &ureq::Error, url: &Url, way: &str) -> Failure {
    use ureq::Error::*;
    let (code, sentence) = match error {
        Timeout(_) => (
            Code::Timeout,
            "no answer in time; check the service, or wait longer (--max-time)".to_owned(),
        ),
        Tls(_) | Pem(_) | Rustls(_) | TlsRequired => (
            Code::TlsFailed,
            format!("TLS failed; check the certificate, tls.ca_file and the clocks: {error}"),
        ),
        Io(cause)
            if cause
                .get_ref()
                .is_some_and(|inner| inner.to_string().contains("ertificate")) =>
        {
            (
                Code::TlsFailed,
                format!("TLS failed; check the certificate, tls.ca_file and the clocks: {cause}"),
            )
        }
        HostNotFound | ConnectionFailed => (
            Code::ConnectionFailed,
            format!("cannot connect; check the address and that the service runs: {error}{way}"),
        ),
        Io(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => (
            Code::ConnectionFailed,
            format!("cannot connect; check the address and that the service runs: {cause}{way}"),
        ),
        BadUri(_) | Http(_) => (
            Code::InvalidArgument,
            format!("this call cannot be made: {error}"),
        ),
        other => (
            Code::ConnectionBroken,
            format!("the connection broke before the answer was whole: {other}"),
        ),
    };
    Failure::new(code, without_query(url.as_str()), sentence)
}

fn no_target(session: &Session<'_>, url: &Url) -> Failure {
    let targets: Vec<String> = session
        .config
        .targets
        .iter()
        .flat_map(|target| {
            target
                .urls
                .iter()
                .map(move |url| format!("{} ({url})", target.name))
        })
        .collect();
    let known = if targets.is_empty() {
        "none".to_owned()
    } else {
        targets.join(", ")
    };
    Failure::new(
        Code::InvalidArgument,
        without_query(url.as_str()),
        format!("this URL belongs to no target, so there is no token for it; the targets are {known}"),
    )
    .with_advice("add it to a target's urls, or correct it: dots and encoded slashes in the path never match")
}

fn show(sending: &Sending, answer: Answer, include: bool, output: &Output) -> Result<(), Failure> {
    let Answer {
        response,
        target,
        kind,
        retried,
    } = answer;
    let (head, body) = response.into_parts();
    let broken = |error: io::Error| {
        let (code, sentence) = match error.kind() {
            io::ErrorKind::TimedOut => (
                Code::Timeout,
                "the answer took too long; use --max-time".to_owned(),
            ),
            _ => (
                Code::ConnectionBroken,
                format!("the connection broke before the answer was whole: {error}"),
            ),
        };
        Failure::new(code, without_query(sending.url.as_str()), sentence)
    };
    let mut reader = body.into_reader();
    if output.is_json() {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(broken)?;
        let text = std::str::from_utf8(&bytes).ok();
        let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.entry(name.as_str()).or_default().push(value);
        }
        return output.document(&Document {
            url: sending.url.as_str(),
            method: sending.method.as_str(),
            status: head.status.as_u16(),
            target: target.as_deref(),
            kind,
            retried,
            headers,
            body: text,
            body_base64: text.is_none().then(|| Base64::encode_string(&bytes)),
        });
    }
    if include {
        let mut lines = format!("HTTP {}\r\n", head.status);
        for (name, value) in &head.headers {
            lines += &format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
        }
        output.bytes(format!("{lines}\r\n").as_bytes())?;
    }
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer).map_err(broken)? {
            0 => break,
            count => output.bytes(buffer.get(..count).unwrap_or_default())?,
        }
    }
    if head.status.as_u16() >= 400 {
        output.note(&format!(
            "svcauth: {} answered {}",
            without_query(sending.url.as_str()),
            head.status
        ));
    } else if head.status.is_redirection() {
        let place = head
            .headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let place = place.map_or("nowhere", without_query);
        output.note(&format!(
            "svcauth: redirected to {place}, which was not followed; call it if that is right"
        ));
    }
    Ok(())
}
