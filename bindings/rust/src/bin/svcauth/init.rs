//! `svcauth init`: a configuration to start with, from a few options or answers.

use crate::{
    arguments::{Common, InitOptions},
    configuration,
    failure::Failure,
    output::Output,
    session::shown,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, IsTerminal, Write},
    path::Path,
};
use svcauth::{Code, Config};

#[derive(Serialize)]
struct Document<'a> {
    file: &'a str,
    next: &'a [String],
}

/// The configuration, its members in the order in which they are read.
#[derive(Serialize)]
struct Start {
    issuer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoints: Option<Value>,
    client: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<Value>,
    targets: Map<String, Value>,
}

/// Asks on a terminal for what no option said.
struct Questions {
    asks: bool,
}

pub(crate) fn run(options: &InitOptions, common: &Common, output: &Output) -> Result<u8, Failure> {
    let path = match &options.output {
        Some(path) => path.clone(),
        None => configuration::path(common),
    };
    let questions = Questions {
        asks: io::stdin().is_terminal() && io::stderr().is_terminal() && !output.is_json(),
    };
    let document = document(options, &path, &questions)?;
    let text = serde_json::to_string_pretty(&document).unwrap_or_default() + "\n";
    // What is written can be read: a wrong answer is told now.
    Config::from_json(text.as_bytes())?;
    write(&path, &text, options.force)?;
    let file = shown(&path);
    let next = next_steps(&document, configuration::option(&path));
    if output.is_json() {
        output.document(&Document {
            file: &file,
            next: &next,
        })?;
    } else {
        output.line(&format!("wrote {file}"))?;
        output.note("next:");
        for step in &next {
            output.note(&format!("  {step}"));
        }
    }
    Ok(0)
}

fn document(options: &InitOptions, path: &Path, questions: &Questions) -> Result<Start, Failure> {
    let issuer = questions.given(
        &options.issuer,
        "--issuer",
        "URL of the authorization server",
    )?;
    let mut targets = Map::new();
    for target in &options.targets {
        let (name, url) = target.split_once('=').ok_or_else(|| {
            Failure::new(
                Code::InvalidArgument,
                "--target",
                "write NAME=URL, such as smd=https://smd.example/hsm/v2",
            )
        })?;
        targets.insert(name.to_owned(), self::target(url, options));
    }
    if targets.is_empty() {
        let name = questions.ask(
            "--target",
            "short name of the service to be called, such as smd",
        )?;
        let url = questions.ask("--target", "URL that its paths start with")?;
        targets.insert(name, self::target(&url, options));
    }
    if !options.register {
        let client = json!({ "credentials": [credential(options, questions)?] });
        return Ok(Start {
            issuer,
            endpoints: None,
            client,
            store: None,
            targets,
        });
    }
    let mut metadata = json!({
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": options.scopes.join(" "),
    });
    if let Some(name) = &options.client_name {
        metadata["client_name"] = json!(name);
    }
    if !options.audience.is_empty() {
        metadata["audience"] = json!(options.audience);
    }
    let store = options.store.clone();
    let store = store.unwrap_or_else(|| shown(&path.with_file_name("svcauth.state.json")));
    let store = anywhere(&store);
    Ok(Start {
        issuer,
        endpoints: options
            .registration_endpoint
            .as_ref()
            .map(|url| json!({ "registration": url })),
        client: json!({ "registration": { "metadata": metadata } }),
        store: Some(json!({ "file": store })),
        targets,
    })
}

fn credential(options: &InitOptions, questions: &Questions) -> Result<Value, Failure> {
    let id = questions.given(
        &options.client_id,
        "--client-id (or --register)",
        "client id that the operator gave out",
    )?;
    let reference = match &options.secret_env {
        Some(variable) => json!({ "env": variable }),
        None => {
            let what = "name of the file that holds the secret (not the secret)";
            let file = questions.given(
                &options.secret_file,
                "--secret-file (or --secret-env)",
                what,
            )?;
            json!({ "file": anywhere(&file) })
        }
    };
    Ok(json!({ "client_id": id, "client_secret": reference }))
}

/// The same file whatever folder a process is started in.
fn anywhere(file: &str) -> String {
    std::path::absolute(file).map_or_else(|_| file.to_owned(), |path| shown(&path))
}

fn target(url: &str, options: &InitOptions) -> Value {
    let mut target = json!({ "urls": [url] });
    if !options.scopes.is_empty() {
        target["scopes"] = json!(options.scopes);
    }
    if !options.audience.is_empty() {
        target["audience"] = json!(options.audience);
    }
    target
}

impl Questions {
    fn given(
        &self,
        given: &Option<String>,
        option: &str,
        question: &str,
    ) -> Result<String, Failure> {
        match given {
            Some(given) => Ok(given.clone()),
            None => self.ask(option, question),
        }
    }

    fn ask(&self, option: &str, question: &str) -> Result<String, Failure> {
        let missing = || {
            Failure::new(
                Code::InvalidArgument,
                option,
                format!("missing: {question}"),
            )
        };
        if !self.asks {
            return Err(missing().with_advice("svcauth help init"));
        }
        let _ = write!(io::stderr(), "{question}: ");
        let mut line = String::new();
        match io::stdin().read_line(&mut line) {
            Ok(_) if !line.trim().is_empty() => Ok(line.trim().to_owned()),
            _ => Err(missing()),
        }
    }
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let sentence = match error.kind() {
            ErrorKind::AlreadyExists => {
                "it exists already; write another with --output, or this one anew with --force"
                    .to_owned()
            }
            _ => format!("cannot be written: {error}; name another file with --output"),
        };
        Failure::new(Code::InvalidArgument, shown(path), sentence)
    })
}

fn next_steps(document: &Start, option: String) -> Vec<String> {
    let mut steps = Vec::new();
    let secret = &document.client["credentials"][0]["client_secret"];
    if let Some(file) = secret["file"]
        .as_str()
        .filter(|file| !Path::new(file).exists())
    {
        steps.push(format!(
            "put the client secret into {file}: (umask 077; cat > {file})"
        ));
    }
    if let Some(variable) = secret["env"].as_str() {
        steps.push(format!("set {variable} to the client secret"));
    }
    if document.client["registration"].is_object() {
        steps.push(format!("svcauth{option} register"));
    }
    steps.push(format!("svcauth{option} check"));
    let name = document.targets.keys().next().cloned();
    steps.push(format!(
        "svcauth{option} token {}",
        name.unwrap_or_default()
    ));
    steps
}
