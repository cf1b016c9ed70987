//! The edge: pointers, lengths and panics are checked here, and nowhere behind it.

use crate::{error::Failure, handle::hand_out, panic::catch, Error, ResultCode};
use std::{ptr, slice, str};

/// Runs `body`; a panic and an error become a code, the error an object in `error` unless that is NULL.
pub(crate) fn guard(
    error: *mut *mut Error,
    body: impl FnOnce() -> Result<(), Failure>,
) -> ResultCode {
    match catch(body) {
        Ok(Ok(())) => ResultCode::Ok,
        Ok(Err(failure)) => fail(failure, error),
        Err(location) => fail(Failure::panicked(&location), error),
    }
}

#[cold]
fn fail(failure: Failure, error: *mut *mut Error) -> ResultCode {
    let code = failure.code();
    if let Ok(error) = out(error, "error") {
        // Without a handle for it, the code is all there is.
        if hand_out(failure.into_error(), error).is_err() {
            error.write(ptr::null_mut());
        }
    }
    code
}

/// [`guard`] for a function that only looks something up.
pub(crate) fn look_up(body: impl FnOnce() -> Result<(), Failure>) -> ResultCode {
    guard(ptr::null_mut(), body)
}

/// A place that C gave us to write to. What stands there before is never read.
#[derive(Clone, Copy)]
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    pub(crate) fn write(self, value: T) {
        // SAFETY: `out` has checked the pointer; that there is room is the caller's promise.
        unsafe { self.0.write(value) }
    }
}

pub(crate) fn out<T>(pointer: *mut T, name: &'static str) -> Result<Out<T>, Failure> {
    check(pointer, name)?;
    Ok(Out(pointer))
}

/// A struct that C gave us.
#[cfg(feature = "transport")]
pub(crate) fn read<T: Copy>(pointer: *const T, name: &'static str) -> Result<T, Failure> {
    check(pointer, name)?;
    // SAFETY: neither NULL nor unaligned; that it points to a struct of this type is the caller's promise.
    Ok(unsafe { pointer.read() })
}

/// The two places for a text or bytes that stay where they are.
#[derive(Clone, Copy)]
pub(crate) struct OutText<P>(Out<*const P>, Out<usize>);

impl<P> OutText<P> {
    /// (NULL, 0) for what is absent.
    pub(crate) fn write(self, text: Option<&[u8]>) {
        self.0
            .write(text.map_or(ptr::null(), |text| text.as_ptr().cast()));
        self.1.write(text.map_or(0, <[u8]>::len));
    }
}

pub(crate) fn out_text<P>(text: *mut *const P, len: *mut usize) -> Result<OutText<P>, Failure> {
    Ok(OutText(out(text, "text")?, out(len, "len")?))
}

pub(crate) fn bytes<'a, P>(
    pointer: *const P,
    len: usize,
    name: &'static str,
) -> Result<&'a [u8], Failure> {
    let pointer = check_bytes(pointer.cast(), len, name)?;
    // SAFETY: not NULL, and the length is one that an object can have; the rest is the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

pub(crate) fn text<'a, P>(
    pointer: *const P,
    len: usize,
    name: &'static str,
) -> Result<&'a str, Failure> {
    str::from_utf8(bytes(pointer, len, name)?)
        .map_err(|error| Failure::invalid_utf8(name, error.valid_up_to()))
}

fn check<T>(pointer: *const T, name: &'static str) -> Result<(), Failure> {
    check_address(pointer.addr(), align_of::<T>(), name)
}

fn check_address(address: usize, align: usize, name: &'static str) -> Result<(), Failure> {
    if address == 0 {
        return Err(Failure::null_pointer(name));
    }
    if !address.is_multiple_of(align) {
        return Err(Failure::invalid_value(name));
    }
    Ok(())
}

/// Where `len` bytes are: not NULL.
fn check_bytes(pointer: *const u8, len: usize, name: &'static str) -> Result<*const u8, Failure> {
    if len == 0 {
        return Ok(ptr::dangling());
    }
    check(pointer, name)?;
    if len > isize::MAX as usize {
        return Err(Failure::invalid_value(name));
    }
    Ok(pointer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::svcauth_error_free, handle::object};

    #[test]
    fn a_panic_becomes_a_code_that_tells_the_line_and_not_the_message() {
        let mut error = ptr::null_mut();
        let line = line!() + 1;
        let code = guard(&mut error, || panic!("secret"));
        assert_eq!(code, ResultCode::Panic);
        let text = object(error, "error").unwrap().failure().to_string();
        assert_eq!(unsafe { svcauth_error_free(error) }, ResultCode::Ok);
        assert!(text.contains(&format!("guard.rs:{line}")), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn without_a_place_for_the_error_the_code_is_all_there_is() {
        let failure = || Err(Failure::invalid_value("x"));
        assert_eq!(look_up(failure), ResultCode::InvalidValue);
    }
}
