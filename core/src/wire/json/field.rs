//! A reader that knows where in the document it is, so that every error says so.

use super::{Kind, Number, Object, Value};
use crate::{
    Code, Error,
    wire::{Origin, Url},
};
use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};
use core::{fmt::Write as _, ops::RangeInclusive};

/// One member of the document, there or not.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    value: Option<&'a Value>,
    path: Path<'a>,
    code: Code,
}

/// The members of one object; all absent where the object itself is.
pub(crate) struct Members<'a> {
    object: Option<&'a Object>,
    path: Path<'a>,
    known: &'static [&'static str],
    code: Code,
}

/// Where in the document something stands; it becomes a text when there is an error about it.
#[derive(Clone, Copy)]
enum Path<'a> {
    Document,
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn to_text(self) -> String {
        match self {
            Path::Document => String::new(),
            Path::Member(parent, name) => join(&parent.to_text(), name),
            Path::Item(parent, index) => format!("{}[{index}]", parent.to_text()),
        }
    }
}

impl<'a> Members<'a> {
    /// The whole document; `code` is that of all errors about it.
    pub(crate) fn document(
        object: &'a Object,
        known: &'static [&'static str],
        code: Code,
    ) -> Result<Members<'a>, Error> {
        Members::new(Some(object), Path::Document, known, code)
    }

    fn new(
        object: Option<&'a Object>,
        path: Path<'a>,
        known: &'static [&'static str],
        code: Code,
    ) -> Result<Members<'a>, Error> {
        for (name, _) in object.into_iter().flat_map(Object::iter) {
            let name: &str = name;
            if !known.contains(&name) {
                let path = join(&path.to_text(), name);
                return Err(error_at(code, path, unknown(name, known)));
            }
        }
        Ok(Members {
            object,
            path,
            known,
            code,
        })
    }

    /// The member `name`, which is one of the known ones.
    pub(crate) fn get(&self, name: &'static str) -> Field<'_> {
        debug_assert!(self.known.contains(&name), "{name} is not listed");
        Field {
            value: self.object.and_then(|object| object.get(name)),
            path: Path::Member(&self.path, name),
            code: self.code,
        }
    }

    /// The first of `names` that is there.
    pub(crate) fn first_of(&self, names: &[&'static str]) -> Option<Field<'_>> {
        names
            .iter()
            .map(|name| self.get(name))
            .find(Field::is_present)
    }
}

impl<'a> Field<'a> {
    pub(crate) fn is_present(&self) -> bool {
        self.value.is_some()
    }

    /// Itself, where it is there.
    pub(crate) fn present(self) -> Option<Field<'a>> {
        self.is_present().then_some(self)
    }

    /// Itself, or an error that says what is to be written there.
    pub(crate) fn required(self, advice: &str) -> Result<Field<'a>, Error> {
        if self.is_present() {
            Ok(self)
        } else {
            Err(self.error(format!("missing: {advice}")))
        }
    }

    /// An error about this member.
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        error_at(self.code, self.path.to_text(), message)
    }

    /// The error about a value of another type than `expected`.
    pub(crate) fn wrong_type(&self, expected: &str) -> Error {
        let found = match self.value {
            None => "nothing",
            Some(Value::Null) => "null; leave the member out for its default",
            Some(Value::Bool(_)) => "true or false",
            Some(Value::Number(_)) => "a number",
            Some(Value::String(_)) => "a string",
            Some(Value::Array(_)) => "a list",
            Some(Value::Object(_)) => "an object",
        };
        self.error(format!("expected {expected}, found {found}"))
    }

    /// The value as it is.
    pub(crate) fn value(&self) -> Option<&'a Value> {
        self.value
    }

    /// A string that is not empty and has no control characters in it; `expected` describes it.
    pub(crate) fn text(&self, expected: &str) -> Result<Option<&'a str>, Error> {
        let text: &'a str = match self.value {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(_) => return Err(self.wrong_type(expected)),
        };
        if text.is_empty() {
            return Err(self.error(format!("empty: expected {expected}")));
        }
        if text.chars().any(char::is_control) {
            return Err(self.error("holds a control character, such as a line break: remove it"));
        }
        Ok(Some(text))
    }

    pub(crate) fn boolean(&self, default: bool) -> Result<bool, Error> {
        match self.value {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong_type("true or false")),
        }
    }

    /// One of a few texts; the first where the member is absent.
    pub(crate) fn choice<T: Copy, const N: usize>(
        &self,
        choices: &[(&'static str, T); N],
    ) -> Result<T, Error> {
        let place = self.place_in(&choices.map(|(name, _)| name))?;
        Ok(choices[place].1)
    }

    /// Where the text stands in `names`.
    fn place_in(&self, names: &[&'static str]) -> Result<usize, Error> {
        let text: &str = match self.value {
            None => return Ok(0),
            Some(Value::String(text)) => text,
            _ => return Err(self.wrong_type(&alternatives(names))),
        };
        if let Some(place) = names.iter().position(|name| *name == text) {
            return Ok(place);
        }
        let hint = match nearest(text, names) {
            Some(near) => format!(", did you mean {near:?}?"),
            None => String::new(),
        };
        Err(self.error(format!("must be {}{hint}", alternatives(names))))
    }

    /// A time, written in seconds.
    pub(crate) fn milliseconds(
        &self,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, Error> {
        let Some(seconds) = self.number("a number of seconds")? else {
            return Ok(default);
        };
        // Saturates, and NaN does not exist in JSON.
        let milliseconds = (seconds * 1000.0 + 0.5) as u64;
        if seconds < 0.0 || !range.contains(&milliseconds) {
            let (least, most) = (in_seconds(*range.start()), in_seconds(*range.end()));
            return Err(self.error(format!("must be between {least} and {most} seconds")));
        }
        Ok(milliseconds)
    }

    /// A part of a whole.
    pub(crate) fn fraction(&self, default: f64) -> Result<f64, Error> {
        match self.number("a number between 0 and 1")? {
            None => Ok(default),
            Some(fraction) if (0.0..=1.0).contains(&fraction) => Ok(fraction),
            Some(_) => Err(self.error("must be between 0 and 1")),
        }
    }

    /// How many, or how many bytes.
    pub(crate) fn count(
        &self,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> Result<usize, Error> {
        let Some(number) = self.number("a whole number")? else {
            return Ok(default);
        };
        let count = number as usize;
        if count as f64 != number || !range.contains(&count) {
            let (least, most) = (range.start(), range.end());
            return Err(self.error(format!("must be a whole number between {least} and {most}")));
        }
        Ok(count)
    }

    fn number(&self, expected: &str) -> Result<Option<f64>, Error> {
        match self.value {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number.as_f64())),
            Some(_) => Err(self.wrong_type(expected)),
        }
    }

    /// An absolute URL.
    pub(crate) fn url(&self) -> Result<Option<Url>, Error> {
        let Some(text) = self.text("an absolute URL such as \"https://hydra.example\"")? else {
            return Ok(None);
        };
        Url::parse(text)
            .map(Some)
            .map_err(|error| self.error(error.message()))
    }

    /// A list of origins.
    pub(crate) fn origins(&self) -> Result<Vec<Origin>, Error> {
        const SHAPE: &str = "an origin such as \"http://smd.example:27779\"";
        let mut origins = vec![];
        for item in self.items("a list of origins such as [\"http://smd.example:27779\"]")? {
            let text = item.text(SHAPE)?.unwrap_or_default();
            let origin = Origin::parse(text).map_err(|error| item.error(error.message()))?;
            if origins.contains(&origin) {
                return Err(item.error("stands here twice: remove one"));
            }
            origins.push(origin);
        }
        Ok(origins)
    }

    /// The items of a list; none where the member is absent.
    pub(crate) fn items(&self, expected: &str) -> Result<Vec<Field<'_>>, Error> {
        match self.value {
            None => Ok(vec![]),
            Some(Value::Array(items)) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, item)| Field {
                    value: Some(item),
                    path: Path::Item(&self.path, index),
                    code: self.code,
                })
                .collect()),
            Some(_) => Err(self.wrong_type(expected)),
        }
    }

    /// The members of an object whose names are free.
    pub(crate) fn entries(&self, expected: &str) -> Result<Vec<(&'a str, Field<'_>)>, Error> {
        let mut entries = vec![];
        for (name, value) in self.object(expected)?.into_iter().flat_map(Object::iter) {
            let name: &'a str = name;
            entries.push((
                name,
                Field {
                    value: Some(value),
                    path: Path::Member(&self.path, name),
                    code: self.code,
                },
            ));
        }
        Ok(entries)
    }

    /// The members of an object whose names are known.
    pub(crate) fn members(&self, known: &'static [&'static str]) -> Result<Members<'a>, Error> {
        Members::new(self.object("an object")?, self.path, known, self.code)
    }

    /// The object as it is.
    pub(crate) fn object(&self, expected: &str) -> Result<Option<&'a Object>, Error> {
        match self.value {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.wrong_type(expected)),
        }
    }
}

/// A time as it is written in a document.
pub(crate) fn in_seconds(milliseconds: u64) -> Number {
    match milliseconds % 1000 {
        0 => (milliseconds / 1000).into(),
        _ => Number(Kind::Float(milliseconds as f64 / 1000.0)),
    }
}

/// The error about the member at `path`.
pub(crate) fn error_at(code: Code, path: String, message: impl Into<String>) -> Error {
    let error = Error::new(code, message.into());
    if path.is_empty() {
        error
    } else {
        error.at(path)
    }
}

/// The path of the member `name` below `path`; a name that would blur the path is quoted.
pub(crate) fn join(path: &str, name: &str) -> String {
    let mut joined = path.to_owned();
    if !joined.is_empty() {
        joined.push('.');
    }
    if !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte))
    {
        joined.push_str(shortened(name));
    } else {
        // Writing to a String cannot fail.
        let _ = write!(joined, "{:?}", shortened(name));
    }
    joined
}

/// The one of `names` that was probably meant by `name`.
pub(crate) fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    let name = shortened(name).to_ascii_lowercase();
    let mut nearest = None;
    let mut least = usize::MAX;
    for candidate in names {
        let distance = distance(&name, candidate);
        if distance <= (candidate.len() / 3).max(1) && distance < least {
            (nearest, least) = (Some(*candidate), distance);
        }
    }
    nearest
}

fn unknown(name: &str, known: &[&'static str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("unknown, did you mean {near}?"),
        None => format!("unknown, the members known here are {}", known.join(", ")),
    }
}

fn shortened(name: &str) -> &str {
    const LONGEST: usize = 64;
    name.char_indices()
        .nth(LONGEST)
        .map_or(name, |(end, _)| &name[..end])
}

fn alternatives(names: &[&str]) -> String {
    let mut list = String::new();
    for (place, name) in names.iter().enumerate() {
        list.push_str(match place {
            0 => "",
            _ if place + 1 == names.len() => " or ",
            _ => ", ",
        });
        // Writing to a String cannot fail.
        let _ = write!(list, "{name:?}");
    }
    list
}

/// How many letters have to be added, removed, replaced or swapped with their neighbour to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = [
        vec![0; b.len() + 1],
        vec![0; b.len() + 1],
        (0..=b.len()).collect::<Vec<usize>>(),
    ];
    for i in 1..=a.len() {
        rows.rotate_left(1);
        rows[2][0] = i;
        for j in 1..=b.len() {
            let replaced = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = least;
        }
    }
    rows[2][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_that_was_probably_meant() {
        let names = [
            "scopes",
            "urls",
            "audience",
            "client_secret",
            "require_scopes",
        ];
        for (name, near) in [
            ("scope", Some("scopes")),
            ("Scopes", Some("scopes")),
            ("socpes", Some("scopes")),
            ("url", Some("urls")),
            ("clientSecret", Some("client_secret")),
            ("client-secret", Some("client_secret")),
            ("aud", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, &names), near, "{name:?}");
        }
    }

    #[test]
    fn a_path_stays_readable_whatever_the_names() {
        for (path, name, joined) in [
            ("", "issuer", "issuer"),
            ("targets", "smd", "targets.smd"),
            ("targets", "smd.v2", "targets.\"smd.v2\""),
            ("targets", "a\nb", "targets.\"a\\nb\""),
            ("targets", "", "targets.\"\""),
        ] {
            assert_eq!(join(path, name), joined);
        }
        assert_eq!(join("", &"é".repeat(1000)).chars().count(), 66);
    }
}
