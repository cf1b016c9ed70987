//! What crosses the network whatever the message: requests and responses, forms, JSON, challenges.

pub mod challenge;
pub mod form;
mod http;
pub mod json;
mod url;

pub use http::{Header, Method, Request, Response};
pub use url::{Origin, Url};
