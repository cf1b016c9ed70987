//! The plugin's configuration: what is accepted, what is refused and where.

use crate::{
    lives::Random,
    stories::{ATTACH, document},
};
use svcauth_core::wire::json::{self, Value};
use svcauth_proxy::{Audience, Role, Settings};

#[test]
fn what_is_left_out_has_the_value_that_the_page_names() {
    let settings = Settings::read(document(ATTACH).as_bytes()).unwrap();
    assert_eq!(settings.role, Role::Attach);
    assert_eq!(settings.audience, Audience::All(1));
    assert_eq!((settings.most_held, settings.wait_ms), (1024, 5_000));
    assert_eq!(
        settings.users.as_deref(),
        Some("metadata\0filter_metadata\0envoy.filters.http.jwt_authn")
    );
    assert!(settings.sharing && settings.audit && settings.eager && !settings.retried);
    assert!(settings.warnings.is_empty());
}

#[test]
fn what_is_wrong_is_named() {
    for (envoy, message) in [
        ("", "envoy.target: missing"),
        (r#""target": "smd""#, "envoy.server_cluster: missing"),
        (
            r#""target": "smdd", "server_cluster": "h""#,
            "envoy.target: must be the name of a target; there are own, smd",
        ),
        (
            r#""target": 1, "server_cluster": "h""#,
            "envoy.target: must be a text",
        ),
        (
            r#""target": "smd", "server_cluster": """#,
            "envoy.server_cluster: must be",
        ),
        (
            r#""target": "smd", "server_cluster": {"x": "h"}"#,
            "envoy.server_cluster.x: must be an origin",
        ),
        (
            r#""target": "smd", "server_cluster": {"https://h.example": 1}"#,
            "envoy.server_cluster.https://h.example",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "rol": "attach""#,
            "envoy.rol: unknown; known are role",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "role": "both""#,
            "envoy.role: must be attach or retry",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "clusters": {"a": "smd"}"#,
            "envoy.target: contradicts",
        ),
        (
            r#""server_cluster": "h", "clusters": {"a": "smdd"}"#,
            "envoy.clusters.a: must be the name of a target",
        ),
        (
            r#""server_cluster": "h", "routes": []"#,
            "envoy.routes: must be an object",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "holding": {"mots": 1}"#,
            "envoy.holding.mots: unknown",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "holding": {"most": 1.5}"#,
            "envoy.holding.most: must be a whole",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "holding": {"most": -1}"#,
            "envoy.holding.most: must be a number",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "holding": {"wait_s": "5"}"#,
            "envoy.holding.wait_s: must be",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "users": "none""#,
            "envoy.users: must be",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "users": {}"#,
            "envoy.users.metadata: missing",
        ),
        (
            r#""target": "smd", "server_cluster": "h", "audit": 1"#,
            "envoy.audit: must be true or false",
        ),
        (r#""target": "smd", "target": "smd""#, "member"),
    ] {
        let error = Settings::read(document(envoy).as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(message) || message == "member",
            "{envoy}: {error}"
        );
        assert!(error.ends_with("(invalid_configuration)"), "{error}");
    }
    let exchange = document(ATTACH).replace("\"never\"", "\"exchange\"");
    let error = Settings::read(exchange.as_bytes()).unwrap_err().to_string();
    assert!(
        error.starts_with("targets.own.user_token: ") && error.ends_with("(unsupported)"),
        "{error}"
    );
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"envoy\":{}}",
        "{\"envoy\":null}",
        "\n \t{\"x\":1}",
    ] {
        assert!(Settings::read(text.as_bytes()).is_err(), "{text}");
    }
}

/// Writes a value as google.protobuf.Value, in the order of the members.
fn value(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => vec![0x08, 0x00],
        Value::Bool(flag) => vec![0x20, u8::from(*flag)],
        Value::Number(number) => [&[0x11][..], &number.as_f64().to_le_bytes()].concat(),
        Value::String(text) => field(3, text.as_bytes()),
        Value::Object(_) => field(5, &structure(value)),
        Value::Array(items) => {
            let items: Vec<u8> = items
                .iter()
                .flat_map(|item| field(1, &self::value(item)))
                .collect();
            field(6, &items)
        }
    }
}

fn structure(value: &Value) -> Vec<u8> {
    let members = value.as_object().unwrap().iter();
    members
        .flat_map(|(name, value)| {
            field(
                1,
                &[field(1, name.as_bytes()), field(2, &self::value(value))].concat(),
            )
        })
        .collect()
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

fn example() -> String {
    document(
        r#""server_cluster": { "https://hydra.example:4444": "hydra" }, "clusters": { "a": "smd", "b": "own" },
           "holding": { "most": 7, "wait_s": 0.25 }, "sharing": false, "audit": null"#,
    )
}

#[test]
fn a_struct_is_read_like_json() {
    let json = Settings::read(example().as_bytes()).unwrap();
    let bytes = structure(&json::parse(example().as_bytes()).unwrap());
    assert_eq!(bytes[0], b'\n', "it begins as a JSON text might");
    let read = Settings::read(&bytes).unwrap();
    assert_eq!(format!("{read:?}"), format!("{json:?}"));
    assert_eq!((read.most_held, read.wait_ms), (7, 250));
}

#[test]
fn no_bytes_stop_the_reader_and_no_damaged_struct_is_taken_for_a_whole_one() {
    let good = structure(&json::parse(example().as_bytes()).unwrap());
    for end in 0..good.len() {
        assert!(Settings::read(&good[..end]).is_err(), "{end}");
    }
    for bad in [
        &b"\x0a"[..],
        b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x",
        b"\x12\x00",
        b"\x0a\x02\x18\x01",
        b"\x0a\x07\x0a\x01a\x12\x02\x20\x02",
        b"\x0a\x05\x0a\x03a\xff\xfe",
        b"\x0b\x0c",
        b"\x0d\x00\x00\x00\x00",
    ] {
        let error = Settings::read(bad).unwrap_err().to_string();
        assert!(error.contains("google.protobuf.Struct"), "{error}");
    }
    let twice = [&good[..], &good[..]].concat();
    assert!(
        Settings::read(&twice)
            .unwrap_err()
            .to_string()
            .contains("twice")
    );
    let mut deep = vec![];
    for _ in 0..60 {
        deep = field(1, &[field(1, b"a"), field(2, &field(5, &deep))].concat());
    }
    assert!(
        Settings::read(&deep)
            .unwrap_err()
            .to_string()
            .contains("deeply")
    );

    let mut random = Random(7);
    for _ in 0..6_000 {
        let mut bytes = if random.below(4) == 0 {
            example().into_bytes()
        } else {
            good.clone()
        };
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, random.below(256) as u8),
                _ => bytes[at] ^= 1 << random.below(8),
            }
        }
        // It ends, and says something.
        if let Err(error) = Settings::read(&bytes) {
            assert!(!error.to_string().is_empty());
        }
    }
}
