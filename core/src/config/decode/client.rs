//! Who the service is, and where its secrets are.

use super::super::{
    AuthMethod, BasicEncoding, ClientConfig, Credential, RegistrationConfig, SecretReference,
};
use crate::{
    Error, Secret,
    wire::{
        is_token,
        json::{Field, nearest},
    },
};
use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};

const METHODS: [(&str, AuthMethod); 3] = [
    ("client_secret_basic", AuthMethod::ClientSecretBasic),
    ("client_secret_post", AuthMethod::ClientSecretPost),
    ("none", AuthMethod::None),
];

pub(super) fn client(field: &Field<'_>) -> Result<ClientConfig, Error> {
    let members = field.members(&[
        "auth",
        "basic_encoding",
        "credentials",
        "static_token",
        "registration",
    ])?;
    let auth = members.get("auth").choice(&METHODS)?;
    let basic_encoding = members
        .get("basic_encoding")
        .choice(&[("form", BasicEncoding::Form), ("raw", BasicEncoding::Raw)])?;
    Ok(ClientConfig {
        auth,
        basic_encoding,
        credentials: credentials(&members.get("credentials"), auth, basic_encoding)?,
        static_token: bearer(members.get("static_token"))?,
        registration: registration(members.get("registration"), auth)?,
    })
}

fn credentials(
    field: &Field<'_>,
    auth: AuthMethod,
    basic_encoding: BasicEncoding,
) -> Result<Vec<Credential>, Error> {
    const SHAPE: &str = "a list such as [{\"client_id\": \"bss\", \"client_secret\": {\"file\": \"/run/secrets/bss\"}}]";
    let mut credentials: Vec<Credential> = vec![];
    for item in field.items(SHAPE)? {
        if credentials.len() == 2 {
            return Err(field.error(
                "more than two: keep the active pair and the one that it replaces or is replaced by",
            ));
        }
        let credential = credential(&item, auth, basic_encoding)?;
        let same = |known: &Credential| {
            known.client_id == credential.client_id
                && known.client_secret == credential.client_secret
        };
        if credentials.iter().any(same) {
            return Err(
                item.error("the same client_id and secret as before: remove one of the two")
            );
        }
        credentials.push(credential);
    }
    Ok(credentials)
}

fn credential(
    field: &Field<'_>,
    auth: AuthMethod,
    basic_encoding: BasicEncoding,
) -> Result<Credential, Error> {
    let members = field.members(&["client_id", "client_secret"])?;
    let id = members
        .get("client_id")
        .required("write the client id that the server knows")?;
    let client_id = id.text("the client id")?.unwrap_or_default().to_owned();
    let raw = auth == AuthMethod::ClientSecretBasic && matches!(basic_encoding, BasicEncoding::Raw);
    if raw && client_id.contains(':') {
        return Err(id.error(
            "holds a colon, which the server could not tell from the separator: leave client.basic_encoding out",
        ));
    }
    let secret = members.get("client_secret");
    if auth == AuthMethod::None && secret.is_present() {
        return Err(secret.error(
            "not used, because client.auth is \"none\": remove it, or set client.auth to \"client_secret_basic\"",
        ));
    }
    if auth != AuthMethod::None && !secret.is_present() {
        return Err(secret.error(format!(
            "missing: say where the secret is, such as {{\"file\": \"/run/secrets/{client_id}\"}}, \
             or set client.auth to \"none\" for a public client",
            client_id = if client_id.len() > 32 {
                "bss"
            } else {
                &client_id
            },
        )));
    }
    Ok(Credential {
        client_id,
        client_secret: reference(&secret)?,
    })
}

fn registration(field: Field<'_>, auth: AuthMethod) -> Result<Option<RegistrationConfig>, Error> {
    let Some(field) = field.present() else {
        return Ok(None);
    };
    let members = field.members(&["initial_access_token", "metadata", "authorize"])?;
    let metadata = members.get("metadata");
    for (name, value) in metadata.entries("an object: the client metadata of RFC 7591 section 2")? {
        match name {
            "client_secret" | "registration_access_token" => {
                return Err(value.error(
                    "no place for a secret: remove it, the server makes one; a pair that exists goes to client.credentials",
                ));
            }
            "token_endpoint_auth_method" => {
                let method = METHODS.iter().find(|(_, method)| *method == auth);
                let name = method.map_or("", |(name, _)| *name);
                if value.text("the same text as client.auth")? != Some(name) {
                    return Err(value.error(format!(
                        "not what client.auth says: make both the same ({name:?} is in effect)"
                    )));
                }
            }
            _ => {}
        }
    }
    Ok(Some(RegistrationConfig {
        initial_access_token: bearer(members.get("initial_access_token"))?,
        metadata: metadata.object("an object")?.cloned().unwrap_or_default(),
        authorize: members.get("authorize").boolean(false)?,
    }))
}

/// Where a secret is; nothing of a secret that stands there by mistake gets into the error.
pub(super) fn reference(field: &Field<'_>) -> Result<Option<SecretReference>, Error> {
    const SHAPE: &str =
        "an object that says where the secret is, such as {\"file\": \"/run/secrets/bss\"}";
    const KINDS: [&str; 4] = ["file", "env", "callback", "value"];
    let entries = field.entries(SHAPE)?;
    let [(kind, value)] = &entries[..] else {
        return match field.is_present() {
            false => Ok(None),
            true => Err(field.error(format!("expected {SHAPE}, with exactly one member"))),
        };
    };
    let text = |expected| -> Result<String, Error> {
        Ok(value.text(expected)?.unwrap_or_default().to_owned())
    };
    Ok(Some(match *kind {
        "file" => SecretReference::File(text("the name of the file that holds the secret")?),
        "env" => {
            let variable = text("the name of the environment variable that holds the secret")?;
            if variable.contains('=') {
                return Err(value.error("holds '=': write the name of the variable only"));
            }
            SecretReference::Env(variable)
        }
        "callback" => SecretReference::Callback(text(
            "the name that the program's own function is asked for",
        )?),
        "value" => SecretReference::Value(Secret::new(text("the secret itself, for development")?)),
        other => {
            let hint = nearest(other, &KINDS)
                .map(|near| format!(", did you mean {near}?"))
                .unwrap_or_default();
            return Err(field.error(format!(
                "the one member must be file, env, callback or value{hint}"
            )));
        }
    }))
}

/// Where a bearer token is.
fn bearer(field: Field<'_>) -> Result<Option<SecretReference>, Error> {
    let reference = reference(&field)?;
    if let Some(SecretReference::Value(token)) = &reference
        && !is_token(token.expose())
    {
        return Err(field.error(
            "value holds a character that no bearer token has (RFC 6750 section 2.1), a space for instance: remove it",
        ));
    }
    Ok(reference)
}
