//! Reading JSON strictly.

use super::{Kind, Number, Object, Value};
use crate::{Code, Error, order::sorted, wire::buffer::Buffer};
use alloc::{borrow::Cow, string::String, vec::Vec};

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// How deep arrays and objects may stand in each other.
pub const MAX_DEPTH: usize = 32;

/// Up to this many members each new name is compared with those before it; larger objects are sorted at
/// their end, so that a hostile one costs n log n.
const COMPARED_ONE_BY_ONE: usize = 16;

/// Reads one JSON value.
///
/// # Errors
/// [`Code::MalformedAnswer`], with the byte offset: the text is no JSON, ends too early or goes on after the
/// value, a member appears twice, nesting is deeper than [`MAX_DEPTH`], the text is longer than
/// [`MAX_BYTES`].
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    read(text, |reader| reader.value(0))
}

/// Reads one JSON object.
///
/// # Errors
/// As [`parse`], and when the value is something else.
pub fn parse_object(text: &[u8]) -> Result<Object, Error> {
    members(text, &[]).map(|([], object)| object)
}

/// Reads one JSON object: the members called `names` by their place in `names`, the others as they come.
pub(crate) fn members<const N: usize>(
    text: &[u8],
    names: &[&str; N],
) -> Result<([Option<Value>; N], Object), Error> {
    let mut known = [const { None }; N];
    let others = picked(text, names, &mut known)?;
    Ok((known, others))
}

fn picked(text: &[u8], names: &[&str], values: &mut [Option<Value>]) -> Result<Object, Error> {
    read(text, |reader| match reader.next()? {
        b'{' => reader.object(0, names, values),
        b'[' => Err(reader.stop(Reason::NoObject)),
        _ => {
            reader.value(0)?;
            reader.at -= 1;
            Err(reader.stop(Reason::NoObject))
        }
    })
}

fn read<T>(text: &[u8], one: impl FnOnce(&mut Reader<'_>) -> Result<T, Stop>) -> Result<T, Error> {
    if text.len() > MAX_BYTES {
        return Err(malformed("the text is longer than 1 MiB"));
    }
    let json = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = Reader { json, at: 0 };
    one(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|stop| failure(json, text.len() - json.len(), stop))
}

/// Why reading stopped, and at which byte.
struct Stop {
    reason: Reason,
    at: usize,
}

#[derive(Clone, Copy)]
enum Reason {
    NoJson,
    Early,
    Follows,
    Twice,
    TooDeep,
    NoObject,
}

#[cold]
fn failure(json: &[u8], skipped: usize, stop: Stop) -> Error {
    let message = match stop.reason {
        Reason::NoJson => "the text is not JSON",
        Reason::Early if json.iter().all(u8::is_ascii_whitespace) => "the text is empty",
        Reason::Early => "the JSON text ends too early",
        Reason::Follows => "something follows the JSON value",
        Reason::Twice => "a member appears twice in an object",
        Reason::TooDeep => "arrays and objects stand in each other more than 32 deep",
        Reason::NoObject => "the JSON value is not an object",
    };
    malformed(message).at_offset(skipped + stop.at)
}

fn malformed(message: &'static str) -> Error {
    Error::new(Code::MalformedAnswer, message)
}

struct Reader<'t> {
    json: &'t [u8],
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    #[cold]
    fn stop(&self, reason: Reason) -> Stop {
        let at = self.at.min(self.json.len());
        Stop { reason, at }
    }

    /// For a byte that may not stand here, or the end.
    #[cold]
    fn unexpected(&self) -> Stop {
        self.stop(match self.peek() {
            Some(_) => Reason::NoJson,
            None => Reason::Early,
        })
    }

    /// The byte after white space, which stays the next one.
    fn next(&mut self) -> Result<u8, Stop> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(byte) => return Ok(byte),
                None => return Err(self.unexpected()),
            }
        }
    }

    fn end(&mut self) -> Result<(), Stop> {
        match self.next() {
            Ok(_) => Err(self.stop(Reason::Follows)),
            Err(_) => Ok(()),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        Ok(match self.next()? {
            b'{' => Value::Object(self.object(depth, &[], &mut [])?),
            b'[' => Value::Array(self.array(depth)?),
            b'"' => Value::String(self.text()?.into_owned()),
            b'-' | b'0'..=b'9' => Value::Number(self.number()?),
            b'n' => self.word(b"null", Value::Null)?,
            b't' => self.word(b"true", Value::Bool(true))?,
            b'f' => self.word(b"false", Value::Bool(false))?,
            _ => return Err(self.unexpected()),
        })
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, Stop> {
        for expected in word {
            if self.peek() != Some(*expected) {
                return Err(self.unexpected());
            }
            self.at += 1;
        }
        Ok(value)
    }

    /// The depth of what stands in an array or object.
    fn deeper(&self, depth: usize) -> Result<usize, Stop> {
        match depth {
            MAX_DEPTH => Err(self.stop(Reason::TooDeep)),
            _ => Ok(depth + 1),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, Stop> {
        let depth = self.deeper(depth)?;
        self.at += 1;
        let mut elements = Vec::new();
        if self.next()? == b']' {
            self.at += 1;
            return Ok(elements);
        }
        loop {
            elements.push(self.value(depth)?);
            if self.is_last(b']')? {
                return Ok(elements);
            }
        }
    }

    /// An object; the members called `names` go to their place in `values`.
    fn object(
        &mut self,
        depth: usize,
        names: &[&str],
        values: &mut [Option<Value>],
    ) -> Result<Object, Stop> {
        let depth = self.deeper(depth)?;
        self.at += 1;
        let mut others: Vec<(String, Value)> = Vec::new();
        if self.next()? == b'}' {
            self.at += 1;
            return Ok(Object::from_distinct(others));
        }
        loop {
            if self.next()? != b'"' {
                return Err(self.unexpected());
            }
            let name = self.text()?;
            let known = names.iter().position(|known| *known == name);
            let twice = match known {
                Some(place) => values[place].is_some(),
                None => {
                    others.len() < COMPARED_ONE_BY_ONE
                        && others.iter().any(|(other, _)| *other == name)
                }
            };
            if twice {
                self.at -= 1;
                return Err(self.stop(Reason::Twice));
            }
            if self.next()? != b':' {
                return Err(self.unexpected());
            }
            self.at += 1;
            let value = self.value(depth)?;
            match known {
                Some(place) => values[place] = Some(value),
                None => others.push((name.into_owned(), value)),
            }
            if self.is_last(b'}')? {
                break;
            }
        }
        if others.len() > COMPARED_ONE_BY_ONE {
            let names = sorted(others.iter().map(|(name, _)| name.as_str()));
            if names.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                self.at -= 1;
                return Err(self.stop(Reason::Twice));
            }
        }
        Ok(Object::from_distinct(others))
    }

    /// Passes what stands behind an element: a comma, or the end.
    fn is_last(&mut self, end: u8) -> Result<bool, Stop> {
        let byte = self.next()?;
        if byte != end && byte != b',' {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(byte == end)
    }

    /// A text whose first quotation mark comes next. Escapes are rare: without one it is a part of the input.
    fn text(&mut self) -> Result<Cow<'t, str>, Stop> {
        self.at += 1;
        let mut text = Buffer::default();
        loop {
            let start = self.at;
            self.at += plain(&self.json[start..]);
            let piece = match core::str::from_utf8(&self.json[start..self.at]) {
                Ok(piece) => piece,
                Err(error) => {
                    self.at = start + error.valid_up_to();
                    return Err(self.unexpected());
                }
            };
            match self.peek() {
                Some(b'"') if text.is_empty() => {
                    self.at += 1;
                    return Ok(Cow::Borrowed(piece));
                }
                Some(b'"') => {
                    self.at += 1;
                    text.push_str(piece);
                    return Ok(Cow::Owned(text.into_string()));
                }
                Some(b'\\') => {
                    text.push_str(piece);
                    self.at += 1;
                    let character = self.escaped()?;
                    text.push_str(character.encode_utf8(&mut [0; 4]));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Result<char, Stop> {
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(character)
    }

    /// One or two numbers of four digits, of which the `u` comes next: a pair is one character (RFC 8259 section 7).
    fn code_point(&mut self) -> Result<char, Stop> {
        let first = self.four_digits()?;
        let code = match first {
            0xd800..0xdc00 => {
                for expected in b"\\u" {
                    if self.peek() != Some(*expected) {
                        return Err(self.unexpected());
                    }
                    self.at += 1;
                }
                self.at -= 1;
                let second = self.four_digits()?.wrapping_sub(0xdc00);
                // No character where the second is none of a pair.
                match second {
                    ..0x400 => 0x1_0000 + ((first - 0xd800) << 10 | second),
                    _ => 0xd800,
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| {
            self.at -= 1;
            self.unexpected()
        })
    }

    fn four_digits(&mut self) -> Result<u32, Stop> {
        let mut code = 0;
        for _ in 0..4 {
            self.at += 1;
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code << 4 | digit.ok_or_else(|| self.unexpected())?;
        }
        self.at += 1;
        Ok(code)
    }

    fn number(&mut self) -> Result<Number, Stop> {
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let mut digits = Digits::default();
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(&mut digits, 0),
            _ => return Err(self.unexpected()),
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected());
        }
        let mut whole = !digits.full;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits(&mut digits, -1)?;
            whole = false;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let below = self.peek() == Some(b'-');
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            let mut exponent = Digits::default();
            self.some_digits(&mut exponent, 0)?;
            // A text of 1 MiB has no more digits that would make up for it.
            let exponent = exponent.number.min(1 << 24) as i32;
            digits.exponent += if below { -exponent } else { exponent };
            whole = false;
        }
        if whole && !negative {
            return Ok(digits.number.into());
        }
        if whole && (1..=1 << 63).contains(&digits.number) {
            return Ok((digits.number as i64).wrapping_neg().into());
        }
        let magnitude = digits.to_f64().filter(|number| number.is_finite());
        let magnitude = magnitude.ok_or_else(|| {
            self.at -= 1;
            self.stop(Reason::NoJson)
        })?;
        Ok(Number(Kind::Float(if negative {
            -magnitude
        } else {
            magnitude
        })))
    }

    fn some_digits(&mut self, digits: &mut Digits, each: i32) -> Result<(), Stop> {
        match self.peek() {
            Some(b'0'..=b'9') => {
                self.digits(digits, each);
                Ok(())
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Passes digits; each changes the exponent by that much.
    fn digits(&mut self, digits: &mut Digits, each: i32) {
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            digits.push(byte - b'0', each);
            self.at += 1;
        }
    }
}

/// A number under construction: `number` · 10^`exponent`.
#[derive(Default)]
struct Digits {
    number: u64,
    exponent: i32,
    /// There were more digits than 64 bits can hold: the last ones count as zeros.
    full: bool,
}

impl Digits {
    fn push(&mut self, digit: u8, each: i32) {
        let longer = self.number.checked_mul(10);
        match longer.and_then(|number| number.checked_add(digit.into())) {
            Some(number) if !self.full => {
                self.number = number;
                self.exponent += each;
            }
            _ => {
                self.full = true;
                self.exponent += each + 1;
            }
        }
    }

    fn to_f64(&self) -> Option<f64> {
        const LARGEST: u32 = 308;
        let mut number = self.number as f64;
        let mut exponent = self.exponent.unsigned_abs();
        if number == 0.0 {
            return Some(number);
        }
        if self.exponent < 0 && exponent > LARGEST {
            number /= power_of_ten(LARGEST);
            exponent -= LARGEST;
        }
        Some(match (self.exponent < 0, exponent) {
            (false, ..=LARGEST) => number * power_of_ten(exponent),
            (true, ..=LARGEST) => number / power_of_ten(exponent),
            (false, _) => return None,
            (true, _) => 0.0,
        })
    }
}

/// Exact up to 10²², and near enough up to 10³⁰⁸.
fn power_of_ten(exponent: u32) -> f64 {
    const POWERS: [f64; 9] = [1e1, 1e2, 1e4, 1e8, 1e16, 1e32, 1e64, 1e128, 1e256];
    let mut power = 1.0;
    for (bit, factor) in POWERS.iter().enumerate() {
        if exponent >> bit & 1 == 1 {
            power *= factor;
        }
    }
    power
}

/// How many bytes stand before the first that is a quotation mark, a backslash or a control character.
fn plain(json: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHEST: u64 = ONES << 7;
    let (eights, _) = json.as_chunks::<8>();
    let is_plain = |eight: &&[u8; 8]| {
        let bytes = u64::from_le_bytes(**eight);
        let (quotes, slashes) = (bytes ^ (ONES * 0x22), bytes ^ (ONES * 0x5c));
        // A byte's highest bit is set where the byte is 0, or below 0x20; or, it does not matter here, where one
        // before it is.
        let odd = quotes.wrapping_sub(ONES) & !quotes
            | slashes.wrapping_sub(ONES) & !slashes
            | bytes.wrapping_sub(ONES * 0x20) & !bytes;
        odd & HIGHEST == 0
    };
    let start = 8 * eights.iter().take_while(is_plain).count();
    let rest = json[start..].iter();
    start
        + rest
            .take_while(|byte| !matches!(byte, b'"' | b'\\' | ..0x20))
            .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};

    fn error(text: impl AsRef<[u8]>) -> Error {
        parse(text.as_ref()).unwrap_err()
    }

    #[test]
    fn each_way_to_be_wrong_has_its_message_and_offset() {
        for (text, message, offset) in [
            ("", "empty", 0),
            (" \n", "empty", 2),
            ("\u{feff}", "empty", 3),
            ("{\"a\":1", "ends too early", 6),
            ("{\"a\":tru}", "not JSON", 8),
            ("{\n\"a\":?}", "not JSON", 6),
            ("<html>", "not JSON", 0),
            ("{} x", "follows", 3),
            ("{}{}", "follows", 2),
            ("{\"a\":1,\"b\":2,\"a\":3}", "twice", 15),
            ("{\"a\":1,\"\\u0061\":3}", "twice", 14),
            ("[{\"a\":[{\"b\":1,\"b\":1}]}]", "twice", 16),
            ("[1e999]", "not JSON", 5),
            ("[\"\\ud800\"]", "not JSON", 8),
        ] {
            let error = error(text);
            assert_eq!(error.code(), Code::MalformedAnswer, "{text}");
            assert!(error.message().contains(message), "{text}: {error}");
            assert_eq!(error.offset(), Some(offset), "{text}: {error}");
        }
        assert!(error(b"\"\xff\"").message().contains("not JSON"));
        assert!(parse(" \u{20}{}\n".as_bytes()).is_ok());
        assert!(parse("\u{feff}{}".as_bytes()).is_ok());
    }

    #[test]
    fn an_object_is_asked_for_and_nothing_else_will_do() {
        for text in ["null", "true", "1", "-1", "1.5", "\"{}\"", "[]", "[{}]"] {
            let error = parse_object(text.as_bytes()).unwrap_err();
            assert!(error.message().contains("not an object"), "{text}: {error}");
        }
    }

    #[test]
    fn known_members_come_by_place_and_others_by_name() {
        let text = br#"{"x":1,"b":"B","a":null,"y":{"a":2}}"#;
        let ([a, b, c], others) = members(text, &["a", "b", "c"]).unwrap();
        assert_eq!((a, b, c), (Some(Value::Null), Some("B".into()), None));
        assert_eq!(others.to_json(), r#"{"x":1,"y":{"a":2}}"#);
        for twice in [
            r#"{"a":null,"a":null}"#,
            r#"{"x":1,"x":1}"#,
            r#"{"x":{"a":1,"a":1}}"#,
        ] {
            let error = members(twice.as_bytes(), &["a"]).unwrap_err();
            assert!(error.message().contains("twice"), "{twice}: {error}");
        }
    }

    #[test]
    fn nesting_ends_at_its_limit() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth| format!("{}0{}", open.repeat(depth), close.repeat(depth));
            assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
            for depth in [MAX_DEPTH + 1, 127, 128, 129, 100_000] {
                assert!(
                    error(nested(depth)).message().contains("32 deep"),
                    "{depth}"
                );
                assert!(
                    error(open.repeat(depth)).message().contains("32 deep"),
                    "{depth}"
                );
            }
        }
        let object = |depth| {
            format!(
                "{}{}",
                "{\"a\":".repeat(depth),
                "0".to_string() + &"}".repeat(depth)
            )
        };
        assert!(parse_object(object(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse_object(object(MAX_DEPTH + 1).as_bytes()).is_err());
    }

    #[test]
    fn a_text_of_more_than_one_mebibyte_is_not_looked_at() {
        let quoted = |len: usize| format!("\"{}\"", "x".repeat(len - 2));
        assert!(parse(quoted(MAX_BYTES).as_bytes()).is_ok());
        assert!(error(quoted(MAX_BYTES + 1)).message().contains("1 MiB"));
    }

    #[test]
    fn a_repeated_name_is_found_in_objects_of_any_size() {
        for count in [2, 16, 17, 18, 1000] {
            for twin in [0, count / 2, count - 1] {
                let mut text = String::from("{");
                for member in 0..count {
                    text += &format!("\"{member}\":0,");
                }
                let whole = format!("{}}}", text.trim_end_matches(','));
                assert_eq!(parse_object(whole.as_bytes()).unwrap().len(), count);
                let twice = format!("{text}\"{twin}\":0}}");
                assert!(error(twice).message().contains("twice"), "{count} {twin}");
            }
        }
    }
}
