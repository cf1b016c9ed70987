//! A service like OpenCHAMI's Boot Script Service: for each boot script it asks SMD about the node.

use crate::{
    heard::Heard,
    stage::{PATIENCE, Stop},
};
use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::get,
};
use serde::Deserialize;
use serde_json::Value;
use std::{net::TcpListener, path::Path, sync::Arc};
use svcauth::{
    Client, Code, UserRequired, UserToken,
    ureq::{self, typestate::WithoutBody},
};
use tokio::runtime::{Builder, Runtime};

/// A running service; it ends when this is dropped.
pub(crate) struct Bss {
    client: Client,
    heard: Heard,
    url: String,
    runtime: Option<Runtime>,
}

impl Bss {
    /// Starts the service with svcauth's configuration in the file `config`.
    pub(crate) fn start(config: &Path, smd: &str, heard: Heard) -> Result<Bss, Stop> {
        let client = Client::builder().events(heard.listener()).open(config)?;
        let inside = Arc::new(Inside {
            client: client.clone(),
            smd: smd.to_owned(),
        });
        let router = Router::new()
            .route("/boot/v1/bootscript", get(boot_script))
            .route("/boot/v1/bootparameters", get(boot_parameters))
            .with_state(inside);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        runtime.spawn(async move {
            axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
        });
        Ok(Bss {
            client,
            heard,
            url,
            runtime: Some(runtime),
        })
    }

    /// The client inside, whose counters and tokens an act may look at.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What a node asks for when it boots; no user is there.
    pub(crate) fn script_url(&self, node: &str) -> String {
        format!("{}/boot/v1/bootscript?host={node}", self.url)
    }

    /// The same for a node that knows only its network card.
    pub(crate) fn script_url_by_mac(&self, mac: &str) -> String {
        format!("{}/boot/v1/bootscript?mac={mac}", self.url)
    }

    /// What a user asks for.
    pub(crate) fn parameters_url(&self, node: &str) -> String {
        format!("{}/boot/v1/bootparameters?host={node}", self.url)
    }
}

impl Drop for Bss {
    fn drop(&mut self) {
        self.client.close();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Status and body of a GET, made as any caller of BSS makes it: without svcauth.
pub(crate) fn get_from(url: &str, user_token: Option<&str>) -> Result<(u16, String), Stop> {
    let request = outsider().get(url);
    let request = match user_token {
        Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    };
    let mut response = request.call()?;
    let body = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), body))
}

/// An HTTP client that knows nothing of tokens.
pub(crate) fn outsider() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(2 * PATIENCE))
        .build()
        .new_agent()
}

struct Inside {
    client: Client,
    smd: String,
}

#[derive(Deserialize)]
struct Which {
    host: Option<String>,
    mac: Option<String>,
}

type Answer = Result<String, (StatusCode, String)>;

async fn boot_script(State(bss): State<Arc<Inside>>, Query(which): Query<Which>) -> Answer {
    blocking(move || {
        let node = bss.ask_smd(&which.name()?, |request| request)?;
        Ok(format!(
            "#!ipxe\nkernel http://boot/kernel nid={} xname={} role={}\nboot\n",
            node["NID"],
            text(&node, "ID"),
            text(&node, "Role")
        ))
    })
    .await
}

/// Only for users: without one's token the call is refused, not made in the service's own name.
async fn boot_parameters(
    State(bss): State<Arc<Inside>>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Answer {
    let user = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(UserToken::new);
    blocking(move || {
        let node = bss.ask_smd(&which.name()?, |request| match user {
            Some(user) => request.extension(UserRequired).extension(user),
            None => request.extension(UserRequired),
        })?;
        Ok(format!("{{\"hosts\":[\"{}\"]}}\n", text(&node, "ID")))
    })
    .await
}

impl Inside {
    /// This is all that a service does about tokens: nothing. The agent knows.
    fn ask_smd(
        &self,
        node: &str,
        on_behalf: impl FnOnce(ureq::RequestBuilder<WithoutBody>) -> ureq::RequestBuilder<WithoutBody>,
    ) -> Result<Value, (StatusCode, String)> {
        let url = format!("{}/hsm/v2/State/Components/{node}", self.smd);
        let mut response = on_behalf(self.client.agent().get(url))
            .call()
            .map_err(refusal)?;
        let body = response.body_mut().read_to_vec().map_err(refusal)?;
        serde_json::from_slice(&body).map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
    }
}

fn refusal(error: ureq::Error) -> (StatusCode, String) {
    let status = match &error {
        ureq::Error::StatusCode(status) => StatusCode::from_u16(*status).ok(),
        _ => svcauth::error_of(&error)
            .filter(|error| error.code() == Code::UserTokenMissing)
            .map(|_| StatusCode::UNAUTHORIZED),
    };
    (status.unwrap_or(StatusCode::BAD_GATEWAY), error.to_string())
}

impl Which {
    /// BSS knows which card is in which node: the last byte of these addresses is the node's number.
    fn name(self) -> Result<String, (StatusCode, String)> {
        let by_mac = |mac: String| {
            let last = mac.strip_prefix("02:00:00:00:00:")?;
            Some(format!("x0c0s0b0n{}", u8::from_str_radix(last, 16).ok()?))
        };
        self.host
            .or_else(|| self.mac.and_then(by_mac))
            .ok_or_else(|| (StatusCode::NOT_FOUND, "no such node".into()))
    }
}

async fn blocking(work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn text<'a>(node: &'a Value, member: &str) -> &'a str {
    node[member].as_str().unwrap_or_default()
}
