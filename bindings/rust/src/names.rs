//! Finds a target by its name, quickly: programs do it on every call.

/// Places of names that are known from the start, by an open hash table at most half full.
///
/// The names come from the configuration: nobody makes them collide on purpose.
#[derive(Debug)]
pub(crate) struct Names {
    slots: Vec<Option<(Box<str>, usize)>>,
    shift: u32,
}

impl Names {
    /// The place of each name is its number in the order given.
    pub(crate) fn new<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Names {
        let size = (2 * names.len()).next_power_of_two().max(2);
        let mut table = Names {
            slots: vec![None; size],
            shift: 64 - size.trailing_zeros(),
        };
        for (place, name) in names.enumerate() {
            let mut slot = table.first_slot(name);
            while table.slots[slot].is_some() {
                slot = (slot + 1) & (size - 1);
            }
            table.slots[slot] = Some((name.into(), place));
        }
        table
    }

    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let mut slot = self.first_slot(name);
        loop {
            // A free slot ends the search; half of them are.
            let (other, place) = self.slots.get(slot)?.as_ref()?;
            if **other == *name {
                return Some(*place);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    /// From the first and the last eight bytes: what names of one program differ in.
    #[inline]
    fn first_slot(&self, name: &str) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let bytes = name.as_bytes();
        let (head, tail) = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => (
                bytes
                    .iter()
                    .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
                0,
            ),
        };
        let mixed = (head ^ (bytes.len() as u64)).wrapping_mul(ODD) ^ tail;
        (mixed.wrapping_mul(ODD) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_at_its_place_and_no_other() {
        for count in [0, 1, 2, 3, 100, 1000] {
            let names: Vec<String> = (0..count)
                .map(|n| format!("a-rather-long-{n}-name-in-the-middle"))
                .collect();
            let table = Names::new(names.iter().map(String::as_str));
            for (place, name) in names.iter().enumerate() {
                assert_eq!(table.find(name), Some(place));
            }
            for other in ["", "a", "a-rather-long-1000-name-in-the-middle", "b"] {
                assert_eq!(table.find(other), None, "{other} of {count}");
            }
        }
        let short = ["smd", "bss", "", "smdd", "sm"];
        let table = Names::new(short.into_iter());
        assert!(
            short
                .iter()
                .enumerate()
                .all(|(place, name)| table.find(name) == Some(place))
        );
    }
}
