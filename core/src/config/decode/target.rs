//! The services that are called, and how their tokens are got.

use super::{
    super::{Grant, RefreshTokens, Target, UserToken, defaults, invalid},
    DAY, SECOND,
    client::reference,
};
use crate::{
    Error,
    message::members::{resource, scopes, texts, token_type},
    order::sorted,
    wire::{
        Method, Url,
        json::{Field, Members, join, nearest},
        url,
    },
};
use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};

/// What a token request says about the token; without a request of its own a target has no use for them.
const REQUEST: [&str; 6] = [
    "scopes",
    "audience",
    "resource",
    "parameters",
    "require_scopes",
    "default_lifetime_s",
];

pub(super) fn targets(field: &Field<'_>) -> Result<Vec<Target>, Error> {
    let entries = field.entries("an object such as {\"smd\": {\"urls\": […]}}")?;
    let mut named = vec![];
    for (name, place) in sorted(entries.iter().map(|(name, _)| *name)) {
        let field = &entries[place].1;
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name_byte) {
            return Err(field
                .error("not a name for a target: use 1 to 64 letters, digits, '_', '-' and '.'"));
        }
        named.push(target(name, field)?);
    }
    for at in 0..named.len() {
        named[at].0.token_of = find(&named[at], &named)?;
    }
    Ok(named.into_iter().map(|(target, _)| target).collect())
}

/// A target, and the name of the one whose token it uses.
type Named = (Target, Option<String>);

/// The index of the target whose token `target` uses.
fn find((target, other): &Named, named: &[Named]) -> Result<Option<usize>, Error> {
    let Some(name) = other else {
        return Ok(None);
    };
    let fail = |message| {
        let path = join(&join("targets", &target.name), "token_of");
        Err(invalid(path, message))
    };
    if *name == target.name {
        return fail("names the target itself: remove it, or name another target".into());
    }
    let Some(index) = named.iter().position(|(target, _)| target.name == *name) else {
        let names: Vec<&str> = named.iter().map(|(target, _)| &*target.name).collect();
        let hint = nearest(name, &names)
            .map(|near| format!(", did you mean {near}?"))
            .unwrap_or_default();
        return fail(format!("no target has this name{hint}"));
    };
    if named[index].1.is_some() {
        return fail(
            "names a target that has token_of itself: name the target that gets the token".into(),
        );
    }
    Ok(Some(index))
}

fn target(name: &str, field: &Field<'_>) -> Result<Named, Error> {
    let members = field.members(&[
        "urls",
        "scopes",
        "audience",
        "resource",
        "parameters",
        "grant",
        "user_token",
        "require_scopes",
        "token_of",
        "default_lifetime_s",
    ])?;
    let token_of = members.get("token_of");
    if token_of.is_present()
        && let Some(idle) = members
            .first_of(&REQUEST)
            .or(members.get("grant").present())
    {
        return Err(idle.error(
            "has no effect beside token_of: remove it, or set it in the target that token_of names",
        ));
    }
    let grant = grant(&members.get("grant"))?;
    if let (Grant::Bare { .. }, Some(idle)) = (&grant, members.first_of(&REQUEST[..5])) {
        return Err(idle.error(
            "has no effect with grant \"bare\", whose request has no parameters: remove it",
        ));
    }
    let scopes = scopes(&members.get("scopes"))?;
    let require_scopes = members.get("require_scopes");
    if require_scopes.boolean(false)? && scopes.is_empty() {
        return Err(require_scopes.error("has no effect without scopes: list them, or remove it"));
    }
    let target = Target {
        name: name.to_owned(),
        urls: urls(members.get("urls"))?,
        scopes,
        audience: texts(
            &members.get("audience"),
            "a list such as [\"smd\"]",
            "an audience",
        )?,
        resource: resource(&members.get("resource"))?,
        parameters: parameters(&members.get("parameters"))?,
        grant,
        user_token: user_token(&members)?,
        require_scopes: require_scopes.boolean(false)?,
        token_of: None,
        default_lifetime_ms: members
            .get("default_lifetime_s")
            .milliseconds(defaults::LIFETIME_MS, SECOND..=365 * DAY)?,
    };
    let token_of = token_of.text("the name of another target")?;
    Ok((target, token_of.map(ToOwned::to_owned)))
}

fn user_token(members: &Members<'_>) -> Result<UserToken, Error> {
    members.get("user_token").choice(&[
        ("pass", UserToken::Pass),
        ("exchange", UserToken::Exchange),
        ("never", UserToken::Never),
    ])
}

fn urls(field: Field<'_>) -> Result<Vec<Url>, Error> {
    let field = field.required(
        "list what belongs to the target, such as [\"https://smd.example/hsm/v2\"], \
         or [] where the program asks for the token by name",
    )?;
    let mut urls = vec![];
    for item in field.items("a list such as [\"https://smd.example/hsm/v2\"]")? {
        if let Some(url) = item.url()? {
            if let Some(problem) = prefix_problem(&url) {
                return Err(item.error(problem));
            }
            urls.push(url);
        }
    }
    Ok(urls)
}

/// Why `url` cannot be the start of other URLs.
fn prefix_problem(url: &Url) -> Option<&'static str> {
    if url.query().is_some() {
        return Some(
            "holds a query, but origin and path alone decide what belongs to a target: remove it",
        );
    }
    url::ambiguity(url.path())
}

fn parameters(field: &Field<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut parameters = vec![];
    for (name, value) in field.entries("an object such as {\"tenant\": \"blue\"}")? {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(
                value.error("not a name for a parameter: it is empty or holds a control character")
            );
        }
        if let Some(place) = place_of(name) {
            return Err(value.error(format!("not a free parameter: {place}")));
        }
        let text = value.text("a string")?.unwrap_or_default();
        parameters.push((name.to_owned(), text.to_owned()));
    }
    Ok(parameters)
}

/// Where a parameter that svcauth writes itself comes from.
fn place_of(parameter: &str) -> Option<&'static str> {
    Some(match parameter.to_ascii_lowercase().as_str() {
        "scope" => "list the scopes in scopes",
        "audience" => "list it in audience",
        "resource" => "list it in resource",
        "grant_type" | "subject_token" | "subject_token_type" | "requested_token_type" => {
            "it comes from grant"
        }
        "client_id" | "client_secret" => "it comes from client.credentials",
        "client_assertion" | "client_assertion_type" => "it comes from client.auth",
        "actor_token" | "actor_token_type" | "assertion" | "refresh_token" | "code"
        | "code_verifier" | "redirect_uri" | "username" | "password" => {
            "it belongs to a grant of its own; remove it"
        }
        _ => return None,
    })
}

fn grant(field: &Field<'_>) -> Result<Grant, Error> {
    const SHAPE: &str = "\"client_credentials\", \"bare\" or an object such as {\"type\": \"bare\", \"method\": \"GET\"}";
    #[derive(Clone, Copy)]
    enum Kind {
        ClientCredentials,
        TokenExchange,
        Bare,
    }
    let kinds = [
        ("client_credentials", Kind::ClientCredentials),
        ("bare", Kind::Bare),
        ("token_exchange", Kind::TokenExchange),
    ];
    let is_text = field.value().is_some_and(|value| value.as_str().is_some());
    if is_text || !field.is_present() {
        return match field.choice(&kinds)? {
            Kind::ClientCredentials => Ok(Grant::ClientCredentials),
            Kind::Bare => Ok(Grant::Bare {
                method: Method::Post,
            }),
            Kind::TokenExchange => Err(field.error(
                "needs more than a name: write {\"type\": \"token_exchange\", \"subject_token\": \
                 {\"file\": …}, \"subject_token_type\": …}",
            )),
        };
    }
    let entries = field.entries(SHAPE)?;
    let Some((_, kind)) = entries.into_iter().find(|(name, _)| *name == "type") else {
        return Err(field.error(
            "missing type: write \"type\": \"client_credentials\", \"bare\" or \"token_exchange\"",
        ));
    };
    match kind.choice(&kinds)? {
        Kind::ClientCredentials => field.members(&["type"]).map(|_| Grant::ClientCredentials),
        Kind::Bare => {
            let members = field.members(&["type", "method"])?;
            let methods = [("POST", Method::Post), ("GET", Method::Get)];
            Ok(Grant::Bare {
                method: members.get("method").choice(&methods)?,
            })
        }
        Kind::TokenExchange => token_exchange(field),
    }
}

fn token_exchange(field: &Field<'_>) -> Result<Grant, Error> {
    let members = field.members(&[
        "type",
        "subject_token",
        "subject_token_type",
        "requested_token_type",
        "refresh_tokens",
    ])?;
    let subject_token = members.get("subject_token").required(
        "say where the token is that is exchanged, such as {\"file\": \"/run/secrets/bootstrap\"}",
    )?;
    let subject_token_type = members.get("subject_token_type").required(
        "write the type of the subject token, such as \"urn:ietf:params:oauth:token-type:jwt\"",
    )?;
    let Some(subject_token) = reference(&subject_token)? else {
        return Err(field.error("missing subject_token"));
    };
    Ok(Grant::TokenExchange {
        subject_token,
        subject_token_type: token_type(&subject_token_type)?.unwrap_or_default(),
        requested_token_type: token_type(&members.get("requested_token_type"))?,
        refresh_tokens: members.get("refresh_tokens").choice(&[
            ("one_use", RefreshTokens::OneUse),
            ("reusable", RefreshTokens::Reusable),
            ("ignore", RefreshTokens::Ignore),
        ])?,
    })
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}
