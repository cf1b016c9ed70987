//! The core for JavaScript: one client in one instance of this module.
//!
//! What comes in beside numbers is written to [`room`]; what comes out is JSON text at [`output`], and each function
//! answers its length. A turn, which is a call into the client with all the polling that has to follow, is one
//! crossing: its text has a member `result` and all outputs in their order.
//!
//! The text ends with the next call. It may hold tokens, so whoever reads it calls [`wipe`].
#![cfg(target_arch = "wasm32")]
#![no_std]
// What wasm-bindgen exports is public in its own way.
#![allow(unreachable_pub)]

extern crate alloc;

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "exchange")]
mod exchange;
mod heap;
mod memory;
mod out;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
