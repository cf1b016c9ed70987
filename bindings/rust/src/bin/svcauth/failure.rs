//! An error with the exit code that scripts see.

use crate::advice;
use svcauth::{Code, Error, Fault};

/// Status 400 or above of a called service, as curl says it.
pub(crate) const STATUS: u8 = 22;

/// Why the command ends without having done what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// What to do next, beyond what the error says.
    pub(crate) advice: Option<String>,
}

impl Failure {
    pub(crate) fn new(
        code: Code,
        member: impl Into<String>,
        sentence: impl Into<String>,
    ) -> Failure {
        Failure::from(Error::new(code, sentence.into()).at(member.into()))
    }

    pub(crate) fn with_advice(mut self, advice: impl Into<String>) -> Failure {
        self.advice = Some(advice.into());
        self
    }

    /// See `svcauth --help`.
    pub(crate) fn exit_code(&self) -> u8 {
        exit_code(&self.error)
    }
}

pub(crate) fn exit_code(error: &Error) -> u8 {
    match error.fault() {
        Fault::Caller => 2,
        Fault::Server => 3,
        Fault::Network => 4,
        _ => 70,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let advice = advice::about(&error);
        Failure { error, advice }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_exit_code() {
        for code in Code::ALL {
            let expected = match code.fault() {
                Fault::Caller => 2,
                Fault::Server => 3,
                Fault::Network => 4,
                Fault::Internal => 70,
                _ => unreachable!("a fault without an exit code"),
            };
            assert_eq!(exit_code(&Error::new(*code, "x")), expected, "{code}");
        }
    }
}
