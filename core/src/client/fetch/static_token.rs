//! A token that is there already, for development.

use super::{Ended, Fetch, Gain, Job, Parts, Stage, fail};
use crate::{
    Code, Error, Secret,
    client::{Outcome, claims::UnverifiedClaims, task::mismatched},
    config::SecretReference,
    message::TokenAnswer,
    wire::{is_token, json::Object},
};

impl Fetch {
    pub(super) fn read_static_token(
        &mut self,
        reference: &SecretReference,
        job: &Job<'_>,
        parts: &mut Parts<'_>,
    ) -> Ended {
        self.sent = parts.io.now;
        if let SecretReference::Value(token) = reference {
            return self.take_static_token(token.clone(), parts);
        }
        let timeout_ms = parts.config.timeouts.secret_ms;
        self.stage = Stage::Static(parts.io.read_secret(job.owner, reference, timeout_ms));
        None
    }

    pub(super) fn static_token(&mut self, outcome: Outcome, parts: &mut Parts<'_>) -> Ended {
        let Some(reference) = &parts.config.client.static_token else {
            return fail(mismatched());
        };
        match outcome.into_secret(reference) {
            Ok(token) => self.take_static_token(token, parts),
            Err(error) => fail(error),
        }
    }

    pub(super) fn take_static_token(&mut self, token: Secret, parts: &mut Parts<'_>) -> Ended {
        if !is_token(token.expose()) {
            return fail(
                Error::new(
                    Code::SecretUnavailable,
                    "the static token holds characters that no token has",
                )
                .at("client.static_token"),
            );
        }
        let claims = UnverifiedClaims::of(token.expose());
        let now_s = parts.io.now.wall_ms / 1000;
        let expires_in = match claims.expires_at {
            Some(at) if at <= now_s => {
                return fail(
                    Error::new(
                        Code::SecretUnavailable,
                        "the static token has expired; put a new one there",
                    )
                    .at("client.static_token"),
                );
            }
            Some(at) => Some(at - now_s),
            None => None,
        };
        let answer = TokenAnswer {
            access_token: token,
            expires_in,
            scopes: None,
            refresh_token: None,
            refresh_expires_in: None,
            issued_token_type: None,
            content_type_mismatch: false,
            extra: Object::new(),
        };
        Some(Ok(Gain {
            answer,
            sent: self.sent,
            client_id: claims.client_id,
        }))
    }
}
