//! Whatever a document looks like, it is read or refused with a place: nothing panics.

use crate::documents::everything;
use serde_json::{Value, json};
use svcauth_core::{Code, Config};

const EXAMPLE: &str = include_str!("../../svcauth.example.json");

#[test]
fn changed_bytes_are_read_or_refused_at_an_offset_or_a_member() {
    let (mut read, mut refused) = (0, 0);
    for seed in 1..=4_000 {
        let mut dice = Dice(seed);
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for _ in 0..=dice.below(4) {
            change_bytes(&mut bytes, &mut dice);
        }
        match located(&bytes, seed) {
            true => read += 1,
            false => refused += 1,
        }
    }
    assert!(read > 50 && refused > 50, "{read} read, {refused} refused");
}

#[test]
fn changed_members_are_read_or_refused_at_a_member() {
    let mut documents = everything();
    documents.push(serde_json::from_str(EXAMPLE).unwrap());
    let (mut read, mut refused) = (0, 0);
    for seed in 1..=4_000 {
        let mut dice = Dice(seed);
        let mut document = documents[dice.below(documents.len())].clone();
        for _ in 0..=dice.below(3) {
            change_member(&mut document, &mut dice);
        }
        match located(document.to_string().as_bytes(), seed) {
            true => read += 1,
            false => refused += 1,
        }
    }
    assert!(read > 50 && refused > 50, "{read} read, {refused} refused");
}

/// Whether the text was read; an error must say where.
fn located(text: &[u8], seed: u64) -> bool {
    match Config::from_json(text) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(
                error.code(),
                Code::InvalidConfiguration,
                "seed {seed}: {error}"
            );
            let place = error.member().is_some() || error.offset().is_some();
            assert!(place, "seed {seed}: {error}");
            assert!(error.to_string().len() < 1_000, "seed {seed}: {error}");
            false
        }
    }
}

fn change_bytes(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len());
    let end = (at + dice.below(20)).min(bytes.len());
    match dice.below(5) {
        0 => bytes[at] = dice.below(256) as u8,
        1 => bytes[at] ^= 1 << dice.below(8),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let piece = bytes[at..end].to_vec();
            let to = dice.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => bytes[at] = b" \"{}[],:0a"[dice.below(10)],
    }
    if bytes.is_empty() {
        bytes.push(b'{');
    }
}

fn change_member(document: &mut Value, dice: &mut Dice) {
    let mut value = document;
    // The document itself stays an object, all below it may change.
    loop {
        let size = match value {
            Value::Object(members) => members.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if size == 0 {
            break;
        }
        let at = dice.below(size);
        value = match value {
            Value::Object(members) if dice.below(12) == 0 => {
                let name = members.keys().nth(at).unwrap().clone();
                let moved = members.remove(&name).unwrap();
                let renamed = ["", "x", "é\n\u{0}", "urls", "value"][dice.below(5)];
                let rest: String = name.chars().take(3).collect();
                members.insert(format!("{renamed}{rest}"), moved);
                return;
            }
            Value::Object(members) => members.values_mut().nth(at).unwrap(),
            Value::Array(items) => &mut items[at],
            _ => return,
        };
        if dice.below(4) == 0 {
            break;
        }
    }
    *value = match dice.below(12) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1e300),
        5 => json!(""),
        6 => json!("x".repeat(10_000)),
        7 => json!("http://[::1%\u{202e}"),
        8 => json!([]),
        9 => json!({}),
        10 => json!([{"type": "token_exchange"}]),
        _ => json!({"file": "x"}),
    };
}

/// xorshift64: the same numbers for the same seed, on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        for _ in 0..2 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
        }
        (self.0 % bound as u64) as usize
    }
}
