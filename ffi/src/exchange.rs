//! Single messages by their name, for who sends them by itself.

use crate::{
    complete::status_of,
    error::Error,
    fields,
    guard::{bytes, guard, look_up, out, out_text, text},
    handle::{hand_out, object, release},
    raw,
    text::Text,
    ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::{ffi::c_char, fmt};
use svcauth_core::{
    message::named::{self, Named},
    wire::{Request, Response},
    Secret,
};

/// One message of OAuth: a request to send as it is, and the reader of its answer. No client is involved.
///
/// Owned by whoever got it, freed by `svcauth_exchange_free`, which wipes what was secret. Immutable: any
/// number of threads may use it, any number of times.
#[derive_ReprC(rename = "svcauth_exchange")]
#[repr(opaque)]
pub struct Exchange {
    message: Named,
    request: Request,
    headers: Secret,
}

impl Exchange {
    #[cfg(feature = "transport")]
    pub(crate) fn message(
        &self,
    ) -> &(dyn svcauth_core::message::Exchange<Answer = Secret> + Send + Sync) {
        &*self.message
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// A text of a message.
#[derive_ReprC(rename = "svcauth_exchange_text")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeText {
    /// The method of the request.
    Method = 1,
    /// The absolute URL of the request.
    Url = 2,
    /// The body of the request; empty where there is none. A secret.
    Body = 3,
    /// All header fields of the request as they stand on the wire, lines of `Name: value` that end with a
    /// carriage return and a line feed. A secret.
    Headers = 4,
}

/// Makes the message `name` with its parameters, a JSON object; nothing is sent. Send the request as it is,
/// follow no redirect, and give the answer to `svcauth_exchange_parse`. Freed by `svcauth_exchange_free`.
///
/// The messages, with their parameters and what the answer has; `?` stands behind what may be left out:
///
///     register             RFC 7591: a client is registered
///       parameters         endpoint, metadata?, initial_access_token?, allowed_origins?, insecure_http?
///       answer             registration, refused_uri?
///     read_registration    RFC 7592 section 2.1
///       parameters         registration, allowed_origins?, insecure_http?
///       answer             registration, refused_uri?
///     update_registration  RFC 7592 section 2.2
///       parameters         registration, metadata?, allowed_origins?, insecure_http?
///       answer             registration, refused_uri?
///     delete_registration  RFC 7592 section 2.3
///       parameters         registration, insecure_http?
///       answer             nothing
///     authorize            the second step of the flow: the authorization endpoint with the registration's token
///       parameters         endpoint, state, registration?, registration_access_token?, client_id?,
///                          client_secret?, redirect_uri?, scopes?, response_type?, insecure_http?
///       answer             kind, location?, error?, has_code?, status?
///     token                RFC 6749 section 5, RFC 8693
///       parameters         endpoint, auth?, basic_encoding?, client_id?, client_secret?, grant?, scopes?,
///                          audience?, resource?, parameters?, allow_missing_token_type?, allow_form_answer?,
///                          insecure_http?
///       answer             access_token, token_type, expires_in?, scope?, refresh_token?, refresh_expires_in?,
///                          issued_token_type?, content_type_mismatch
///     metadata             RFC 8414, OpenID Connect Discovery
///       parameters         issuer, document?, insecure_http?
///       answer             issuer, token_endpoint?, authorization_endpoint?, registration_endpoint?, jwks_uri?,
///                          revocation_endpoint?, introspection_endpoint?,
///                          token_endpoint_auth_methods_supported?
///
/// The parameters:
///
///     endpoint, issuer            a URL: https, or http of this machine
///     insecure_http               list of origins that may be spoken to without TLS besides
///     metadata                    the client metadata (RFC 7591 section 2); of an update, the members to change
///     registration                what an answer calls so, whole; for authorize it gives what is not given by itself
///     allowed_origins             list of origins where the client may be managed, besides the endpoint's own
///     initial_access_token,       texts; secrets
///     registration_access_token,
///     client_secret
///     client_id, redirect_uri     texts
///     state                       a fresh random text
///     response_type               "token" unless given
///     auth                        "client_secret_basic" unless given, "client_secret_post" or "none"
///     basic_encoding              "form" unless given (RFC 6749 section 2.3.1), or "raw"
///     grant                       "client_credentials" unless given, or
///                                 { "type": "refresh_token", "refresh_token" },
///                                 { "type": "token_exchange", "subject_token", "subject_token_type",
///                                   "requested_token_type"? }, or
///                                 { "type": "bare", "method"? }: a request without parameters, by "POST" unless
///                                 given, or "GET" (OPAAL)
///     scopes, audience, resource  lists of texts
///     parameters                  further parameters of the request, texts by name
///     allow_missing_token_type,   booleans, false unless given: what a server may do besides
///     allow_form_answer
///     document                    "openid" unless given, or "oauth"
///
/// The answer:
///
///     registration                all that is known of the registration (RFC 7591 section 3.2.1), to be saved whole
///     refused_uri                 why the registration_client_uri that the server gave is left out
///     kind                        "login_page" with location; "callback" with has_code, and error if one came;
///                                 "error_page", with error if one came; "answered" with status
///     error                       { "error", "description"?, "uri"? }
///     expires_in,                 seconds, rounded down; an expires_in of more than ten years is a point in time,
///     refresh_expires_in          in seconds since 1970 (OPAAL)
///     scope                       the granted scopes with a space between them; empty: none
///     content_type_mismatch       whether the answer was JSON and did not say so
///
/// What the server said besides is kept beside these members. A wrong name or parameter is
/// `SVCAUTH_RESULT_INVALID_ARGUMENT`; a text of the error has its path, or its offset where the text is no
/// JSON.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_exchange_new"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_exchange_new(
    name: *const c_char,
    name_len: usize,
    parameters_json: *const c_char,
    parameters_len: usize,
    exchange: *mut *mut Exchange,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let name = text(name, name_len, "name")?;
        let parameters = bytes(parameters_json, parameters_len, "parameters_json")?;
        let out = out(exchange, "exchange")?;
        let message = named::exchange(name, parameters)?;
        let request = message.request()?;
        let headers = fields::block(&request.headers);
        let exchange = Exchange {
            message,
            request,
            headers,
        };
        hand_out(exchange, out)
    })
}

/// Gives a text of a message. It stays until the message is freed.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_exchange_get_text"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_exchange_get_text(
    exchange: *const Exchange,
    which: ExchangeText_Layout,
    text: *mut *const c_char,
    len: *mut usize,
) -> ResultCode {
    look_up(|| {
        let exchange = object(exchange, "exchange")?;
        let which: ExchangeText = raw(which, "which")?;
        let request = &exchange.request;
        out_text(text, len)?.write(Some(match which {
            ExchangeText::Method => request.method.as_str().as_bytes(),
            ExchangeText::Url => request.url.as_bytes(),
            ExchangeText::Body => request.body.expose(),
            ExchangeText::Headers => exchange.headers.expose().as_bytes(),
        }));
        Ok(())
    })
}

/// Reads the answer to the request, and gives what it says as a JSON object, described with
/// `svcauth_exchange_new`. It may hold secrets; freed by `svcauth_text_free`.
///
/// `header_fields` and `body` are as for `svcauth_client_complete_response`. An answer that says no, or that
/// the specification does not allow, is an error.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_exchange_parse"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_exchange_parse(
    exchange: *const Exchange,
    status: u32,
    header_fields: *const c_char,
    header_fields_len: usize,
    body: *const u8,
    body_len: usize,
    answer: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let exchange = object(exchange, "exchange")?;
        let response = Response {
            status: status_of(status)?,
            headers: fields::owned(bytes(header_fields, header_fields_len, "header_fields")?),
            body: bytes(body, body_len, "body")?.into(),
        };
        let out = out(answer, "answer")?;
        Text::hand_out(exchange.message.parse(&response)?, out)
    })
}

/// Frees a message; NULL is nothing to free. Texts that were parsed stay.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_exchange_free"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_exchange_free(exchange: *mut Exchange) -> ResultCode {
    release(exchange, "exchange")
}
