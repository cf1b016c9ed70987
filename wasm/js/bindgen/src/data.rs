//! The constants of a module. Linked with `--no-merge-data-segments`, each has a segment of its own.

use crate::points;
use std::collections::BTreeMap;
use walrus::{
    ConstExpr, DataId, DataKind, LocalFunction, MemoryId, Module, ValType,
    ir::{Call, Const, Instr, LocalGet, LocalSet, LocalTee, Value},
};

struct Constant {
    bytes: Vec<u8>,
    is_used: bool,
}

/// Makes one segment of all constants.
pub(crate) fn keep_all(module: &mut Module) {
    join(module, Vec::new(), false);
}

/// Leaves out the constants that were never read and that nothing refers to: neither code nor a constant that is used.
///
/// What code refers to is not enough: a loop over a list may begin with the address before it, or know its end only.
pub(crate) fn keep_used(module: &mut Module, read: Vec<u32>) {
    join(module, read, true);
}

/// Makes each load from memory tell its address.
pub(crate) fn tell_reads(module: &mut Module) {
    let told = module.types.add(&[ValType::I32, ValType::I32], &[]);
    let (told, _) = module.add_import_func("reached", "read", told);
    let (first, second) = (
        module.locals.add(ValType::I32),
        module.locals.add(ValType::I32),
    );
    points::each_function(module, |function| {
        let ids: Vec<_> = points::sequence_ids(function).collect();
        for id in ids {
            let instructions = &mut function.block_mut(id).instrs;
            for (instruction, place) in std::mem::take(instructions) {
                let before: Vec<Instr> = match &instruction {
                    Instr::Load(load) => {
                        let value = Value::I32(load.arg.offset as i32);
                        vec![
                            LocalTee { local: first }.into(),
                            LocalGet { local: first }.into(),
                            Const { value }.into(),
                            Call { func: told }.into(),
                        ]
                    }
                    // Of a destination, a source and a length.
                    Instr::MemoryCopy(_) => vec![
                        LocalSet { local: first }.into(),
                        LocalTee { local: second }.into(),
                        LocalGet { local: second }.into(),
                        Const {
                            value: Value::I32(0),
                        }
                        .into(),
                        Call { func: told }.into(),
                        LocalGet { local: first }.into(),
                    ],
                    _ => Vec::new(),
                };
                instructions.extend(before.into_iter().map(|instruction| (instruction, place)));
                instructions.push((instruction, place));
            }
        }
    });
}

fn join(module: &mut Module, mut open: Vec<u32>, used_only: bool) {
    let (mut constants, found) = constants(module);
    let Some((memory, ids)) = found else {
        return;
    };
    for (_, function) in module.funcs.iter_local() {
        addresses(function, &mut open);
    }
    while let Some(address) = open.pop() {
        if let Some((start, constant)) = constants.range_mut(..=address).next_back()
            && address - start < constant.bytes.len() as u32
            && !constant.is_used
        {
            constant.is_used = true;
            let words = constant.bytes.chunks_exact(4);
            open.extend(words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])));
        }
    }
    for id in ids {
        module.data.delete(id);
    }
    let used = || {
        constants
            .iter()
            .filter(|(_, constant)| constant.is_used || !used_only)
    };
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
        if let DataKind::Active {
            memory,
            offset: ConstExpr::Value(Value::I32(start)),
        } = &data.kind
        {
            let bytes = data.value.clone();
            constants.insert(
                *start as u32,
                Constant {
                    bytes,
                    is_used: false,
                },
            );
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
