//! What comes in and goes out.

use alloc::{string::String, vec::Vec};
use core::cell::RefCell;
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroize;

/// A place for one thing of the instance.
pub(crate) struct Place<T>(pub(crate) RefCell<T>);

// SAFETY: the module has one thread.
unsafe impl<T> Sync for Place<T> {}

struct Texts {
    given: Vec<u8>,
    told: Vec<u8>,
}

static TEXTS: Place<Texts> = Place(RefCell::new(Texts {
    given: Vec::new(),
    told: Vec::new(),
}));

/// Gives where `bytes` bytes may be written. The memory may have grown then.
#[wasm_bindgen]
pub fn room(bytes: usize) -> usize {
    let mut texts = TEXTS.0.borrow_mut();
    texts.given.resize(bytes, 0);
    texts.given.as_mut_ptr() as usize
}

/// Gives where the text is that the last call answered the length of. The memory may have grown by that call.
#[wasm_bindgen]
pub fn output() -> usize {
    TEXTS.0.borrow().told.as_ptr() as usize
}

/// Wipes what was written to [`room`], and the text at [`output`].
#[wasm_bindgen]
pub fn wipe() {
    let mut texts = TEXTS.0.borrow_mut();
    texts.given.zeroize();
    texts.told.zeroize();
}

/// Takes what was written to [`room`].
pub(crate) fn take() -> Vec<u8> {
    core::mem::take(&mut TEXTS.0.borrow_mut().given)
}

/// Wipes what was taken.
pub(crate) fn wiped(mut bytes: Vec<u8>) {
    bytes.zeroize();
}

/// Takes what was written as text. What JavaScript writes is UTF-8.
pub(crate) fn take_text() -> String {
    match String::from_utf8(take()) {
        Ok(text) => text,
        Err(error) => {
            error.into_bytes().zeroize();
            String::new()
        }
    }
}

/// Tells a text; the answer is its length.
pub(crate) fn tell(text: String) -> usize {
    let mut texts = TEXTS.0.borrow_mut();
    texts.told.zeroize();
    texts.told = text.into_bytes();
    texts.told.len()
}
