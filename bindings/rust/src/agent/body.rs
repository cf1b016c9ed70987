//! A request's body, kept where it may have to be sent again.

use std::io::{self, Read};
use ureq::SendBody;

pub(crate) enum Replay<'a> {
    Kept(Vec<u8>),
    /// Sent as it comes; none once it was sent.
    Once(Option<SendBody<'a>>),
    /// Too large to be kept; none once it was sent.
    Large(Option<Box<dyn Read + 'a>>),
}

impl<'a> Replay<'a> {
    /// Reads the body, if it is to be kept and is not too large for that.
    pub(crate) fn new(body: SendBody<'a>, keep: bool) -> io::Result<Replay<'a>> {
        const MOST: u64 = 8 * 1024 * 1024;
        if !keep {
            return Ok(Replay::Once(Some(body)));
        }
        let mut rest = body.into_reader();
        let mut bytes = Vec::new();
        rest.by_ref().take(MOST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 <= MOST {
            return Ok(Replay::Kept(bytes));
        }
        Ok(Replay::Large(Some(Box::new(
            io::Cursor::new(bytes).chain(rest),
        ))))
    }

    /// Whether it can be sent again.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Replay::Kept(_))
    }

    /// Leaves the body out from now on.
    pub(crate) fn clear(&mut self) {
        *self = Replay::Kept(Vec::new());
    }
}
