//! The one way in which names are put in order.

use alloc::{collections::BinaryHeap, vec::Vec};

/// The names in their order, each with its place in `names`.
///
/// A heap, which is a small part of the code of a slice's sort; nothing that is sorted here is hot.
pub(crate) fn sorted<'n>(names: impl Iterator<Item = &'n str>) -> Vec<(&'n str, usize)> {
    let mut heap = BinaryHeap::with_capacity(names.size_hint().0);
    for (place, name) in names.enumerate() {
        heap.push((name, place));
    }
    heap.into_sorted_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_order_and_equal_ones_by_their_place() {
        let names = ["b", "a", "c", "", "a"];
        let sorted = sorted(names.into_iter());
        assert_eq!(sorted, [("", 3), ("a", 1), ("a", 4), ("b", 0), ("c", 2)]);
    }
}
