//! The plugin's configuration: svcauth's document, and the member `envoy` in it.

use crate::structure;
use svcauth_core::{
    Code, Config, Error,
    client::secret_references,
    config::{SecretReference, UserToken},
    wire::{
        Origin,
        json::{self, Object, Value},
    },
};

/// What the filter is configured to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The document without `envoy`.
    pub config: Config,
    /// What this instance does.
    pub role: Role,
    /// Which requests belong to which target.
    pub audience: Audience,
    /// The clusters of the authorization server.
    pub servers: Servers,
    /// Whether an instance with [`Role::Retry`] stands before it.
    pub retried: bool,
    /// The property that tells a user's request whose token was taken off; none where no user calls.
    pub users: Option<String>,
    /// How many requests are held at the most.
    pub most_held: usize,
    /// How long a request is held at the most, in milliseconds.
    pub wait_ms: u64,
    /// Whether tokens are shared between worker threads.
    pub sharing: bool,
    /// Whether the audit line is written.
    pub audit: bool,
    /// Whether tokens are got before a request asks for one.
    pub eager: bool,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// What an instance of the filter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Puts tokens on requests.
    Attach,
    /// Has the router make a call once more that was answered with 401.
    Retry,
}

/// Which requests belong to which target; the number is the target's place in [`Config::targets`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All belong to this one.
    All(usize),
    /// It depends on the name of the cluster, and then of the route.
    Some {
        /// By the cluster's name.
        clusters: Vec<(String, usize)>,
        /// By the route's name.
        routes: Vec<(String, usize)>,
    },
}

/// The clusters of the authorization server.
#[derive(Clone, Debug)]
pub enum Servers {
    /// One for all its endpoints.
    All(String),
    /// One for each origin.
    Each(Vec<(Origin, String)>),
}

impl Servers {
    /// The cluster for an endpoint.
    pub fn cluster(&self, origin: &Origin) -> Option<&str> {
        match self {
            Servers::All(cluster) => Some(cluster),
            Servers::Each(clusters) => {
                let mut clusters = clusters.iter();
                clusters
                    .find(|(known, _)| known == origin)
                    .map(|(_, cluster)| cluster.as_str())
            }
        }
    }
}

const MOST_HELD: f64 = 1024.0;
const WAIT_S: f64 = 5.0;
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";

impl Settings {
    /// Reads the plugin's configuration: the text of a StringValue, or the bytes of a Struct.
    ///
    /// # Errors
    /// [`Code::InvalidConfiguration`] with the member that is wrong.
    pub fn read(bytes: &[u8]) -> Result<Settings, Error> {
        let mut document = document(bytes)?;
        let envoy = document.remove("envoy");
        let config = Config::from_json(document.to_json().as_bytes())?;
        let envoy = match &envoy {
            Some(Value::Object(members)) => members,
            None => {
                return Err(invalid(
                    "envoy",
                    "missing: say at least which target requests belong to",
                ));
            }
            Some(_) => return Err(invalid("envoy", "must be an object")),
        };
        let members = Reader::new(
            envoy,
            "envoy",
            &[
                "role",
                "server_cluster",
                "target",
                "clusters",
                "routes",
                "retried",
                "users",
                "holding",
                "sharing",
                "audit",
                "eager",
            ],
        )?;
        let role = match members.text("role")? {
            None | Some("attach") => Role::Attach,
            Some("retry") => Role::Retry,
            Some(_) => return Err(members.wrong("role", "must be attach or retry")),
        };
        let (most_held, wait_ms) = holding(&members)?;
        let settings = Settings {
            role,
            audience: audience(&members, &config)?,
            servers: servers(&members, role, &config)?,
            retried: members.flag("retried", false)?,
            users: users(&members)?,
            most_held,
            wait_ms,
            sharing: members.flag("sharing", true)?,
            audit: members.flag("audit", true)?,
            eager: members.flag("eager", true)?,
            warnings: warnings(&config),
            config,
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Error> {
        for target in &self.config.targets {
            if target.user_token == UserToken::Exchange {
                return Err(Error::new(
                    Code::Unsupported,
                    "this filter exchanges no users' tokens: say pass or never, or use another host",
                )
                .at(format!("targets.{}.user_token", target.name)));
            }
        }
        Ok(())
    }
}

fn document(bytes: &[u8]) -> Result<Object, Error> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Both may begin with a line break, which is the tag of a Struct's field; a Struct has no brace after it and
    // blanks: they would be a length, and the brace a larger one within it.
    if text.trim_ascii_start().starts_with(b"{") {
        return json::parse_object(text).map_err(|error| {
            let wrong = Error::new(Code::InvalidConfiguration, error.message().to_owned());
            match error.offset() {
                Some(offset) => wrong.at_offset(offset),
                None => wrong,
            }
        });
    }
    if bytes.is_empty() {
        return Err(Error::new(
            Code::InvalidConfiguration,
            "the plugin has no configuration; give it svcauth's document as a google.protobuf.StringValue",
        ));
    }
    structure::read(bytes)
}

fn invalid(member: impl Into<String>, message: impl Into<String>) -> Error {
    Error::new(Code::InvalidConfiguration, message.into()).at(member.into())
}

/// The members of one object.
struct Reader<'a> {
    object: &'a Object,
    path: &'a str,
}

impl<'a> Reader<'a> {
    fn new(object: &'a Object, path: &'a str, known: &[&str]) -> Result<Reader<'a>, Error> {
        match object.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => Err(invalid(
                format!("{path}.{name}"),
                format!("unknown; known are {}", known.join(", ")),
            )),
            None => Ok(Reader { object, path }),
        }
    }

    /// The member; null is as good as absent.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&self, name: &str, message: &str) -> Error {
        invalid(format!("{}.{name}", self.path), message)
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a text that is not empty")),
        }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, Error> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    fn number(&self, name: &str, default: f64, most: u32) -> Result<f64, Error> {
        match self.get(name).map(Value::as_number) {
            None => Ok(default),
            Some(Some(number)) if (0.0..=f64::from(most)).contains(&number.as_f64()) => {
                Ok(number.as_f64())
            }
            Some(_) => Err(self.wrong(name, &format!("must be a number from 0 to {most}"))),
        }
    }

    fn object(&self, name: &str) -> Result<Option<&'a Object>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.wrong(name, "must be an object")),
        }
    }

    /// The targets by name of a cluster or route.
    fn targets(&self, name: &str, config: &Config) -> Result<Vec<(String, usize)>, Error> {
        let Some(object) = self.object(name)? else {
            return Ok(vec![]);
        };
        let entry = |(key, value): (&str, &Value)| {
            let index = value
                .as_str()
                .and_then(|target| config.target_index(target));
            match index {
                Some(index) => Ok((key.to_owned(), index)),
                None => Err(self.wrong(&format!("{name}.{key}"), &no_target(config))),
            }
        };
        object.iter().map(entry).collect()
    }
}

fn no_target(config: &Config) -> String {
    let names: Vec<&str> = config
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect();
    format!(
        "must be the name of a target; there are {}",
        names.join(", ")
    )
}

fn audience(members: &Reader<'_>, config: &Config) -> Result<Audience, Error> {
    let clusters = members.targets("clusters", config)?;
    let routes = members.targets("routes", config)?;
    let chosen = !clusters.is_empty() || !routes.is_empty();
    match members.text("target")? {
        Some(_) if chosen => Err(members.wrong(
            "target",
            "contradicts clusters and routes: keep one of them",
        )),
        Some(target) => match config.target_index(target) {
            Some(index) => Ok(Audience::All(index)),
            None => Err(members.wrong("target", &no_target(config))),
        },
        None if chosen => Ok(Audience::Some { clusters, routes }),
        None => Err(members.wrong(
            "target",
            "missing: name the target that all requests belong to, or write clusters or routes",
        )),
    }
}

fn servers(members: &Reader<'_>, role: Role, config: &Config) -> Result<Servers, Error> {
    let name = "server_cluster";
    match members.get(name) {
        Some(Value::String(cluster)) if !cluster.is_empty() => Ok(Servers::All(cluster.clone())),
        Some(Value::Object(object)) => {
            let entry = |(origin, cluster): (&str, &Value)| {
                let wrong = |message: &str| members.wrong(&format!("{name}.{origin}"), message);
                let parsed = Origin::parse(origin)
                    .map_err(|_| wrong("must be an origin such as https://hydra.example"))?;
                match cluster.as_str() {
                    Some(cluster) if !cluster.is_empty() => Ok((parsed, cluster.to_owned())),
                    _ => Err(wrong("must be the name of a cluster")),
                }
            };
            Ok(Servers::Each(
                object.iter().map(entry).collect::<Result<_, _>>()?,
            ))
        }
        // Nothing is sent there.
        None if role == Role::Retry || config.client.static_token.is_some() => {
            Ok(Servers::Each(vec![]))
        }
        None => Err(members.wrong(
            name,
            "missing: name the Envoy cluster of the authorization server",
        )),
        Some(_) => Err(members.wrong(
            name,
            "must be the name of a cluster, or an object from origins to names",
        )),
    }
}

fn users(members: &Reader<'_>) -> Result<Option<String>, Error> {
    let property = |namespace: &str| Some(format!("metadata\0filter_metadata\0{namespace}"));
    match members.get("users") {
        None => Ok(property(JWT_AUTHN)),
        Some(Value::String(text)) if text == "never" => Ok(None),
        Some(Value::Object(object)) => {
            let users = Reader::new(object, "envoy.users", &["metadata"])?;
            match users.text("metadata")? {
                Some(namespace) => Ok(property(namespace)),
                None => Err(users.wrong("metadata", "missing: the name of the dynamic metadata")),
            }
        }
        Some(_) => Err(members.wrong("users", "must be \"never\" or {\"metadata\": NAMESPACE}")),
    }
}

fn holding(members: &Reader<'_>) -> Result<(usize, u64), Error> {
    let none = Object::new();
    let object = members.object("holding")?.unwrap_or(&none);
    let holding = Reader::new(object, "envoy.holding", &["most", "wait_s"])?;
    let most = holding.number("most", MOST_HELD, 1_000_000)?;
    if most.fract() != 0.0 {
        return Err(holding.wrong("most", "must be a whole number"));
    }
    let wait_s = holding.number("wait_s", WAIT_S, 3600)?;
    Ok((most as usize, (wait_s * 1000.0) as u64))
}

fn warnings(config: &Config) -> Vec<String> {
    let inline = |(reference, member): (&SecretReference, String)| {
        matches!(reference, SecretReference::Value(_)).then(|| {
            format!(
                "{member}.value: the secret stands in the configuration, where Envoy's config_dump shows it; name \
                 an environment variable instead (env)"
            )
        })
    };
    let ignored = |member: &str| Some(format!("{member}: has no effect here, the cluster says it"));
    let tls = &config.tls;
    let tls = (tls.ca_file.is_some() || tls.only_ca_file)
        .then(|| ignored("tls"))
        .flatten();
    let secrets = secret_references(config).into_iter().filter_map(inline);
    secrets.chain(tls).collect()
}
