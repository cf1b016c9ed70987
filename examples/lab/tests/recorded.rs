//! The lab answers as the real servers did: the recorded requests are sent to it again, in their
//! order, and the answers compared.

#[path = "recorded/compare.rs"]
mod compare;
#[path = "recorded/curl.rs"]
mod curl;
mod http;

use std::collections::{BTreeMap, HashMap};
use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Answer;
use serde_json::Value;
use svcauth_lab::{Endpoint, Fault, Flavor, Lab, LabConfig, Service, SmdConfig};

/// The recorded files of one server, by name; none when they are not at hand.
fn recorded(server: &str) -> Option<BTreeMap<String, PathBuf>> {
    let shared = match env::var_os("SVCAUTH_SHARED") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
    };
    let directory = shared.join("vectors/recorded").join(server);
    let Ok(entries) = fs::read_dir(&directory) else {
        tell(format!(
            "recorded/{server} not compared: no shared vectors; set SVCAUTH_SHARED"
        ));
        return None;
    };
    let files = entries
        .filter_map(|entry| entry.ok())
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter_map(|(name, path)| Some((name.strip_suffix(".txt")?.to_owned(), path)))
        .collect();
    Some(files)
}

/// Tells whoever runs the tests. Not println!, which the test harness keeps to itself where nothing fails.
fn tell(what: String) {
    let _ = stderr().write_all(format!("{what}\n").as_bytes());
}

/// Sends recorded requests to a lab and collects what is different.
struct Replay {
    server: &'static str,
    files: BTreeMap<String, PathBuf>,
    /// Recorded identifiers, secrets, tokens and addresses, and the lab's in their place.
    translation: HashMap<String, String>,
    compared: usize,
    failures: Vec<String>,
}

impl Replay {
    fn new(lab: &Lab, server: &'static str) -> Option<Replay> {
        let addresses = [
            ("http://127.0.0.1:4444", lab.issuer_url()),
            ("http://127.0.0.1:4445", lab.admin_url()),
            ("http://127.0.0.1:3333", lab.opaal_url()),
            ("http://127.0.0.1:8080", lab.tokensmith_url()),
            ("http://127.0.0.1:27779", lab.smd_url()),
        ];
        Some(Replay {
            server,
            files: recorded(server)?,
            translation: addresses
                .into_iter()
                .map(|(there, here)| (there.to_owned(), here))
                .collect(),
            compared: 0,
            failures: Vec::new(),
        })
    }

    /// In one go: an address of the lab may begin as a recorded one does.
    fn translate(&self, text: &str) -> String {
        let mut translated = String::new();
        let mut rest = text;
        while let Some((at, there, here)) = self
            .translation
            .iter()
            .filter_map(|(there, here)| Some((rest.find(there.as_str())?, there, here)))
            .min_by_key(|(at, there, _)| (*at, usize::MAX - there.len()))
        {
            translated.push_str(&rest[..at]);
            translated.push_str(here);
            rest = &rest[at + there.len()..];
        }
        translated + rest
    }

    /// Sends the request of one file and compares the answer.
    fn replay(&mut self, name: &str) {
        let exchange = self
            .files
            .get(name)
            .and_then(|path| curl::read(path))
            .unwrap_or_else(|| panic!("{}/{name} cannot be read", self.server));
        let mut headers: Vec<String> = exchange
            .headers
            .iter()
            .map(|header| self.translate(header))
            .collect();
        if let Some(user) = &exchange.user {
            let credentials = STANDARD.encode(self.translate(user));
            headers.push(format!("Authorization: Basic {credentials}"));
        }
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let seen = http::send(
            &self.translate(&exchange.url),
            &exchange.method,
            &headers,
            self.translate(&exchange.body).as_bytes(),
        );
        self.compared += 1;
        let found = match (&exchange.answer, seen) {
            (Some(recorded), Ok(seen)) => {
                self.learn(recorded, &seen);
                compare::differences(recorded, &seen, &|text| self.translate(text))
            }
            (None, Err(_)) => Vec::new(),
            (None, Ok(seen)) => vec![format!("answered {} instead of hanging up", seen.status)],
            (Some(_), Err(error)) => vec![format!("no answer: {error}")],
        };
        for difference in found {
            self.failures
                .push(format!("{}/{name}: {difference}", self.server));
        }
    }

    /// Remembers which identifier of the lab stands for which recorded one.
    fn learn(&mut self, recorded: &Answer, seen: &Answer) {
        let (Ok(there), Ok(here)) = (
            serde_json::from_str::<Value>(&recorded.body),
            serde_json::from_str::<Value>(&seen.body),
        ) else {
            return;
        };
        for name in [
            "client_id",
            "client_secret",
            "registration_access_token",
            "access_token",
            "refresh_token",
        ] {
            if let (Some(there), Some(here)) = (there[name].as_str(), here[name].as_str())
                && there != here
            {
                self.translation.insert(there.to_owned(), here.to_owned());
            }
        }
    }

    fn all_but(&mut self, left_out: &[&str]) {
        let names: Vec<String> = self.files.keys().cloned().collect();
        for name in names {
            if !left_out.contains(&name.as_str()) {
                self.replay(&name);
            }
        }
    }

    /// Fails on any difference, and when fewer files than `at_least` were compared.
    fn finish(self, at_least: usize) {
        tell(format!(
            "recorded/{}: {} of {} files compared",
            self.server,
            self.compared,
            self.files.len()
        ));
        assert!(self.compared >= at_least, "files are missing");
        assert!(
            self.failures.is_empty(),
            "{} differences:\n{}",
            self.failures.len(),
            self.failures.join("\n")
        );
    }
}

#[test]
fn hydra_answers_as_recorded() {
    let lab = Lab::start(LabConfig {
        ttl: 20,
        minimal_client_uri: true,
        secret_rotation: false,
        ..LabConfig::default()
    });
    let Some(mut replay) = Replay::new(&lab, "hydra") else {
        return;
    };
    // Adding a key to the admin port's key store is no part of the lab.
    let keys = ["70-key-add", "70b-jwks-after-key-add"];
    let expired = "50-introspect-expired";
    replay.all_but(&[keys.as_slice(), &[expired]].concat());

    let token = lab.user_token("bss", &["read"], -1);
    for here in replay.translation.values_mut() {
        if here.starts_with("ey") {
            here.clone_from(&token);
        }
    }
    replay.replay(expired);
    replay.finish(79);
}

#[test]
fn opaal_answers_as_recorded() {
    let lab = Lab::start(LabConfig {
        ttl: 20,
        ..LabConfig::default()
    });
    let Some(mut replay) = Replay::new(&lab, "opaal") else {
        return;
    };
    for name in [
        "01-status",
        "02-keys",
        "03-token-post-bss",
        "04-token-get-cloudinit",
        "05-token-again",
        "06-token-refresh",
        "07-discovery",
    ] {
        replay.replay(name);
    }
    let page = Fault::body(404, "text/plain", "404 page not found\n");
    lab.faults().set(Endpoint::Token, page);
    replay.replay("08-token-upstream-404");
    lab.faults().clear(Endpoint::Token);
    replay.replay("09-token-ok");
    lab.away(Service::Issuer);
    replay.replay("10-token-hydra-down");
    replay.replay("11-keys-hydra-down");
    lab.back(Service::Issuer);
    replay.replay("12-token-hydra-restarted");
    replay.finish(12);
}

#[test]
fn tokensmith_answers_as_recorded() {
    let lab = Lab::start(LabConfig {
        ttl: 3600,
        ..LabConfig::default()
    });
    let Some(mut replay) = Replay::new(&lab, "tokensmith") else {
        return;
    };
    for (there, subject, scopes) in [
        (
            "8495cb19f1f14f24f85232bb081b657e025e2960487b77cb6bc45c4d2dc3759a",
            "boot-service",
            ["read"].as_slice(),
        ),
        (
            "9be7233328b56f3b3d8afdcf6078dfbca941c09395e27ab28738875459952bf2",
            "bss",
            &["read", "write"],
        ),
        (
            "179a7beed3b8830860babe720b63b4407408ebaef325aa0f67fd93b171707584",
            "boot-service",
            &["read"],
        ),
    ] {
        let here = lab.bootstrap_token(subject, scopes);
        replay.translation.insert(there.to_owned(), here);
    }
    let names: Vec<String> = replay.files.keys().cloned().collect();
    for name in names {
        // The command line, sessions by client certificate, the older exchange of a user's token
        // and the limit on failed attempts are no part of the lab.
        let left_out = ["00-", "18", "19-", "21-", "3"];
        if !left_out.iter().any(|start| name.starts_with(start)) {
            replay.replay(&name);
        }
    }
    let reused = lab.stats().refresh_reuse;
    replay.finish(33);
    assert_eq!(reused, 1, "13-refresh-replay-old uses a token twice");
}

/// Whose token goes with a recorded request to SMD.
#[derive(Clone, Copy, PartialEq)]
enum Token {
    Good,
    Expired,
    Tampered,
    AfterKeyChange,
    Tokensmith,
    TokensmithOtherAudience,
    TokensmithAfterKeyChange,
    AsRecorded,
}

#[test]
fn smd_answers_as_recorded() {
    use Token::*;
    let lab = Lab::start(LabConfig {
        inventory: false,
        ..LabConfig::default()
    });
    let Some(mut replay) = Replay::new(&lab, "smd") else {
        return;
    };
    let rows = [
        ("01-ready-public", AsRecorded),
        ("02-components-public", AsRecorded),
        ("03-redfish-notoken", AsRecorded),
        ("04-redfish-garbage", AsRecorded),
        ("05-redfish-token-noaud", Good),
        ("06-redfish-token-aud", Good),
        ("07-redfish-lowercase-bearer", Good),
        ("08-redfish-cookie", Good),
        ("08b-redfish-query", Good),
        ("09-redfish-tampered", Tampered),
        ("10-component-one", Good),
        ("11-component-endpoints-notoken", AsRecorded),
        ("11b-component-endpoints", Good),
        ("12-ethernet-public", AsRecorded),
        ("13-post-component-notoken", AsRecorded),
        ("14-post-component", Good),
        ("15-component-one-now", Good),
        ("16-two-authz", Good),
        ("20-redfish-expired", Expired),
        ("21-redfish-after-issuer-restart", AfterKeyChange),
        ("30-tsbackend-notoken", AsRecorded),
        ("31-tsbackend-token", Tokensmith),
        ("32-tsbackend-wrong-aud", TokensmithOtherAudience),
        ("33-tsbackend-garbage", AsRecorded),
        ("34-tsbackend-cookie", Tokensmith),
        ("35-tsbackend-lowercase", Tokensmith),
        ("36-tsbackend-old-token-after-new-key", Tokensmith),
        (
            "37-tsbackend-new-token-after-new-key",
            TokensmithAfterKeyChange,
        ),
    ];
    let good = lab.user_token("smd-probe", &["read"], 60);
    let tokensmith = tokensmith_token(&lab, "smd");
    for (name, kind) in rows {
        if name.starts_with("3") {
            lab.set_smd(SmdConfig {
                flavor: Flavor::Tokensmith,
                audience: Some("smd".to_owned()),
                ..SmdConfig::default()
            });
        }
        let token = match kind {
            Good => good.clone(),
            Expired => lab.user_token("smd-probe", &["read"], -1),
            Tampered => {
                let mut token = good.clone();
                token.truncate(token.len() - 4);
                token + "AAAA"
            }
            AfterKeyChange => {
                lab.rotate_signing_key();
                lab.user_token("smd-probe", &["read"], 60)
            }
            Tokensmith => tokensmith.clone(),
            TokensmithOtherAudience => tokensmith_token(&lab, "bss"),
            TokensmithAfterKeyChange => {
                let other = Lab::start(LabConfig::default());
                tokensmith_token(&other, "smd")
            }
            AsRecorded => String::new(),
        };
        if let Some(there) = recorded_token(&replay.files[name]).filter(|_| kind != AsRecorded) {
            replay.translation.insert(there, token);
        }
        replay.replay(name);
    }
    replay.finish(28);
}

fn tokensmith_token(lab: &Lab, audience: &str) -> String {
    let created = http::json(
        &format!("{}/lab/bootstrap-token", lab.admin_url()),
        "POST",
        &serde_json::json!({ "subject": "boot-service", "audience": audience, "scopes": ["read"] }),
    )
    .unwrap()
    .json();
    let answer = http::form(
        &format!("{}/oauth/token", lab.tokensmith_url()),
        &[],
        &[
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            (
                "subject_token",
                created["bootstrap_token"].as_str().unwrap(),
            ),
            (
                "subject_token_type",
                "urn:openchami:params:oauth:token-type:bootstrap-token",
            ),
        ],
    )
    .unwrap()
    .json();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// The JWT in a recorded request.
fn recorded_token(path: &PathBuf) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let start = text.find("eyJ")?;
    let token: String = text[start..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .collect();
    Some(token)
}
