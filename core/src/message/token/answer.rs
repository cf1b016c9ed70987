//! Reading the answer of the token endpoint.

use super::{TokenAnswer, TokenGrant, TokenRequest};
use crate::{
    Code, Error, Secret,
    message::failure,
    wire::{
        Response, form, is_token,
        json::{self, Object, Value},
    },
};
use alloc::{string::String, vec::Vec};

const MEMBERS: [&str; 10] = [
    "access_token",
    "token_type",
    "expires_in",
    "scope",
    "refresh_token",
    "refresh_expires_in",
    "issued_token_type",
    "error",
    "error_description",
    "error_uri",
];

/// The known members by their place in [`MEMBERS`], and the others.
type Members = ([Option<Value>; MEMBERS.len()], Object);

/// A form with more pairs is no token answer.
const MOST_PAIRS: usize = 64;

pub(super) fn parse(message: &TokenRequest<'_>, response: &Response) -> Result<TokenAnswer, Error> {
    if !(200..=299).contains(&response.status) {
        return Err(failure::of(response, &message.secrets()));
    }
    let content_type = ContentType::of(response);
    let is_form = content_type != ContentType::Json && !starts_an_object(response.body.expose());
    let members = if is_form {
        form_members(message, response)
    } else {
        json_members(response)
    };
    let (members, mut extra) =
        members.map_err(|error| failure::unreadable(&error, response, &message.secrets()))?;
    let [
        token,
        kind,
        expires_in,
        scope,
        refresh_token,
        refresh_life,
        issued,
        error,
        text,
        uri,
    ] = members;
    let wrong = |code, member: &'static str, why: &'static str| {
        Err(Error::new(code, why)
            .at(member)
            .with_status(response.status))
    };

    if error.as_ref().is_some_and(|error| !error.is_null()) {
        let secrets = message.secrets();
        return Err(
            match failure::oauth_of(error.as_ref(), text.as_ref(), uri.as_ref(), &secrets) {
                Some(oauth) => failure::refused(oauth, response, &secrets),
                None => {
                    let why = "the answer has a member `error` that is no text";
                    failure::malformed(why, response, &secrets)
                }
            },
        );
    }
    if token.is_none() && kind.is_none() {
        let why = "the answer is neither a token nor an error";
        return Err(failure::malformed(why, response, &message.secrets()));
    }

    let Some(access_token) = secret(token).filter(|token| is_token(token.expose())) else {
        return wrong(
            Code::InvalidAccessToken,
            "access_token",
            "the access token is missing, empty, no text, or holds a character that no header may carry",
        );
    };
    match kind.as_ref().filter(|kind| !kind.is_null()) {
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        None if message.rules.allow_missing_token_type => {}
        None => {
            return wrong(
                Code::MissingTokenType,
                "token_type",
                "the answer does not say of which type the token is; set allow_missing_token_type to take it \
                 for a Bearer token",
            );
        }
        Some(_) => {
            return wrong(
                Code::UnexpectedTokenType,
                "token_type",
                "the token is not a Bearer token",
            );
        }
    }
    let issued_token_type = issued.and_then(Value::into_string);
    if let TokenGrant::TokenExchange {
        requested_token_type: Some(requested),
        ..
    } = message.grant
        && issued_token_type
            .as_ref()
            .is_some_and(|issued| !is_same_type(requested, issued))
    {
        return wrong(
            Code::UnexpectedTokenType,
            "issued_token_type",
            "the token is of another type than the one asked for",
        );
    }
    let Ok(expires_in) = seconds(expires_in.as_ref()) else {
        return wrong(
            Code::InvalidExpiresIn,
            "expires_in",
            "the token's life is not a number of seconds, so it cannot be kept",
        );
    };
    let Ok(scopes) = scopes(scope) else {
        return wrong(
            Code::MalformedAnswer,
            "scope",
            "the granted scopes are not a list of at most 1,000 words",
        );
    };
    if refresh_token
        .as_ref()
        .is_some_and(|token| !token.is_null() && token.as_str().is_none())
    {
        return wrong(
            Code::MalformedAnswer,
            "refresh_token",
            "the refresh token is no text",
        );
    }

    for (name, value) in [("error_description", text), ("error_uri", uri)] {
        if let Some(value) = value {
            extra.insert(name, value);
        }
    }
    Ok(TokenAnswer {
        access_token,
        expires_in,
        scopes,
        refresh_token: secret(refresh_token).filter(|token| !token.is_empty()),
        refresh_expires_in: seconds(refresh_life.as_ref()).unwrap_or_default(),
        issued_token_type,
        content_type_mismatch: content_type != ContentType::Json && !is_form,
        extra,
    })
}

fn json_members(response: &Response) -> Result<Members, Error> {
    json::members(response.body.expose(), &MEMBERS)
}

fn form_members(message: &TokenRequest<'_>, response: &Response) -> Result<Members, Error> {
    let body = response.body.expose();
    let malformed = |why| Err(Error::new(Code::MalformedAnswer, why));
    if !message.rules.allow_form_answer {
        if ContentType::of(response) == ContentType::Form && !body.is_empty() {
            return malformed("the answer is form-encoded; set allow_form_answer to accept it");
        }
        return json_members(response);
    }
    if body.len() > json::MAX_BYTES {
        return malformed("the text is longer than 1 MiB");
    }
    let pairs = form::parse(body)?;
    if pairs.len() > MOST_PAIRS {
        return malformed("the form has more than 64 pairs");
    }
    let mut members = [const { None }; MEMBERS.len()];
    let mut extra = Object::new();
    for (name, value) in pairs {
        let earlier = match MEMBERS.iter().position(|member| *member == name) {
            Some(at) => members[at].replace(Value::String(value)),
            None => extra.insert(name, value),
        };
        if earlier.is_some() {
            return malformed("a parameter appears twice in the form");
        }
    }
    Ok((members, extra))
}

#[derive(Clone, Copy, PartialEq)]
enum ContentType {
    Json,
    Form,
    Other,
}

impl ContentType {
    fn of(response: &Response) -> ContentType {
        let value = response.field("content-type").unwrap_or_default();
        let end = value
            .bytes()
            .position(|byte| byte == b';')
            .unwrap_or(value.len());
        let media_type = value[..end].trim_matches([' ', '\t']);
        let is = |known: &str| media_type.eq_ignore_ascii_case(known);
        // RFC 6839 section 3.1: whatever ends in +json is JSON.
        let suffix = media_type
            .len()
            .checked_sub("+json".len())
            .and_then(|at| media_type.get(at..));
        if is("application/json") || suffix.is_some_and(|end| end.eq_ignore_ascii_case("+json")) {
            ContentType::Json
        } else if is("application/x-www-form-urlencoded") {
            ContentType::Form
        } else {
            ContentType::Other
        }
    }
}

fn starts_an_object(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn secret(value: Option<Value>) -> Option<Secret> {
    value?.into_string().map(Secret::from)
}

/// A number of seconds, rounded down: an integer, a fraction, or either as a text.
fn seconds(value: Option<&Value>) -> Result<Option<u64>, ()> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match (number.as_u64(), number.as_f64()) {
            (Some(seconds), _) => Ok(Some(seconds)),
            // The conversion rounds down and ends at the largest integer.
            (None, seconds) if seconds >= 0.0 => Ok(Some(seconds as u64)),
            _ => Err(()),
        },
        Some(Value::String(text)) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let is_number =
                |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if is_number(whole) && is_number(fraction) {
                Ok(Some(whole.parse().unwrap_or(u64::MAX)))
            } else {
                Err(())
            }
        }
        Some(_) => Err(()),
    }
}

/// How many scopes are kept of an answer: each takes many times the memory of its few bytes.
const MAX_SCOPES: usize = 1000;

/// The words of a text, or of an array of texts. A control character, which would end a line of a log or steer a
/// terminal, is no part of a word.
fn scopes(value: Option<Value>) -> Result<Option<Vec<String>>, ()> {
    let mut scopes = Vec::new();
    match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(ref texts)) => {
            texts
                .iter()
                .try_for_each(|text| add_words(&mut scopes, text.as_str().ok_or(())?))?;
        }
        Some(value) => {
            let text = value.into_string().ok_or(())?;
            let odd = |byte: u8| byte <= b' ' || byte >= 0x7f;
            match text.bytes().any(odd) || text.is_empty() {
                true => add_words(&mut scopes, &text)?,
                false => scopes.push(text),
            }
        }
    }
    Ok(Some(scopes))
}

fn add_words(words: &mut Vec<String>, text: &str) -> Result<(), ()> {
    if text.chars().any(char::is_control) {
        return Err(());
    }
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if words.len() == MAX_SCOPES {
            return Err(());
        }
        words.push(word.into());
    }
    Ok(())
}

/// TokenSmith writes the types of RFC 8693 section 3 with hyphens.
fn is_same_type(requested: &str, issued: &str) -> bool {
    let hyphens = |text: &str| text.replace('_', "-");
    hyphens(requested) == hyphens(issued)
}
