//! Envoy's configuration, as far as the tests need it.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};

use crate::built::filter_module;

const EXTENSIONS: &str = "type.googleapis.com/envoy.extensions";
const MANAGER: &str = "filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A bootstrap in the making. The admin port and the listeners' are chosen by the system.
#[derive(Clone, Debug)]
pub struct Bootstrap(Value);

impl Default for Bootstrap {
    fn default() -> Self {
        Bootstrap::new()
    }
}

impl Bootstrap {
    /// An Envoy that does nothing.
    pub fn new() -> Bootstrap {
        Bootstrap(json!({
            "node": { "id": "test", "cluster": "test" },
            "admin": { "address": loopback(0) },
            "static_resources": { "listeners": [], "clusters": [], "secrets": [] },
        }))
    }

    /// The whole of it.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// A cluster with one address. Its breakers leave room for every concurrent request to be made once more.
    #[must_use]
    pub fn cluster(self, name: &str, address: SocketAddr) -> Bootstrap {
        self.resource(
            "clusters",
            json!({
                "name": name,
                "type": "STATIC",
                "connect_timeout": "5s",
                "load_assignment": {
                    "cluster_name": name,
                    "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": at(address) } }] }],
                },
                "circuit_breakers": { "thresholds": [{
                    "max_connections": 4096, "max_pending_requests": 4096,
                    "max_requests": 4096, "max_retries": 4096,
                }] },
            }),
        )
    }

    /// A secret by its name.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Bootstrap {
        let secret =
            json!({ "name": name, "generic_secret": { "secret": { "inline_string": value } } });
        self.resource("secrets", secret)
    }

    /// A listener with these HTTP filters before the router; everything goes to the cluster.
    #[must_use]
    pub fn listener(
        self,
        name: &str,
        cluster: &str,
        filters: &[Value],
        upstream: &[Value],
    ) -> Bootstrap {
        self.resource("listeners", listener(name, cluster, filters, upstream))
    }

    /// A listener with svcauth's pair of filters: before the router and in its upstream half.
    #[must_use]
    pub fn sidecar(self, name: &str, cluster: &str, svcauth: &Svcauth) -> Bootstrap {
        let (retry, attach) = svcauth.pair();
        self.listener(name, cluster, &[retry], &[attach])
    }

    /// A listener that answers by itself: an upstream that takes no time.
    #[must_use]
    pub fn answering(self, name: &str) -> Bootstrap {
        let mut answering = listener(name, "", &[], &[]);
        let manager = &mut answering["filter_chains"][0]["filters"][0]["typed_config"];
        manager["route_config"]["virtual_hosts"][0]["routes"] = json!([{
            "match": { "prefix": "/" },
            "direct_response": { "status": 200, "body": { "inline_string": "{}" } },
        }]);
        self.resource("listeners", answering)
    }

    /// Anything else.
    #[must_use]
    pub fn resource(mut self, kind: &str, resource: Value) -> Bootstrap {
        if let Some(resources) = self.0["static_resources"][kind].as_array_mut() {
            resources.push(resource);
        }
        self
    }

    /// A member of the whole, such as `dynamic_resources`.
    #[must_use]
    pub fn member(mut self, name: &str, value: Value) -> Bootstrap {
        self.0[name] = value;
        self
    }
}

/// The filter with one configuration document.
#[derive(Clone, Debug)]
pub struct Svcauth {
    document: Value,
    vm_id: String,
    variables: Vec<String>,
    as_struct: bool,
    module: Option<PathBuf>,
}

impl Svcauth {
    /// With a document that has a member `envoy`.
    pub fn new(document: Value) -> Svcauth {
        Svcauth {
            document,
            vm_id: "svcauth".into(),
            variables: Vec::new(),
            as_struct: false,
            module: None,
        }
    }

    /// Another `vm_id` than `svcauth`.
    #[must_use]
    pub fn vm_id(mut self, vm_id: &str) -> Svcauth {
        self.vm_id = vm_id.into();
        self
    }

    /// A variable of Envoy's environment that the filter sees.
    #[must_use]
    pub fn variable(mut self, name: &str) -> Svcauth {
        self.variables.push(name.into());
        self
    }

    /// The document as a Struct instead of text.
    #[must_use]
    pub fn as_struct(mut self) -> Svcauth {
        self.as_struct = true;
        self
    }

    /// Another module than the one that is shipped.
    #[must_use]
    pub fn module(mut self, module: PathBuf) -> Svcauth {
        self.module = Some(module);
        self
    }

    /// The filter that attaches alone.
    pub fn attach(&self) -> Value {
        self.filter(json!({}))
    }

    /// The pair: the one for the listener, and the one for the router's upstream filters.
    pub fn pair(&self) -> (Value, Value) {
        (
            self.filter(json!({ "role": "retry" })),
            self.filter(json!({ "role": "attach", "retried": true })),
        )
    }

    /// The filter with more members of `envoy`.
    ///
    /// # Panics
    /// When the module cannot be built.
    pub fn filter(&self, more: Value) -> Value {
        let module = self
            .module
            .clone()
            .map_or_else(filter_module, Ok)
            .unwrap_or_else(|error| panic!("no filter: {error}"));
        let mut document = self.document.clone();
        for (name, value) in more.as_object().into_iter().flatten() {
            document["envoy"][name] = value.clone();
        }
        let configuration = if self.as_struct {
            json!({ "@type": "type.googleapis.com/google.protobuf.Struct", "value": document })
        } else {
            json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": document.to_string() })
        };
        typed(
            "svcauth",
            "filters.http.wasm.v3.Wasm",
            json!({ "config": {
                "name": "svcauth",
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "vm_id": self.vm_id,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": module } },
                    "environment_variables": { "host_env_keys": self.variables },
                },
                "configuration": configuration,
            } }),
        )
    }
}

/// A listener as [`Bootstrap::listener`] adds it.
pub fn listener(name: &str, cluster: &str, filters: &[Value], upstream: &[Value]) -> Value {
    let mut router = typed(
        "envoy.filters.http.router",
        "filters.http.router.v3.Router",
        json!({}),
    );
    if !upstream.is_empty() {
        let codec = typed(
            "envoy.filters.http.upstream_codec",
            "filters.http.upstream_codec.v3.UpstreamCodec",
            json!({}),
        );
        let mut filters = upstream.to_vec();
        filters.push(codec);
        router["typed_config"]["upstream_http_filters"] = json!(filters);
    }
    let mut filters = filters.to_vec();
    filters.push(router);
    let manager = json!({
        "stat_prefix": name,
        "http_filters": filters,
        "route_config": {
            "name": name,
            // How the filter tells the router which 401 is not to be retried.
            "response_headers_to_remove": ["x-envoy-ratelimited"],
            "virtual_hosts": [{
                "name": name,
                "domains": ["*"],
                "routes": [{
                    "match": { "prefix": "/" },
                    "route": { "cluster": cluster, "timeout": "60s" },
                }],
            }],
        },
    });
    json!({
        "name": name,
        "address": loopback(0),
        "filter_chains": [{ "filters": [
            typed("envoy.filters.network.http_connection_manager", MANAGER, manager),
        ] }],
    })
}

/// The native filter for client credentials; the secret is the bootstrap's.
pub fn injector(cluster: &str, token_endpoint: &str, client_id: &str, secret: &str) -> Value {
    let credential = typed(
        "envoy.http.injected_credentials.oauth2",
        "http.injected_credentials.oauth2.v3.OAuth2",
        json!({
            "token_endpoint": { "cluster": cluster, "uri": token_endpoint, "timeout": "10s" },
            "scopes": ["read"],
            "client_credentials": {
                "client_id": client_id,
                "client_secret": { "name": secret },
                "auth_type": "URL_ENCODED_BODY",
            },
        }),
    );
    typed(
        "envoy.filters.http.credential_injector",
        "filters.http.credential_injector.v3.CredentialInjector",
        json!({ "overwrite": true, "credential": credential }),
    )
}

fn typed(name: &str, message: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!("{EXTENSIONS}.{message}"));
    json!({ "name": name, "typed_config": config })
}

fn loopback(port: u16) -> Value {
    at(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn at(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}
