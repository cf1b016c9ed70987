//! Writes the seeds of all targets below a directory: `seeds DIRECTORY`.
//!
//! They are made of the vectors in `../shared` beside the checkout (or `SVCAUTH_SHARED`), which are not part of
//! the repository, and of the configuration documents in it. Without the vectors it says so and writes less.

use serde_json::Value;
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1) else {
        eprintln!("usage: seeds DIRECTORY");
        std::process::exit(2);
    };
    let mut seeds = Seeds {
        directory: directory.into(),
        written: 0,
    };
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    configurations(&mut seeds, &core)?;
    for (number, url) in URLS.iter().enumerate() {
        seeds.write("url", &format!("own-{number}"), url.as_bytes())?;
    }
    for (target, answer) in ANSWERS {
        seeds.write(target, "own", answer.as_bytes())?;
    }
    let shared =
        env::var_os("SVCAUTH_SHARED").map_or_else(|| core.join("../../shared"), PathBuf::from);
    let vectors = shared.join("vectors");
    if vectors.is_dir() {
        recorded(&mut seeds, &vectors.join("recorded"))?;
        documents(&mut seeds, &vectors)?;
        table(&mut seeds, &vectors)?;
    } else {
        eprintln!(
            "no vectors in {}: set SVCAUTH_SHARED to the directory that holds vectors/; fuzzing begins with less",
            shared.display()
        );
    }
    println!("{} seeds", seeds.written);
    Ok(())
}

const URLS: [&str; 8] = [
    "https://smd.example/hsm/v2/State/Components/x0c0s0b0n0?type=node",
    "https://SMD.example:443/hsm/v2/boot/",
    "http://[0:0::1]:27779/a%20b",
    "https://hydra.example/oauth2/token",
    "https://hydra.example/a/../oauth2/token",
    "https://smd.example@evil.example/hsm/v2",
    "https://smd.example\\@evil.example/hsm/v2",
    "https://127.1/%2e%2e/x#y",
];

/// One answer of each kind in which everything is right.
const ANSWERS: [(&str, &str); 5] = [
    (
        "token",
        "200\n\n{\"access_token\":\"a\",\"token_type\":\"bearer\",\"expires_in\":60,\"scope\":\"read\",\
         \"refresh_token\":\"r\",\"issued_token_type\":\"urn:ietf:params:oauth:token-type:access_token\"}",
    ),
    (
        "registration",
        "201\n\n{\"client_id\":\"bss\",\"client_secret\":\"s\",\"client_secret_expires_at\":0,\
         \"registration_access_token\":\"t\",\"redirect_uris\":[],\
         \"registration_client_uri\":\"https://hydra.example/oauth2/register/bss\"}",
    ),
    (
        "authorization",
        "302\nLocation: https://bss.example/callback?error=access_denied&state=abcdefgh\n\n",
    ),
    (
        "metadata",
        "200\n\n{\"issuer\":\"https://demo.example\",\"token_endpoint\":\"https://demo.example/t\",\
         \"registration_endpoint\":\"https://demo.example/r\",\"jwks_uri\":\"https://demo.example/k\"}",
    ),
    (
        "challenge",
        "Bearer realm=\"smd\", error=\"invalid_token\"\nBasic YTpi, Digest a=b",
    ),
];

struct Seeds {
    directory: PathBuf,
    written: usize,
}

impl Seeds {
    fn write(&mut self, target: &str, name: &str, content: &[u8]) -> io::Result<()> {
        let directory = self.directory.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(name), content)?;
        self.written += 1;
        Ok(())
    }

    /// An answer, for every target that reads one.
    fn answer(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        for target in ["token", "registration", "authorization", "metadata"] {
            self.write(target, name, content)?;
        }
        Ok(())
    }
}

/// The example, and the configurations of the scenarios.
fn configurations(seeds: &mut Seeds, core: &Path) -> io::Result<()> {
    seeds.write(
        "config",
        "example",
        &fs::read(core.join("svcauth.example.json"))?,
    )?;
    for path in files(&core.join("scenarios"))? {
        let Ok(document) = serde_json::from_slice::<Value>(&fs::read(&path)?) else {
            continue;
        };
        let mut found = Vec::new();
        with_targets(&document, &mut found);
        for (number, config) in found.iter().enumerate() {
            let name = format!("{}-{number}", name(&path));
            seeds.write("config", &name, config.to_string().as_bytes())?;
        }
    }
    Ok(())
}

/// All objects in `value` that look like a configuration.
fn with_targets<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            if members.contains_key("targets") {
                found.push(value);
            }
            members
                .values()
                .for_each(|value| with_targets(value, found));
        }
        Value::Array(elements) => elements.iter().for_each(|value| with_targets(value, found)),
        _ => {}
    }
}

/// The answers of real servers, as they came over the wire.
fn recorded(seeds: &mut Seeds, directory: &Path) -> io::Result<()> {
    for path in files(directory)? {
        let bytes = fs::read(&path)?;
        let mark = b"== response\n";
        let Some(at) = bytes.windows(mark.len()).position(|window| window == mark) else {
            continue;
        };
        let answer = &bytes[at + mark.len()..];
        seeds.answer(&name(&path), answer)?;
        for line in String::from_utf8_lossy(answer).lines() {
            if let Some((field, value)) = line.split_once(": ")
                && field.eq_ignore_ascii_case("www-authenticate")
            {
                seeds.write("challenge", &name(&path), value.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Whole documents: discovery, answers with a byte order mark.
fn documents(seeds: &mut Seeds, vectors: &Path) -> io::Result<()> {
    for folder in ["discovery", "responses/duende_documents"] {
        for path in files(&vectors.join(folder))? {
            let body = fs::read(&path)?;
            seeds.write("json", &name(&path), &body)?;
            let answer = [&b"200\ncontent-type: application/json\n\n"[..], &body].concat();
            seeds.answer(&name(&path), &answer)?;
        }
    }
    Ok(())
}

/// Tables: one seed a row.
fn table(seeds: &mut Seeds, vectors: &Path) -> io::Result<()> {
    let read = |path: &str| -> io::Result<Value> {
        Ok(serde_json::from_slice(&fs::read(vectors.join(path))?)?)
    };
    for (number, row) in rows(&read("responses/token_responses.json")?["entries"]).enumerate() {
        seeds.answer(&format!("response-{number}"), &answer(row))?;
    }
    for (number, row) in rows(&read("rfc_examples/rfc_http_examples.json")?).enumerate() {
        seeds.answer(&format!("rfc-{number}"), &answer(&row["response"]))?;
    }
    for (number, row) in rows(&read("www_authenticate.json")?["vectors"]).enumerate() {
        let lines: Vec<&str> = rows(&row["headers"]).filter_map(Value::as_str).collect();
        let name = format!("vector-{number}");
        seeds.write("challenge", &name, lines.join("\n").as_bytes())?;
    }
    for row in rows(&read("json_parsing.json")?["cases"]) {
        let (Some(name), Some(body)) = (row["name"].as_str(), row["body_base64"].as_str()) else {
            continue;
        };
        seeds.write("json", name, &base64(body))?;
    }
    Ok(())
}

fn answer(row: &Value) -> Vec<u8> {
    let mut text = format!("{}\n", row["status"]);
    for (name, value) in row["headers"].as_object().into_iter().flatten() {
        text += &format!("{name}: {}\n", value.as_str().unwrap_or_default());
    }
    text += "\n";
    text += &match &row["body"] {
        Value::String(body) => body.clone(),
        Value::Null => String::new(),
        body => body.to_string(),
    };
    text.into_bytes()
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for digit in text
        .bytes()
        .filter_map(|byte| ALPHABET.iter().position(|known| *known == byte))
    {
        held = (held << 6 | digit as u32) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes
}

/// All files below a directory, in the order of their paths.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            paths.extend(files(&path)?);
        } else {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A file's name below the vectors, as one word.
fn name(path: &Path) -> String {
    let parts: Vec<_> = path
        .iter()
        .rev()
        .take(2)
        .map(|part| part.to_string_lossy())
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("-")
}
