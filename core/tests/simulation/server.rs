//! The authorization server: what is true, whatever becomes of its answers on the way.

use crate::{
    clock,
    form::{self, Form},
    random::Random,
    setup::{ISSUER, PLANTED, Refresh},
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use svcauth_core::wire::Request;

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) clients: BTreeMap<String, ClientRecord>,
    pub(crate) tokens: BTreeMap<String, TokenRecord>,
    pub(crate) audiences: BTreeMap<String, Audience>,
    /// Unused ones.
    pub(crate) bootstraps: BTreeSet<String>,
    pub(crate) users: BTreeSet<String>,
    pub(crate) initial_access_tokens: BTreeSet<String>,
    refresh_tokens: BTreeMap<String, RefreshRecord>,
    /// Signs new tokens.
    pub(crate) signing_key: u32,
    /// Published ones.
    pub(crate) keys: BTreeSet<u32>,
    /// Refresh tokens that came again after they were used.
    pub(crate) spent_twice: Vec<String>,
    pub(crate) secrets_end_after_s: Option<u64>,
    minted: u64,
}

/// What the server knows of a resource and whoever asks for it.
pub(crate) struct Audience {
    pub(crate) life_s: u64,
    pub(crate) caching: bool,
    pub(crate) refresh: Refresh,
    /// Whether a client must authenticate.
    pub(crate) authenticated: bool,
}

#[derive(Default)]
pub(crate) struct ClientRecord {
    /// Each with the true time at which it ends.
    pub(crate) secrets: Vec<(String, u64)>,
    /// An old one stays good: an answer that is lost must not end everything.
    management_tokens: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct TokenRecord {
    pub(crate) audience: String,
    /// The user's token it was exchanged for.
    pub(crate) user: Option<String>,
    pub(crate) expires_at: u64,
    pub(crate) key: u32,
    pub(crate) refresh_token: Option<String>,
    /// Whether its life arrived as the server told it.
    pub(crate) truthful: bool,
}

struct RefreshRecord {
    audience: String,
    used: bool,
}

/// What an answer means to the client that asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    Token,
    /// 401: another pair or content may be tried at once.
    ClientRefused,
    /// invalid_grant: another source may be tried at once.
    GrantRefused,
    Refused,
    RateLimited(Option<u64>),
    ServerError(Option<u64>),
    /// Anything else.
    Odd,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) meaning: Meaning,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value, meaning: Meaning) -> Reply {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Reply {
            status,
            headers,
            body: body.to_string().into_bytes(),
            meaning,
        }
    }

    pub(crate) fn error(status: u16, error: &str, meaning: Meaning) -> Reply {
        Reply::json(
            status,
            &json!({ "error": error, "error_description": "said the server" }),
            meaning,
        )
    }
}

impl Server {
    pub(crate) fn mint(&mut self, kind: &str) -> String {
        self.minted += 1;
        format!("{PLANTED}-{kind}-{:06}", self.minted)
    }

    /// Texts that are hard to encode among them.
    pub(crate) fn mint_secret(&mut self, random: &mut Random) -> String {
        let tail = random.pick(&["", "", "+/=%", " &?#", "ü:~\"\\"]);
        self.mint("cs") + tail
    }

    pub(crate) fn change_signing_key(&mut self, keep_old: bool) {
        if !keep_old {
            self.keys.clear();
        }
        self.signing_key += 1;
        self.keys.insert(self.signing_key);
    }

    /// Answers as it should.
    pub(crate) fn serve(&mut self, request: &Request, now: u64, random: &mut Random) -> Reply {
        let url = request.url.strip_prefix(ISSUER).unwrap_or("");
        let body = String::from_utf8_lossy(request.body.expose()).into_owned();
        let bearer = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        match (request.method.as_str(), url) {
            (
                "GET",
                "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server",
            ) => {
                let metadata = json!({
                    "issuer": ISSUER,
                    "token_endpoint": format!("{ISSUER}/oauth2/token"),
                    "authorization_endpoint": format!("{ISSUER}/oauth2/auth"),
                    "registration_endpoint": format!("{ISSUER}/oauth2/register"),
                    "jwks_uri": format!("{ISSUER}/jwks"),
                });
                Reply::json(200, &metadata, Meaning::Odd)
            }
            ("POST", "/oauth2/register") => self.register(&body, bearer, now, random),
            ("PUT", url) if url.starts_with("/oauth2/register/") => self.update(
                url.trim_start_matches("/oauth2/register/"),
                bearer,
                now,
                random,
            ),
            ("POST", "/oauth2/auth") => {
                let location = format!("{ISSUER}/login?challenge={}", self.mint("login"));
                Reply {
                    status: 302,
                    headers: vec![("Location".into(), location)],
                    body: vec![],
                    meaning: Meaning::Odd,
                }
            }
            ("POST" | "GET", "/oauth2/token") => {
                self.token(request, &form::parse(&body), now, random)
            }
            _ => Reply::error(404, "not_found", Meaning::Refused),
        }
    }

    fn register(
        &mut self,
        body: &str,
        bearer: Option<&str>,
        now: u64,
        random: &mut Random,
    ) -> Reply {
        let initial = self.initial_access_tokens.iter().next().cloned();
        if bearer.is_some() && initial.as_deref() != bearer {
            return Reply::error(401, "invalid_token", Meaning::ClientRefused);
        }
        let Ok(mut answer) = serde_json::from_str::<Value>(body) else {
            return Reply::error(400, "invalid_client_metadata", Meaning::Refused);
        };
        self.minted += 1;
        let id = format!("reg-{}", self.minted);
        let (secret, management) = (self.mint_secret(random), self.mint("rat"));
        let ends = self.secrets_end_after_s.map(|life| now + life * 1000);
        answer["client_id"] = json!(id);
        answer["client_secret"] = json!(secret);
        answer["client_secret_expires_at"] = json!(ends.map_or(0, |at| clock::wall(at) / 1000));
        answer["registration_access_token"] = json!(management);
        answer["registration_client_uri"] = json!(format!("{ISSUER}/oauth2/register/{id}"));
        let record = ClientRecord {
            secrets: vec![(secret, ends.unwrap_or(u64::MAX))],
            management_tokens: vec![management],
        };
        self.clients.insert(id, record);
        Reply::json(201, &answer, Meaning::Odd)
    }

    fn update(&mut self, id: &str, bearer: Option<&str>, now: u64, random: &mut Random) -> Reply {
        let secret = self.mint_secret(random);
        let management = random.chance(500).then(|| self.mint("rat"));
        let ends = self.secrets_end_after_s.map(|life| now + life * 1000);
        match self.clients.get_mut(id) {
            Some(client)
                if bearer.is_some_and(|token| {
                    client.management_tokens.iter().any(|known| known == token)
                }) =>
            {
                client
                    .secrets
                    .push((secret.clone(), ends.unwrap_or(u64::MAX)));
                let mut answer = json!({
                    "client_id": id,
                    "client_secret": secret,
                    "client_secret_expires_at": ends.map_or(0, |at| clock::wall(at) / 1000),
                });
                if let Some(token) = management {
                    answer["registration_access_token"] = json!(token);
                    client.management_tokens.push(token);
                }
                Reply::json(200, &answer, Meaning::Odd)
            }
            _ => Reply::error(401, "invalid_token", Meaning::ClientRefused),
        }
    }

    fn token(&mut self, request: &Request, form: &Form, now: u64, random: &mut Random) -> Reply {
        let bare = form.is_empty();
        let audience = match form.get("audience") {
            Some(audience) => audience.clone(),
            None if bare => "bare".to_owned(),
            None => return Reply::error(400, "invalid_target", Meaning::Refused),
        };
        let Some(rules) = self.audiences.get(&audience) else {
            return Reply::error(400, "invalid_target", Meaning::Refused);
        };
        let (refresh, life_s, caching) = (rules.refresh, rules.life_s, rules.caching);
        if rules.authenticated && !self.is_authentic(request, form, now) {
            return match random.below(3) {
                0 => Reply::error(401, "unauthorized_client", Meaning::ClientRefused),
                1 => Reply::error(400, "invalid_client", Meaning::ClientRefused),
                _ => Reply::error(401, "invalid_client", Meaning::ClientRefused),
            };
        }
        let mut user = None;
        let mut exchanged = false;
        match form.get("grant_type").map(String::as_str) {
            None if bare => {}
            Some("client_credentials") => {}
            Some("refresh_token") => {
                let value = form.get("refresh_token").cloned().unwrap_or_default();
                match self.refresh_tokens.get_mut(&value) {
                    Some(record)
                        if record.audience == audience
                            && (refresh != Refresh::OneUse || !record.used) =>
                    {
                        record.used = true;
                        exchanged = true;
                    }
                    Some(record) if record.used => {
                        self.spent_twice.push(value);
                        return Reply::error(400, "invalid_grant", Meaning::GrantRefused);
                    }
                    _ => return Reply::error(400, "invalid_grant", Meaning::GrantRefused),
                }
            }
            Some("urn:ietf:params:oauth:grant-type:token-exchange") => {
                let subject = form.get("subject_token").cloned().unwrap_or_default();
                if self.users.contains(&subject) {
                    user = Some(subject);
                } else if self.bootstraps.contains(&subject) {
                    if refresh == Refresh::OneUse {
                        self.bootstraps.remove(&subject);
                    }
                    exchanged = true;
                } else {
                    return Reply::error(400, "invalid_grant", Meaning::GrantRefused);
                }
            }
            _ => return Reply::error(400, "unsupported_grant_type", Meaning::Refused),
        }
        let with_refresh = exchanged && (refresh == Refresh::OneUse || random.chance(500));
        if caching && user.is_none() && !with_refresh {
            let known = self.tokens.iter().find(|(_, token)| {
                token.audience == audience
                    && token.user.is_none()
                    && token.expires_at > now + 1000
                    && token.key == self.signing_key
                    && token.refresh_token.is_none()
            });
            if let Some((value, record)) = known {
                return token_reply(value, (record.expires_at - now) / 1000, None);
            }
        }
        let refresh_token = with_refresh.then(|| self.mint("rt"));
        if let Some(token) = &refresh_token {
            self.refresh_tokens.insert(
                token.clone(),
                RefreshRecord {
                    audience: audience.clone(),
                    used: false,
                },
            );
        }
        let expires_at = now + life_s * 1000;
        let value = self.access_token(&audience, expires_at, random);
        let reply = token_reply(&value, life_s, refresh_token.as_deref());
        let key = self.signing_key;
        self.tokens.insert(
            value,
            TokenRecord {
                audience,
                user,
                expires_at,
                key,
                refresh_token,
                truthful: true,
            },
        );
        reply
    }

    pub(crate) fn access_token(
        &mut self,
        subject: &str,
        expires_at: u64,
        random: &mut Random,
    ) -> String {
        let signature = self.mint("at");
        if random.chance(500) {
            return signature;
        }
        let claims =
            json!({ "sub": subject, "client_id": "c", "exp": clock::wall(expires_at) / 1000 });
        let encode = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
        format!(
            "{}.{}.{signature}",
            encode("{\"alg\":\"RS256\"}"),
            encode(&claims.to_string())
        )
    }

    fn is_authentic(&self, request: &Request, form: &Form, now: u64) -> bool {
        let Some((id, secret)) = presented(request, form) else {
            return false;
        };
        self.clients.get(&id).is_some_and(|client| {
            client
                .secrets
                .iter()
                .any(|(known, ends)| *known == secret && now < *ends)
        })
    }
}

/// The client id and secret in a request.
pub(crate) fn presented(request: &Request, form: &Form) -> Option<(String, String)> {
    if let Some(basic) = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Basic "))
    {
        let pair = String::from_utf8(Base64::decode_vec(basic).ok()?).ok()?;
        let (id, secret) = pair.split_once(':')?;
        return Some((form::decode(id), form::decode(secret)));
    }
    Some((
        form.get("client_id")?.clone(),
        form.get("client_secret")?.clone(),
    ))
}

fn token_reply(value: &str, life_s: u64, refresh_token: Option<&str>) -> Reply {
    let mut body = json!({ "access_token": value, "token_type": "Bearer", "expires_in": life_s, "scope": "read" });
    if let Some(token) = refresh_token {
        body["refresh_token"] = json!(token);
        body["refresh_expires_in"] = json!(86_400);
    }
    Reply::json(200, &body, Meaning::Token)
}
