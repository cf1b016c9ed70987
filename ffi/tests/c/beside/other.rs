//! Another library in Rust, with a standard library of its own.

use std::collections::HashMap;

/// The sum of the numbers up to this one, by way of a panic.
#[no_mangle]
pub extern "C" fn other_sum(up_to: u32) -> u32 {
    std::panic::set_hook(Box::new(|_| {}));
    let caught = std::panic::catch_unwind(|| -> u32 {
        let numbers: HashMap<u32, u32> = (0..=up_to).map(|number| (number, number)).collect();
        std::panic::panic_any(numbers.values().sum::<u32>())
    });
    caught.map_or_else(|sum| *sum.downcast::<u32>().unwrap(), |never| never)
}
