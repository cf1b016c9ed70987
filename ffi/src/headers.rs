//! Two generators, one header: what safer-ffi makes of the signatures is what is committed.
//!
//! safer-ffi reads types, cbindgen reads source text: an error of one is hardly one of the other. Compared are
//! declarations, without comments: functions, enums with their values, structs with their members.

use std::collections::BTreeSet;

#[test]
fn safer_ffi_reads_the_same_declarations_as_cbindgen() {
    let mut second = Vec::new();
    let written = safer_ffi::headers::builder()
        .to_writer(&mut second)
        .generate();
    written.unwrap();
    let second = declarations(str::from_utf8(&second).unwrap());
    let first = declarations(include_str!("../include/svcauth.h"));

    let only_in = |one: &BTreeSet<String>, other| {
        let only: Vec<&str> = one.difference(other).map(String::as_str).collect();
        only.join("\n  ")
    };
    let (cbindgen, safer_ffi) = (only_in(&first, &second), only_in(&second, &first));
    assert!(
        cbindgen.is_empty() && safer_ffi.is_empty(),
        "only cbindgen:\n  {cbindgen}\nonly safer-ffi:\n  {safer_ffi}"
    );
    assert!(first.len() > 60, "{} declarations", first.len());
}

/// Each as one text: `uint32_t svcauth_abi_version ( void )`, `enum svcauth_replay IMPOSSIBLE = 1 , …`.
fn declarations(header: &str) -> BTreeSet<String> {
    let tokens = tokens(header);
    let mut found = BTreeSet::new();
    let mut start = 0;
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && token == ";" {
            found.extend(declaration(&tokens[start..at]));
            start = at + 1;
        }
    }
    found
}

fn declaration(tokens: &[String]) -> Option<String> {
    let is = |token: &str| tokens.iter().position(|other| other == token);
    if let Some(open) = is("{") {
        let close = is("}")?;
        let mut around = tokens[..open].iter().chain(&tokens[close..]);
        let kind = around.find(|token| ["enum", "struct"].contains(&token.as_str()))?;
        let name = around.find(|token| token.starts_with("svcauth_"))?;
        let members = without_parameter_names(&tokens[open + 1..close]).join(" ");
        return Some(format!("{kind} {name} {}", members.trim_end_matches(" ,")));
    }
    // Typedefs differ: safer-ffi's names end in _t.
    is("(").map(|_| tokens.join(" "))
}

/// Of members that point to functions; safer-ffi does not know them.
fn without_parameter_names(members: &[String]) -> Vec<&str> {
    let token = |at: usize| members.get(at).map_or("", String::as_str);
    let is_sign = |at: usize| ["(", ")", "*", ","].contains(&token(at));
    let mut depth = 0;
    let mut kept = Vec::new();
    for at in 0..members.len() {
        match token(at) {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        let is_last = [",", ")"].contains(&token(at + 1)) && !is_sign(at);
        let before = at.checked_sub(1).map_or("", token);
        let is_member = before == "*" && token(at - 2) == "(";
        let is_type = ["(", ","].contains(&before);
        if depth == 0 || !is_last || is_member || is_type {
            kept.push(token(at));
        }
    }
    kept
}

/// The names and signs of a header, in one way of writing them.
fn tokens(header: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for word in words(&without_comments(header)) {
        let word = word.strip_prefix("check_").unwrap_or(&word);
        let word = match word.strip_suffix("_t") {
            Some(name) if name.starts_with("svcauth_") => name,
            _ if word == "int8_t" => "char",
            _ => word,
        };
        // `T const` is `const T`.
        if word == "const" && tokens.last().is_some_and(|last| is_type(last)) {
            tokens.insert(tokens.len() - 1, "const".into());
        } else {
            tokens.push(word.into());
        }
    }
    tokens
}

fn is_type(token: &str) -> bool {
    token.ends_with("_t") || ["char", "void"].contains(&token) || token.starts_with("svcauth_")
}

fn words(text: &str) -> Vec<String> {
    let mut spaced = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            spaced.push(c);
        } else {
            spaced.extend([' ', c, ' ']);
        }
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

/// Nor preprocessor lines, nor what only the WebAssembly module has, nor what makes it C++, nor what this
/// build has not.
fn without_comments(header: &str) -> String {
    let mut text = String::new();
    let mut rest = header;
    while let Some(start) = rest.find("/*") {
        text.push_str(&rest[..start]);
        rest = rest[start..].split_once("*/").map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);

    let mut kept = String::new();
    let mut left_out = false;
    for line in text.lines() {
        left_out |= line.starts_with("#if defined(__wasm__)") || line == "#ifdef __cplusplus";
        left_out |= !cfg!(feature = "transport") && line == "#if defined(SVCAUTH_TRANSPORT)";
        if !left_out && !line.starts_with('#') {
            kept.push_str(line.split("//").next().unwrap_or_default());
            kept.push('\n');
        }
        if line.starts_with("#endif") {
            left_out = false;
        }
    }
    kept
}
