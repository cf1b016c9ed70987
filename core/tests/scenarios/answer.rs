//! What a step answers a task with.

use serde_json::Value;
use svcauth_core::{
    client::{Outcome, SendFailure},
    wire::Response,
};

/// The outcome that a step's `answer` stands for.
///
/// # Errors
/// It stands for none.
pub(crate) fn outcome(answer: &Value) -> Result<Outcome, String> {
    let text = |member: &str| answer[member].as_str().unwrap_or_default().to_owned();
    let members = answer.as_object().ok_or("an answer is an object")?;
    Ok(
        match members
            .keys()
            .find(|member| *member != "headers")
            .map(String::as_str)
        {
            Some("bytes") => Outcome::Bytes(text("bytes").into()),
            Some("failed") => Outcome::Failed {
                detail: text("failed"),
            },
            Some("unsupported") => Outcome::Unsupported,
            Some("locked") => Outcome::Locked {
                fence: answer["locked"].as_u64().unwrap_or_default(),
            },
            Some("held") => Outcome::Held {
                retry_after_ms: answer["held"].as_u64(),
            },
            Some("stored") => Outcome::Stored {
                version: answer["stored"].as_u64().unwrap_or_default(),
            },
            Some("conflict") => Outcome::Conflict,
            Some("done") => Outcome::Done,
            Some("record" | "version") => Outcome::Record {
                value: answer
                    .get("record")
                    .filter(|record| !record.is_null())
                    .map(|record| record.to_string().into()),
                version: answer["version"].as_u64().unwrap_or_default(),
            },
            Some("fails") => {
                let failure = match answer["fails"].as_str() {
                    Some("refused") => SendFailure::Refused,
                    Some("timeout") => SendFailure::Timeout,
                    Some("tls") => SendFailure::Tls,
                    Some("too_large") => SendFailure::TooLarge,
                    Some("broken") => SendFailure::Broken,
                    _ => return Err(format!("unknown failure {}", answer["fails"])),
                };
                Outcome::SendFailed {
                    failure,
                    detail: String::new(),
                }
            }
            _ => Outcome::Response(response(answer)),
        },
    )
}

fn response(answer: &Value) -> Response {
    let text = |member: &str| answer[member].as_str().unwrap_or_default().to_owned();
    let mut headers = vec![];
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        let values = match value {
            Value::Array(values) => values.clone(),
            value => vec![value.clone()],
        };
        headers.extend(
            values
                .iter()
                .filter_map(Value::as_str)
                .map(|value| (name.clone(), value.into())),
        );
    }
    let body = match answer.get("json") {
        Some(json) => {
            if answer["headers"].get("content-type").is_none() {
                headers.push(("content-type".into(), "application/json".into()));
            }
            json.to_string()
        }
        None => text("text"),
    };
    let status = answer["status"].as_u64().unwrap_or(200) as u16;
    Response {
        status,
        headers,
        body: body.into(),
    }
}
