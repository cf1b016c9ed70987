//! Cleaning what a server said before it becomes part of an error.
//!
//! A server may echo what it was sent, and a proxy in front of it anything at all. Errors end in logs, so
//! secrets are cut out and nothing is left that could break a line.

use crate::{Secret, wire::buffer::Buffer, wire::form};
use alloc::{borrow::Cow, string::String, vec::Vec};
use base64ct::{Base64, Encoding};

const CUT: &str = "[secret]";

/// Shorter texts, in characters, are not looked for: to cut every `e` out of an error would tell the secret, not
/// keep it. Where a request carries one, nothing is shown of what the server says.
const SHORTEST_SECRET: usize = 4;

/// Stands in the place of what the server says where nothing of it can be shown.
pub(crate) const WITHHELD: &str =
    "[not shown, since the request carried a secret of less than 4 characters]";

/// A run of this many token characters, letters and digits mixed, is taken for a token.
const TOKEN_LIKE: usize = 20;

/// The secrets of one request, which a server may echo as they are or escaped in any way.
#[derive(Default)]
pub(crate) struct Secrets {
    all: Vec<Secret>,
    /// Whether one is too short to be looked for.
    short: bool,
}

impl Secrets {
    pub(crate) fn add(&mut self, secret: &str) -> &mut Secrets {
        match secret.chars().take(SHORTEST_SECRET).count() {
            0 => {}
            SHORTEST_SECRET => self.one(secret.into()),
            _ => self.short = true,
        }
        self
    }

    /// Adds the Authorization value of Basic: base64 hides the secret from the eye only.
    pub(crate) fn add_basic(&mut self, client_id: &str, secret: &str) -> &mut Secrets {
        for form_encoded in [false, true] {
            let mut pair = Buffer::default();
            if form_encoded {
                form::encode(&mut pair, client_id);
                pair.push_str(":");
                form::encode(&mut pair, secret);
            } else {
                pair.push_str(client_id);
                pair.push_str(":");
                pair.push_str(secret);
            }
            self.one(Base64::encode_string(pair.as_str().as_bytes()));
        }
        self.add(secret)
    }

    fn one(&mut self, text: String) {
        let secret = Secret::from(text);
        if !self.all.contains(&secret) {
            self.all.push(secret);
        }
    }

    /// Whether nothing of what the server says can be shown.
    pub(crate) fn withhold(&self) -> bool {
        self.short
    }

    /// The length of the secret that `text` starts with.
    fn at_start_of(&self, text: &str) -> Option<usize> {
        let starting = self
            .all
            .iter()
            .filter_map(|secret| length_of(secret.expose(), text));
        starting.max()
    }
}

/// How much of `text`, from its start, is `secret`: as it is, or escaped for a URL, a form, JSON or HTML.
fn length_of(secret: &str, text: &str) -> Option<usize> {
    if text.starts_with(secret) {
        return Some(secret.len());
    }
    let mut rest = text;
    for wanted in secret.chars() {
        let plain = || rest.starts_with(wanted).then(|| wanted.len_utf8());
        rest = rest.get(escaped(rest, wanted).or_else(plain)?..)?;
    }
    Some(text.len() - rest.len())
}

/// The length of the escape that `text` starts with, if it stands for `wanted`.
fn escaped(text: &str, wanted: char) -> Option<usize> {
    match text.as_bytes() {
        [b'+', ..] if wanted == ' ' => Some(1),
        [b'%', ..] => percent(text, wanted),
        [b'\\', b'u', ..] => json(text, wanted),
        [b'\\', ..] => {
            let is_it = text.get(1..)?.starts_with(wanted);
            is_it.then(|| 1 + wanted.len_utf8())
        }
        [b'&', ..] => html(text, wanted),
        _ => None,
    }
}

fn percent(text: &str, wanted: char) -> Option<usize> {
    let mut length = 0;
    for byte in wanted.encode_utf8(&mut [0; 4]).bytes() {
        let digits = text.get(length..)?.strip_prefix('%')?.get(..2)?;
        if number(digits, 16)? != u32::from(byte) {
            return None;
        }
        length += 3;
    }
    Some(length)
}

fn json(text: &str, wanted: char) -> Option<usize> {
    let mut length = 0;
    for unit in wanted.encode_utf16(&mut [0; 2]) {
        let digits = text.get(length..)?.strip_prefix("\\u")?.get(..4)?;
        if number(digits, 16)? != u32::from(*unit) {
            return None;
        }
        length += 6;
    }
    Some(length)
}

fn html(text: &str, wanted: char) -> Option<usize> {
    const LONGEST: usize = 12;
    let end = text.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let code = match name.strip_prefix('#') {
        Some(hex) if hex.starts_with(['x', 'X']) => number(&hex[1..], 16)?,
        Some(digits) => number(digits, 10)?,
        None => u32::from(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        }),
    };
    (code == u32::from(wanted)).then_some(end + 1)
}

fn number(digits: &str, radix: u32) -> Option<u32> {
    u32::from_str_radix(digits, radix).ok()
}

/// A text that the server wrote for people, at most `limit` characters of it. A JWT is cut out too, and what
/// looks like a token beside a word that says so.
pub(crate) fn text(text: &str, limit: usize, secrets: &Secrets) -> String {
    clean(text, limit, secrets, false)
}

/// The first `limit` characters of a body that was not understood. Whatever looks like a token, and the value
/// of whatever is called a token or a secret, is cut out too.
pub(crate) fn excerpt(body: &[u8], limit: usize, secrets: &Secrets) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body: Cow<'_, str> = String::from_utf8_lossy(body);
    clean(&body, limit, secrets, true)
}

/// Whether a parameter or member of this name holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    const ENDS: [&str; 11] = [
        "token",
        "secret",
        "password",
        "passwd",
        "assertion",
        "authorization",
        "api_key",
        "apikey",
        "private_key",
        "cookie",
        "verifier",
    ];
    let name = name.as_bytes();
    ENDS.iter().any(|end| {
        name.len()
            .checked_sub(end.len())
            .is_some_and(|start| name[start..].eq_ignore_ascii_case(end.as_bytes()))
    })
}

fn clean(text: &str, limit: usize, secrets: &Secrets, unknown: bool) -> String {
    if secrets.withhold() {
        return String::from(if text.is_empty() { "" } else { WITHHELD });
    }
    let mut out = Out {
        text: String::new(),
        left: limit.saturating_sub(1),
    };
    let (mut at, mut judged) = (0, 0);
    while out.left > 0 && at < text.len() {
        let rest = &text[at..];
        if let Some(length) = secrets.at_start_of(rest) {
            out.cut();
            at += length;
            continue;
        }
        if at >= judged {
            let run = run(rest);
            judged = at + run.len();
            let is_named = || is_called_a_secret(&text[..at], &text[judged..]);
            if is_jwt(run) || looks_like_a_token(run) && (unknown || is_named()) {
                out.cut();
                at = judged;
                continue;
            }
        }
        if unknown
            && at == judged
            && let Some((before, length)) = secret_value(word_before(text, at), rest)
        {
            before.chars().for_each(|character| out.push(character));
            out.cut();
            at += before.len() + length;
            continue;
        }
        let character = rest.chars().next().unwrap_or(' ');
        out.push(character);
        at += character.len_utf8();
    }
    if at < text.len() {
        out.text.push('…');
    }
    out.text
}

struct Out {
    text: String,
    left: usize,
}

impl Out {
    fn push(&mut self, character: char) {
        if self.left > 0 {
            self.left -= 1;
            self.text.push(if is_harmless(character) {
                character
            } else {
                ' '
            });
        }
    }

    fn cut(&mut self) {
        if self.left >= CUT.len() {
            self.left -= CUT.len();
            self.text.push_str(CUT);
        } else {
            self.left = 0;
        }
    }
}

/// Neither a control character nor one that changes how the line around it is shown.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The token characters that `text` starts with.
fn run(text: &str) -> &str {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    &text[..text
        .bytes()
        .position(|byte| !belongs(byte))
        .unwrap_or(text.len())]
}

/// Whether a JWT stands in it (`eyJ….….…`), or the long start of one.
fn is_jwt(run: &str) -> bool {
    run.find("eyJ").is_some_and(|start| {
        let token = &run[start..];
        start == 0 && token.len() >= TOKEN_LIKE
            || token.bytes().filter(|byte| *byte == b'.').count() >= 2
    })
}

/// Whether letters and digits are mixed in a long run. What stands between slashes is looked at by itself, or
/// each long path would be a token.
fn looks_like_a_token(run: &str) -> bool {
    run.split('/').any(|part| {
        part.len() >= TOKEN_LIKE
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

/// Whether one of the two words before or the three words behind says that it is a token.
fn is_called_a_secret(before: &str, behind: &str) -> bool {
    const FAR: usize = 40;
    let is_between = |character: char| !character.is_ascii_alphanumeric() && character != '_';
    let says_so = |word: &&str| {
        const WORDS: [&str; 6] = ["bearer", "basic", "jwt", "code", "tokens", "credential"];
        is_secret_name(word) || WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
    };
    let start =
        (before.len().saturating_sub(FAR)..=before.len()).find(|at| before.is_char_boundary(*at));
    let before = &before[start.unwrap_or(before.len())..];
    let end = (0..=FAR.min(behind.len()))
        .rev()
        .find(|at| behind.is_char_boundary(*at));
    let behind = &behind[..end.unwrap_or(0)];
    let mut before = before
        .rsplit(is_between)
        .filter(|word| !word.is_empty())
        .take(2);
    let mut behind = behind
        .split(is_between)
        .filter(|word| !word.is_empty())
        .take(3);
    before.any(|word| says_so(&word)) || behind.any(|word| says_so(&word))
}

fn word_before(text: &str, at: usize) -> &str {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    let length = text.as_bytes()[..at]
        .iter()
        .rev()
        .take_while(|byte| belongs(byte))
        .count();
    &text[at - length..at]
}

/// If `rest`, which stands behind `word`, starts with the value of a secret: what stands before the value,
/// and the length of the value.
fn secret_value<'a>(word: &str, rest: &'a str) -> Option<(&'a str, usize)> {
    let is_scheme =
        |word: &str| word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic");
    let value = if is_scheme(word) {
        rest.trim_start_matches(' ')
    } else if is_secret_name(word) {
        let value = rest
            .trim_start_matches('\\')
            .trim_start_matches(['"', '\''])
            .trim_start();
        value.strip_prefix([':', '='])?.trim_start()
    } else {
        return None;
    };
    let before = &rest[..rest.len() - value.len()];
    let length = match value.chars().next()? {
        '{' | '[' => value.len(),
        quote @ ('"' | '\'') => quoted(value, quote),
        _ => value
            .find(|c: char| c.is_whitespace() || "&,;}]\"'<>".contains(c))
            .unwrap_or(value.len()),
    };
    let shown = &value[..length];
    let kept = length == 0 || before.is_empty() || shown == "null" || is_scheme(shown);
    (!kept).then_some((before, length))
}

fn quoted(value: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in value.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            character if character == quote => return at + 1,
            _ => {}
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const SECRET: &str = "s3cr3t /%+\"\u{e9}";

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add_basic("bss", SECRET);
        secrets
    }

    #[test]
    fn a_secret_of_the_request_is_cut_out_in_every_encoding() {
        for (said, shown) in [
            (format!("bad secret {SECRET}!"), "bad secret [secret]!"),
            (format!("{SECRET}{SECRET}"), "[secret][secret]"),
            ("got s3cr3t+%2F%25%2B%22%C3%A9".into(), "got [secret]"),
            ("got s3cr3t /%+\\\"\u{e9}".into(), "got [secret]"),
            (format!("xx{SECRET}"), "xx[secret]"),
            (
                format!(
                    "Basic {}",
                    Base64::encode_string(format!("bss:{SECRET}").as_bytes())
                ),
                "Basic [secret]",
            ),
            ("nothing of it".into(), "nothing of it"),
        ] {
            assert_eq!(text(&said, 100, &secrets()), shown);
            assert!(
                !excerpt(said.as_bytes(), 100, &secrets()).contains("s3cr3t"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_secret_is_found_however_the_one_who_echoes_it_has_escaped_it() {
        for said in [
            // percent, in either case, and with a space as such
            "s3cr3t%20%2f%25%2b%22%c3%a9",
            "s3cr3t%20/%25%2B%22%C3%A9",
            "%73%33%63%72%33%74%20%2F%25%2B%22%C3%A9",
            // JSON, as Go, PHP and Python write it
            r#"s3cr3t /%+\"\u00e9"#,
            r#"s3cr3t \/%+\"\u00E9"#,
            r#"s3cr3t /%\u002b\u0022\u00e9"#,
            // HTML
            "s3cr3t /%+&#34;&#233;",
            "s3cr3t &#x2F;%&#43;&#x22;&#xe9;",
        ] {
            let said = format!("got {said}, sorry");
            for shown in [
                text(&said, 200, &secrets()),
                excerpt(said.as_bytes(), 200, &secrets()),
            ] {
                assert_eq!(shown, "got [secret], sorry", "{said}");
            }
        }
        let mut other = Secrets::default();
        other.add("a&b<c>'d\u{1f600}\\e");
        for said in [
            "a\\u0026b\\u003cc\\u003e\\u0027d\\ud83d\\ude00\\\\e",
            "a&amp;b&lt;c&gt;&apos;d\u{1f600}\\e",
            "a&amp;b&lt;c&gt;&#39;d&#128512;&#92;e",
        ] {
            assert_eq!(text(said, 200, &other), "[secret]", "{said}");
        }
    }

    #[test]
    fn a_secret_too_short_to_be_found_withholds_all_that_the_server_says() {
        for secret in ["a", "x7", "k/9", "\u{e9}\u{e9}\u{e9}", "+\"&"] {
            for said in [
                format!("bad secret '{secret}'"),
                format!("{secret}{secret}"),
                // percent, JSON and HTML
                "got %61 %78%37 k%2f9 %c3%a9%C3%A9 %2B%22%26".into(),
                r#"got \u0061 \u00e9\u00E9 k\/9 +\"\u0026"#.into(),
                "got &#97; &#x78;7 k&#47;9 &#233; &#43;&quot;&amp;".into(),
                "nothing of it".into(),
            ] {
                for with in [
                    Secrets::default().add(secret),
                    Secrets::default().add_basic("bss", secret),
                    Secrets::default().add(SECRET).add(secret),
                ] {
                    assert_eq!(text(&said, 500, with), WITHHELD, "{secret}");
                    assert_eq!(excerpt(said.as_bytes(), 200, with), WITHHELD, "{secret}");
                }
            }
        }
        // Nothing was carried, nothing was said, or it is long enough.
        for secret in ["", "\u{e9}\u{e9}\u{e9}\u{e9}", "four"] {
            assert_eq!(text("hello", 500, Secrets::default().add(secret)), "hello");
        }
        assert_eq!(text("", 500, Secrets::default().add("a")), "");
    }

    #[test]
    fn a_secret_at_the_end_of_what_is_shown_is_not_shown_in_part() {
        for length in 0..40 {
            let said = format!("{}{SECRET} and more", "-".repeat(length));
            for shown in [
                text(&said, 30, &secrets()),
                excerpt(said.as_bytes(), 30, &secrets()),
            ] {
                assert!(!shown.contains("s3"), "{shown}");
                assert!(shown.chars().count() <= 30, "{shown}");
            }
        }
    }

    #[test]
    fn what_is_called_a_secret_or_looks_like_one_is_cut_out_of_an_excerpt() {
        for (body, shown) in [
            (
                r#"{"access_token":"abc","expires_in":1}"#,
                r#"{"access_token":[secret],"expires_in":1}"#,
            ),
            (
                r#"{"accessToken" : "a\"bc" ,"#,
                r#"{"accessToken" : [secret] ,"#,
            ),
            (r#"{"access_token":null}"#, r#"{"access_token":null}"#),
            (
                r#"{"access_token":["a","b"]}"#,
                r#"{"access_token":[secret]"#,
            ),
            (r#"{"access_token":"abc"#, r#"{"access_token":[secret]"#),
            (r#"{"token_type":"bearer"}"#, r#"{"token_type":"bearer"}"#),
            (
                "access_token=abc&scope=read",
                "access_token=[secret]&scope=read",
            ),
            ("error=invalid_token", "error=invalid_token"),
            (
                "Authorization: Bearer abc",
                "Authorization: Bearer [secret]",
            ),
            ("authorization: abc", "authorization: [secret]"),
            ("id eyJhbGciOiJSUzI1NiJ9.e30.x", "id [secret]"),
            ("ory_at_OwfDY_JnbQ3YVWCfLvT-7zPppt", "[secret]"),
            ("<h1>404 page not found</h1>", "<h1>404 page not found</h1>"),
            (
                "application/x-www-form-urlencoded",
                "application/x-www-form-urlencoded",
            ),
            ("a\r\nb\0c\u{202e}d", "a  b c d"),
        ] {
            assert_eq!(excerpt(body.as_bytes(), 200, &Secrets::default()), shown);
        }
        assert_eq!(
            excerpt(b"\xef\xbb\xbfa\xffb", 200, &Secrets::default()),
            "a\u{fffd}b"
        );
    }

    #[test]
    fn what_is_called_a_token_is_cut_out_of_a_text_though_nobody_sent_it() {
        const OPAQUE: &str = "ory_at_OwfDY_JnbQ3YVWCfLvT-7zPppt.k1";
        for (said, shown) in [
            (
                "The token 'TOKEN' has expired",
                "The token '[secret]' has expired",
            ),
            (
                "invalid access_token=TOKEN",
                "invalid access_token=[secret]",
            ),
            (
                "Bearer TOKEN was not found",
                "Bearer [secret] was not found",
            ),
            (
                "the refresh token is TOKEN",
                "the refresh token is [secret]",
            ),
            ("TOKEN is no token", "[secret] is no token"),
            (
                "\u{e9}\u{e9}token\u{e9}TOKEN\u{e9}",
                "\u{e9}\u{e9}token\u{e9}[secret]\u{e9}",
            ),
            ("no such code: TOKEN.", "no such code: [secret]"),
            ("request TOKEN failed", "request TOKEN failed"),
            (
                "the token of client TOKEN is not there",
                "the token of client TOKEN is not there",
            ),
            ("token eyJhbGciOiJub25lIn0.e30.", "token [secret]"),
            ("got eyJh.e30.x", "got [secret]"),
            ("at /x/eyJhIn0.e30.sig", "at [secret]"),
            ("invalid_token", "invalid_token"),
            (
                "the token issuer https://id1.example/realms/master1/x2",
                "the token issuer https://id1.example/realms/master1/x2",
            ),
            (
                "token 1234567890123456789012",
                "token 1234567890123456789012",
            ),
            (
                "token abcdefghijklmnopqrstuvwxyz",
                "token abcdefghijklmnopqrstuvwxyz",
            ),
        ] {
            let (said, shown) = (
                said.replace("TOKEN", OPAQUE),
                shown.replace("TOKEN", OPAQUE),
            );
            assert_eq!(text(&said, 500, &Secrets::default()), shown, "{said}");
        }
    }

    #[test]
    fn a_long_text_is_shortened_and_says_so() {
        assert_eq!(text("abcdef", 4, &Secrets::default()), "abc…");
        assert_eq!(text("", 4, &Secrets::default()), "");
        let shown = text(&"\u{e9}".repeat(10_000), 500, &Secrets::default());
        assert_eq!(shown.chars().count(), 500);
    }

    #[test]
    fn a_hostile_body_is_cleaned_in_linear_time() {
        let mut many = Secrets::default();
        many.add(&"a".repeat(100_000));
        let body = "a".repeat(1_000_000);
        assert_eq!(
            excerpt(body.as_bytes(), 200, &many).matches(CUT).count(),
            10
        );
    }
}
