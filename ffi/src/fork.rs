//! After fork: what a child may use of what its parent made.
//!
//! A child has the thread that forked and no other. A lock that another one held stays locked there for ever,
//! and what it guards may be half changed. So whatever has locks is of one process: a child leaves its parent's
//! alone, does not even drop it, and makes one of its own from the parts that have none.
//!
//! A child notices by a counter, which is all that is changed while it is being made.

use std::{fmt, mem::ManuallyDrop, ops::Deref};

/// Whether there are forks here.
pub(crate) const CAN_FORK: bool = cfg!(unix);

/// Something that is used and dropped in the process that made it, and nowhere else.
pub(crate) struct OfProcess<T> {
    made_after: u64,
    value: ManuallyDrop<T>,
}

impl<T> OfProcess<T> {
    pub(crate) fn new(value: T) -> OfProcess<T> {
        OfProcess {
            made_after: forks(),
            value: ManuallyDrop::new(value),
        }
    }

    /// Whether this is the process that made it.
    pub(crate) fn is_ours(&self) -> bool {
        !CAN_FORK || self.made_after == forks()
    }

    /// How many forks lie between the first process and the one that made it.
    pub(crate) fn made_after(&self) -> u64 {
        if CAN_FORK {
            self.made_after
        } else {
            0
        }
    }
}

impl<T> Deref for OfProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: here and nowhere else.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

impl<T> fmt::Debug for OfProcess<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfProcess").finish_non_exhaustive()
    }
}

#[cfg(unix)]
mod counter {
    use std::sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    };

    static FORKS: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn forks() -> u64 {
        FORKS.load(Relaxed)
    }

    /// Counts forks from now on. To be called before anything is made that is of one process.
    pub(crate) fn watch() {
        static WATCHED: AtomicBool = AtomicBool::new(false);
        // Two threads may both do it: then each fork counts twice, which is as good.
        if !WATCHED.load(SeqCst) {
            // SAFETY: the function is one that a child may run: it changes one atomic number.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
            WATCHED.store(true, SeqCst);
        }
    }

    unsafe extern "C" fn in_child() {
        FORKS.fetch_add(1, Relaxed);
    }
}

#[cfg(not(unix))]
mod counter {
    pub(crate) fn forks() -> u64 {
        0
    }

    pub(crate) fn watch() {}
}

use counter::forks;
pub(crate) use counter::watch;
