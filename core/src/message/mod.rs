//! The messages, one file each: a struct that builds its request and parses the answer.
//!
//! Each implements [`Exchange`]; nothing here sends anything. [`named`] has them all by name, as JSON.

mod authentication;
mod authorization;
mod clean;
mod failure;
pub(crate) mod members;
mod metadata;
pub mod named;
mod registration;
mod token;

use crate::{
    Error,
    wire::{Request, Response},
};

pub use authentication::{BasicEncoding, ClientAuthentication};
pub use authorization::{AuthorizationAnswer, AuthorizationRequest};
pub use metadata::{Metadata, MetadataDocument, MetadataRequest};
pub use registration::{
    DeleteRegistration, ReadRegistration, Registration, RegistrationRequest, UpdateRegistration,
};
pub use token::{Lifetime, TokenAnswer, TokenGrant, TokenRequest, TokenRules};

/// One message: a request out, an answer in.
pub trait Exchange {
    /// What the answer says.
    type Answer;

    /// The request to send, as it is.
    ///
    /// # Errors
    /// The caller's: a part of the message cannot be written.
    fn request(&self) -> Result<Request, Error>;

    /// What the response to that request says.
    ///
    /// # Errors
    /// The server's: an OAuth error, or an answer that the specification does not allow.
    fn parse(&self, response: &Response) -> Result<Self::Answer, Error>;
}
