//! Where a redirect leads, as ureq and curl follow it.

use iri_string::types::{UriAbsoluteStr, UriReferenceStr};
use ureq::http::{
    Method, Response, StatusCode, Uri,
    header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION},
    request::Parts,
};

/// Whether the answer asks for another request (RFC 9110 section 15.4).
pub(crate) fn is_redirect<T>(response: &Response<T>) -> bool {
    let followed = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    followed && response.headers().contains_key(LOCATION)
}

/// Makes the request the next one; whether it has no body any more.
///
/// # Errors
/// [`ureq::Error::RedirectFailed`]: the location is no URL, or a body would have to be sent again.
pub(crate) fn follow<T>(head: &mut Parts, response: &Response<T>) -> Result<bool, ureq::Error> {
    let uri = target(&head.uri, response).ok_or(ureq::Error::RedirectFailed)?;
    let keeps_method = matches!(
        response.status(),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    let has_body = matches!(
        head.method,
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    );
    if keeps_method && has_body {
        return Err(ureq::Error::RedirectFailed);
    }
    if !keeps_method && !matches!(head.method, Method::GET | Method::HEAD) {
        head.method = Method::GET;
        head.headers.remove(CONTENT_TYPE);
    }
    head.headers.remove(COOKIE);
    head.headers.remove(CONTENT_LENGTH);
    head.uri = uri;
    Ok(!keeps_method)
}

fn target<T>(from: &Uri, response: &Response<T>) -> Option<Uri> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let location = location.split('#').next()?;
    let base = from.to_string();
    let resolved = UriReferenceStr::new(location)
        .ok()?
        .resolve_against(UriAbsoluteStr::new(&base).ok()?);
    let uri: Uri = resolved.to_string().parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::Request;

    #[test]
    fn a_redirect_changes_url_and_method_as_curl_has_it() {
        for (method, status, location, expected) in [
            ("GET", 302, "/b?c", Some(("GET", "https://a.example/b?c"))),
            ("GET", 301, "b", Some(("GET", "https://a.example/x/b"))),
            (
                "GET",
                307,
                "//b.example/y#part",
                Some(("GET", "https://b.example/y")),
            ),
            ("HEAD", 303, "../z", Some(("HEAD", "https://a.example/z"))),
            (
                "POST",
                302,
                "http://b.example",
                Some(("GET", "http://b.example/")),
            ),
            ("POST", 307, "/b", None),
            ("DELETE", 308, "/b", None),
            ("GET", 302, "ftp://b.example/", None),
            ("GET", 302, "/with space", None),
        ] {
            let request = Request::builder()
                .method(method)
                .uri("https://a.example/x/y?q");
            let (mut head, ()) = request.body(()).unwrap().into_parts();
            let response = Response::builder()
                .status(status)
                .header("location", location)
                .body(())
                .unwrap();
            let followed = follow(&mut head, &response)
                .ok()
                .map(|_| (head.method.to_string(), head.uri.to_string()));
            let expected = expected.map(|(method, url)| (method.to_owned(), url.to_owned()));
            assert_eq!(followed, expected, "{method} {status} {location}");
        }
    }
}
