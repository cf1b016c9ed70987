//! A panic is told by file and line; its message, which may hold anything, is printed nowhere.

#[cfg(not(target_family = "wasm"))]
mod unwinding {
    use std::{
        cell::{Cell, RefCell},
        panic::{self, AssertUnwindSafe},
        sync::atomic::{AtomicBool, Ordering::SeqCst},
    };

    thread_local! {
        static GUARDED: Cell<bool> = const { Cell::new(false) };
        static LOCATION: RefCell<String> = const { RefCell::new(String::new()) };
    }

    /// Runs `body`; where it panicked, the place of that.
    pub(crate) fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
        let (mut body, mut ended) = (Some(body), None);
        run(&mut || ended = body.take().map(|body| body()))?;
        ended.ok_or_else(String::new)
    }

    /// Apart from [`catch`], which is made for each function of the library: what catches a panic is not small.
    fn run(body: &mut dyn FnMut()) -> Result<(), String> {
        static HOOKED: AtomicBool = AtomicBool::new(false);
        // Without a lock, which a forked child might find locked. Who comes second goes on: a panic in these
        // moments is told to the hook that was there before.
        if !HOOKED.swap(true, SeqCst) {
            let others = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                if GUARDED.get() {
                    let location = panic.location().map(ToString::to_string);
                    LOCATION.with(|kept| kept.replace(location.unwrap_or_default()));
                } else {
                    others(panic);
                }
            }));
        }
        // A callback may call back.
        let before = GUARDED.replace(true);
        let ended = panic::catch_unwind(AssertUnwindSafe(body));
        GUARDED.set(before);
        ended.map_err(|payload| {
            // Dropping a payload may panic again, and there is nobody left to catch that.
            std::mem::forget(payload);
            LOCATION.with(RefCell::take)
        })
    }
}

#[cfg(not(target_family = "wasm"))]
pub(crate) use unwinding::catch;

#[cfg(target_family = "wasm")]
mod trapping {
    use std::{
        fmt::{self, Write},
        panic,
        sync::{
            atomic::{AtomicU8, Ordering::Relaxed},
            Once,
        },
    };

    const SIZE: usize = 256;

    /// Where the host finds the place of the panic after the trap, with a zero at its end.
    static TEXT: [AtomicU8; SIZE] = [const { AtomicU8::new(0) }; SIZE];

    pub(crate) fn catch<T>(body: impl FnOnce() -> T) -> Result<T, String> {
        text();
        Ok(body())
    }

    /// The address of the text, which is empty until there is a panic.
    #[inline(never)]
    pub(crate) fn text() -> *const u8 {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            panic::set_hook(Box::new(|panic| {
                if let Some(location) = panic.location() {
                    // A text that is too long is cut.
                    let _ = write!(Buffer(0), "{location}");
                }
            }));
        });
        TEXT.as_ptr().cast()
    }

    /// Writes to `TEXT` from here on. Without allocating: there may be no memory left.
    struct Buffer(usize);

    impl Write for Buffer {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                let last = self.0 + 1 >= SIZE;
                TEXT[self.0].store(if last { 0 } else { byte }, Relaxed);
                if last {
                    return Err(fmt::Error);
                }
                self.0 += 1;
            }
            TEXT[self.0].store(0, Relaxed);
            Ok(())
        }
    }
}

#[cfg(target_family = "wasm")]
pub(crate) use trapping::{catch, text};
