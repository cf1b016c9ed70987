//! Members that the configuration and the parameters of named messages have in common.

use crate::{Error, wire::json::Field};
use alloc::{borrow::ToOwned, string::String, vec, vec::Vec};
use iri_string::types::UriAbsoluteStr;

pub(crate) fn scopes(field: &Field<'_>) -> Result<Vec<String>, Error> {
    let mut scopes = vec![];
    for item in field.items("a list such as [\"read\", \"write\"]")? {
        let scope = item.text("a scope such as \"read\"")?.unwrap_or_default();
        if scope.contains(' ') {
            return Err(item.error("holds a space: write each scope as an item of its own"));
        }
        if !scope
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        {
            return Err(item.error(
                "holds a character that no scope may have (RFC 6749 section 3.3): a quote, a backslash or a non-ASCII letter",
            ));
        }
        if scopes.iter().any(|known| known == scope) {
            return Err(item.error("stands here twice: remove one"));
        }
        scopes.push(scope.to_owned());
    }
    Ok(scopes)
}

pub(crate) fn resource(field: &Field<'_>) -> Result<Vec<String>, Error> {
    let mut resources = vec![];
    for item in field.items("a list such as [\"https://smd.example\"]")? {
        let resource = item.text("an absolute URI")?.unwrap_or_default();
        if UriAbsoluteStr::new(resource).is_err() {
            return Err(item.error(
                "not an absolute URI without fragment (RFC 8707 section 2): write it like \"https://smd.example\"",
            ));
        }
        resources.push(resource.to_owned());
    }
    Ok(resources)
}

pub(crate) fn texts(field: &Field<'_>, list: &str, item: &str) -> Result<Vec<String>, Error> {
    field
        .items(list)?
        .iter()
        .map(|field| Ok(field.text(item)?.unwrap_or_default().to_owned()))
        .collect()
}

pub(crate) fn token_type(field: &Field<'_>) -> Result<Option<String>, Error> {
    let Some(text) = field.text("a URI such as \"urn:ietf:params:oauth:token-type:jwt\"")? else {
        return Ok(None);
    };
    if UriAbsoluteStr::new(text).is_err() {
        return Err(field.error(
            "not a URI: write the whole identifier, such as \"urn:ietf:params:oauth:token-type:jwt\"",
        ));
    }
    Ok(Some(text.to_owned()))
}
