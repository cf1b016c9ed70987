//! JSON (RFC 8259), read strictly and wiped when dropped.
//!
//! [`parse`] refuses what two parsers might read differently: a member that appears twice, bytes after the
//! value, and input that is only meant to exhaust its reader (more than [`MAX_BYTES`], deeper than
//! [`MAX_DEPTH`]). A byte order mark before the text is skipped.

mod field;
mod read;
mod serialize;
mod write;

use super::buffer::wipe;
use alloc::{string::String, vec::Vec};
use core::fmt;

pub(crate) use field::{Field, Members, error_at, in_seconds, join, nearest};
pub(crate) use read::members;
pub use read::{MAX_BYTES, MAX_DEPTH, parse, parse_object};
pub use serialize::to_json;
pub(crate) use serialize::to_value;

/// A JSON value. Texts are wiped when dropped, and [`fmt::Debug`] prints none of them.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

/// The members of a JSON object in their order; each name stands there once.
#[derive(Clone, Default, PartialEq)]
pub struct Object {
    members: Vec<(String, Value)>,
}

/// A JSON number: an integer of 64 bits or a finite double.
#[derive(Clone, Copy, PartialEq)]
pub struct Number(Kind);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Unsigned(u64),
    Negative(i64),
    Float(f64),
}

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text itself, if it is one, without a copy.
    pub fn into_string(mut self) -> Option<String> {
        match &mut self {
            Value::String(text) => Some(core::mem::take(text)),
            _ => None,
        }
    }

    /// The number, if it is an integer from 0 to 2⁶⁴ − 1.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// `true` or `false`, if it is one of them.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The members themselves, if it is an object, without a copy.
    pub fn into_object(mut self) -> Option<Object> {
        match &mut self {
            Value::Object(object) => Some(core::mem::take(object)),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// What it is, for messages: `null`, `a boolean`, `a number`, `a text`, `an array`, `an object`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

impl Drop for Value {
    #[inline]
    fn drop(&mut self) {
        if let Value::String(text) = self {
            wipe(core::mem::take(text));
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => value.fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::String(_) => f.write_str("[text]"),
            Value::Array(elements) => elements.fmt(f),
            Value::Object(object) => object.fmt(f),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::Object(object)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(elements: Vec<T>) -> Value {
        Value::Array(elements.into_iter().map(Into::into).collect())
    }
}

impl Object {
    /// An object without members.
    pub const fn new() -> Object {
        Object {
            members: Vec::new(),
        }
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| value)
    }

    /// Sets a member, in its old place if there was one, and answers the old value.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.set(name.into(), value.into())
    }

    fn set(&mut self, name: String, value: Value) -> Option<Value> {
        match self.members.iter_mut().find(|(member, _)| *member == name) {
            Some((_, old)) => Some(core::mem::replace(old, value)),
            None => {
                self.members.push((name, value));
                None
            }
        }
    }

    /// Adds the members of another object, except those whose name stands here already.
    pub(crate) fn append(&mut self, others: Object) {
        let own = self.members.len();
        for (name, value) in others {
            if !self.members[..own].iter().any(|(known, _)| *known == name) {
                self.members.push((name, value));
            }
        }
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&str, &Value) -> bool) {
        self.members.retain(|(name, value)| keep(name, value));
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.remove(at).1)
    }

    /// The members in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.members
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn from_distinct(members: Vec<(String, Value)>) -> Object {
        Object { members }
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(members: I) -> Object {
        let mut object = Object::new();
        for (name, value) in members {
            object.insert(name, value);
        }
        object
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = alloc::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Number {
    /// The number, if it is an integer from 0 to 2⁶⁴ − 1.
    pub fn as_u64(self) -> Option<u64> {
        match self.0 {
            Kind::Unsigned(number) => Some(number),
            _ => None,
        }
    }

    /// The number, if it is an integer from −2⁶³ to 2⁶³ − 1.
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Kind::Unsigned(number) => number.try_into().ok(),
            Kind::Negative(number) => Some(number),
            Kind::Float(_) => None,
        }
    }

    /// The number as a double; an integer above 2⁵³ is rounded.
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Kind::Unsigned(number) => number as f64,
            Kind::Negative(number) => number as f64,
            Kind::Float(number) => number,
        }
    }

    /// The number `number`, unless it is infinite or none.
    pub fn from_f64(number: f64) -> Option<Number> {
        number.is_finite().then_some(Number(Kind::Float(number)))
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Number {
        Number(Kind::Unsigned(number))
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Number {
        Number(match u64::try_from(number) {
            Ok(number) => Kind::Unsigned(number),
            Err(_) => Kind::Negative(number),
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Unsigned(number) => number.fmt(f),
            Kind::Negative(number) => number.fmt(f),
            // With the fraction or exponent that tells a double from an integer.
            Kind::Float(number) => f.write_str(zmij::Buffer::new().format_finite(number)),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
