//! What a host of the WebAssembly module needs beside the functions that all have.

use std::{
    alloc::{alloc, dealloc, Layout},
    ffi::{c_char, c_void},
    ptr, slice,
};
use zeroize::Zeroize;

/// Gives memory for arguments and results, aligned for all types here; NULL where there is no more.
/// Freed by `svcauth_free` with the same size. Only in the WebAssembly module.
#[no_mangle]
pub extern "C" fn svcauth_alloc(size: usize) -> *mut c_void {
    match layout(size) {
        // SAFETY: the layout's size is not 0.
        Some(layout) => unsafe { alloc(layout) }.cast(),
        None => ptr::null_mut(),
    }
}

/// Wipes memory and gives it back; NULL is nothing to free. Only in the WebAssembly module.
#[no_mangle]
pub unsafe extern "C" fn svcauth_free(memory: *mut c_void, size: usize) {
    if let (false, Some(layout)) = (memory.is_null(), layout(size)) {
        let memory = memory.cast::<u8>();
        // SAFETY: it came from svcauth_alloc with this size, and the caller gives it back once. It may never
        // have been written, so it is before it becomes a slice.
        unsafe {
            ptr::write_bytes(memory, 0, layout.size());
            slice::from_raw_parts_mut(memory, layout.size()).zeroize();
            dealloc(memory, layout);
        }
    }
}

/// Gives where the library writes the place of a panic, `file:line:column`, with a zero at its end. Only in
/// the WebAssembly module.
///
/// A panic, which would be a bug, is a trap there: the host calls this once at the start, and reads the text
/// after a trap. It is empty when memory ran out. The module's memory is then to be wiped, and the module
/// instantiated anew.
#[no_mangle]
pub extern "C" fn svcauth_panic_text() -> *const c_char {
    crate::panic::text().cast()
}

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.max(1), 8).ok()
}
