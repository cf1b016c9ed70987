//! https with a certificate authority that lives as long as the lab.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A certificate and its private key, both PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

/// The authority, and how connections are accepted with its certificates.
pub(crate) struct Tls {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) authority_pem: String,
    /// For everyone.
    pub(crate) open: TlsAcceptor,
    /// For those with a certificate, when the lab asks for one.
    pub(crate) guarded: TlsAcceptor,
}

impl Tls {
    pub(crate) fn new(require_client_certificate: bool) -> io::Result<Tls> {
        let mut authority = params("svcauth lab", Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = authority.self_signed(&key).map_err(io::Error::other)?;
        let mut roots = RootCertStore::empty();
        roots
            .add(certificate.der().clone())
            .map_err(io::Error::other)?;
        let issuer = Issuer::new(authority, key);

        let mut server = params("lab", vec!["127.0.0.1".into(), "localhost".into()])?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate().map_err(io::Error::other)?;
        let chain = vec![
            server
                .signed_by(&server_key, &issuer)
                .map_err(io::Error::other)?
                .der()
                .clone(),
        ];
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));

        let provider = Arc::new(ring::default_provider());
        let builder = || {
            ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)
        };
        let open = builder()?
            .with_no_client_auth()
            .with_single_cert(chain.clone(), private.clone_key())
            .map_err(io::Error::other)?;
        let open = TlsAcceptor::from(Arc::new(open));
        let guarded = if require_client_certificate {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                    .build()
                    .map_err(io::Error::other)?;
            let config = builder()?
                .with_client_cert_verifier(verifier)
                .with_single_cert(chain, private)
                .map_err(io::Error::other)?;
            TlsAcceptor::from(Arc::new(config))
        } else {
            open.clone()
        };
        Ok(Tls {
            issuer,
            authority_pem: certificate.pem(),
            open,
            guarded,
        })
    }

    /// A certificate for a client of this name.
    pub(crate) fn client_certificate(&self, name: &str) -> io::Result<Certificate> {
        let mut client = params(name, Vec::new())?;
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = client
            .signed_by(&key, &self.issuer)
            .map_err(io::Error::other)?;
        Ok(Certificate {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

fn params(common_name: &str, names: Vec<String>) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(params)
}
