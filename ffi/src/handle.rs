//! Handles of C: pointers in its types, numbers of the process's table in truth.

use crate::{
    call::Decision,
    client::Client,
    error::{Error, Failure},
    exchange::Exchange,
    guard::{self, Out},
    lease::Lease,
    output::Output,
    table::{Kind, Object, Table, Used},
    text::Text,
    ResultCode,
};
use std::ptr;

#[cfg(not(loom))]
static TABLE: Table = Table::new();
#[cfg(loom)]
static TABLE: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::new);

macro_rules! kinds {
    ($($(#[$feature:meta])? $number:literal => $type:ty,)*) => {
        $(
            // SAFETY: each number stands here once.
            $(#[$feature])?
            unsafe impl Object for $type {
                const KIND: Kind = Kind::new($number);
            }
        )*

        #[test]
        fn no_two_types_have_the_same_kind() {
            let mut numbers = vec![$($number),*];
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), [$(stringify!($type)),*].len());
        }
    };
}

kinds! {
    1 => Client,
    2 => Decision,
    3 => Error,
    4 => Lease,
    5 => Output,
    6 => Text,
    7 => Exchange,
    #[cfg(feature = "transport")]
    8 => crate::transport::Transport,
    #[cfg(feature = "transport")]
    9 => crate::transport::SecretRequest,
}

/// The object behind a handle that C gave us.
pub(crate) fn object<T: Object>(
    handle: *const T,
    name: &'static str,
) -> Result<Used<'static, T>, Failure> {
    if handle.is_null() {
        return Err(Failure::null_pointer(name));
    }
    TABLE
        .get(handle.addr())
        .ok_or_else(|| Failure::invalid_handle(name))
}

/// Writes a handle of `object`, for C to release once.
pub(crate) fn hand_out<T: Object>(object: T, out: Out<*mut T>) -> Result<(), Failure> {
    out.write(insert(object)?);
    Ok(())
}

/// A handle of `object`, to be released once.
pub(crate) fn insert<T: Object>(object: T) -> Result<*mut T, Failure> {
    let handle = TABLE.insert(object).ok_or_else(Failure::too_many_handles)?;
    Ok(ptr::without_provenance_mut(handle))
}

/// Gives a handle back; NULL is nothing to give back.
pub(crate) fn release<T: Object>(handle: *const T, name: &'static str) -> ResultCode {
    guard::look_up(|| {
        if handle.is_null() || TABLE.release::<T>(handle.addr()) {
            return Ok(());
        }
        Err(Failure::invalid_handle(name))
    })
}
