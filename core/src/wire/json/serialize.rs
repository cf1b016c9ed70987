//! What serde derives, written as JSON.
//!
//! serde_json writes the same text; its code is there once for each member of each type, and this one's is not.

use super::{
    Number, Value, parse,
    write::{string, value},
};
use crate::{Secret, wire::buffer::Buffer};
use alloc::string::String;
use core::fmt;
use serde::{
    Serialize, Serializer,
    ser::{Impossible, SerializeSeq, SerializeStruct},
};

/// What `of` is in JSON. It may hold secrets: wipe it, or give it to a type that does.
///
/// Structs, sequences, texts, numbers, booleans, options and the names of enums have a form here. Nothing else
/// is written, since no type of this crate needs it: the answer then ends early, and is no JSON.
pub fn to_json(of: &impl Serialize) -> String {
    let mut out = Buffer::with_capacity(256);
    let _ = of.serialize(Writer(&mut out));
    out.into_string()
}

/// Something as a JSON value.
pub(crate) fn to_value(of: &impl Serialize) -> Value {
    let text = Secret::new(to_json(of));
    parse(text.expose().as_bytes()).unwrap_or(Value::Null)
}

struct Writer<'b>(&'b mut Buffer);

/// An array or an object under construction.
struct Members<'b> {
    out: &'b mut Buffer,
    is_first: bool,
}

impl<'b> Members<'b> {
    fn begin(out: &'b mut Buffer, bracket: &str) -> Members<'b> {
        out.push_str(bracket);
        Members {
            out,
            is_first: true,
        }
    }

    fn next(&mut self) {
        if !self.is_first {
            self.out.push_str(",");
        }
        self.is_first = false;
    }

    /// The names of members are Rust's, so nothing in them is escaped.
    fn name(&mut self, name: &'static str) {
        self.next();
        self.out.push_str("\"");
        self.out.push_str(name);
        self.out.push_str("\":");
    }
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> fmt::Result {
        self.name(name);
        value.serialize(Writer(self.out))
    }

    fn end(self) -> fmt::Result {
        self.out.push_str("}");
        Ok(())
    }
}

impl SerializeSeq for Members<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.next();
        value.serialize(Writer(self.out))
    }

    fn end(self) -> fmt::Result {
        self.out.push_str("]");
        Ok(())
    }
}

impl Writer<'_> {
    fn simple(self, simple: Value) -> fmt::Result {
        value(self.0, &simple);
        Ok(())
    }
}

/// Numbers of all widths.
macro_rules! numbers {
    ($($method:ident: $type:ty => $wide:ty,)*) => {
        $(fn $method(self, number: $type) -> fmt::Result {
            self.simple(Value::from(<$wide>::from(number)))
        })*
    };
}

/// What no type of this crate is.
macro_rules! impossible {
    ($($method:ident($($argument:ty),*) -> $answer:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$answer, fmt::Error> {
            Err(fmt::Error)
        })*
    };
}

type Never = Impossible<(), fmt::Error>;

impl<'b> Serializer for Writer<'b> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Members<'b>;
    type SerializeStruct = Members<'b>;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStructVariant = Never;

    fn serialize_bool(self, value: bool) -> fmt::Result {
        self.simple(Value::Bool(value))
    }

    numbers! {
        serialize_i8: i8 => i64,
        serialize_i16: i16 => i64,
        serialize_i32: i32 => i64,
        serialize_i64: i64 => i64,
        serialize_u8: u8 => u64,
        serialize_u16: u16 => u64,
        serialize_u32: u32 => u64,
        serialize_u64: u64 => u64,
    }

    fn serialize_f32(self, number: f32) -> fmt::Result {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> fmt::Result {
        self.simple(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn serialize_char(self, text: char) -> fmt::Result {
        self.serialize_str(text.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> fmt::Result {
        string(self.0, text);
        Ok(())
    }

    fn serialize_none(self) -> fmt::Result {
        self.simple(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> fmt::Result {
        self.simple(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> fmt::Result {
        self.simple(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> fmt::Result {
        self.serialize_str(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'b>, fmt::Error> {
        Ok(Members::begin(self.0, "["))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'b>, fmt::Error> {
        Ok(Members::begin(self.0, "{"))
    }

    impossible! {
        serialize_bytes(&[u8]) -> ();
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Error, Event};
    use serde_json::{from_str, to_value};

    #[test]
    fn it_is_what_serde_json_writes() {
        let error = Error::new(Code::RateLimited, "a \"quoted\"\n\u{1}text")
            .with_status(429)
            .with_retry_after_ms(Some(u64::MAX));
        let events = [
            Event::RegistrationInterrupted,
            Event::RefreshFailed {
                target: "smd".into(),
                error,
                retry_in_s: 0.1,
                needs_action: true,
                serving: false,
            },
            Event::ScopeReduced {
                target: String::new(),
                missing: ["a", "b"].map(String::from).into(),
            },
            Event::Call {
                target: None,
                method: "GET".into(),
                url: "https://smd.example/é".into(),
                status: Some(200),
                kind: "service",
                subject: None,
                client_id: Some("bss".into()),
                retried: false,
            },
        ];
        for event in events {
            let written: serde_json::Value = from_str(&to_json(&event)).unwrap();
            assert_eq!(written, to_value(&event).unwrap());
        }
        assert_eq!(to_json(&[0.5, 3.0, f64::NAN].as_slice()), "[0.5,3.0,null]");
        assert_eq!(to_json(&[-1i8, 7].as_slice()), "[-1,7]");
    }
}
