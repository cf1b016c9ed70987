use super::*;
use crate::wire::json;
use alloc::{borrow::ToOwned, format, string::ToString, vec};

const SECRET: &str = "s3cr3t-Of-The-Client";
const REFRESH: &str = "refresh-0123456789";
const SUBJECT: &str = "subject-0123456789";
const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

fn endpoint() -> Url {
    Url::parse("https://hydra.example/oauth2/token").unwrap()
}

fn post() -> ClientAuthentication {
    ClientAuthentication::Post {
        client_id: "bss".into(),
        client_secret: SECRET.into(),
    }
}

fn message<'a>(
    endpoint: &'a Url,
    authentication: &'a ClientAuthentication,
    grant: TokenGrant<'a>,
) -> TokenRequest<'a> {
    TokenRequest {
        endpoint,
        authentication,
        grant,
        scopes: &[],
        audience: &[],
        resource: &[],
        parameters: &[],
        rules: TokenRules::default(),
    }
}

fn response(status: u16, body: impl Into<crate::SecretBytes>) -> Response {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Response {
        status,
        headers,
        body: body.into(),
    }
}

fn parse_as(
    grant: TokenGrant<'_>,
    rules: TokenRules,
    response: &Response,
) -> Result<TokenAnswer, Error> {
    let (endpoint, authentication) = (endpoint(), post());
    TokenRequest {
        rules,
        ..message(&endpoint, &authentication, grant)
    }
    .parse(response)
}

fn parse(body: &str) -> Result<TokenAnswer, Error> {
    parse_as(
        TokenGrant::ClientCredentials,
        TokenRules::default(),
        &response(200, body),
    )
}

#[test]
fn each_grant_is_written_as_its_specification_says() {
    let endpoint = endpoint();
    let none = ClientAuthentication::None { client_id: None };
    let (refresh_token, subject_token) = (Secret::from("r t"), Secret::from("s&t"));
    let exchange = |requested_token_type| TokenGrant::TokenExchange {
        subject_token: &subject_token,
        subject_token_type: "urn:openchami:params:oauth:token-type:bootstrap-token",
        requested_token_type,
    };
    for (grant, body) in [
        (
            TokenGrant::ClientCredentials,
            "grant_type=client_credentials",
        ),
        (
            TokenGrant::RefreshToken {
                refresh_token: &refresh_token,
            },
            "grant_type=refresh_token&refresh_token=r+t",
        ),
        (
            exchange(None),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s%26t\
             &subject_token_type=urn%3Aopenchami%3Aparams%3Aoauth%3Atoken-type%3Abootstrap-token",
        ),
        (
            exchange(Some("x")),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s%26t\
             &subject_token_type=urn%3Aopenchami%3Aparams%3Aoauth%3Atoken-type%3Abootstrap-token\
             &requested_token_type=x",
        ),
    ] {
        let request = message(&endpoint, &none, grant).request().unwrap();
        assert_eq!(core::str::from_utf8(request.body.expose()), Ok(body));
        assert_eq!(
            (request.method, &*request.url),
            (Method::Post, endpoint.as_str())
        );
        assert_eq!(
            request.header("content-type"),
            Some("application/x-www-form-urlencoded")
        );
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("authorization"), None);
    }
}

#[test]
fn all_parameters_stand_in_the_form_once_each() {
    let (endpoint, authentication) = (endpoint(), post());
    let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<String>>();
    let (scopes, audience) = (texts(&["read", "write all"]), texts(&["smd", "bss"]));
    let (resource, extra) = (
        texts(&["https://smd.example/"]),
        [("tenant".to_owned(), "a b".to_owned())],
    );
    let message = TokenRequest {
        scopes: &scopes,
        audience: &audience,
        resource: &resource,
        parameters: &extra,
        ..message(&endpoint, &authentication, TokenGrant::ClientCredentials)
    };
    assert_eq!(
        core::str::from_utf8(message.request().unwrap().body.expose()),
        Ok(
            "grant_type=client_credentials&client_id=bss&client_secret=s3cr3t-Of-The-Client\
            &scope=read+write+all&audience=smd&audience=bss&resource=https%3A%2F%2Fsmd.example%2F&tenant=a+b"
        )
    );
    for name in [
        "grant_type",
        "client_id",
        "client_secret",
        "scope",
        "audience",
        "refresh_token",
    ] {
        let parameters = [(name.to_owned(), SECRET.to_owned())];
        let error = TokenRequest {
            parameters: &parameters,
            ..message
        }
        .request()
        .unwrap_err();
        assert_eq!(
            (error.code(), error.member()),
            (Code::InvalidArgument, Some(name))
        );
        assert!(!format!("{error:?}").contains(SECRET));
    }
}

#[test]
fn a_bare_request_is_a_request_line_and_nothing_else() {
    let (endpoint, authentication) = (endpoint(), post());
    for method in [Method::Get, Method::Post] {
        let request = message(&endpoint, &authentication, TokenGrant::Bare { method })
            .request()
            .unwrap();
        assert_eq!(request.method, method);
        assert!(request.headers.is_empty() && request.body.is_empty());
    }
}

#[test]
fn expires_in_is_a_number_of_seconds_however_it_is_written() {
    for (written, expected) in [
        ("3600", Ok(Some(3600))),
        ("\"3600\"", Ok(Some(3600))),
        ("3600.0", Ok(Some(3600))),
        ("3600.9", Ok(Some(3600))),
        ("\"3600.9\"", Ok(Some(3600))),
        ("3.6e3", Ok(Some(3600))),
        ("0", Ok(Some(0))),
        ("-0.0", Ok(Some(0))),
        ("0.5", Ok(Some(0))),
        ("null", Ok(None)),
        ("1e300", Ok(Some(u64::MAX))),
        ("\"99999999999999999999999\"", Ok(Some(u64::MAX))),
        ("-1", Err(())),
        ("-0.5", Err(())),
        ("\"-1\"", Err(())),
        ("\"3600abc\"", Err(())),
        ("\"\"", Err(())),
        ("\" 3600\"", Err(())),
        ("\"+3600\"", Err(())),
        ("\"1e3\"", Err(())),
        ("\".5\"", Err(())),
        ("\"5.\"", Err(())),
        ("\"NaN\"", Err(())),
        ("\"Infinity\"", Err(())),
        ("\"0x10\"", Err(())),
        ("{}", Err(())),
        ("[3600]", Err(())),
        ("true", Err(())),
    ] {
        let body =
            format!(r#"{{"access_token":"a","token_type":"Bearer","expires_in":{written}}}"#);
        match (parse(&body), expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(answer.expires_in, expected, "{written}"),
            (Err(error), Err(())) => {
                assert_eq!(error.code(), Code::InvalidExpiresIn, "{written}");
                assert_eq!(error.member(), Some("expires_in"), "{written}");
            }
            (got, expected) => panic!("{written}: {got:?}, not {expected:?}"),
        }
    }
    assert_eq!(
        parse(r#"{"access_token":"a","token_type":"Bearer"}"#)
            .unwrap()
            .expires_in,
        None
    );
}

#[test]
fn a_lifetime_is_a_duration_a_point_in_time_or_the_default() {
    const YEAR: u64 = 365 * 24 * 3600;
    const NOW: u64 = 1_795_401_602_750;
    const NOW_S: u64 = NOW / 1000;
    let duration = |seconds| Lifetime {
        ms: seconds * 1000,
        absolute: false,
    };
    let until = |seconds: u64| Lifetime {
        ms: seconds * 1000 - NOW,
        absolute: true,
    };
    let default = Lifetime {
        ms: 60_000,
        absolute: false,
    };
    for (expires_in, now, expected) in [
        (None, NOW, default),
        (Some(0), NOW, duration(0)),
        (Some(3600), NOW, duration(3600)),
        (Some(10 * YEAR), NOW, duration(10 * YEAR)),
        (Some(10 * YEAR + 1), NOW, default),
        (Some(NOW_S - 1), NOW, default),
        (Some(NOW_S), NOW, default),
        (Some(NOW_S + 1), NOW, until(NOW_S + 1)),
        (Some(NOW_S + 3600), NOW, until(NOW_S + 3600)),
        (Some(NOW_S + 10 * YEAR), NOW, until(NOW_S + 10 * YEAR)),
        (Some(NOW_S + 10 * YEAR + 1), NOW, default),
        (Some(NOW), NOW, default),
        (Some(u64::MAX), NOW, default),
        // A clock that was never set says 1970: a duration stays one.
        (Some(3600), 5_000, duration(3600)),
        (Some(3600), 0, duration(3600)),
        (Some(u64::MAX), 0, default),
        // A clock that a host got wrong.
        (
            Some(u64::MAX / 1000 + 3600),
            u64::MAX,
            Lifetime {
                ms: 0,
                absolute: true,
            },
        ),
    ] {
        let mut answer = parse(r#"{"access_token":"a","token_type":"Bearer"}"#).unwrap();
        answer.expires_in = expires_in;
        assert_eq!(
            answer.lifetime(now, 60_000),
            expected,
            "{expires_in:?} at {now}"
        );
    }
}

#[test]
fn each_member_of_the_wrong_kind_has_its_code() {
    for (body, code, member) in [
        (
            r#"{"access_token":"","token_type":"Bearer"}"#,
            Code::InvalidAccessToken,
            Some("access_token"),
        ),
        (
            r#"{"access_token":null,"token_type":"Bearer"}"#,
            Code::InvalidAccessToken,
            Some("access_token"),
        ),
        (
            r#"{"access_token":1,"token_type":"Bearer"}"#,
            Code::InvalidAccessToken,
            Some("access_token"),
        ),
        (
            r#"{"access_token":{"a":1},"token_type":"Bearer"}"#,
            Code::InvalidAccessToken,
            Some("access_token"),
        ),
        (
            r#"{"access_token":"a\r\nX: y","token_type":"Bearer"}"#,
            Code::InvalidAccessToken,
            Some("access_token"),
        ),
        (
            r#"{"access_token":"a b","token_type":"Bearer"}"#,
            Code::InvalidAccessToken,
            Some("access_token"),
        ),
        (
            r#"{"access_token":"a\u0000","token_type":"Bearer"}"#,
            Code::InvalidAccessToken,
            Some("access_token"),
        ),
        (
            r#"{"access_token":"é","token_type":"Bearer"}"#,
            Code::InvalidAccessToken,
            Some("access_token"),
        ),
        (
            r#"{"token_type":"Bearer"}"#,
            Code::InvalidAccessToken,
            Some("access_token"),
        ),
        (
            r#"{"access_token":"a"}"#,
            Code::MissingTokenType,
            Some("token_type"),
        ),
        (
            r#"{"access_token":"a","token_type":null}"#,
            Code::MissingTokenType,
            Some("token_type"),
        ),
        (
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            Code::UnexpectedTokenType,
            Some("token_type"),
        ),
        (
            r#"{"access_token":"a","token_type":"N_A"}"#,
            Code::UnexpectedTokenType,
            Some("token_type"),
        ),
        (
            r#"{"access_token":"a","token_type":""}"#,
            Code::UnexpectedTokenType,
            Some("token_type"),
        ),
        (
            r#"{"access_token":"a","token_type":1}"#,
            Code::UnexpectedTokenType,
            Some("token_type"),
        ),
        (
            r#"{"access_token":"a","token_type":"Bearer","scope":1}"#,
            Code::MalformedAnswer,
            Some("scope"),
        ),
        (
            r#"{"access_token":"a","token_type":"Bearer","scope":["a",1]}"#,
            Code::MalformedAnswer,
            Some("scope"),
        ),
        (
            r#"{"access_token":"a","token_type":"Bearer","scope":"a\u009b2J"}"#,
            Code::MalformedAnswer,
            Some("scope"),
        ),
        (
            r#"{"access_token":"a","token_type":"Bearer","scope":["a\u009b2J"]}"#,
            Code::MalformedAnswer,
            Some("scope"),
        ),
        (
            r#"{"access_token":"a","token_type":"Bearer","scope":"a\nb"}"#,
            Code::MalformedAnswer,
            Some("scope"),
        ),
        (
            r#"{"access_token":"a","token_type":"Bearer","refresh_token":1}"#,
            Code::MalformedAnswer,
            Some("refresh_token"),
        ),
        (r#"{"message":"hello"}"#, Code::MalformedAnswer, None),
        ("{}", Code::MalformedAnswer, None),
        ("", Code::MalformedAnswer, None),
        ("<html>404</html>", Code::MalformedAnswer, None),
        (
            r#"{"access_token":"a","access_token":"a","token_type":"Bearer"}"#,
            Code::MalformedAnswer,
            None,
        ),
        (
            r#"{"access_token":"a","token_type":"Bearer","x":1,"x":1}"#,
            Code::MalformedAnswer,
            None,
        ),
        (
            r#"{"access_token":"a","token_type":"Bearer"} "#,
            Code::Internal,
            None,
        ),
        (
            r#"{"access_token":"a","token_type":"Bearer"}x"#,
            Code::MalformedAnswer,
            None,
        ),
    ] {
        match parse(body) {
            Ok(_) => assert_eq!(code, Code::Internal, "{body} was accepted"),
            Err(error) => {
                assert_eq!((error.code(), error.member()), (code, member), "{body}");
                assert_eq!(error.status(), Some(200), "{body}");
            }
        }
    }
}

#[test]
fn token_type_is_compared_without_case_and_may_be_missing_where_allowed() {
    for kind in ["Bearer", "bearer", "BEARER"] {
        assert!(parse(&format!(r#"{{"access_token":"a","token_type":"{kind}"}}"#)).is_ok());
    }
    let rules = TokenRules {
        allow_missing_token_type: true,
        ..TokenRules::default()
    };
    let parse = |body| parse_as(TokenGrant::ClientCredentials, rules, &response(200, body));
    assert!(parse(r#"{"access_token":"a"}"#).is_ok());
    assert!(parse(r#"{"access_token":"a","token_type":null}"#).is_ok());
    let other = parse(r#"{"access_token":"a","token_type":"mac"}"#).unwrap_err();
    assert_eq!(other.code(), Code::UnexpectedTokenType);
}

#[test]
fn scopes_are_words_or_an_array_and_missing_is_not_empty() {
    let scopes = |written: &str| {
        parse(&format!(
            r#"{{"access_token":"a","token_type":"Bearer"{written}}}"#
        ))
        .unwrap()
        .scopes
    };
    let some = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(scopes(""), None);
    assert_eq!(scopes(r#","scope":null"#), None);
    assert_eq!(scopes(r#","scope":"""#), some(&[]));
    assert_eq!(scopes(r#","scope":[]"#), some(&[]));
    assert_eq!(scopes(r#","scope":"read""#), some(&["read"]));
    assert_eq!(
        scopes(r#","scope":" read  write ""#),
        some(&["read", "write"])
    );
    assert_eq!(
        scopes(r#","scope":["read","write all"]"#),
        some(&["read", "write", "all"])
    );
    assert_eq!(scopes(r#","scope":"a,b""#), some(&["a,b"]));

    let many = |count: usize| format!(r#","scope":["{}","last"]"#, "s ".repeat(count));
    assert_eq!(scopes(&many(999)).map(|scopes| scopes.len()), Some(1000));
    let body = format!(
        r#"{{"access_token":"a","token_type":"Bearer"{}}}"#,
        many(1000)
    );
    let error = parse(&body).unwrap_err();
    assert_eq!(
        (error.code(), error.member()),
        (Code::MalformedAnswer, Some("scope"))
    );
}

#[test]
fn an_exchanged_token_is_of_the_type_asked_for() {
    let subject_token = Secret::from(SUBJECT);
    for (requested, issued, accepted) in [
        (
            Some(TOKEN_TYPE),
            r#""urn:ietf:params:oauth:token-type:access_token""#,
            true,
        ),
        (
            Some(TOKEN_TYPE),
            r#""urn:ietf:params:oauth:token-type:access-token""#,
            true,
        ),
        (
            Some(TOKEN_TYPE),
            r#""urn:ietf:params:oauth:token-type:refresh_token""#,
            false,
        ),
        (
            Some(TOKEN_TYPE),
            r#""urn:ietf:params:oauth:token-type:jwt""#,
            false,
        ),
        (Some(TOKEN_TYPE), r#""""#, false),
        (Some(TOKEN_TYPE), "null", true),
        (None, r#""urn:ietf:params:oauth:token-type:jwt""#, true),
    ] {
        let grant = TokenGrant::TokenExchange {
            subject_token: &subject_token,
            subject_token_type: TOKEN_TYPE,
            requested_token_type: requested,
        };
        let body = format!(
            r#"{{"access_token":"a","token_type":"Bearer","issued_token_type":{issued},"refresh_token":"r","refresh_expires_in":86400}}"#
        );
        let answer = parse_as(grant, TokenRules::default(), &response(200, body));
        assert_eq!(answer.is_ok(), accepted, "{requested:?} {issued}");
        match answer {
            Ok(answer) => {
                assert_eq!(answer.refresh_token.unwrap().expose(), "r");
                assert_eq!(answer.refresh_expires_in, Some(86400));
            }
            Err(error) => assert_eq!(error.code(), Code::UnexpectedTokenType),
        }
    }
}

#[test]
fn what_the_server_says_besides_is_kept() {
    let answer = parse(
        r#"{"access_token":"a","token_type":"bearer","id_token":"x","nested":{"b":[1]},"error":null,
            "error_description":"none","refresh_token":"","refresh_expires_in":"soon"}"#,
    )
    .unwrap();
    assert_eq!(
        answer.extra.to_json(),
        r#"{"id_token":"x","nested":{"b":[1]},"error_description":"none"}"#
    );
    assert_eq!(
        (answer.refresh_token, answer.refresh_expires_in),
        (None, None)
    );
}

#[test]
fn the_content_type_does_not_decide_but_is_reported() {
    for (content_type, mismatch) in [
        (Some("application/json"), false),
        (Some("APPLICATION/jSoN ; charset=UTF-8"), false),
        (Some("application/vnd.oauth+JSON; v=1"), false),
        (Some("text/html"), true),
        (Some("application/jsonp"), true),
        (Some(""), true),
        (None, true),
        (Some("application/x-www-form-urlencoded"), true),
    ] {
        let mut response = response(201, r#" {"access_token":"a","token_type":"Bearer"}"#);
        response.headers.clear();
        response
            .headers
            .extend(content_type.map(|value| ("content-type".into(), value.into())));
        let answer = parse_as(
            TokenGrant::ClientCredentials,
            TokenRules::default(),
            &response,
        )
        .unwrap();
        assert_eq!(answer.content_type_mismatch, mismatch, "{content_type:?}");
    }
}

#[test]
fn a_form_is_an_answer_only_where_allowed() {
    let mut form = response(
        200,
        "access_token=abc&token_type=bearer&expires_in=60&scope=a+b&x=y",
    );
    let allowed = TokenRules {
        allow_form_answer: true,
        ..TokenRules::default()
    };
    let parse = |rules, form: &Response| parse_as(TokenGrant::ClientCredentials, rules, form);
    assert_eq!(
        parse(allowed, &form).unwrap_err().code(),
        Code::MalformedAnswer
    );
    for content_type in [
        "application/x-www-form-urlencoded",
        "text/plain;charset=utf-8",
    ] {
        form.headers[0].1 = content_type.into();
        let error = parse(TokenRules::default(), &form).unwrap_err();
        assert_eq!(error.code(), Code::MalformedAnswer);
        assert!(!format!("{error}").contains("abc"), "{error}");
        let answer = parse(allowed, &form).unwrap();
        assert_eq!(answer.access_token.expose(), "abc");
        assert_eq!(answer.expires_in, Some(60));
        assert_eq!(answer.scopes.unwrap(), ["a", "b"]);
        assert_eq!(answer.extra.to_json(), r#"{"x":"y"}"#);
        assert!(!answer.content_type_mismatch);
    }
    let error = parse(
        TokenRules::default(),
        &Response {
            headers: vec![(
                "content-type".into(),
                "application/x-www-form-urlencoded".into(),
            )],
            ..form.clone()
        },
    )
    .unwrap_err();
    assert!(error.message().contains("allow_form_answer"), "{error}");
    for (body, code) in [
        (
            "error=bad_verification_code&error_description=x",
            Code::OauthError,
        ),
        (
            "access_token=a&access_token=b&token_type=bearer",
            Code::MalformedAnswer,
        ),
        (
            "x=1&access_token=a&x=1&token_type=bearer",
            Code::MalformedAnswer,
        ),
        ("<html>", Code::MalformedAnswer),
        ("", Code::MalformedAnswer),
    ] {
        form.body = body.into();
        assert_eq!(parse(allowed, &form).unwrap_err().code(), code, "{body}");
    }
    form.body = "a=1&".repeat(200_000).as_str().into();
    assert_eq!(
        parse(allowed, &form).unwrap_err().code(),
        Code::MalformedAnswer
    );
}

#[test]
fn the_status_decides_what_an_error_means() {
    let json = r#"{"error":"invalid_client","error_description":"no"}"#;
    for (status, body, code, oauth) in [
        (200, json, Code::OauthError, true),
        (
            200,
            r#"{"error":"x","access_token":"a","token_type":"Bearer"}"#,
            Code::OauthError,
            true,
        ),
        (
            200,
            r#"{"error":"","access_token":"a","token_type":"Bearer"}"#,
            Code::MalformedAnswer,
            false,
        ),
        (200, r#"{"error":{"code":1}}"#, Code::MalformedAnswer, false),
        (302, json, Code::UnexpectedRedirect, true),
        (300, "", Code::UnexpectedRedirect, false),
        (399, "", Code::UnexpectedRedirect, false),
        (400, json, Code::OauthError, true),
        (400, "", Code::UnexpectedStatus, false),
        (
            400,
            r#"{"error":{"code":1}}"#,
            Code::UnexpectedStatus,
            false,
        ),
        (401, json, Code::OauthError, true),
        (401, "no", Code::UnexpectedStatus, false),
        (404, "<h1>404</h1>", Code::UnexpectedStatus, false),
        (429, json, Code::RateLimited, true),
        (429, "", Code::RateLimited, false),
        (500, json, Code::ServerError, true),
        (503, "", Code::ServerError, false),
        (100, "", Code::UnexpectedStatus, false),
        (0, "", Code::UnexpectedStatus, false),
        (600, json, Code::OauthError, true),
    ] {
        let response = response(status, body);
        let error = parse_as(
            TokenGrant::ClientCredentials,
            TokenRules::default(),
            &response,
        )
        .unwrap_err();
        assert_eq!(
            (error.code(), error.status()),
            (code, Some(status)),
            "{status} {body}"
        );
        assert_eq!(error.oauth().is_some(), oauth, "{status} {body}");
    }
}

#[test]
fn a_refusal_keeps_its_challenge_and_how_long_to_wait() {
    let mut refusal = response(401, r#"{"error":"invalid_client"}"#);
    for (name, value) in [
        ("WWW-Authenticate", "Basic realm=\"hydra\""),
        ("www-authenticate", "Bearer error=\"x\""),
        ("Retry-After", "7"),
    ] {
        refusal.headers.push((name.into(), value.into()));
    }
    let error = parse_as(
        TokenGrant::ClientCredentials,
        TokenRules::default(),
        &refusal,
    )
    .unwrap_err();
    assert_eq!(error.oauth().unwrap().error, "invalid_client");
    assert_eq!(
        error.challenge(),
        Some("Basic realm=\"hydra\", Bearer error=\"x\"")
    );
    assert_eq!(error.retry_after_ms(), Some(7_000));
}

#[test]
fn a_redirect_tells_its_origin_and_nothing_else() {
    let mut redirect = response(307, "");
    redirect.headers.push((
        "Location".into(),
        "https://evil.example/x?code=s3cr3t#s3cr3t".into(),
    ));
    let error = parse_as(
        TokenGrant::ClientCredentials,
        TokenRules::default(),
        &redirect,
    )
    .unwrap_err();
    assert!(error.message().contains("https://evil.example,"), "{error}");
    assert!(!format!("{error:?}").contains("s3cr3t"));
}

#[test]
fn no_secret_of_request_or_answer_is_in_an_error() {
    let endpoint = endpoint();
    let (refresh_token, subject_token) = (Secret::from(REFRESH), Secret::from(SUBJECT));
    let parameters = [(
        "client_assertion".to_owned(),
        "assertion-0123456789".to_owned(),
    )];
    let basic = ClientAuthentication::Basic {
        client_id: "bss".into(),
        client_secret: SECRET.into(),
        encoding: super::super::BasicEncoding::Form,
    };
    let base64 = "YnNzOnMzY3IzdC1PZi1UaGUtQ2xpZW50";
    let planted = [
        SECRET,
        REFRESH,
        SUBJECT,
        "assertion-0123456789",
        base64,
        "an-access-token",
    ];
    let echo = format!("{SECRET} {REFRESH} {SUBJECT} assertion-0123456789 Basic {base64}");
    for grant in [
        TokenGrant::RefreshToken {
            refresh_token: &refresh_token,
        },
        TokenGrant::TokenExchange {
            subject_token: &subject_token,
            subject_token_type: TOKEN_TYPE,
            requested_token_type: None,
        },
    ] {
        let message = TokenRequest {
            parameters: &parameters,
            ..message(&endpoint, &basic, grant)
        };
        assert!(
            planted
                .iter()
                .all(|secret| !format!("{:?}", message.request()).contains(secret))
        );
        // Each message knows its own secrets only.
        let own: Vec<&str> = planted
            .into_iter()
            .filter(|secret| match grant {
                TokenGrant::RefreshToken { .. } => *secret != SUBJECT,
                _ => *secret != REFRESH,
            })
            .collect();
        for status in [200, 302, 400, 401, 404, 429, 500] {
            for body in [
                format!(
                    r#"{{"error":"{echo}","error_description":"{echo}","error_uri":"{echo}"}}"#
                ),
                format!(
                    r#"{{"access_token":"an-access-token","token_type":"Bearer","x":"{echo}","x":1}}"#
                ),
                format!(r#"{{"access_token":"an-access-token","token_type":"{echo}"}}"#),
                r#"{"access_token":"an-access-token\n"}"#.to_owned(),
                format!(
                    r#"{{"access_token":"an-access-token","token_type":"Bearer","expires_in":"{echo}"}}"#
                ),
                format!("<html>{echo} access_token=an-access-token"),
                format!("access_token=an-access-token&{echo}"),
            ] {
                let mut response = response(status, body.as_str());
                for name in [
                    "WWW-Authenticate",
                    "Content-Type",
                    "Location",
                    "Retry-After",
                ] {
                    response.headers.insert(0, (name.into(), echo.clone()));
                }
                let error = message.parse(&response).unwrap_err();
                let printed = format!(
                    "{error} {error:?} {} {response:?} {message:?}",
                    serde_json::to_string(&error).unwrap()
                );
                for secret in &own {
                    assert!(
                        !printed.contains(secret),
                        "{secret} in {printed}, from {status} {body}"
                    );
                }
            }
        }
    }
    let printed = format!(
        "{:?}",
        parse(
            r#"{"access_token":"an-access-token","token_type":"Bearer","refresh_token":"a-refresh-token","id_token":"an-id-token"}"#,
        )
    );
    assert!(!printed.contains("-token\""), "{printed}");
}

#[test]
fn what_the_server_says_is_withheld_where_a_secret_is_too_short_to_be_found() {
    let endpoint = endpoint();
    let basic = ClientAuthentication::Basic {
        client_id: "bss".into(),
        client_secret: "q~7".into(),
        encoding: super::super::BasicEncoding::Form,
    };
    let message = message(&endpoint, &basic, TokenGrant::ClientCredentials);
    // status, body, the code that is kept
    for (status, body, code) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"no q~7"}"#,
            Some("invalid_client"),
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_uri":"https://q~7/"}"#,
            Some("invalid_grant"),
        ),
        (200, r#"{"error":"q~7"}"#, Some(clean::WITHHELD)),
        (200, r#"{"message":"q~7"}"#, None),
        (200, "<html>q~7", None),
        (302, "", None),
        (404, "q%7E7", None),
        (503, "q&#126;7", None),
    ] {
        let mut response = response(status, body);
        for (name, value) in [
            ("WWW-Authenticate", "Basic realm=\"q~7\""),
            ("Content-Type", "text/q~7"),
            ("Location", "https://q~7.example/"),
        ] {
            response.headers.insert(0, (name.into(), value.into()));
        }
        let error = message.parse(&response).unwrap_err();
        let printed = format!("{error} {}", serde_json::to_string(&error).unwrap());
        for said in ["q~7", "q%7E7", "q&#126;7"] {
            assert!(!printed.contains(said), "{printed}, from {status} {body}");
        }
        assert!(
            status == 302 || printed.contains(clean::WITHHELD),
            "{printed}, from {status} {body}"
        );
        assert_eq!(
            error.oauth().map(|oauth| oauth.error.as_str()),
            code,
            "{status} {body}"
        );
    }
}

#[test]
fn an_oauth_error_is_shortened_and_cannot_break_a_line() {
    let long = format!("a\\r\\nb{}", "x".repeat(10_000));
    let body = format!(r#"{{"error":"{long}","error_description":"{long}","error_uri":7}}"#);
    let error = parse_as(
        TokenGrant::ClientCredentials,
        TokenRules::default(),
        &response(400, body),
    )
    .unwrap_err();
    let oauth = error.oauth().unwrap();
    for text in [&oauth.error, oauth.description.as_ref().unwrap()] {
        assert!(
            text.chars().count() <= 500 && text.starts_with("a  bx"),
            "{text}"
        );
    }
    assert_eq!(oauth.uri, None);
    let html = response(502, "<html>\r\n".repeat(1000));
    let error = parse_as(TokenGrant::ClientCredentials, TokenRules::default(), &html).unwrap_err();
    assert!(
        error.message().len() < 300 && !error.message().contains('\n'),
        "{error}"
    );
}

#[test]
fn a_hostile_answer_is_refused_or_read_but_never_costs_more_than_its_size() {
    let member = |at: usize| format!(r#""m{at}":0"#);
    let many: Vec<String> = (0..88_000).map(member).collect();
    let huge = format!(
        r#"{{"access_token":"a","token_type":"Bearer",{}}}"#,
        many.join(",")
    );
    assert!(huge.len() > 900_000 && huge.len() <= json::MAX_BYTES);
    assert_eq!(parse(&huge).unwrap().extra.len(), 88_000);
    let twice = huge.replace("\"m87999\"", "\"m7\"");
    assert!(parse(&twice).unwrap_err().message().contains("twice"));
    let large = format!(
        r#"{{"access_token":"{}","token_type":"Bearer"}}"#,
        "a".repeat(json::MAX_BYTES)
    );
    assert!(parse(&large).unwrap_err().message().contains("1 MiB"));
    let deep = format!(r#"{{"access_token":"a","x":{}"#, "[".repeat(500_000));
    assert!(parse(&deep).unwrap_err().message().contains("deep"));
}
