//! The module's memory: blocks of powers of two, each kept for the next one of its size.
//!
//! What a client needs comes in the same sizes again and again, so nothing is ever split or joined.

use core::{
    alloc::{GlobalAlloc, Layout},
    arch::wasm32::{memory_grow, memory_size},
    cell::UnsafeCell,
    ptr::null_mut,
};

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Blocks {
    free: [null_mut(); CLASSES],
    next: 0,
    end: 0,
}));

const PAGE: usize = 65_536;
const SMALLEST: usize = 16;
/// From 16 bytes to 64 MiB, more than any limit of the core.
const CLASSES: usize = 23;

struct Heap(UnsafeCell<Blocks>);

struct Blocks {
    /// The first free block of each size; each holds where the next one is.
    free: [*mut u8; CLASSES],
    /// What was never used.
    next: usize,
    end: usize,
}

// SAFETY: the module has one thread.
unsafe impl Sync for Heap {}

// SAFETY: a block is handed out once, is at least as large as asked for, and aligned to 16 bytes; larger alignments
// are refused.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else {
            return null_mut();
        };
        // SAFETY: nothing below calls back, and there is one thread.
        let blocks = unsafe { &mut *self.0.get() };
        match blocks.free.get(class).copied() {
            Some(block) if !block.is_null() => {
                // SAFETY: a free block holds the address of the next one.
                blocks.free[class] = unsafe { block.cast::<*mut u8>().read() };
                block
            }
            Some(_) => blocks.fresh(SMALLEST << class),
            None => null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(class) = class(layout).filter(|class| *class < CLASSES) {
            // SAFETY: as above; the block came from `alloc` with this layout, and nobody uses it any more.
            unsafe {
                let blocks = &mut *self.0.get();
                block.cast::<*mut u8>().write(blocks.free[class]);
                blocks.free[class] = block;
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller gives a size that is valid with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if class(layout) == class(wanted) {
            return block;
        }
        // SAFETY: as `alloc` and `dealloc`.
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                block.copy_to_nonoverlapping(moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

impl Blocks {
    fn fresh(&mut self, size: usize) -> *mut u8 {
        if self.end - self.next < size {
            let pages = size.div_ceil(PAGE);
            // Whoever else might have grown the memory: what was left before is not used then.
            let at = memory_size(0) * PAGE;
            if memory_grow(0, pages) == usize::MAX {
                return null_mut();
            }
            if at != self.end {
                self.next = at;
            }
            self.end = at + pages * PAGE;
        }
        let block = self.next;
        self.next += size;
        block as *mut u8
    }
}

fn class(layout: Layout) -> Option<usize> {
    let size = layout.size().max(SMALLEST).checked_next_power_of_two()?;
    (layout.align() <= SMALLEST)
        .then(|| (size.trailing_zeros() - SMALLEST.trailing_zeros()) as usize)
}
