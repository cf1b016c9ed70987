//! The core's shared store over the proxy's shared data.

use crate::host::{Host, Shared};
use svcauth_core::client::{Outcome, StoreOperation};

/// Answers a task about the shared store.
pub(crate) fn run(key: &str, operation: &StoreOperation, host: &mut impl Host) -> Outcome {
    match operation {
        StoreOperation::Get => match host.shared(key) {
            None => Outcome::Record {
                value: None,
                version: 0,
            },
            Some((value, version)) => Outcome::Record {
                value: Some(value.into()),
                version: u64::from(version),
            },
        },
        StoreOperation::PutIf { version, value } => {
            let version = u32::try_from(*version).ok().filter(|version| *version != 0);
            #[cfg(other_format)]
            let value = &other_format(value);
            match host.share(key, value.expose(), version) {
                Shared::Written => stored(key, value.expose(), host),
                Shared::Conflict => Outcome::Conflict,
                Shared::Failed => Outcome::Failed {
                    detail: "Envoy does not write shared data".to_owned(),
                },
            }
        }
        _ => Outcome::Unsupported,
    }
}

/// The version of what was just written. Where another thread has written since, ours is past.
fn stored(key: &str, value: &[u8], host: &mut impl Host) -> Outcome {
    match host.shared(key) {
        Some((now, version)) if now == value => Outcome::Stored {
            version: u64::from(version),
        },
        _ => Outcome::Conflict,
    }
}

/// The record as another version would write it in the same place.
#[cfg(other_format)]
fn other_format(value: &svcauth_core::SecretBytes) -> svcauth_core::SecretBytes {
    let text = String::from_utf8_lossy(value.expose());
    text.replace("\"format\":1,\"refused\"", "\"format\":2,\"refused\"")
        .into_bytes()
        .into()
}
