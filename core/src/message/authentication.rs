//! Client authentication (RFC 6749 section 2.3).

use crate::{
    Code, Error, Secret,
    wire::{Header, buffer::Buffer, form},
};
use alloc::{string::String, vec, vec::Vec};
use base64ct::{Base64, Encoding};

/// How a client says who it is. A request carries one of these and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// `client_secret_basic`: the Authorization header.
    Basic {
        /// The client id.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
        /// How both are encoded before base64.
        encoding: BasicEncoding,
    },
    /// `client_secret_post`: two parameters of the body.
    Post {
        /// The client id.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
    },
    /// `none`: a public client, or a server that asks for nothing.
    None {
        /// The parameter `client_id`, where the server wants it.
        client_id: Option<String>,
    },
}

/// How `client_secret_basic` encodes id and secret before base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BasicEncoding {
    /// Form-encoded, as RFC 6749 section 2.3.1 asks.
    #[default]
    Form,
    /// As they are (RFC 7617), for servers that do not decode.
    Raw,
}

impl ClientAuthentication {
    /// The client id, where there is one.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            ClientAuthentication::Basic { client_id, .. }
            | ClientAuthentication::Post { client_id, .. } => Some(client_id),
            ClientAuthentication::None { client_id } => client_id.as_deref(),
        }
    }

    /// The client's secret, where there is one.
    pub fn client_secret(&self) -> Option<&Secret> {
        match self {
            ClientAuthentication::Basic { client_secret, .. }
            | ClientAuthentication::Post { client_secret, .. } => Some(client_secret),
            ClientAuthentication::None { .. } => None,
        }
    }

    /// Adds the authentication to a request: a header, or parameters of its form.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`]: with [`BasicEncoding::Raw`], a colon in the id or a control character.
    pub fn apply(
        &self,
        headers: &mut Vec<Header>,
        form: &mut form::Serializer,
    ) -> Result<(), Error> {
        match self {
            ClientAuthentication::Basic {
                client_id,
                client_secret,
                encoding,
            } => {
                headers.push(basic(client_id, client_secret, *encoding)?);
            }
            ClientAuthentication::Post {
                client_id,
                client_secret,
            } => {
                form.pair("client_id", client_id)
                    .pair("client_secret", client_secret.expose());
            }
            ClientAuthentication::None {
                client_id: Some(client_id),
            } => {
                form.pair("client_id", client_id);
            }
            ClientAuthentication::None { client_id: None } => {}
        }
        Ok(())
    }
}

fn basic(id: &str, secret: &Secret, encoding: BasicEncoding) -> Result<Header, Error> {
    let pair = user_pass(id, secret, encoding)?;
    let pair = pair.as_str().as_bytes();
    let scheme = b"Basic ";
    let mut value = vec![0; scheme.len() + Base64::encoded_len(pair)];
    let (start, encoded) = value.split_at_mut(scheme.len());
    start.copy_from_slice(scheme);
    let internal = || {
        Error::new(
            Code::Internal,
            "the Authorization header could not be encoded",
        )
    };
    Base64::encode(pair, encoded).map_err(|_| internal())?;
    let value = String::from_utf8(value).map_err(|_| internal())?;
    Ok(Header {
        name: "authorization",
        value: value.into(),
        sensitive: true,
    })
}

fn user_pass(id: &str, secret: &Secret, encoding: BasicEncoding) -> Result<Buffer, Error> {
    let secret = secret.expose();
    let mut pair = Buffer::with_capacity(id.len() + secret.len() + 32);
    match encoding {
        BasicEncoding::Form => {
            form::encode(&mut pair, id);
            pair.push_str(":");
            form::encode(&mut pair, secret);
        }
        BasicEncoding::Raw => {
            let refused =
                |member, message| Err(Error::new(Code::InvalidArgument, message).at(member));
            if id.contains(|c: char| c == ':' || c.is_control()) {
                return refused(
                    "client_id",
                    "a client id with a colon or a control character needs the form encoding of Basic",
                );
            }
            if secret.contains(char::is_control) {
                return refused(
                    "client_secret",
                    "a secret with a control character needs the form encoding of Basic",
                );
            }
            pair.push_str(id);
            pair.push_str(":");
            pair.push_str(secret);
        }
    }
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn applied(authentication: &ClientAuthentication) -> Result<(Vec<Header>, String), Error> {
        let (mut headers, mut form) = (Vec::new(), form::Serializer::new());
        authentication.apply(&mut headers, &mut form)?;
        Ok((
            headers,
            String::from_utf8(form.finish().expose().into()).unwrap(),
        ))
    }

    fn basic(
        client_id: &str,
        client_secret: &str,
        encoding: BasicEncoding,
    ) -> ClientAuthentication {
        ClientAuthentication::Basic {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            encoding,
        }
    }

    #[test]
    fn each_method_puts_the_secret_in_one_place_only() {
        let (headers, form) = applied(&basic("a b", "c:d", BasicEncoding::Form)).unwrap();
        assert_eq!((&*headers[0].value, &*form), ("Basic YStiOmMlM0Fk", ""));
        assert!(headers[0].sensitive);

        let (headers, form) = applied(&basic("a b", "c:d", BasicEncoding::Raw)).unwrap();
        assert_eq!((&*headers[0].value, &*form), ("Basic YSBiOmM6ZA==", ""));

        let post = ClientAuthentication::Post {
            client_id: "a b".into(),
            client_secret: "c&d".into(),
        };
        let (headers, form) = applied(&post).unwrap();
        assert_eq!(
            (headers.len(), &*form),
            (0, "client_id=a+b&client_secret=c%26d")
        );

        let public = ClientAuthentication::None {
            client_id: Some("a".into()),
        };
        assert_eq!(
            applied(&public).unwrap(),
            (Vec::new(), "client_id=a".into())
        );
        let nobody = ClientAuthentication::None { client_id: None };
        assert_eq!(applied(&nobody).unwrap(), (Vec::new(), String::new()));
    }

    #[test]
    fn raw_basic_refuses_what_would_be_read_as_another_id_or_secret() {
        for (id, secret, member) in [
            ("a:b", "secret", "client_id"),
            ("a\n", "secret", "client_id"),
            ("a", "secret\r\n", "client_secret"),
            ("a", "sec\0ret", "client_secret"),
        ] {
            let error = applied(&basic(id, secret, BasicEncoding::Raw)).unwrap_err();
            assert_eq!(
                (error.code(), error.member()),
                (Code::InvalidArgument, Some(member))
            );
            assert!(!format!("{error:?}").contains(secret));
            assert!(applied(&basic(id, secret, BasicEncoding::Form)).is_ok());
        }
    }

    #[test]
    fn debug_output_shows_the_id_and_not_the_secret() {
        let printed = format!("{:?}", basic("bss", "s3cr3t", BasicEncoding::Form));
        assert!(
            printed.contains("bss") && !printed.contains("s3cr3t"),
            "{printed}"
        );
    }
}
