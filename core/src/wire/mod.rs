//! What crosses the network whatever the message: requests and responses, forms, JSON, challenges.

pub(crate) mod bearer;
pub(crate) mod buffer;
pub mod challenge;
pub(crate) mod date;
pub mod form;
mod http;
pub mod json;
pub mod url;

pub use bearer::is_token;
pub use http::{Header, Method, Request, Response};
pub use url::{Origin, Url};
