//! TLS as the configuration says: the system's authorities, a private one, a client certificate.

use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{fs, sync::Arc};
use svcauth_core::{Code, Error, config};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// Reads the files that `tls` names, and the system's authorities.
///
/// # Errors
/// [`Code::InvalidConfiguration`] with the member whose file cannot be used.
pub fn settings(tls: &config::Tls) -> Result<TlsConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let mut authorities = Vec::new();
    if !tls.only_ca_file {
        authorities.extend(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(path) = &tls.ca_file {
        authorities.extend(own_authorities(path)?);
    }
    let identity = match (&tls.certificate_file, &tls.key_file) {
        (Some(certificate), Some(key)) => Some(identity(certificate, key, &provider)?),
        _ => None,
    };
    let certificate = |der: &CertificateDer<'_>| Certificate::from_der(der).to_owned();
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(authorities.iter().map(certificate)))
        .client_cert(identity)
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn own_authorities(path: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = certificates(path, "tls.ca_file")?;
    let mut store = RootCertStore::empty();
    for certificate in &found {
        store.add(certificate.clone()).map_err(|error| {
            wrong(
                "tls.ca_file",
                path,
                format!("holds a certificate that is none: {error}"),
            )
        })?;
    }
    Ok(found)
}

fn identity(
    certificate: &str,
    key: &str,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientCert, Error> {
    let chain = certificates(certificate, "tls.certificate_file")?;
    let pem = read(key, "tls.key_file")?;
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        wrong(
            "tls.key_file",
            key,
            "holds no private key in PEM that is not encrypted",
        )
    })?;
    // A pair that does not fit is told now: ureq would panic at the first connection.
    rustls::ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_root_certificates(RootCertStore::empty())
                .with_client_auth_cert(chain.clone(), der)
        })
        .map_err(|error| {
            wrong(
                "tls.key_file",
                key,
                format!("does not belong to the certificate in {certificate}: {error}"),
            )
        })?;
    let key = PrivateKey::from_pem(&pem).map_err(|_| {
        wrong(
            "tls.key_file",
            key,
            "holds no private key in PEM that is not encrypted",
        )
    })?;
    let chain: Vec<_> = chain
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn certificates(path: &str, member: &'static str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path, member)?;
    let found = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(member, path, format!("is no PEM file: {error}")))?;
    if found.is_empty() {
        return Err(wrong(member, path, "holds no certificate in PEM"));
    }
    Ok(found)
}

fn read(path: &str, member: &'static str) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| wrong(member, path, format!("cannot be read: {error}")))
}

fn wrong(member: &'static str, path: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidConfiguration, format!("the file {path} {why}")).at(member)
}
