//! Changes to JSON as a whole: bytes changed at random are hardly ever two targets with one URL, or an
//! endpoint without TLS below an issuer that is otherwise right.

use crate::{gap, without_mark};
use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Value, json};

/// Words that take the place of texts.
const TEXTS: [&str; 12] = [
    "",
    "bearer",
    "client_secret_post",
    "https://hydra.example",
    "http://hydra.example/oauth2/token",
    "http://127.0.0.1:4444/",
    "https://[::1]/%2e%2e/",
    "ü\u{202e}\r\n",
    "one_use",
    "exchange",
    "0",
    "3600",
];

/// Changes a document that is the whole input.
pub fn document(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    change(data, 0, size, max_size, seed)
}

/// Changes the body of an answer, or the answer's bytes.
pub fn answer(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    match gap(&data[..size]) {
        Some((_, body)) => change(data, body, size, max_size, seed),
        None => fuzzer_mutate(data, size, max_size),
    }
}

fn change(data: &mut [u8], start: usize, size: usize, max_size: usize, seed: u32) -> usize {
    let start = size - without_mark(&data[start..size]).len();
    let mut random = Random(u64::from(seed));
    let document = serde_json::from_slice::<Value>(&data[start..size]);
    let Ok(mut document) = document.map_err(drop).and_then(|it| match random.below(3) {
        0 => Err(()),
        _ => Ok(it),
    }) else {
        return fuzzer_mutate(data, size, max_size);
    };
    for _ in 0..=random.below(3) {
        one_change(&mut document, &mut random);
    }
    let written = document.to_string();
    let end = start + written.len();
    if end > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    data[start..end].copy_from_slice(written.as_bytes());
    end
}

fn one_change(document: &mut Value, random: &mut Random) {
    let mut names = vec![];
    let count = look(document, &mut names);
    let donor = nth(document, &mut random.below(count))
        .cloned()
        .unwrap_or_default();
    let Some(node) = nth(document, &mut random.below(count)) else {
        return;
    };
    match (random.below(5), &mut *node) {
        (0, _) => *node = donor,
        (1, Value::Object(members)) => {
            let name = members.keys().nth(random.below(members.len())).cloned();
            name.and_then(|name| members.remove(&name));
        }
        (1, Value::Array(elements)) => {
            elements.pop();
        }
        (_, Value::Object(members)) => {
            let name = names.get(random.below(names.len()));
            let mut name = name.cloned().unwrap_or_default();
            if random.below(2) == 0 {
                name.push('2');
            }
            members.insert(name, donor);
        }
        (_, Value::Array(elements)) => elements.push(donor),
        (1..4, Value::String(text)) => *node = json!(other_text(text, random)),
        (1 | 2, Value::Number(_)) => {
            let numbers = [
                json!(0),
                json!(-1),
                json!(0.5),
                json!(1),
                json!(1e300),
                json!(u64::MAX),
            ];
            *node = numbers[random.below(numbers.len())].clone();
        }
        (4, Value::String(_)) => *node = json!(TEXTS[random.below(TEXTS.len())]),
        _ => *node = [Value::Null, json!(true), json!({}), json!([])][random.below(4)].clone(),
    }
}

/// With or without TLS, with or without a slash at its end, with another character in it.
fn other_text(text: &str, random: &mut Random) -> String {
    match (random.below(6), text.split_once("://")) {
        (3.., Some(("https", rest))) => format!("http://{rest}"),
        (3.., Some(("http", rest))) => format!("https://{rest}"),
        (1, _) => format!("{text}/"),
        (2, _) => text.trim_end_matches('/').to_owned(),
        _ => {
            let mut characters: Vec<char> = text.chars().collect();
            let other = ['x', '/', '%', ' ', '\n', '"', '\u{e9}', '0'][random.below(8)];
            characters.insert(random.below(characters.len() + 1), other);
            characters.into_iter().collect()
        }
    }
}

/// How many values there are in `value`, itself among them; the names of all members.
fn look(value: &Value, names: &mut Vec<String>) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(|it| look(it, names)).sum::<usize>(),
        Value::Object(members) => {
            names.extend(members.keys().cloned());
            1 + members.values().map(|it| look(it, names)).sum::<usize>()
        }
        _ => 1,
    }
}

fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(elements) => elements.iter_mut().find_map(|it| nth(it, left)),
        Value::Object(members) => members.values_mut().find_map(|it| nth(it, left)),
        _ => None,
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}
