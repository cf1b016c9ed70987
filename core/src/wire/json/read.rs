//! Reading JSON strictly.

use super::{Kind, Number, Object, Value};
use crate::{Code, Error, order::sorted};
use alloc::{string::String, vec::Vec};
use core::{cell::Cell, fmt};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

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
    read(text, None)
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
    let picked = Picked {
        names,
        values: &mut known,
    };
    let others = read(text, Some(picked))?;
    Ok((known, others.into_object().unwrap_or_default()))
}

/// The value in `text`; an object without what is picked out of it, and nothing but an object, where something is.
fn read(text: &[u8], picked: Option<Picked<'_>>) -> Result<Value, Error> {
    if text.len() > MAX_BYTES {
        return Err(malformed("the text is longer than 1 MiB"));
    }
    let json = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let skipped = text.len() - json.len();
    let context = Context::default();
    let seed = Seed {
        depth: 0,
        context: &context,
        picked,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = seed
        .deserialize(&mut deserializer)
        .map_err(|error| failure(json, skipped, &error, &context))?;
    match deserializer.end() {
        Ok(()) => Ok(value),
        Err(error) => {
            Err(malformed("something follows the JSON value")
                .at_offset(skipped + offset(json, &error)))
        }
    }
}

/// Why our own part of the reader stopped; an error of serde carries nothing but text.
#[derive(Clone, Copy)]
enum Reason {
    Twice,
    TooDeep,
    NoObject,
}

#[derive(Default)]
struct Context(Cell<Option<Reason>>);

impl Context {
    #[cold]
    fn stop<T, E: serde::de::Error>(&self, reason: Reason) -> Result<T, E> {
        self.0.set(Some(reason));
        Err(E::custom(""))
    }
}

#[cold]
fn failure(json: &[u8], skipped: usize, error: &serde_json::Error, context: &Context) -> Error {
    let message = match (context.0.get(), error.classify()) {
        (Some(Reason::Twice), _) => "a member appears twice in an object",
        (Some(Reason::TooDeep), _) => "arrays and objects stand in each other more than 32 deep",
        (Some(Reason::NoObject), _) => "the JSON value is not an object",
        (None, Category::Eof) if json.iter().all(u8::is_ascii_whitespace) => "the text is empty",
        (None, Category::Eof) => "the JSON text ends too early",
        (None, _) => "the text is not JSON",
    };
    malformed(message).at_offset(skipped + offset(json, error))
}

fn malformed(message: &'static str) -> Error {
    Error::new(Code::MalformedAnswer, message)
}

fn offset(json: &[u8], error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return json.len();
    }
    let lines_before = error.line().saturating_sub(1);
    let line_start = json
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .take(lines_before)
        .last()
        .map_or(0, |(at, _)| at + 1);
    (line_start + error.column().saturating_sub(1)).min(json.len())
}

/// The members that are picked out of an object.
struct Picked<'p> {
    names: &'p [&'p str],
    values: &'p mut [Option<Value>],
}

/// What reads one value. There is one type for all of them, since each has a whole parser made for it.
struct Seed<'c, 'p> {
    depth: usize,
    context: &'c Context,
    picked: Option<Picked<'p>>,
}

impl<'c> Seed<'c, '_> {
    fn simple<E: serde::de::Error>(self, value: Value) -> Result<Value, E> {
        self.need_not_be_an_object()?;
        Ok(value)
    }

    fn need_not_be_an_object<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.picked {
            None => Ok(()),
            Some(_) => self.context.stop(Reason::NoObject),
        }
    }

    /// The depth of what stands in this value.
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.depth == MAX_DEPTH {
            return self.context.stop(Reason::TooDeep);
        }
        Ok(self.depth + 1)
    }

    fn inner(context: &'c Context, depth: usize) -> Seed<'c, 'static> {
        Seed {
            depth,
            context,
            picked: None,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.simple(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.simple(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        self.simple(Value::Number(number.into()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        self.simple(Value::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        self.simple(Value::Number(Number(Kind::Float(number))))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.simple(Value::String(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        self.need_not_be_an_object()?;
        let (depth, context) = (self.deeper()?, self.context);
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(Seed::inner(context, depth))? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let (depth, context) = (self.deeper()?, self.context);
        let (names, values) = match self.picked {
            Some(picked) => (picked.names, picked.values),
            None => (&[][..], &mut [][..]),
        };
        let mut others = Distinct::new(context);
        while let Some(name) = members.next_key_seed(NameSeed(names))? {
            match &name {
                Name::Known(at) if values[*at].is_some() => return context.stop(Reason::Twice),
                Name::Known(_) => {}
                Name::Other(name) => others.name(name)?,
            }
            let value = members.next_value_seed(Seed::inner(context, depth))?;
            match name {
                Name::Known(at) => values[at] = Some(value),
                Name::Other(name) => others.members.push((name, value)),
            }
        }
        others.finish().map(Value::Object)
    }
}

enum Name {
    Known(usize),
    Other(String),
}

struct NameSeed<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameSeed<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(match self.0.iter().position(|known| *known == name) {
            Some(at) => Name::Known(at),
            None => Name::Other(name.into()),
        })
    }
}

/// The members of an object under construction, each name once.
struct Distinct<'c> {
    members: Vec<(String, Value)>,
    context: &'c Context,
}

impl<'c> Distinct<'c> {
    fn new(context: &'c Context) -> Distinct<'c> {
        Distinct {
            members: Vec::new(),
            context,
        }
    }

    fn name<E: serde::de::Error>(&self, name: &str) -> Result<(), E> {
        if self.members.len() < COMPARED_ONE_BY_ONE
            && self.members.iter().any(|(member, _)| member == name)
        {
            return self.context.stop(Reason::Twice);
        }
        Ok(())
    }

    fn finish<E: serde::de::Error>(self) -> Result<Object, E> {
        if self.members.len() > COMPARED_ONE_BY_ONE {
            let names = sorted(self.members.iter().map(|(name, _)| name.as_str()));
            if names.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return self.context.stop(Reason::Twice);
            }
        }
        Ok(Object::from_distinct(self.members))
    }
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
