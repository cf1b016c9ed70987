//! Which proxy a request goes through: the configured one, or the environment's as curl reads it.

use std::env;
use svcauth_core::{Code, Error, config};
use ureq::{Proxy, http::Uri};

/// The proxies for the two schemes.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `https`.
    pub https: Option<Proxy>,
    /// For `http`.
    pub http: Option<Proxy>,
}

impl Proxies {
    /// Reads the configuration and, where it says so, the environment.
    ///
    /// `HTTPS_PROXY` is for https, `http_proxy` for http, `ALL_PROXY` for both where they are not set, each
    /// in either case; but `HTTP_PROXY` only in lower case under CGI, where a client could set it. What
    /// `NO_PROXY` lists goes direct, and so does loopback unless the proxy is the configured one.
    ///
    /// # Errors
    /// [`Code::InvalidConfiguration`] for text that is no proxy's URL.
    pub fn new(proxy: &config::Proxy) -> Result<Proxies, Error> {
        Self::read(proxy, &|name| {
            env::var(name).ok().filter(|value| !value.trim().is_empty())
        })
    }

    fn read(
        proxy: &config::Proxy,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Proxies, Error> {
        let exceptions = exceptions(
            variable("no_proxy")
                .or_else(|| variable("NO_PROXY"))
                .as_deref(),
        );
        let either = |lower: &'static str, upper: &'static str| {
            variable(lower)
                .map(|value| (lower, value))
                .or_else(|| variable(upper).map(|value| (upper, value)))
        };
        match proxy {
            config::Proxy::None => Ok(Proxies::default()),
            config::Proxy::Url(url) => {
                let proxy = parse(url, "proxy", &exceptions)?;
                Ok(Proxies {
                    https: Some(proxy.clone()),
                    http: Some(proxy),
                })
            }
            _ => {
                let mut exceptions = exceptions;
                exceptions.extend(["localhost", ".localhost", "127.*", "[::1]"].map(String::from));
                let all = either("all_proxy", "ALL_PROXY");
                let https = either("https_proxy", "HTTPS_PROXY").or_else(|| all.clone());
                let upper = if variable("REQUEST_METHOD").is_none() {
                    "HTTP_PROXY"
                } else {
                    "http_proxy"
                };
                let http = either("http_proxy", upper).or(all);
                let read = |found: Option<(&'static str, String)>| {
                    found
                        .map(|(name, value)| parse(value.trim(), name, &exceptions))
                        .transpose()
                };
                Ok(Proxies {
                    https: read(https)?,
                    http: read(http)?,
                })
            }
        }
    }

    /// Words that name the proxy which a request to `uri` goes through, without its password, to be put
    /// behind the reason why nothing could be reached; empty where there is none.
    pub fn on_the_way(&self, uri: &Uri) -> String {
        self.of(uri.scheme_str() == Some("https"))
            .filter(|proxy| !proxy.is_no_proxy(uri))
            .map(|proxy| format!(" (through the proxy {}:{})", proxy.host(), proxy.port()))
            .unwrap_or_default()
    }

    /// The proxy for a URL.
    pub fn of(&self, is_https: bool) -> Option<&Proxy> {
        if is_https {
            self.https.as_ref()
        } else {
            self.http.as_ref()
        }
    }

    /// What an agent for both schemes starts with: it has one proxy only.
    pub(crate) fn preset(&self) -> Option<&Proxy> {
        self.https.as_ref().or(self.http.as_ref())
    }
}

fn parse(url: &str, member: &'static str, exceptions: &[String]) -> Result<Proxy, Error> {
    // The text may hold a password: it is not repeated.
    let wrong = |_| {
        let message = "this is no URL of a proxy; write http://host:port, or https or socks5";
        Error::new(Code::InvalidConfiguration, message).at(member)
    };
    let plain = Proxy::new(url).map_err(wrong)?;
    let mut builder = Proxy::builder(plain.protocol())
        .host(plain.host())
        .port(plain.port());
    if let Some(name) = plain.username() {
        builder = builder.username(name);
    }
    if let Some(password) = plain.password() {
        builder = builder.password(password);
    }
    for exception in exceptions {
        builder = builder.no_proxy(exception);
    }
    builder.build().map_err(wrong)
}

/// `example.com` stands for the name and all below it, as curl and Go have it.
fn exceptions(list: Option<&str>) -> Vec<String> {
    let entries = list
        .unwrap_or_default()
        .split([',', ' '])
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries
        .flat_map(|entry| {
            let is_name =
                !entry.starts_with(['.', '*']) && entry.parse::<std::net::IpAddr>().is_err();
            let below = is_name.then(|| format!(".{entry}"));
            let address = entry
                .parse::<std::net::Ipv6Addr>()
                .ok()
                .map(|address| format!("[{address}]"));
            [Some(entry.to_owned()), below, address]
                .into_iter()
                .flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_of(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| value.to_string())
        };
        let proxies = Proxies::read(&config::Proxy::Environment, &variable).unwrap();
        let uri: ureq::http::Uri = url.parse().unwrap();
        let proxy = proxies.of(uri.scheme_str() == Some("https"))?;
        (!proxy.is_no_proxy(&uri)).then(|| format!("{}:{}", proxy.host(), proxy.port()))
    }

    #[test]
    fn the_environment_names_a_proxy_for_each_scheme_and_who_goes_direct() {
        let both: &[_] = &[("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:2")];
        let except: &[_] = &[
            ("ALL_PROXY", "http://a:3"),
            ("NO_PROXY", "one.example, .two.example,10.0.0.1 fd00::1"),
        ];
        for (variables, url, expected) in [
            (both, "https://x.example/", Some("s:1")),
            (both, "http://x.example/", Some("p:2")),
            (both, "http://localhost:80/", None),
            (both, "https://127.0.0.1:80/", None),
            (both, "https://[::1]:80/", None),
            (except, "https://x.example/", Some("a:3")),
            (except, "https://one.example/", None),
            (except, "https://sub.one.example/", None),
            (except, "https://none.example/", Some("a:3")),
            (except, "https://two.example/", Some("a:3")),
            (except, "https://sub.two.example/", None),
            (except, "http://10.0.0.1/", None),
            (except, "http://10.0.0.10/", Some("a:3")),
            (except, "http://[fd00::1]/", None),
            (
                &[("HTTP_PROXY", "http://p:2")],
                "http://x.example/",
                Some("p:2"),
            ),
            (
                &[("HTTP_PROXY", "http://p:2"), ("REQUEST_METHOD", "GET")],
                "http://x.example/",
                None,
            ),
            (&[], "http://x.example/", None),
        ] {
            assert_eq!(
                proxy_of(variables, url).as_deref(),
                expected,
                "{variables:?} {url}"
            );
        }
    }

    #[test]
    fn no_password_of_a_proxy_is_printed() {
        let url = config::Proxy::Url("ftp://user:hunter2@proxy".into());
        let error = Proxies::read(&url, &|_| None).unwrap_err();
        assert_eq!(
            (error.code(), error.member()),
            (Code::InvalidConfiguration, Some("proxy"))
        );
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
