use super::*;
use std::sync::Arc;

/// An object that tells when it was dropped, and counts how many of its kind there are.
struct Counted {
    value: usize,
    there: Arc<AtomicUsize>,
}

// SAFETY: the other type here has another one.
unsafe impl Object for Counted {
    const KIND: Kind = Kind::new(1);
}

impl Counted {
    fn new(value: usize, there: &Arc<AtomicUsize>) -> Counted {
        there.fetch_add(1, Relaxed);
        let there = Arc::clone(there);
        Counted { value, there }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.value = usize::MAX;
        self.there.fetch_sub(1, Relaxed);
    }
}

#[cfg(not(loom))]
struct Other;

#[cfg(not(loom))]
// SAFETY: the other type here has another one.
unsafe impl Object for Other {
    const KIND: Kind = Kind::new(15);
}

#[cfg(not(loom))]
mod alone {
    use super::*;
    use std::{sync::Barrier, thread};

    #[test]
    fn every_number_has_one_place_and_segments_are_full() {
        let mut expected = (0, 0);
        for number in (1..=LAST).take(if cfg!(miri) { 1000 } else { 1 << 20 }) {
            assert_eq!(place(number), Some(expected));
            expected.1 += 1;
            if expected.1 == (FIRST as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        let last = (SEGMENTS - 1, ((FIRST as usize) << (SEGMENTS - 1)) - 1);
        assert_eq!(place(LAST), Some(last));
        assert_eq!(place(0), None);
        assert_eq!(place(LAST + 1), None);
        assert!(LAST as usize <= SLOT);
    }

    #[test]
    fn a_handle_is_valid_until_its_last_owner_leaves() {
        let (table, there) = (Table::new(), Arc::new(AtomicUsize::new(0)));
        let handle = table.insert(Counted::new(7, &there)).unwrap();
        assert_eq!(table.get::<Counted>(handle).unwrap().value, 7);
        assert!(table.get::<Counted>(handle).unwrap().retain());
        assert!(table.release::<Counted>(handle));
        assert_eq!(table.get::<Counted>(handle).unwrap().value, 7);
        assert!(table.release::<Counted>(handle));
        assert_eq!(there.load(Relaxed), 0);
        assert!(table.get::<Counted>(handle).is_none());
        assert!(!table.release::<Counted>(handle));
    }

    #[test]
    fn what_is_no_handle_is_told_so() {
        let (table, there) = (Table::new(), Arc::new(AtomicUsize::new(0)));
        assert!(table.get::<Counted>(1 << (usize::BITS - 4) | 1).is_none());
        let handle = table.insert(Counted::new(7, &there)).unwrap();
        let other = table.insert(Other).unwrap();
        assert!(table.get::<Other>(handle).is_none() && !table.release::<Other>(handle));
        assert!(table.get::<Counted>(other).is_none() && !table.release::<Counted>(other));
        for garbage in [0, 1, 8, usize::MAX, &raw const table as usize, handle + 2] {
            assert!(table.get::<Counted>(garbage).is_none(), "{garbage:x}");
            assert!(table.get::<Other>(garbage).is_none(), "{garbage:x}");
        }
        // No bit of a handle may be another.
        for bit in 0..usize::BITS {
            assert!(table.get::<Counted>(handle ^ 1 << bit).is_none());
        }
        assert!(table.release::<Counted>(handle) && table.release::<Other>(other));
    }

    #[test]
    fn an_object_in_use_outlives_its_release() {
        let (table, there) = (Table::new(), Arc::new(AtomicUsize::new(0)));
        let handle = table.insert(Counted::new(7, &there)).unwrap();
        let used = table.get::<Counted>(handle).unwrap();
        assert!(table.release::<Counted>(handle));
        assert!(table.get::<Counted>(handle).is_none() && !used.retain());
        let next = table.insert(Counted::new(8, &there)).unwrap();
        assert_ne!(next & SLOT, handle & SLOT, "the slot is not free yet");
        assert_eq!((used.value, there.load(Relaxed)), (7, 2));
        drop(used);
        assert_eq!(there.load(Relaxed), 1);
        assert!(table.release::<Counted>(next));
    }

    #[test]
    fn a_slot_is_taken_again_with_another_generation_until_they_have_gone_round() {
        let table = Table::new();
        let first = table.insert(Other).unwrap();
        let rounds = if usize::BITS == 64 {
            10_000
        } else {
            GENERATION
        };
        let mut handle = first;
        for _ in 0..rounds {
            assert!(table.release::<Other>(handle));
            handle = table.insert(Other).unwrap();
            assert_eq!(handle & SLOT, first & SLOT);
            assert_ne!(handle, first);
        }
        assert!(table.get::<Other>(first).is_none());
        assert!(table.release::<Other>(handle));
        // The last generation is followed by the first.
        let slot = table.slot(1).unwrap();
        slot.state.store(usize::MAX << SLOT_BITS, Relaxed);
        let handle = table.insert(Other).unwrap();
        assert_eq!(handle >> SLOT_BITS & GENERATION, 0);
        assert!(table.release::<Other>(handle));
    }

    #[test]
    fn a_full_table_says_so() {
        let table = Table::new();
        table.taken.store(LAST - 1, Relaxed);
        let handle = table.insert(Other).unwrap();
        assert!(table.insert(Other).is_none());
        assert!(table.release::<Other>(handle));
        let again = table.insert(Other).unwrap();
        assert!(table.release::<Other>(again));
    }

    /// Threads make, use, share and release objects, their own and each other's, and none is lost or seen dead.
    #[test]
    fn many_threads_use_and_release_the_same_handles() {
        const THREADS: usize = 4;
        let rounds = if cfg!(miri) { 40 } else { 40_000 };
        let (table, there) = (Table::new(), Arc::new(AtomicUsize::new(0)));
        let shared: [AtomicUsize; 8] = std::array::from_fn(|_| AtomicUsize::new(0));
        let start = Barrier::new(THREADS);
        let released = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (table, there, shared, start, released) =
                    (&table, &there, &shared, &start, &released);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..rounds {
                        let index = (round + thread) % shared.len();
                        // Who releases twice may take another's ownership away, so what is released twice in
                        // one half of the places is shared in the other.
                        let twice = index % 2 == 0;
                        let place = &shared[index];
                        let mine = table.insert(Counted::new(round, there)).unwrap();
                        let old = place.swap(mine, Relaxed);
                        // Two threads may hold `old`, and others use it: one release counts.
                        for handle in [old, place.load(Relaxed)] {
                            if let Some(used) = table.get::<Counted>(handle) {
                                assert!(used.value < rounds);
                                if !twice && used.retain() {
                                    assert!(used.value < rounds);
                                    assert!(table.release::<Counted>(handle));
                                }
                                assert!(used.value < rounds);
                            }
                        }
                        if old != 0 && table.release::<Counted>(old) {
                            released.fetch_add(1, Relaxed);
                        }
                        if twice && table.release::<Counted>(place.load(Relaxed)) {
                            released.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        for place in &shared {
            if table.release::<Counted>(place.load(Relaxed)) {
                released.fetch_add(1, Relaxed);
            }
        }
        assert_eq!(there.load(Relaxed), 0);
        assert_eq!(released.load(Relaxed), THREADS * rounds);
        assert!(table.taken.load(Relaxed) < 100, "slots are used again");
    }
}

/// All orders in which two or three threads can meet: RUSTFLAGS="--cfg loom" cargo test --lib loom
#[cfg(loom)]
mod loom_orders {
    use super::*;
    use loom::thread;

    #[test]
    fn one_thread_uses_what_another_releases() {
        loom::model(|| {
            let (table, there) = (Arc::new(Table::new()), Arc::new(AtomicUsize::new(0)));
            let handle = table.insert(Counted::new(7, &there)).unwrap();
            let user = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    if let Some(used) = table.get::<Counted>(handle) {
                        assert_eq!(used.value, 7);
                    }
                })
            };
            assert!(table.release::<Counted>(handle));
            user.join().unwrap();
            assert_eq!(there.load(Relaxed), 0);
        });
    }

    #[test]
    fn two_threads_release_and_one_counts() {
        loom::model(|| {
            let (table, there) = (Arc::new(Table::new()), Arc::new(AtomicUsize::new(0)));
            let handle = table.insert(Counted::new(7, &there)).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.release::<Counted>(handle))
            };
            let here = table.release::<Counted>(handle);
            assert!(other.join().unwrap() != here);
            assert_eq!(there.load(Relaxed), 0);
        });
    }

    #[test]
    fn an_owner_that_is_added_keeps_the_object() {
        loom::model(|| {
            let (table, there) = (Arc::new(Table::new()), Arc::new(AtomicUsize::new(0)));
            let handle = table.insert(Counted::new(7, &there)).unwrap();
            let other = {
                let table = Arc::clone(&table);
                thread::spawn(move || {
                    let used = table.get::<Counted>(handle);
                    used.is_some_and(|used| used.retain())
                })
            };
            assert!(table.release::<Counted>(handle));
            if other.join().unwrap() {
                assert_eq!(table.get::<Counted>(handle).unwrap().value, 7);
                assert!(table.release::<Counted>(handle));
            }
            assert_eq!(there.load(Relaxed), 0);
        });
    }

    #[test]
    fn slots_that_are_given_back_are_taken_by_one() {
        loom::model(|| {
            let (table, there) = (Arc::new(Table::new()), Arc::new(AtomicUsize::new(0)));
            let first = table.insert(Counted::new(0, &there)).unwrap();
            let second = table.insert(Counted::new(0, &there)).unwrap();
            assert!(table.release::<Counted>(first) && table.release::<Counted>(second));
            let other = {
                let (table, there) = (Arc::clone(&table), Arc::clone(&there));
                thread::spawn(move || {
                    let handle = table.insert(Counted::new(1, &there)).unwrap();
                    assert!(table.release::<Counted>(handle));
                    table.insert(Counted::new(2, &there)).unwrap()
                })
            };
            let mine = table.insert(Counted::new(3, &there)).unwrap();
            let theirs = other.join().unwrap();
            assert_ne!(mine & SLOT, theirs & SLOT);
            assert_eq!(table.get::<Counted>(mine).unwrap().value, 3);
            assert_eq!(table.get::<Counted>(theirs).unwrap().value, 2);
            assert!(table.release::<Counted>(mine) && table.release::<Counted>(theirs));
            assert_eq!(there.load(Relaxed), 0);
        });
    }
}
