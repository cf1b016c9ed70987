//! Single messages: the request of one, and what the answer to it says.

use crate::{
    memory::{self, Place},
    out::{Out, request, response},
};
use alloc::vec::Vec;
use core::cell::RefCell;
use svcauth_core::{
    Error,
    message::named::{self, Named},
};
use wasm_bindgen::prelude::wasm_bindgen;

/// The messages whose answers are awaited.
static SENT: Place<Vec<Option<Named>>> = Place(RefCell::new(Vec::new()));

/// Makes the message whose name is in the room, and its parameters behind it: `message`, its number, and `request`,
/// or an `error`.
#[wasm_bindgen]
pub fn exchange(name: usize) -> usize {
    let text = memory::take();
    let (name, parameters) = text.split_at_checked(name).unwrap_or_default();
    let mut out = Out::new();
    let made = named::exchange(core::str::from_utf8(name).unwrap_or_default(), parameters)
        .and_then(|message| Ok((message.request()?, message)));
    memory::wiped(text);
    match made {
        Ok((sent, message)) => {
            let number = keep(message);
            out.raw(r#"{"message":"#).number(number as u64);
            out.raw(r#","request":"#);
            request(&mut out, &sent);
            out.raw("}");
        }
        Err(error) => told(&mut out, &error),
    }
    memory::tell(out.into_text())
}

/// Reads the response to a message, whose fields are in the room and whose body behind them: the `answer`, or an
/// `error`. The message is forgotten.
#[wasm_bindgen]
pub fn exchange_answer(message: usize, status: u16, fields: usize) -> usize {
    let response = response(memory::take(), status, fields);
    let mut out = Out::new();
    match forget(message).map(|message| message.parse(&response)) {
        Some(Ok(answer)) => {
            out.raw(r#"{"answer":"#).raw(answer.expose()).raw("}");
        }
        Some(Err(error)) => told(&mut out, &error),
        None => {
            out.raw("{}");
        }
    }
    memory::tell(out.into_text())
}

/// Forgets a message that got no answer, and tells the error for that: `kind` and the text in the room say why.
#[wasm_bindgen]
pub fn exchange_failed(message: usize, kind: u32) -> usize {
    let detail = memory::take_text();
    let mut out = Out::new();
    let url = forget(message)
        .and_then(|message| message.request().ok())
        .map(|request| request.url)
        .unwrap_or_default();
    match crate::out::failure(kind, detail).into_answer(&url) {
        Ok(_) => {
            out.raw("{}");
        }
        Err(error) => told(&mut out, &error),
    }
    memory::tell(out.into_text())
}

fn told(out: &mut Out, error: &Error) {
    out.failed(error, None);
}

fn keep(message: Named) -> usize {
    let mut sent = SENT.0.borrow_mut();
    match sent.iter().position(Option::is_none) {
        Some(free) => {
            sent[free] = Some(message);
            free
        }
        None => {
            sent.push(Some(message));
            sent.len() - 1
        }
    }
}

fn forget(message: usize) -> Option<Named> {
    SENT.0.borrow_mut().get_mut(message).and_then(Option::take)
}
