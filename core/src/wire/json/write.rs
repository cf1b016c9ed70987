//! Writing JSON without leaving copies of secrets behind.

use super::{Kind, Number, Object, Value};
use crate::wire::buffer::Buffer;
use alloc::string::String;
use core::fmt::Write;
use serde::{Serialize, Serializer};

impl Value {
    /// The value as JSON text, without white space. It may hold secrets: wipe it, or give it to a type that
    /// does.
    pub fn to_json(&self) -> String {
        let mut out = Buffer::with_capacity(256);
        value(&mut out, self);
        out.into_string()
    }
}

impl Object {
    /// The object as JSON text, without white space. It may hold secrets: wipe it, or give it to a type that
    /// does.
    pub fn to_json(&self) -> String {
        let mut out = Buffer::with_capacity(256);
        object(&mut out, self);
        out.into_string()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(number) => number.serialize(serializer),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(elements) => serializer.collect_seq(elements),
            Value::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Kind::Unsigned(number) => serializer.serialize_u64(number),
            Kind::Negative(number) => serializer.serialize_i64(number),
            Kind::Float(number) => serializer.serialize_f64(number),
        }
    }
}

pub(super) fn value(out: &mut Buffer, value_: &Value) {
    match value_ {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::String(text) => string(out, text),
        Value::Array(elements) => {
            out.push_str("[");
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push_str(",");
                }
                value(out, element);
            }
            out.push_str("]");
        }
        Value::Object(members) => object(out, members),
    }
}

fn object(out: &mut Buffer, members: &Object) {
    out.push_str("{");
    for (at, (name, member)) in members.iter().enumerate() {
        if at > 0 {
            out.push_str(",");
        }
        string(out, name);
        out.push_str(":");
        value(out, member);
    }
    out.push_str("}");
}

pub(super) fn string(out: &mut Buffer, text: &str) {
    out.push_str("\"");
    let (mut written, mut at) = (0, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        if matches!(byte, ..0x20 | b'"' | b'\\') {
            out.push_str(&text[written..at]);
            escape(out, *byte);
            written = at + 1;
        }
        at += 1;
    }
    out.push_str(&text[written..]);
    out.push_str("\"");
}

#[cold]
fn escape(out: &mut Buffer, byte: u8) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        byte => {
            let _ = write!(out, "\\u{byte:04x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse, parse_object};
    use alloc::{format, string::String};

    #[test]
    fn what_is_written_is_what_was_read() {
        for text in [
            "null",
            "[]",
            "{}",
            r#"{"a":[1,-2,3.5,1e+300,true,false,null,"x"],"b":{"c":{}}}"#,
            r#""\"\\\n\r\t\u0000\u001f/é☃𝄞""#,
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "-0.0",
        ] {
            let value = parse(text.as_bytes()).unwrap();
            assert_eq!(value.to_json(), text);
            assert_eq!(
                parse(serde_json::to_string(&value).unwrap().as_bytes()).unwrap(),
                value
            );
        }
    }

    #[test]
    fn debug_output_shows_names_but_no_text() {
        let object = parse_object(br#"{"client_secret":"s3cr3t","n":[1,"s3cr3t"]}"#).unwrap();
        let printed: String = format!("{object:?}");
        assert_eq!(printed, r#"{"client_secret": [text], "n": [1, [text]]}"#);
    }
}
