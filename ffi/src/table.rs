//! The objects that C holds handles of: a table without locks, for any number of threads.
//!
//! A handle is a number, and a slot's state has the same upper part while that handle is valid:
//!
//! ```text
//!   handle   kind │ generation │ slot                       64 bits: 4 │ 36 │ 24
//!   state    kind │ generation │ live │ users               32 bits: 4 │ 12 │ 16
//! ```
//!
//! A slot that is taken gets the next generation, so that a freed handle fits no state until the generation
//! has gone round. Whoever looks at an object is counted in `users` meanwhile, and the last one to leave an
//! object that is not live any more drops it and gives the slot back. All this happens in the one word, by
//! compare and exchange.
//!
//! Slots stand in segments, each twice as large as the one before, allocated when first needed and kept. Those
//! that are free are a stack of numbers whose head counts its changes, so that a head that is the same number
//! again is not taken for the same stack.
//!
//! There is no lock here because of fork: a child in which a lock is held by a thread that it does not have
//! could not even free what it has.

#[cfg(loom)]
use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
use std::{
    ops::Deref,
    ptr::{self, NonNull},
    sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// What can be in a table.
///
/// # Safety
/// No two types have the same kind.
pub(crate) unsafe trait Object: Send + Sync + 'static {
    const KIND: Kind;
}

/// A number from 1 to 15.
#[derive(Clone, Copy)]
pub(crate) struct Kind(usize);

impl Kind {
    pub(crate) const fn new(number: usize) -> Kind {
        assert!(number > 0 && number < 1 << KIND_BITS);
        Kind(number)
    }
}

const KIND_BITS: u32 = 4;
const SLOT_BITS: u32 = if usize::BITS == 64 { 24 } else { 16 };
const GENERATION_BITS: u32 = usize::BITS - KIND_BITS - SLOT_BITS;
const GENERATION: usize = (1 << GENERATION_BITS) - 1;
const SLOT: usize = (1 << SLOT_BITS) - 1;
const LIVE: usize = 1 << (SLOT_BITS - 1);
const USERS: usize = LIVE - 1;

/// The slots of the first segment.
const FIRST: u32 = if cfg!(loom) { 2 } else { 64 };
const SEGMENTS: usize = (SLOT_BITS - FIRST.ilog2()) as usize;
/// The last slot's number; 0 stands for none.
const LAST: u32 = FIRST * ((1 << SEGMENTS) - 1);

pub(crate) struct Table {
    segments: [AtomicPtr<Slot>; SEGMENTS],
    /// How many slots were ever taken.
    taken: AtomicU32,
    /// How often this changed, and the number of the first free slot.
    free: AtomicU64,
}

struct Slot {
    state: AtomicUsize,
    /// How often the object is to be released.
    owners: AtomicU32,
    /// The next free slot, while this one is free.
    next: AtomicU32,
    object: AtomicPtr<()>,
}

/// An object that is looked at. It lives at least as long as this.
pub(crate) struct Used<'t, T: Object> {
    table: &'t Table,
    slot: &'t Slot,
    number: u32,
    object: NonNull<T>,
}

impl Table {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Table {
        Table {
            segments: [const { AtomicPtr::new(ptr::null_mut()) }; SEGMENTS],
            taken: AtomicU32::new(0),
            free: AtomicU64::new(0),
        }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Table {
        Table {
            segments: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            taken: AtomicU32::new(0),
            free: AtomicU64::new(0),
        }
    }

    /// Puts an object in, with one owner. None where all slots are taken.
    pub(crate) fn insert<T: Object>(&self, object: T) -> Option<usize> {
        let object = Box::into_raw(Box::new(object));
        let handle = self.put(T::KIND, object.cast());
        if handle.is_none() {
            // SAFETY: it was made above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(object) });
        }
        handle
    }

    fn put(&self, kind: Kind, object: *mut ()) -> Option<usize> {
        let number = self.take()?;
        let slot = self.slot(number)?;
        // A slot that is not live is changed by nobody but who took it.
        let generation = (slot.state.load(Relaxed) >> SLOT_BITS).wrapping_add(1) & GENERATION;
        let tag = (kind.0 << GENERATION_BITS | generation) << SLOT_BITS;
        slot.object.store(object, Relaxed);
        slot.owners.store(1, Relaxed);
        // Release: who sees the state sees the object.
        slot.state.store(tag | LIVE, Release);
        Some(tag | number as usize)
    }

    /// The object that `handle` stands for; none where it was released, or is of another kind.
    pub(crate) fn get<T: Object>(&self, handle: usize) -> Option<Used<'_, T>> {
        let (slot, number) = self.enter(T::KIND, handle)?;
        Some(Used {
            table: self,
            slot,
            number,
            object: NonNull::new(slot.object.load(Relaxed).cast())?,
        })
    }

    /// The slot of a valid handle and its number, with one more user.
    fn enter(&self, kind: Kind, handle: usize) -> Option<(&Slot, u32)> {
        let tag = handle >> SLOT_BITS;
        if tag >> GENERATION_BITS != kind.0 {
            return None;
        }
        let number = u32::try_from(handle & SLOT).ok()?;
        let slot = self.slot(number)?;
        let mut state = slot.state.load(Relaxed);
        loop {
            if state >> SLOT_BITS != tag || state & LIVE == 0 || state & USERS == USERS {
                return None;
            }
            let used = state + 1;
            match slot
                .state
                .compare_exchange_weak(state, used, Acquire, Relaxed)
            {
                Ok(_) => return Some((slot, number)),
                Err(now) => state = now,
            }
        }
    }

    /// Takes one owner away, and with the last one the handle's validity. Whether it was valid.
    pub(crate) fn release<T: Object>(&self, handle: usize) -> bool {
        match self.get::<T>(handle) {
            Some(used) => used.slot.lose_owner(),
            None => false,
        }
    }

    /// The slot with this number, if one was ever taken that stands in the same segment.
    fn slot(&self, number: u32) -> Option<&Slot> {
        let (segment, place) = place(number)?;
        let first = NonNull::new(self.segments[segment].load(Acquire))?;
        // SAFETY: a segment has as many slots as `place` thinks, and is never freed while the table lives.
        Some(unsafe { first.add(place).as_ref() })
    }

    /// The number of a slot that nobody has.
    fn take(&self) -> Option<u32> {
        let mut free = self.free.load(Acquire);
        while let Some(slot) = self.slot(first_of(free)) {
            let then = changed(free, slot.next.load(Relaxed));
            match self
                .free
                .compare_exchange_weak(free, then, Acquire, Acquire)
            {
                Ok(_) => return Some(first_of(free)),
                Err(now) => free = now,
            }
        }
        let one_more = |taken| (taken < LAST).then_some(taken + 1);
        let taken = self.taken.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        self.make_segment_of(taken + 1);
        Some(taken + 1)
    }

    fn give_back(&self, slot: &Slot, number: u32) {
        let mut free = self.free.load(Relaxed);
        loop {
            slot.next.store(first_of(free), Relaxed);
            // Release: who takes the slot sees how it was left.
            match self
                .free
                .compare_exchange_weak(free, changed(free, number), Release, Relaxed)
            {
                Ok(_) => return,
                Err(now) => free = now,
            }
        }
    }

    fn make_segment_of(&self, number: u32) {
        let Some((segment, _)) = place(number) else {
            return;
        };
        let kept = &self.segments[segment];
        if kept.load(Acquire).is_null() {
            let made = new_segment(segment);
            // Release: who sees the segment sees its slots.
            let race = kept.compare_exchange(ptr::null_mut(), made, Release, Relaxed);
            if race.is_err() {
                // SAFETY: it was made above, and nobody else has seen it.
                unsafe { drop_segment(segment, made) }
            }
        }
    }
}

/// The segment of a slot, and its place there.
fn place(number: u32) -> Option<(usize, usize)> {
    if number == 0 || number > LAST {
        return None;
    }
    let index = number - 1;
    let segment = (index / FIRST + 1).ilog2();
    let before = FIRST * ((1 << segment) - 1);
    Some((segment as usize, (index - before) as usize))
}

fn new_segment(segment: usize) -> *mut Slot {
    let slots = (0..(FIRST as usize) << segment).map(|_| Slot {
        state: AtomicUsize::new(0),
        owners: AtomicU32::new(0),
        next: AtomicU32::new(0),
        object: AtomicPtr::new(ptr::null_mut()),
    });
    Box::into_raw(slots.collect::<Box<[Slot]>>()).cast()
}

/// # Safety
/// `first` came from `new_segment` with the same number, and is used by nobody afterwards.
unsafe fn drop_segment(segment: usize, first: *mut Slot) {
    let slots = ptr::slice_from_raw_parts_mut(first, (FIRST as usize) << segment);
    // SAFETY: as much as `new_segment` made of a box.
    drop(unsafe { Box::from_raw(slots) });
}

fn first_of(free: u64) -> u32 {
    free as u32
}

fn changed(free: u64, first: u32) -> u64 {
    let changes = (free >> 32) as u32;
    u64::from(changes.wrapping_add(1)) << 32 | u64::from(first)
}

impl Slot {
    /// Whether there was an owner to lose.
    fn lose_owner(&self) -> bool {
        let one_less = |owners: u32| owners.checked_sub(1);
        match self.owners.fetch_update(Relaxed, Relaxed, one_less) {
            Ok(1) => {
                self.state.fetch_and(!LIVE, Relaxed);
                true
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }

    /// One user less; whether it was the last one of an object that is not live, which is to drop it.
    fn leave(&self) -> bool {
        // Release: who drops the object does so after all looks at it; acquire: that one may be us.
        let before = self.state.fetch_sub(1, AcqRel);
        before & (LIVE | USERS) == 1
    }
}

impl<T: Object> Used<'_, T> {
    /// Adds an owner; false where the last one has just left, or there are too many.
    pub(crate) fn retain(&self) -> bool {
        let one_more = |owners: u32| match owners {
            0 => None,
            owners => owners.checked_add(1),
        };
        self.slot
            .owners
            .fetch_update(Relaxed, Relaxed, one_more)
            .is_ok()
    }
}

impl<T: Object> Deref for Used<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `insert` made the box, of this type because the kind was compared, and it is dropped by none
        // before `users` is down to 0, where this one is counted.
        unsafe { self.object.as_ref() }
    }
}

impl<T: Object> Drop for Used<'_, T> {
    fn drop(&mut self) {
        if self.slot.leave() {
            // SAFETY: `insert` made the box, of this type. It is not live, so nobody new comes, and nobody else
            // was counted, so this happens once.
            drop(unsafe { Box::from_raw(self.object.as_ptr()) });
            self.table.give_back(self.slot, self.number);
        }
    }
}

/// The one of the library is never dropped. Objects that are live are not: their types are known to none.
#[cfg(test)]
impl Drop for Table {
    fn drop(&mut self) {
        for (number, segment) in self.segments.iter().enumerate() {
            let first = segment.load(Acquire);
            if !first.is_null() {
                // SAFETY: it came from `new_segment`, and no `Used` outlives the table.
                unsafe { drop_segment(number, first) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
