//! The configuration is replaced while calls go on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use svcauth_envoy::{Bootstrap, Envoy, Load, until};
use svcauth_lab::{Endpoint, Fault};
use tempfile::TempDir;

use crate::stage::{SECRET, Stage, node};

/// Filters that Envoy reads from files, and reads again when they are replaced.
pub(crate) struct Files {
    folder: TempDir,
    version: u32,
}

impl Files {
    pub(crate) fn new() -> Files {
        Files {
            folder: tempfile::tempdir().unwrap(),
            version: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes resources of a type, as a whole and in one step.
    pub(crate) fn write(&mut self, name: &str, resources: &[Value]) {
        self.version += 1;
        let response = json!({ "version_info": self.version.to_string(), "resources": resources });
        let (path, new) = (self.path(name), self.path("new"));
        fs::write(&new, response.to_string()).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Writes both filters of the pair.
    pub(crate) fn write_pair(&mut self, (retry, attach): (Value, Value)) {
        for (name, mut filter) in [("attach.json", attach), ("retry.json", retry)] {
            filter["@type"] =
                json!("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig");
            filter["name"] = json!(name);
            self.write(name, &[filter]);
        }
    }

    /// A filter that comes from one of the files.
    fn discovered(&self, name: &str) -> Value {
        json!({
            "name": name,
            "config_discovery": {
                "config_source": source(&self.path(name)),
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            },
        })
    }

    /// The listener with the pair as it is in the files.
    pub(crate) fn listener(&self, name: &str) -> Value {
        svcauth_envoy::listener(
            name,
            "smd",
            &[self.discovered("retry.json")],
            &[self.discovered("attach.json")],
        )
    }

    /// Listeners that come from a file too.
    pub(crate) fn listeners(&self, bootstrap: Bootstrap, name: &str) -> Bootstrap {
        let lds = source(&self.path(name));
        bootstrap.member("dynamic_resources", json!({ "lds_config": lds }))
    }
}

fn source(path: &Path) -> Value {
    json!({ "path_config_source": { "path": path }, "resource_api_version": "V3" })
}

#[test]
fn a_configuration_is_replaced_under_load_and_no_call_fails() {
    let stage = Stage::new(600);
    stage.lab.add_client("bss-next", SECRET, "read");
    let client = |id: &str| {
        let credentials = json!([{ "client_id": id, "client_secret": { "env": "BSS_SECRET" } }]);
        stage
            .svcauth(json!({ "client": { "credentials": credentials } }))
            .pair()
    };
    let mut files = Files::new();
    files.write_pair(client("bss"));
    let bootstrap = stage
        .bootstrap()
        .resource("listeners", files.listener("egress"));
    let envoy = Envoy::start(&stage.settings(bootstrap));
    let load = Load::start(envoy.address("egress"), &node(), 16, None);
    load.more(100);
    assert_eq!(stage.callers(), ["bss"]);

    files.write_pair(client("bss-next"));
    until("calls carry the new client's token", || {
        stage.callers().len() == 2
    });
    load.more(200);
    let before = stage.lab.log().len();
    load.more(100);
    let tally = load.end();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert_eq!(stage.callers(), ["bss", "bss-next"]);
    let log = stage.lab.log();
    let stale = log[before..]
        .iter()
        .filter(|entry| entry.client_id.as_deref() == Some("bss"))
        .count();
    assert_eq!(stale, 0, "the old configuration is still used");
}

#[test]
fn calls_that_are_held_are_answered_although_the_configuration_is_replaced() {
    let stage = Stage::new(600);
    stage.lab.faults().set(Endpoint::Token, Fault::hold());
    let mut files = Files::new();
    files.write_pair(stage.svcauth(json!({})).pair());
    let bootstrap = stage
        .bootstrap()
        .resource("listeners", files.listener("egress"));
    let envoy = Envoy::start(&stage.settings(bootstrap));
    let load = Load::start(envoy.address("egress"), &node(), 16, None);
    until("all calls are held", || {
        envoy.stat("wasmcustom.svcauth.smd.held") >= Some(16)
    });
    let reloads = |envoy: &Envoy| {
        let stats = envoy.stats();
        let reloads = stats
            .iter()
            .filter(|(name, _)| name.ends_with("config_reload"));
        reloads.map(|(_, count)| count).sum::<u64>()
    };
    let before = reloads(&envoy);
    files.write_pair(
        stage
            .svcauth(json!({ "timeouts": { "wait_s": 50 } }))
            .pair(),
    );
    until("both filters are replaced", || {
        reloads(&envoy) >= before + 2
    });
    stage.lab.faults().clear(Endpoint::Token);
    load.more(32);
    let tally = load.end();
    assert_eq!(tally.failed(), 0, "{tally:?}");
}

#[test]
fn a_configuration_that_is_wrong_does_not_replace_one_that_works() {
    let stage = Stage::new(600);
    let mut files = Files::new();
    files.write_pair(stage.svcauth(json!({})).pair());
    let bootstrap = stage
        .bootstrap()
        .resource("listeners", files.listener("egress"));
    let mut envoy = Envoy::start(&stage.settings(bootstrap));
    let egress = envoy.address("egress");
    let load = Load::start(egress, &node(), 4, None);
    load.more(20);
    files.write_pair(
        stage
            .svcauth(json!({ "targets": { "smd": { "scope": "x" } } }))
            .pair(),
    );
    until("the mistake is logged", || {
        envoy.log().contains("did you mean scopes?")
    });
    load.more(100);
    let tally = load.end();
    // Either the old one serves on, or calls are refused; none goes out without a token.
    assert_eq!(tally.broken, 0, "{tally:?}");
    assert!(
        tally
            .statuses
            .keys()
            .all(|status| [200, 503].contains(status)),
        "{tally:?}"
    );
    assert_eq!(stage.refused(), 0);
    files.write_pair(stage.svcauth(json!({})).pair());
    until("calls get through", || {
        node().send(egress).unwrap().status == 200
    });
    assert!(envoy.runs());
}
