//! WWW-Authenticate (RFC 9110 section 11.6.1), read tolerantly.

use alloc::{string::String, vec::Vec};

/// A longer field value is not looked at.
const MAX_BYTES: usize = 8 * 1024;

/// A challenge with more parameters is dropped.
const MAX_PARAMETERS: usize = 64;

/// One way in which a server would let the client in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme as sent; it is compared without regard to case, see [`Challenge::is`].
    pub scheme: String,
    /// The parameters in their order, their names in lower case, each once.
    pub parameters: Vec<(String, String)>,
    /// What some schemes send instead of parameters.
    pub token68: Option<String>,
}

impl Challenge {
    /// The value of a parameter, its name given in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the scheme is `scheme`, whatever the case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// Whether the scheme is Bearer (RFC 6750 section 3).
    pub fn is_bearer(&self) -> bool {
        self.is("Bearer")
    }
}

/// The challenges of all field values, in their order.
///
/// What cannot be understood ends its field value: the challenge it stands in is dropped, those before it
/// stay. Two deviations that servers are known for are read as they are meant: parameters with no comma
/// between them, and a parameter behind a token68, which is skipped.
pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for value in values {
        if value.len() <= MAX_BYTES {
            let mut rest = Cursor(value);
            rest.take(|byte| matches!(byte, b' ' | b'\t' | b','));
            while let Some(challenge) = rest.challenge() {
                challenges.push(challenge);
            }
        }
    }
    challenges
}

/// What stands between two parts of a field value.
#[derive(Clone, Copy, PartialEq)]
enum Gap {
    None,
    Space,
    Comma,
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// One challenge and the gap behind it; `None` at the end, and where it is malformed.
    fn challenge(&mut self) -> Option<Challenge> {
        let scheme = self.token()?;
        let mut challenge = Challenge {
            scheme: scheme.into(),
            ..Challenge::default()
        };
        let mut gap = self.gap()?;
        if gap == Gap::Space
            && let Some(token68) = self.token68()
        {
            challenge.token68 = Some(token68.into());
            gap = self.gap()?;
        }
        while !self.0.is_empty() {
            let start = self.0;
            let name = self.token()?;
            self.spaces();
            if !self.eat('=') {
                // A word alone is the next challenge's scheme, and a comma has to stand before it.
                self.0 = start;
                return (gap == Gap::Comma).then_some(challenge);
            }
            self.spaces();
            let value = self.value()?;
            let name = name.to_ascii_lowercase();
            if challenge.token68.is_none() {
                let full = challenge.parameters.len() == MAX_PARAMETERS;
                if full || challenge.parameter(&name).is_some() {
                    return None;
                }
                challenge.parameters.push((name, value));
            }
            gap = self.gap()?;
        }
        Some(challenge)
    }

    /// Skips spaces and commas; `None` where there are none and the value goes on.
    fn gap(&mut self) -> Option<Gap> {
        let skipped = self.take(|byte| matches!(byte, b' ' | b'\t' | b','));
        match skipped {
            "" if self.0.is_empty() => Some(Gap::None),
            "" => None,
            skipped if skipped.contains(',') => Some(Gap::Comma),
            _ => Some(Gap::Space),
        }
    }

    fn spaces(&mut self) {
        self.take(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn eat(&mut self, expected: char) -> bool {
        let rest = self.0.strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Option<&'a str> {
        let token =
            self.take(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        (!token.is_empty()).then_some(token)
    }

    /// A token68 that ends the value or stands before a comma; anything else is left for a parameter.
    fn token68(&mut self) -> Option<&'a str> {
        let start = self.0;
        let length = self
            .take(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
            .len();
        self.take(|byte| byte == b'=');
        let token68 = &start[..start.len() - self.0.len()];
        let behind = self.0.trim_start_matches([' ', '\t']);
        if length == 0 || !(behind.is_empty() || behind.starts_with(',')) {
            self.0 = start;
            return None;
        }
        Some(token68)
    }

    fn value(&mut self) -> Option<String> {
        if !self.eat('"') {
            return self.token().map(Into::into);
        }
        let mut value = String::new();
        let mut characters = self.0.chars();
        loop {
            let character = match characters.next()? {
                '"' => break,
                '\\' => characters.next()?,
                character => character,
            };
            if character.is_ascii_control() && character != '\t' {
                return None;
            }
            value.push(character);
        }
        self.0 = characters.as_str();
        Some(value)
    }

    fn take(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let end = self
            .0
            .bytes()
            .position(|byte| !belongs(byte))
            .unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn schemes(value: &str) -> Vec<String> {
        parse([value])
            .into_iter()
            .map(|challenge| challenge.scheme)
            .collect()
    }

    #[test]
    fn what_is_malformed_ends_its_value_and_spares_what_came_before() {
        for (value, expected) in [
            ("Basic realm=a, Bearer error=\"x", &["Basic"][..]),
            ("Basic realm=a, Bearer error =, Digest", &["Basic"]),
            ("Basic realm=a Bearer", &[]),
            ("Bearer foo bar", &[]),
            ("Bearer error=\"a\r\nb\"", &[]),
            ("Bearer error=\"a\\\u{0}b\"", &[]),
            ("Bearer \u{e9}", &[]),
            ("\u{e9}", &[]),
            ("=", &[]),
            ("Bearer =", &[]),
            ("Bearer;", &[]),
            ("Bearer  ,  ", &["Bearer"]),
        ] {
            assert_eq!(schemes(value), expected, "{value:?}");
        }
        assert_eq!(parse(["Bearer error=\"", "Basic"]).len(), 1);
    }

    #[test]
    fn scheme_and_names_are_compared_without_case_and_values_are_kept() {
        let challenges = parse(["bEaReR ERROR=\"Insufficient_Scope\", scope=\"\u{e9} b\""]);
        assert!(challenges[0].is_bearer());
        assert_eq!(challenges[0].parameter("error"), Some("Insufficient_Scope"));
        assert_eq!(challenges[0].parameter("scope"), Some("\u{e9} b"));
        assert_eq!(challenges[0].parameter("realm"), None);
    }

    #[test]
    fn a_hostile_value_is_bounded() {
        let parameters = |count: usize| {
            let list: Vec<_> = (0..count).map(|number| format!("p{number}=1")).collect();
            format!("Bearer {}", list.join(", "))
        };
        assert_eq!(parse([&*parameters(MAX_PARAMETERS)]).len(), 1);
        assert_eq!(parse([&*parameters(MAX_PARAMETERS + 1)]).len(), 0);
        assert_eq!(schemes(&"a,".repeat(MAX_BYTES / 2)).len(), MAX_BYTES / 2);
        assert_eq!(schemes(&"a,".repeat(MAX_BYTES / 2 + 1)).len(), 0);
    }
}
