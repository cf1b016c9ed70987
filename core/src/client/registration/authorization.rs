//! The authorization request that the flow sends after a registration.

use super::{
    super::{
        Need, Outcome,
        discovery::Endpoint,
        task::{mismatched, random_text},
    },
    Parts, Registration, Saved, Step, store_error,
};
use crate::{Error, Event, wire::Url};
use alloc::{format, string::String};

impl Registration {
    pub(super) fn authorize(
        &mut self,
        outcome: Outcome,
        parts: &mut Parts<'_>,
    ) -> Result<(), Error> {
        let (Outcome::Bytes(bytes), Some(record)) = (outcome, &self.saved) else {
            return Err(mismatched());
        };
        let endpoint =
            match parts
                .discovery
                .endpoint(Endpoint::Authorization, parts.config, parts.io)
            {
                Need::Met(endpoint) => endpoint,
                Need::Failed(error, _) => {
                    return self.note_authorization("failed", Some(format!("{error}")), parts);
                }
                Need::Waiting => {
                    let detail = String::from("the authorization endpoint is not known");
                    return self.note_authorization("failed", Some(detail), parts);
                }
            };
        let request = record
            .registration
            .authorization_request(&endpoint, &random_text(&bytes))?;
        self.step = Step::Authorize(parts.send(request));
        Ok(())
    }

    /// Nothing of interest comes of this step, so nothing in its answer stops the flow.
    pub(super) fn authorized(
        &mut self,
        outcome: Outcome,
        parts: &mut Parts<'_>,
    ) -> Result<(), Error> {
        let response = match outcome.into_response("the authorization endpoint") {
            Ok(response) => response,
            Err((error, _)) => {
                return self.note_authorization("failed", Some(format!("{error}")), parts);
            }
        };
        let Some(record) = &self.saved else {
            return Err(mismatched());
        };
        match record.registration.authorization_answer(&response) {
            Ok(answer) => {
                let error = answer.error().map(|error| error.error.clone());
                self.note_authorization(answer.kind(), error, parts)
            }
            Err(error) => self.note_authorization("failed", Some(format!("{error}")), parts),
        }
    }

    pub(super) fn note_authorization(
        &mut self,
        kind: &'static str,
        error: Option<String>,
        parts: &mut Parts<'_>,
    ) -> Result<(), Error> {
        parts.io.event(Event::AuthorizationAnswered { kind, error });
        let endpoint = self.endpoint.as_ref().map_or("", Url::as_str);
        let Some(record) = &mut self.saved else {
            return Err(mismatched());
        };
        record.authorized = true;
        self.step =
            Step::SaveAuthorized(parts.put(self.version, Saved::registered(endpoint, record)));
        Ok(())
    }

    /// A note that could not be saved costs one more authorization step some day, no more.
    pub(super) fn settled(&mut self, outcome: Outcome, parts: &mut Parts<'_>) -> Result<(), Error> {
        if !matches!(outcome, Outcome::Stored { .. }) {
            parts.io.event(Event::StoreFailed {
                error: store_error(outcome),
            });
        }
        self.finish(parts);
        Ok(())
    }
}
