//! Answers as servers and what stands before them garble them.

use crate::{
    clock,
    random::Random,
    server::{Meaning, Reply},
};
use serde_json::{Value, json};
use svcauth_core::wire::Request;

/// An answer instead of the server's, which has not looked at the request.
pub(crate) fn refusal(random: &mut Random) -> Reply {
    match random.below(9) {
        0 => Reply::error(400, "invalid_request", Meaning::Refused),
        1 => Reply::error(400, "invalid_scope", Meaning::Refused),
        2 => Reply::error(403, "access_denied", Meaning::Refused),
        3 => Reply::error(400, "unauthorized_client", Meaning::Refused),
        4 => text(404, "text/plain", "404 page not found", Meaning::Refused),
        5 => text(413, "text/html", "<html>too large</html>", Meaning::Refused),
        6 => Reply::error(405, "unsupported_grant_type", Meaning::Refused),
        7 => {
            let mut reply = Reply::error(401, "invalid_client", Meaning::ClientRefused);
            reply
                .headers
                .push(("WWW-Authenticate".into(), "Basic realm=\"auth\"".into()));
            reply
        }
        _ => text(
            401,
            "text/html",
            "<html>who are you</html>",
            Meaning::ClientRefused,
        ),
    }
}

/// 429 and 503, which say that the request was not looked at.
pub(crate) fn overload(random: &mut Random) -> Reply {
    let wait = match random.below(4) {
        0 => Some(0),
        1 => Some(random.between(1, 20)),
        2 => Some(100_000),
        _ => None,
    };
    let asked = wait.map(|seconds| seconds * 1000);
    let mut reply = if random.chance(500) {
        Reply::error(429, "slow_down", Meaning::RateLimited(asked))
    } else {
        text(
            503,
            "text/html",
            "<html>busy</html>",
            Meaning::ServerError(asked),
        )
    };
    if let Some(seconds) = wait {
        reply
            .headers
            .push(("Retry-After".into(), seconds.to_string()));
    }
    reply
}

/// Whatever the server said, this arrives.
pub(crate) fn broken(request: &Request, random: &mut Random) -> Reply {
    let body = String::from_utf8_lossy(request.body.expose()).into_owned();
    let authorization = request.header("authorization").unwrap_or("").to_owned();
    match random.below(8) {
        0 => text(
            500,
            "text/html",
            "<html>oops</html>",
            Meaning::ServerError(None),
        ),
        1 => text(
            502,
            "text/plain",
            &format!("upstream: {authorization} {body}"),
            Meaning::ServerError(None),
        ),
        2 => text(
            200,
            "text/html",
            &format!("<html>{body}</html>"),
            Meaning::Odd,
        ),
        3 => text(200, "application/json", "", Meaning::Odd),
        4 => Reply::json(200, &json!({ "message": authorization }), Meaning::Odd),
        5 => {
            let mut reply = text(302, "text/html", "", Meaning::Odd);
            reply
                .headers
                .push(("Location".into(), format!("https://elsewhere.sim/?{body}")));
            reply
        }
        6 => Reply::json(
            200,
            &json!({ "error": "server_error", "error_description": body }),
            Meaning::Odd,
        ),
        _ => Reply::json(
            400,
            &json!({ "error": "invalid_request", "error_description": format!("{authorization} {body}") }),
            Meaning::Refused,
        ),
    }
}

/// The server's answer, its members garbled: each row of the policy about token answers.
pub(crate) fn garbled(reply: Reply, now: u64, random: &mut Random) -> Reply {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else {
        return reply;
    };
    let reply = Reply {
        meaning: Meaning::Odd,
        ..reply
    };
    match random.below(34) {
        0 => body["expires_in"] = json!(body["expires_in"].to_string()),
        1 => body["expires_in"] = json!(body["expires_in"].as_f64().unwrap_or(1.0) + 0.9),
        2 => body["expires_in"] = Value::Null,
        3 => remove(&mut body, "expires_in"),
        4 => body["expires_in"] = json!(0),
        5 => body["expires_in"] = json!(-5),
        6 => body["expires_in"] = json!("12abc"),
        7 => body["expires_in"] = json!(""),
        8 => body["expires_in"] = json!({}),
        9 => {
            let life_ms = body["expires_in"].as_u64().unwrap_or(60) * 1000;
            body["expires_in"] = json!(clock::wall(now + life_ms) / 1000);
        }
        10 => body["expires_in"] = json!(90_000_000_000_u64),
        11 => remove(&mut body, "token_type"),
        12 => body["token_type"] = Value::Null,
        13 => body["token_type"] = json!("BEARER"),
        14 => body["token_type"] = json!("DPoP"),
        15 => body["token_type"] = json!("N_A"),
        16 => body["access_token"] = json!(""),
        17 => body["access_token"] = Value::Null,
        18 => body["access_token"] = json!(17),
        19 => {
            body["access_token"] = json!(format!(
                "{}\r\nx: y",
                body["access_token"].as_str().unwrap_or("")
            ))
        }
        20 => body["error"] = json!("invalid_request"),
        21 => {
            return Reply {
                status: 201,
                ..reply
            };
        }
        22 => return text(200, "text/html", &body.to_string(), Meaning::Odd),
        23 => return form(&body),
        24 => return raw(reply, format!("\u{feff}{body}")),
        25 => {
            let text = body.to_string();
            return raw(reply, text.replacen('{', "{\"expires_in\":5,", 1));
        }
        26 => return raw(reply, format!("{body} ?")),
        27 => return raw(reply, format!("{}{body}", "[".repeat(40))),
        28 => {
            let text = body.to_string();
            return raw(reply, text[..text.len() / 2].to_owned());
        }
        29 => remove(&mut body, "scope"),
        30 => body["scope"] = json!(["read", "write"]),
        31 => body["scope"] = json!(""),
        32 => body["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:access-token"),
        // Never the refresh token: an answer without one says that the old one stays good.
        _ => remove(&mut body, "issued_token_type"),
    }
    raw(reply, body.to_string())
}

fn remove(body: &mut Value, name: &str) {
    if let Some(members) = body.as_object_mut() {
        members.remove(name);
    }
}

fn raw(reply: Reply, body: String) -> Reply {
    Reply {
        body: body.into_bytes(),
        ..reply
    }
}

fn text(status: u16, content_type: &str, body: &str, meaning: Meaning) -> Reply {
    Reply {
        status,
        headers: vec![("content-type".into(), content_type.into())],
        body: body.as_bytes().to_vec(),
        meaning,
    }
}

fn form(body: &Value) -> Reply {
    let pairs: Vec<String> = body
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            format!(
                "{name}={}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            )
        })
        .collect();
    text(
        200,
        "application/x-www-form-urlencoded",
        &pairs.join("&"),
        Meaning::Odd,
    )
}
