//! The lab over TLS.

mod http;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use svcauth_lab::{Certificate, Lab, LabConfig, Service};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn get(
    lab: &Lab,
    service: Service,
    path: &str,
    authority: Option<&str>,
    client: Option<&Certificate>,
) -> io::Result<http::Answer> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = authority {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(client.certificate_pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(client.key_pem.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    let connection =
        ClientConnection::new(Arc::new(config), "127.0.0.1".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(lab.address(service))?;
    let mut stream = StreamOwned::new(connection, stream);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // A server that hangs up without close_notify has still answered.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        other => {
            other?;
        }
    }
    http::parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[test]
fn a_client_that_trusts_the_authority_is_served_and_another_is_not() {
    let lab = Lab::start(LabConfig {
        tls: true,
        ..LabConfig::default()
    });
    let authority = lab.authority_pem().unwrap();
    let path = "/.well-known/openid-configuration";
    let answer = get(&lab, Service::Issuer, path, Some(authority), None).unwrap();
    assert_eq!(answer.json()["issuer"], lab.issuer_url());
    assert!(lab.issuer_url().starts_with("https://127.0.0.1:"));
    assert!(get(&lab, Service::Issuer, path, None, None).is_err());
    let other = Lab::start(LabConfig {
        tls: true,
        ..LabConfig::default()
    });
    assert!(get(&lab, Service::Issuer, path, other.authority_pem(), None).is_err());
}

#[test]
fn a_client_certificate_is_asked_for_everywhere_but_on_the_admin_port() {
    let lab = Lab::start(LabConfig {
        tls: true,
        require_client_certificate: true,
        ..LabConfig::default()
    });
    let certificate = lab.client_certificate("bss").unwrap();
    let authority = lab.authority_pem();
    let rows = [
        (Service::Smd, "/hsm/v2/service/ready", None, false),
        (
            Service::Smd,
            "/hsm/v2/service/ready",
            Some(&certificate),
            true,
        ),
        (Service::Admin, "/lab/stats", None, true),
    ];
    for (service, path, client, served) in rows {
        let answer = get(&lab, service, path, authority, client);
        assert_eq!(answer.is_ok(), served, "{service:?} {answer:?}");
    }
    assert!(!format!("{certificate:?}").contains("PRIVATE"));
}
