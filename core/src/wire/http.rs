//! An HTTP request to send and the response to it, as plain data (RFC 9110).

use super::buffer;
use crate::SecretBytes;
use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

/// The methods that the messages use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
}

impl Method {
    /// The method as it stands in the request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// One field of a [`Request`]. A sensitive value is wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// The field's name, in lower case.
    pub name: &'static str,
    /// The field's value: visible ASCII and spaces only.
    pub value: Cow<'static, str>,
    /// Whether the value is a credential.
    pub sensitive: bool,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.sensitive {
            "[secret]"
        } else {
            &self.value
        };
        write!(f, "{}: {value}", self.name)
    }
}

impl Drop for Header {
    fn drop(&mut self) {
        if let (true, Cow::Owned(value)) = (self.sensitive, &mut self.value) {
            buffer::wipe(core::mem::take(value));
        }
    }
}

/// A request for the host to send as it is: to this URL, with these fields and this body, following no
/// redirect. The host adds Host, Content-Length, User-Agent and what its HTTP version needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute `https` URL (or `http`, where the configuration allows it), without fragment.
    pub url: String,
    /// The fields, each name at most once.
    pub headers: Vec<Header>,
    /// The body; empty where there is none.
    pub body: SecretBytes,
}

impl Request {
    /// The value of the field `name`, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|header| header.name == name)
            .map(|header| &*header.value)
    }
}

/// The response to a [`Request`], as the host received it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All fields in the order received; a name may stand there more than once, in any case.
    pub headers: Vec<(String, String)>,
    /// The body after any transfer coding; it may hold secrets, so it is wiped when dropped.
    pub body: SecretBytes,
}

/// The fields of a response that any message looks at.
const FIELDS: [&str; 5] = [
    "content-type",
    "date",
    "location",
    "retry-after",
    "www-authenticate",
];

impl Response {
    /// Whether any message looks at the field `name`, in any case: a host may leave out all others.
    pub fn has_use_for(name: &[u8]) -> bool {
        FIELDS
            .iter()
            .any(|field| field.as_bytes().eq_ignore_ascii_case(name))
    }

    /// What a message looks at, which must be listed: hosts may leave out all else.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        debug_assert!(Self::has_use_for(name.as_bytes()), "{name} is not listed");
        self.header(name)
    }

    /// The first value of the field `name`, whatever the case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        fields
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All values of the field `name` in the order received, whatever the case.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    /// No value of any field: a server may put anything there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers.len())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
