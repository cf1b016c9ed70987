//! The configurations of examples/envoy, as they are shipped: only ports and the module's path are put in.

use std::{fs, net::SocketAddr};

use svcauth_envoy::{Envoy, Request, Settings, repository, until};
use svcauth_lab::{Lab, LabConfig, Service, SmdConfig};

use crate::stage::node;

const SECRET: &str = "a-secret";

fn lab() -> Lab {
    let lab = Lab::start(LabConfig {
        ttl: 600,
        smd: SmdConfig {
            keys: svcauth_lab::KeyFetch::Always,
            ..SmdConfig::default()
        },
        ..LabConfig::default()
    });
    lab.add_client("bss", SECRET, "read");
    lab
}

fn settings(lab: &Lab, name: &str) -> Settings {
    let mut services = vec![
        (4444, lab.address(Service::Issuer)),
        (27779, lab.address(Service::Smd)),
    ];
    if ["gateway.yaml", "users.yaml"].contains(&name) {
        services.push((27780, lab.address(Service::Elsewhere)));
    }
    Settings::example(name, &services).variable("BSS_SECRET", SECRET)
}

fn start(lab: &Lab, name: &str) -> Envoy {
    Envoy::start(&settings(lab, name))
}

/// What each of them must do: attach, and get over a new key.
fn serves(lab: &Lab, egress: SocketAddr) {
    assert_eq!(node().send(egress).unwrap().status, 200);
    lab.rotate_signing_key();
    assert_eq!(node().send(egress).unwrap().status, 200);
    let log = lab.log_of(Service::Smd);
    let seen: Vec<_> = log.iter().filter_map(|entry| entry.status).collect();
    assert_eq!(seen, [200, 401, 200]);
    assert_eq!(log[2].client_id.as_deref(), Some("bss"));
}

#[test]
fn the_sidecar() {
    let lab = lab();
    let envoy = start(&lab, "sidecar.yaml");
    serves(&lab, envoy.address("egress"));
}

#[test]
fn the_audit_names_client_target_and_decision() {
    let lab = lab();
    // The shipped one writes to standard output.
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().display();
    let envoy = Envoy::start(
        &settings(&lab, "sidecar.yaml")
            .replace("envoy.access_loggers.stdout", "envoy.access_loggers.file")
            .replace(
                "access_loggers.stream.v3.StdoutAccessLog",
                &format!("access_loggers.file.v3.FileAccessLog\n              path: {path}"),
            ),
    );
    let egress = envoy.address("egress");
    assert_eq!(node().send(egress).unwrap().status, 200);
    let alice = lab.user_token("alice", &["read"], 600);
    assert_eq!(node().bearer(&alice).send(egress).unwrap().status, 200);
    envoy.order("/reopen_logs");
    let read = || fs::read_to_string(log.path()).unwrap();
    until("both calls are in the access log", || {
        read().lines().count() >= 2
    });
    let text = read();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].contains("target=smd kind=service client_id=bss"),
        "{text}"
    );
    assert!(lines[1].contains("target=smd kind=user"), "{text}");
    assert!(!text.contains("eyJ"), "{text}");
}

#[test]
fn the_gateway() {
    let lab = lab();
    let envoy = start(&lab, "gateway.yaml");
    let gateway = envoy.address("gateway");
    serves(&lab, gateway);
    assert_eq!(Request::get("/x").send(gateway).unwrap().status, 200);
    let smd = lab.address(Service::Smd).to_string();
    assert_eq!(
        Request::get("/x").host(&smd).send(gateway).unwrap().status,
        200
    );
    let log = lab.log_of(Service::Elsewhere);
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|entry| entry.authorization.is_none()));
}

#[test]
fn the_gateway_with_users() {
    let lab = lab();
    let envoy = start(&lab, "users.yaml");
    let gateway = envoy.address("gateway");
    let alice = lab.user_token("alice", &["read"], 600);
    assert_eq!(node().bearer(&alice).send(gateway).unwrap().status, 200);
    let forged = node().bearer("eyJhbGciOiJub25lIn0.e30.");
    assert_eq!(forged.send(gateway).unwrap().status, 401);
    let log = lab.log_of(Service::Smd);
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].sub.as_deref(), Some("alice"));
    assert_eq!(node().send(gateway).unwrap().status, 200);
}

#[test]
fn the_sidecar_with_sds() {
    let lab = lab();
    let file = repository().join("examples/envoy/sds/issuer-authorization.yaml");
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret.yaml");
    fs::copy(file, &secret).unwrap();
    let shipped = "examples/envoy/sds/issuer-authorization.yaml";
    let envoy =
        Envoy::start(&settings(&lab, "sds.yaml").replace(shipped, &secret.display().to_string()));
    let egress = envoy.address("egress");
    serves(&lab, egress);

    // As the README says it: the server takes both, the new one is written, the old one withdrawn.
    lab.add_secret("bss", "b-secret", None);
    let old = fs::read_to_string(&secret).unwrap();
    let new = folder.path().join("new");
    fs::write(&new, old.replace("YnNzOmEtc2VjcmV0", "YnNzOmItc2VjcmV0")).unwrap();
    fs::rename(&new, &secret).unwrap();
    until("Envoy has the new secret", || {
        envoy.stats().iter().any(|(name, value)| {
            name.contains("issuer-authorization.update_success") && *value >= 2
        })
    });
    lab.revoke_secret("bss", Some(SECRET));
    let answers = lab.stats();
    assert_eq!(answers.token_requests(), answers.tokens_issued());
}
