//! The constants of a module. Linked with `--no-merge-data-segments`, each has a segment of its own.

use crate::points;
use std::collections::BTreeMap;
use walrus::{
    ConstExpr, DataId, DataKind, LocalFunction, MemoryId, Module,
    ir::{Instr, Value},
};

struct Constant {
    bytes: Vec<u8>,
    is_used: bool,
}

/// Leaves out the constants that nothing refers to: neither code nor a constant that is used. What is left becomes one
/// segment.
pub(crate) fn keep_used(module: &mut Module) {
    let (mut constants, found) = constants(module);
    let Some((memory, ids)) = found else {
        return;
    };
    let mut open = Vec::new();
    for (_, function) in module.funcs.iter_local() {
        addresses(function, &mut open);
    }
    while let Some(address) = open.pop() {
        // The end of one may be the start of another.
        for at in [address.checked_sub(1), Some(address)].into_iter().flatten() {
            let found = constants.range_mut(..=at).next_back();
            if let Some((start, constant)) = found
                && at - start < constant.bytes.len() as u32
                && !constant.is_used
            {
                constant.is_used = true;
                let words = constant.bytes.chunks_exact(4);
                open.extend(words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])));
            }
        }
    }
    for id in ids {
        module.data.delete(id);
    }
    let used = || constants.iter().filter(|(_, constant)| constant.is_used);
    let Some((&first, _)) = used().next() else {
        return;
    };
    let mut whole = Vec::new();
    for (start, constant) in used() {
        whole.resize((start - first) as usize, 0);
        whole.extend_from_slice(&constant.bytes);
    }
    let offset = ConstExpr::Value(Value::I32(first as i32));
    module.data.add(DataKind::Active { memory, offset }, whole);
}

#[allow(clippy::type_complexity)]
fn constants(module: &Module) -> (BTreeMap<u32, Constant>, Option<(MemoryId, Vec<DataId>)>) {
    let mut constants = BTreeMap::new();
    let mut found = None;
    for data in module.data.iter() {
        if let DataKind::Active { memory, offset: ConstExpr::Value(Value::I32(start)) } = &data.kind {
            let bytes = data.value.clone();
            constants.insert(*start as u32, Constant { bytes, is_used: false });
            found.get_or_insert((*memory, Vec::new())).1.push(data.id());
        }
    }
    (constants, found)
}

/// The numbers in a function's code that may be addresses.
fn addresses(function: &LocalFunction, found: &mut Vec<u32>) {
    for id in points::sequence_ids(function) {
        for (instruction, _) in &function.block(id).instrs {
            match instruction {
                Instr::Const(constant) => {
                    if let Value::I32(number) = constant.value {
                        found.push(number as u32);
                    }
                }
                Instr::Load(load) => found.push(load.arg.offset as u32),
                Instr::Store(store) => found.push(store.arg.offset as u32),
                _ => {}
            }
        }
    }
}
