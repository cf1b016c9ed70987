//! The lab as a value: started, driven by blocking calls, stopped when it is dropped.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::config::{LabConfig, SmdConfig};
use crate::fault::Faults;
use crate::service::Service;
use crate::stats::{LogEntry, Stats};
use crate::tls::Certificate;
use crate::tokensmith::Policy;
use crate::world::{Grant, World};
use crate::{control, lock, smd};

/// How long [`Lab::wait_for`] waits.
const PATIENCE: Duration = Duration::from_secs(30);

const ALL: [Service; 6] = [
    Service::Issuer,
    Service::Admin,
    Service::Opaal,
    Service::Tokensmith,
    Service::Smd,
    Service::Elsewhere,
];

/// A running lab. Its servers run on threads of their own; the methods block and may be called from
/// any thread. Dropping it closes all its ports.
pub struct Lab {
    world: Arc<World>,
    runtime: Option<Runtime>,
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab").field("urls", &self.urls()).finish()
    }
}

impl Lab {
    /// Starts all services; when this returns they accept connections.
    ///
    /// # Panics
    /// When a port is taken or the key file is unreadable; [`try_start`](Lab::try_start) returns
    /// the error instead.
    pub fn start(config: LabConfig) -> Lab {
        match Lab::try_start(config) {
            Ok(lab) => lab,
            Err(error) => panic!("the lab does not start: {error}"),
        }
    }

    /// Starts all services; when this returns they accept connections.
    pub fn try_start(config: LabConfig) -> io::Result<Lab> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("svcauth-lab")
            .enable_all()
            .build()?;
        let world = {
            // Sockets are registered with the runtime.
            let _inside = runtime.enter();
            Arc::new(World::new(config)?)
        };
        let lab = Lab {
            world,
            runtime: Some(runtime),
        };
        lab.run(|world| async move {
            for service in ALL {
                world.open(service).await?;
            }
            smd::fetch_keys(&world).await;
            world.recorder.reset();
            Ok(())
        })
        .unwrap_or_else(|| Err(io::Error::other("the runtime has stopped")))?;
        Ok(lab)
    }

    /// URL of the issuer: Hydra's public port. It is the issuer's name too unless
    /// [`LabConfig::issuer`] says otherwise. No URL here ends with a slash.
    pub fn issuer_url(&self) -> String {
        self.world.url(Service::Issuer)
    }

    /// URL of Hydra's admin port and of the lab's control (`/lab/...`).
    pub fn admin_url(&self) -> String {
        self.world.url(Service::Admin)
    }

    /// URL of OPAAL.
    pub fn opaal_url(&self) -> String {
        self.world.url(Service::Opaal)
    }

    /// URL of TokenSmith.
    pub fn tokensmith_url(&self) -> String {
        self.world.url(Service::Tokensmith)
    }

    /// URL of SMD, without `/hsm/v2`.
    pub fn smd_url(&self) -> String {
        self.world.url(Service::Smd)
    }

    /// URL of the place no token should be sent to; its log entries show what was sent.
    pub fn elsewhere_url(&self) -> String {
        self.world.url(Service::Elsewhere)
    }

    /// All URLs as one JSON object, members as in [`Service`]; with TLS also `authority_pem`.
    pub fn urls(&self) -> Value {
        control::url_document(&self.world)
    }

    /// The address a service listens on.
    pub fn address(&self, service: Service) -> SocketAddr {
        self.world.door(service).address()
    }

    /// The authority to trust when the lab serves https, PEM; none without TLS.
    pub fn authority_pem(&self) -> Option<&str> {
        let tls = self.world.tls.as_ref()?;
        Some(&tls.authority_pem)
    }

    /// A client certificate with this common name; none without TLS.
    ///
    /// # Panics
    /// When no certificate can be made.
    pub fn client_certificate(&self, name: &str) -> Option<Certificate> {
        match self.world.tls.as_ref()?.client_certificate(name) {
            Ok(certificate) => Some(certificate),
            Err(error) => panic!("no certificate: {error}"),
        }
    }

    /// The switches for disturbances.
    pub fn faults(&self) -> &Faults {
        &self.world.faults
    }

    /// What was counted since the start or the last reset.
    pub fn stats(&self) -> Stats {
        self.world.recorder.snapshot()
    }

    /// Waits until the numbers are as `expected`, 30 s at most. False: they are not.
    pub fn wait_for(&self, expected: impl Fn(&Stats) -> bool) -> bool {
        let started = Instant::now();
        loop {
            if expected(&self.stats()) {
                return true;
            }
            if started.elapsed() > PATIENCE {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// All requests, oldest first; at most the last 65536.
    pub fn log(&self) -> Vec<LogEntry> {
        self.world.recorder.log()
    }

    /// The requests to one service, oldest first.
    pub fn log_of(&self, service: Service) -> Vec<LogEntry> {
        let mut log = self.log();
        log.retain(|entry| entry.service == service);
        log
    }

    /// Zeroes the counters, empties the log, ends all faults, opens what is closed. Clients, keys
    /// and tokens stay.
    pub fn reset(&self) {
        let _ = self.run(|world| async move { world.reset().await });
    }

    /// Creates a client as `POST /admin/clients` does and returns that answer.
    pub fn create_client(&self, metadata: Value) -> Value {
        self.run(|world| async move {
            let request = Request::post("/admin/clients")
                .header(CONTENT_TYPE, "application/json")
                .body(Body::from(metadata.to_string()))
                .ok()?;
            let response = tower::ServiceExt::oneshot(world.router(Service::Admin), request)
                .await
                .ok()?;
            let body = response.into_body().collect().await.ok()?.to_bytes();
            serde_json::from_slice(&body).ok()
        })
        .flatten()
        .unwrap_or_default()
    }

    /// Creates a client for client_credentials with client_secret_basic and audience `smd`.
    /// `scope` is a list separated by spaces.
    pub fn add_client(&self, id: &str, secret: &str, scope: &str) -> Value {
        self.create_client(json!({
            "client_id": id,
            "client_secret": secret,
            "scope": scope,
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic",
            "audience": ["smd"],
        }))
    }

    /// Accepts one more secret of a client, for `lifetime` seconds if given. False: no such client.
    pub fn add_secret(&self, client_id: &str, secret: &str, lifetime: Option<u64>) -> bool {
        lock(&self.world.clients)
            .get_mut(client_id)
            .map(|client| client.add_secret(secret.to_owned(), lifetime))
            .is_some()
    }

    /// Refuses a secret from now on, or all of a client's secrets. False: no such client.
    pub fn revoke_secret(&self, client_id: &str, secret: Option<&str>) -> bool {
        lock(&self.world.clients)
            .get_mut(client_id)
            .map(|client| client.revoke_secret(secret))
            .is_some()
    }

    /// Signs with a new key from now on; the old one leaves the issuer's key set. What SMD makes
    /// of it depends on [`KeyFetch`](crate::KeyFetch). Returns the new key's id.
    ///
    /// # Panics
    /// When no key can be made.
    pub fn rotate_signing_key(&self) -> String {
        match self.world.rotate_signing_key() {
            Ok(kid) => kid,
            Err(error) => panic!("no new signing key: {error}"),
        }
    }

    /// Makes SMD fetch the key sets now.
    pub fn smd_fetch_keys(&self) {
        self.run(|world| async move { smd::fetch_keys(&world).await });
    }

    /// How SMD checks tokens now.
    pub fn smd(&self) -> SmdConfig {
        self.world.smd.config()
    }

    /// Changes how SMD checks tokens.
    pub fn set_smd(&self, config: SmdConfig) {
        self.world.smd.set_config(config);
    }

    /// A user's token, signed as the issuer's tokens are. `lifetime` in seconds, below zero for a
    /// token that has expired.
    ///
    /// # Panics
    /// When signing fails.
    pub fn user_token(&self, sub: &str, scopes: &[&str], lifetime: i64) -> String {
        let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let token = self.world.access_token(&Grant {
            sub,
            client_id: "user-agent",
            scopes: &scopes,
            audience: &[],
            lifetime,
        });
        match token {
            Ok(token) => token,
            Err(error) => panic!("no user token: {error}"),
        }
    }

    /// A bootstrap token for TokenSmith, audience `smd`.
    pub fn bootstrap_token(&self, subject: &str, scopes: &[&str]) -> String {
        self.world.tokensmith.bootstrap_token(Policy {
            subject: subject.to_owned(),
            audience: "smd".to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        })
    }

    /// Closes a service's port and cuts its connections; when this returns, new ones are refused. The
    /// admin port goes with the issuer: it stays open for the control paths and drops the rest.
    pub fn away(&self, service: Service) {
        self.run(move |world| async move { world.door(service).close().await });
    }

    /// Opens a service's port again.
    ///
    /// # Panics
    /// When the port cannot be opened.
    pub fn back(&self, service: Service) {
        let opened = self.run(move |world| async move { world.open(service).await });
        if let Some(Err(error)) = opened {
            panic!("{service:?} does not come back: {error}");
        }
    }

    /// Runs a future on the lab's threads and waits for it; works within another runtime too.
    fn run<T, F, Fut>(&self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<World>) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let future = work(Arc::clone(&self.world));
        let (sender, receiver) = mpsc::channel();
        self.runtime.as_ref()?.spawn(async move {
            let _ = sender.send(future.await);
        });
        receiver.recv().ok()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run(|world| async move {
            for service in ALL {
                world.door(service).close().await;
            }
        });
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
