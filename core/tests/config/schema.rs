//! The schema and the decoder say the same.

use crate::{
    documents::{MINIMAL, everything, patched, text},
    refused::{ROWS, Schema},
};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use svcauth_core::{Config, config::SCHEMA};

/// A validator that knows nothing of the decoder.
struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn new() -> Validator {
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler
            .add_resource("svcauth.schema.json", schema())
            .unwrap();
        let index = compiler
            .compile("svcauth.schema.json", &mut schemas)
            .unwrap();
        Validator { schemas, index }
    }

    fn accepts(&self, document: &Value) -> bool {
        self.schemas.validate(document, self.index).is_ok()
    }
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn read(document: &Value) -> Result<Config, svcauth_core::Error> {
    Config::from_json(text(document).as_bytes())
}

#[test]
fn the_schema_follows_its_own_specification() {
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    let draft = "https://json-schema.org/draft/2020-12/schema";
    let index = compiler.compile(draft, &mut schemas).unwrap();
    assert_eq!(schema()["$schema"], draft);
    schemas.validate(&schema(), index).unwrap();
}

#[test]
fn the_schema_accepts_what_the_decoder_accepts() {
    let validator = Validator::new();
    let example = serde_json::from_str(include_str!("../../svcauth.example.json")).unwrap();
    let mut documents = everything();
    documents.extend([example, patched(MINIMAL, &json!({}))]);
    for patch in [
        json!({"issuer": null, "endpoints": {"token": "https://a.example/t?x=y"}}),
        json!({"issuer": "http://127.0.0.1:4444"}),
        json!({"issuer": "HTTP://LOCALHOST:4444/"}),
        json!({"issuer": "http://[::1]:4444"}),
        json!({"$schema": 7}),
        json!({"targets": null}),
        json!({"targets": {"smd": {"urls": []}}}),
        json!({"targets": {"smd": {"urls": ["https://smd.example/a..b/.c/~d/%20"]}}}),
        json!({"targets": {"a.b-c_D9": {"urls": ["https://smd.example/hsm/v2/sub"]}}}),
        json!({"targets": {"pcs": {"urls": ["https://smd.example/hsm/v22"], "token_of": "smd"}}}),
        json!({"client": {"auth": "none", "credentials": [{"client_id": "public"}]}}),
        json!({"client": {"auth": "client_secret_post"}}),
        json!({"client": {"credentials": [{"client_id": "é", "client_secret": {"value": "pä ss"}}]}}),
        json!({"client": null, "targets": {"smd": {"scopes": null, "grant": "bare"}}}),
        json!({"client": {"credentials": [], "static_token": {"file": "t"}}, "issuer": null}),
        json!({"issuer": null, "targets": null, "store": {"file": "s"},
               "endpoints": {"registration": "https://a.example/r"},
               "client": {"credentials": null, "registration": {}}}),
        json!({"schedule": {}, "timeouts": {"wait_s": 0}, "limits": {}, "tls": {}, "endpoints": {}}),
        json!({"schedule": {"jitter": 0, "refresh_window_s": 0, "serve_margin_s": 0}}),
        json!({"limits": {"events": 10.0}}),
        json!({"proxy": "https://proxy.example:3128/"}),
        json!({"insecure_http": ["http://smd:27779"]}),
    ] {
        documents.push(patched(MINIMAL, &patch));
    }
    for document in documents {
        read(&document).unwrap_or_else(|error| panic!("{document}: {error}"));
        assert!(
            validator.accepts(&document),
            "the schema refuses {document}"
        );
    }
}

#[test]
fn the_schema_refuses_what_the_decoder_refuses_where_it_can_tell() {
    let validator = Validator::new();
    for (patch, _, _, schema) in ROWS {
        let document = patched(MINIMAL, &serde_json::from_str(patch).unwrap());
        let told = if validator.accepts(&document) {
            Schema::Silent
        } else {
            Schema::Tells
        };
        assert_eq!(told, *schema, "{patch}");
    }
}

#[test]
fn every_value_of_a_wrong_type_is_refused_by_both() {
    let validator = Validator::new();
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0.5),
        json!(7),
        json!(1e12),
        json!(""),
        json!("text"),
        json!("https://x.example"),
        json!([]),
        json!([7]),
        json!({}),
        json!({"unknown": 7}),
    ];
    let (mut same, mut decoder_only) = (0, BTreeSet::new());
    for document in everything() {
        for place in places(&document) {
            for value in &values {
                let mut changed = document.clone();
                *changed.pointer_mut(&place).unwrap() = value.clone();
                match (read(&changed), validator.accepts(&changed)) {
                    (Ok(_), false) => panic!("only the schema refuses {value} at {place}"),
                    (Err(error), true) => {
                        decoder_only.insert(error.member().unwrap_or_default().to_owned());
                    }
                    _ => same += 1,
                }
            }
        }
    }
    // Rules that span members, or that the schema leaves to the decoder.
    let silent: BTreeSet<String> = [
        "client.credentials",
        "client.registration.initial_access_token",
        "issuer",
        "schedule.rate_limited_max_s",
        "schedule.refresh_window_fraction",
        "schedule.refresh_window_s",
        "schedule.refused_max_s",
        "targets.power.token_of",
    ]
    .map(String::from)
    .into();
    assert_eq!(decoder_only, silent);
    assert!(same > 1_000, "{same}");
}

#[test]
fn the_schema_and_the_decoder_know_the_same_members() {
    const STRANGER: &str = "zzzzzzzzzzzzzzzzzzzzzzzz";
    let root = schema();
    let mut visited = BTreeSet::new();
    for document in everything() {
        for place in objects(&document) {
            let Some(described) = described(&root, &document, &place) else {
                continue;
            };
            let mut names: Vec<_> = described["properties"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect();
            let mut changed = document.clone();
            let members = changed
                .pointer_mut(&place)
                .unwrap()
                .as_object_mut()
                .unwrap();
            members.insert(STRANGER.into(), json!(1));
            if described["maxProperties"] == 1 {
                // One of a few: the decoder does not repeat names in a place for secrets.
                members.retain(|name, _| name == STRANGER);
                let error = read(&changed).unwrap_err();
                assert!(
                    error.message().contains("file, env, callback or value"),
                    "{error}"
                );
                assert_eq!(names, ["callback", "env", "file", "value"]);
            } else {
                let error = read(&changed).unwrap_err();
                assert!(error.member().unwrap().ends_with(STRANGER), "{error}");
                let (_, known) = error.message().split_once("known here are ").unwrap();
                let mut known: Vec<_> = known.split(", ").map(String::from).collect();
                known.sort();
                names.sort();
                assert_eq!(known, names, "{place}");
            }
            visited.insert(described.to_string());
        }
    }
    assert_eq!(
        visited,
        closed_objects(&root),
        "an object of the schema was not tried"
    );
}

#[test]
fn a_default_in_the_schema_is_what_the_decoder_takes() {
    let root = schema();
    let (mut compared, mut effective) = (BTreeSet::new(), BTreeSet::new());
    for document in everything() {
        for place in objects(&document) {
            let Some(described) = described(&root, &document, &place) else {
                continue;
            };
            for (name, default) in defaults(described) {
                let with = |value: Option<&Value>| {
                    let mut changed = document.clone();
                    let members = changed
                        .pointer_mut(&place)
                        .unwrap()
                        .as_object_mut()
                        .unwrap();
                    match value {
                        Some(value) => drop(members.insert(name.clone(), value.clone())),
                        None => drop(members.remove(name)),
                    }
                    read(&changed).map(|config| format!("{config:?}"))
                };
                // Some members are refused where they have no effect.
                let Ok(given) = with(Some(default)) else {
                    continue;
                };
                assert_eq!(Ok(&given), with(None).as_ref(), "{place}/{name}");
                let member = (described.to_string(), name.clone());
                if let Some(other) = document.pointer(&format!("{place}/{name}"))
                    && with(Some(other)) != Ok(given)
                {
                    effective.insert(member.clone());
                }
                compared.insert(member);
            }
        }
    }
    let all: BTreeSet<_> = closed_objects(&root)
        .into_iter()
        .flat_map(|text| {
            let object: Value = serde_json::from_str(&text).unwrap();
            defaults(&object)
                .map(|(name, _)| (text.clone(), name.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    let missed: Vec<_> = all.difference(&compared).map(|(_, name)| name).collect();
    assert!(missed.is_empty(), "not compared: {missed:?}");
    let missed: Vec<_> = all.difference(&effective).map(|(_, name)| name).collect();
    assert!(missed.is_empty(), "without effect: {missed:?}");
}

#[test]
fn a_bound_in_the_schema_is_the_bound_of_the_decoder() {
    let root = schema();
    let mut compared = BTreeSet::new();
    for document in everything() {
        for place in objects(&document) {
            let Some(described) = described(&root, &document, &place) else {
                continue;
            };
            for (name, member) in described["properties"].as_object().unwrap() {
                let bounds = (member["minimum"].as_f64(), member["maximum"].as_f64());
                let (Some(least), Some(most)) = bounds else {
                    continue;
                };
                if document.pointer(&format!("{place}/{name}")).is_none() {
                    continue;
                }
                let step = if member["type"] == "integer" {
                    1.0
                } else {
                    0.01
                };
                for (value, inside) in [
                    (least, true),
                    (most, true),
                    (least - step, false),
                    (most + step, false),
                ] {
                    let mut changed = document.clone();
                    changed.pointer_mut(&place).unwrap()[name] = json!(value);
                    let refused =
                        read(&changed).is_err_and(|error| error.message().starts_with("must be"));
                    assert_eq!(!refused, inside, "{place}/{name}: {value}");
                }
                compared.insert(name.clone());
            }
        }
    }
    let numbers = SCHEMA.matches("\"maximum\"").count();
    assert_eq!(compared.len(), numbers, "{compared:?}");
}

#[test]
fn every_member_has_a_description_and_every_time_its_unit() {
    fn walk(schema: &Value, path: &str) {
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            if member.is_object() && member.get("const").is_none() && path.contains("properties") {
                let description = member["description"].as_str().unwrap_or_default();
                assert!(description.ends_with('.'), "{path}: {description:?}");
                assert!(
                    !name.ends_with("_s") || description.ends_with("In seconds."),
                    "{path}"
                );
                assert!(
                    !name.ends_with("_bytes") || description.ends_with("In bytes."),
                    "{path}"
                );
            }
        }
    }
    for object in closed_objects(&schema()) {
        walk(&serde_json::from_str(&object).unwrap(), "properties");
    }
}

/// The members of an object of the schema that have a default.
fn defaults(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let members = object["properties"].as_object().unwrap();
    members
        .iter()
        .filter_map(|(name, member)| Some((name, member.get("default")?)))
}

/// JSON pointers to all objects in `document`, itself included.
fn objects(document: &Value) -> Vec<String> {
    let mut places = places(document);
    places.push(String::new());
    places.retain(|place| document.pointer(place).unwrap().is_object());
    places
}

/// JSON pointers to everything in `document` below its root.
fn places(document: &Value) -> Vec<String> {
    fn walk(value: &Value, place: &str, places: &mut Vec<String>) {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (name.clone(), value))
                .collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, value)| (at.to_string(), value))
                .collect(),
            _ => return,
        };
        for (name, value) in below {
            let place = format!("{place}/{name}");
            places.push(place.clone());
            walk(value, &place, places);
        }
    }
    let mut found = Vec::new();
    walk(document, "", &mut found);
    found.retain(|place| place != "/$schema" && !place.contains("/metadata/"));
    found
}

/// The schema of the object at `place`, if it is one whose members are known.
fn described<'s>(root: &'s Value, document: &Value, place: &str) -> Option<&'s Value> {
    let mut value = document;
    let mut schema = resolved(root, root, value)?;
    for step in place.split('/').skip(1) {
        value = value.pointer(&format!("/{step}"))?;
        let next = schema["properties"]
            .get(step)
            .or_else(|| schema.get("additionalProperties"))
            .or_else(|| schema.get("items"))?;
        schema = resolved(root, next, value)?;
    }
    (value.is_object()
        && schema.get("properties").is_some()
        && schema["additionalProperties"] == false)
        .then_some(schema)
}

/// `schema` itself, what it refers to, or the one of its alternatives that describes `value`.
fn resolved<'s>(root: &'s Value, schema: &'s Value, value: &Value) -> Option<&'s Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return resolved(root, root.pointer(&reference[1..])?, value);
    }
    let choices = schema.get("oneOf").or_else(|| {
        schema
            .get("anyOf")
            .filter(|_| schema.get("properties").is_none())
    });
    match choices.and_then(Value::as_array) {
        None => Some(schema),
        Some(choices) => choices
            .iter()
            .filter_map(|choice| resolved(root, choice, value))
            .find(|choice| {
                value.is_object() == choice.get("properties").is_some()
                    && choice["properties"]["type"]
                        .get("const")
                        .is_none_or(|kind| *kind == value["type"])
            }),
    }
}

/// All objects of the schema whose members are known.
fn closed_objects(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if schema["additionalProperties"] == false {
        found.insert(schema.to_string());
    }
    let below: Vec<&Value> = match schema {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => vec![],
    };
    found.extend(below.into_iter().flat_map(closed_objects));
    found
}
