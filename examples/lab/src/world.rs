//! What all services of one lab share.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use jsonwebtoken::jwk::JwkSet;
use serde::Serialize;

use crate::clients::Clients;
use crate::config::LabConfig;
use crate::door::Door;
use crate::exchange::{self, Dropped};
use crate::fault::Faults;
use crate::keys::{KeyId, SigningKey};
use crate::service::Service;
use crate::smd::Smd;
use crate::stats::{Recorder, now_ms};
use crate::tls::Tls;
use crate::tokensmith::Tokensmith;
use crate::{control, elsewhere, hydra, lock, opaal, random, smd, tokensmith};

pub(crate) struct World {
    pub(crate) config: LabConfig,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
    pub(crate) clients: Mutex<Clients>,
    pub(crate) tokensmith: Tokensmith,
    pub(crate) smd: Smd,
    /// The `jti` of revoked tokens.
    pub(crate) revoked: Mutex<HashSet<String>>,
    pub(crate) tls: Option<Tls>,
    /// In the order of [`Service`].
    doors: [Door; 6],
    /// Hydra's key for ID tokens, never used here, and the one for access tokens.
    id_token_key: SigningKey,
    access_token_key: Mutex<Arc<SigningKey>>,
}

impl World {
    pub(crate) fn new(config: LabConfig) -> io::Result<World> {
        let ports = config.ports;
        let doors = [
            Door::new(Service::Issuer, ports.issuer)?,
            Door::new(Service::Admin, ports.admin)?,
            Door::new(Service::Opaal, ports.opaal)?,
            Door::new(Service::Tokensmith, ports.tokensmith)?,
            Door::new(Service::Smd, ports.smd)?,
            Door::new(Service::Elsewhere, ports.elsewhere)?,
        ];
        let signing = config.signing;
        // RSA keys take their time: side by side.
        let other = |id| thread::spawn(move || SigningKey::generate(signing, id));
        let (id_token_key, tokensmith_key) = (other(KeyId::Random), other(KeyId::Thumbprint));
        let access_token_key = match &config.key_file {
            Some(path) => SigningKey::from_file(path, signing, KeyId::Thumbprint)?,
            None => SigningKey::generate(signing, KeyId::Random)?,
        };
        let panicked = |_| io::Error::other("key generation panicked");
        let tls = match config.tls {
            true => Some(Tls::new(config.require_client_certificate)?),
            false => None,
        };
        Ok(World {
            faults: Faults::default(),
            recorder: Recorder::default(),
            clients: Mutex::default(),
            tokensmith: Tokensmith::new(tokensmith_key.join().map_err(panicked)??),
            smd: Smd::new(config.smd.clone(), config.inventory),
            revoked: Mutex::default(),
            tls,
            doors,
            id_token_key: id_token_key.join().map_err(panicked)??,
            access_token_key: Mutex::new(Arc::new(access_token_key)),
            config,
        })
    }

    pub(crate) fn door(&self, service: Service) -> &Door {
        &self.doors[service as usize]
    }

    pub(crate) fn is_open(&self, service: Service) -> bool {
        self.door(service).is_open()
    }

    /// The base URL of a service, without a slash at the end.
    pub(crate) fn url(&self, service: Service) -> String {
        let scheme = if self.config.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.door(service).address())
    }

    /// The issuer's name, which differs from its URL when it was configured.
    pub(crate) fn issuer(&self) -> String {
        match &self.config.issuer {
            Some(issuer) => issuer.clone(),
            None => self.url(Service::Issuer),
        }
    }

    pub(crate) async fn open(self: &Arc<World>, service: Service) -> io::Result<()> {
        self.door(service).open(self, self.router(service)).await
    }

    pub(crate) fn router(self: &Arc<World>, service: Service) -> Router {
        let router = match service {
            Service::Issuer => hydra::public(),
            Service::Admin => hydra::admin().merge(control::router()),
            Service::Opaal => opaal::router(),
            Service::Tokensmith => tokensmith::router(),
            Service::Smd => smd::router(),
            Service::Elsewhere => elsewhere::router(),
        };
        router.with_state(Arc::clone(self))
    }

    /// Asks a service from within, past the socket but not past its faults and counters.
    pub(crate) async fn call(
        self: &Arc<World>,
        service: Service,
        request: Request<Body>,
    ) -> Result<Response, Dropped> {
        if !self.is_open(service) {
            return Err(Dropped);
        }
        exchange::perform(self, service, self.router(service), request).await
    }

    /// Zeroes the counters, empties the log, ends all faults, opens what is closed.
    pub(crate) async fn reset(self: &Arc<World>) -> io::Result<()> {
        self.faults.clear_all();
        self.recorder.reset();
        for door in &self.doors {
            self.open(door.service()).await?;
        }
        Ok(())
    }

    /// Signs with a new key from now on; the old one leaves the key set. Returns the new key's id.
    pub(crate) fn rotate_signing_key(&self) -> io::Result<String> {
        let key = SigningKey::generate(self.config.signing, KeyId::Random)?;
        let kid = key.kid().to_owned();
        *lock(&self.access_token_key) = Arc::new(key);
        Ok(kid)
    }

    /// Hydra's key set: the access-token key is the second.
    pub(crate) fn jwks(&self) -> JwkSet {
        JwkSet {
            keys: vec![
                self.id_token_key.jwk().clone(),
                lock(&self.access_token_key).jwk().clone(),
            ],
        }
    }

    /// An access token in Hydra's form.
    pub(crate) fn access_token(&self, grant: &Grant<'_>) -> Result<String, String> {
        let now_ms = now_ms();
        let now = now_ms / 1000;
        // Rounded up, so that a token lives at least as long as its answer says.
        let from = if grant.lifetime > 0 {
            now_ms.div_ceil(1000)
        } else {
            now
        };
        let claims = Claims {
            aud: grant.audience,
            client_id: grant.client_id,
            exp: from.saturating_add_signed(grant.lifetime),
            ext: serde_json::Map::new(),
            iat: now,
            iss: &self.issuer(),
            jti: &random::uuid(),
            nbf: now,
            scp: grant.scopes,
            sub: grant.sub,
        };
        let key = Arc::clone(&lock(&self.access_token_key));
        key.sign(&claims)
    }
}

/// What an access token says.
pub(crate) struct Grant<'a> {
    pub(crate) sub: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) audience: &'a [String],
    /// Seconds; below zero for a token that has expired.
    pub(crate) lifetime: i64,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a [String],
    client_id: &'a str,
    exp: u64,
    ext: serde_json::Map<String, serde_json::Value>,
    iat: u64,
    iss: &'a str,
    jti: &'a str,
    nbf: u64,
    scp: &'a [String],
    sub: &'a str,
}
