//! google.protobuf.Struct, as Envoy hands over a configuration that was written as one.
//!
//! The reader is as strict as the one for JSON: a member twice, a member of another message, bytes left over and
//! nesting deeper than JSON's limit are errors.

use svcauth_core::{
    Code, Error,
    wire::json::{MAX_BYTES, MAX_DEPTH, Number, Object, Value},
};

/// Reads the bytes of a Struct.
///
/// # Errors
/// [`Code::InvalidConfiguration`]: it is none.
pub(crate) fn read(bytes: &[u8]) -> Result<Object, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(wrong("it is larger than 1 MiB"));
    }
    object(bytes, MAX_DEPTH)
}

fn wrong(why: &'static str) -> Error {
    Error::new(
        Code::InvalidConfiguration,
        format!(
            "the plugin's configuration is neither JSON nor a google.protobuf.Struct ({why}); write it as a \
             google.protobuf.StringValue with the JSON document in value"
        ),
    )
}

/// One field of a message.
enum Field<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// Takes the first field off a message.
fn field<'a>(bytes: &mut &'a [u8]) -> Result<(u64, Field<'a>), Error> {
    let tag = varint(bytes)?;
    let field = match tag & 7 {
        0 => Field::Varint(varint(bytes)?),
        1 => {
            let (head, rest) = bytes
                .split_first_chunk::<8>()
                .ok_or_else(|| wrong("it ends within a number"))?;
            *bytes = rest;
            Field::Fixed(u64::from_le_bytes(*head))
        }
        2 => {
            let length =
                usize::try_from(varint(bytes)?).map_err(|_| wrong("a length is too large"))?;
            let (head, rest) = bytes
                .split_at_checked(length)
                .ok_or_else(|| wrong("it ends within a field"))?;
            *bytes = rest;
            Field::Bytes(head)
        }
        _ => return Err(wrong("a field has a type that no Struct has")),
    };
    Ok((tag >> 3, field))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Error> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes
            .split_first()
            .ok_or_else(|| wrong("it ends within a number"))?;
        *bytes = rest;
        let part = u64::from(*byte & 0x7f);
        if shift == 63 && part > 1 {
            return Err(wrong("a number is too large"));
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(wrong("a number is too long"))
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| wrong("a text is not UTF-8"))
}

/// `message Struct { map<string, Value> fields = 1; }`
fn object(mut bytes: &[u8], depth: usize) -> Result<Object, Error> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| wrong("it is nested too deeply"))?;
    let mut object = Object::new();
    while !bytes.is_empty() {
        let (1, Field::Bytes(entry)) = field(&mut bytes)? else {
            return Err(wrong("a field is none of a Struct's"));
        };
        let (name, value) = member(entry, depth)?;
        if object.insert(name.as_str(), value).is_some() {
            return Err(
                Error::new(Code::InvalidConfiguration, "the member stands there twice").at(name),
            );
        }
    }
    Ok(object)
}

/// An entry of the map: key = 1, value = 2. Either may be left out where it is empty.
fn member(mut bytes: &[u8], depth: usize) -> Result<(String, Value), Error> {
    let (mut name, mut found) = (None, None);
    while !bytes.is_empty() {
        match field(&mut bytes)? {
            (1, Field::Bytes(bytes)) if name.is_none() => name = Some(text(bytes)?),
            (2, Field::Bytes(bytes)) if found.is_none() => found = Some(value(bytes, depth)?),
            _ => return Err(wrong("a member has a field that is none of its own")),
        }
    }
    Ok((name.unwrap_or_default(), found.unwrap_or(Value::Null)))
}

/// `message Value`: one of null = 1, number = 2, string = 3, bool = 4, struct = 5, list = 6.
fn value(mut bytes: &[u8], depth: usize) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let value = match field(&mut bytes)? {
        (1, Field::Varint(0)) => Value::Null,
        (2, Field::Fixed(bits)) => Value::Number(number(f64::from_bits(bits))?),
        (3, Field::Bytes(bytes)) => Value::String(text(bytes)?),
        (4, Field::Varint(value @ (0 | 1))) => Value::Bool(value == 1),
        (5, Field::Bytes(bytes)) => Value::Object(object(bytes, depth)?),
        (6, Field::Bytes(bytes)) => Value::Array(list(bytes, depth)?),
        _ => return Err(wrong("a value has a field that is none of its own")),
    };
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(wrong("a value stands there twice"))
    }
}

/// A Struct knows doubles only: the whole ones among them are what JSON writes without a point.
fn number(double: f64) -> Result<Number, Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if double.fract() == 0.0 && (0.0..=EXACT).contains(&double) {
        return Ok(Number::from(double as u64));
    }
    Number::from_f64(double).ok_or_else(|| wrong("a number is not finite"))
}

/// `message ListValue { repeated Value values = 1; }`
fn list(mut bytes: &[u8], depth: usize) -> Result<Vec<Value>, Error> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| wrong("it is nested too deeply"))?;
    let mut values = vec![];
    while !bytes.is_empty() {
        let (1, Field::Bytes(bytes)) = field(&mut bytes)? else {
            return Err(wrong("a field is none of a list's"));
        };
        values.push(value(bytes, depth)?);
    }
    Ok(values)
}
