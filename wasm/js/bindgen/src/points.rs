//! The points of a module that its code can come to: the start of each sequence of instructions, and where one goes on
//! after a branch that is not taken, or after a block. They are numbered in the order of the module.

use walrus::{
    FunctionId, LocalFunction, Module, ValType,
    ir::{Call, Const, Instr, InstrLocId, InstrSeqId, Unreachable, Value},
};

/// A sequence, and its points: each the place of an instruction.
struct Sequence {
    id: InstrSeqId,
    places: Vec<usize>,
}

/// Makes each point tell its number.
pub(crate) fn count(module: &mut Module) {
    let told = module.types.add(&[ValType::I32], &[]);
    let (told, _) = module.add_import_func("reached", "at", told);
    let mut number = 0;
    each_function(module, |function| {
        for Sequence { id, places } in sequences(function) {
            let first = number;
            number += places.len() as i32;
            // From the end, so that the places before stay.
            for (at, place) in places.into_iter().enumerate().rev() {
                let value = Value::I32(first + at as i32);
                let instructions = &mut function.block_mut(id).instrs;
                instructions.insert(place, at_no_place(Call { func: told }));
                instructions.insert(place, at_no_place(Const { value }));
            }
        }
    });
}

/// Ends each sequence at its first point that was never come to.
pub(crate) fn keep(module: &mut Module, reached: impl Fn(usize) -> bool) {
    let mut number = 0;
    each_function(module, |function| {
        for Sequence { id, places } in sequences(function) {
            let first = number;
            number += places.len();
            let end = (first..number).position(|number| !reached(number));
            if let Some(at) = end {
                let instructions = &mut function.block_mut(id).instrs;
                instructions.truncate(places[at]);
                instructions.push(at_no_place(Unreachable {}));
            }
        }
    });
}

fn at_no_place(instruction: impl Into<Instr>) -> (Instr, InstrLocId) {
    (instruction.into(), InstrLocId::default())
}

pub(crate) fn each_function(module: &mut Module, mut work: impl FnMut(&mut LocalFunction)) {
    let all: Vec<FunctionId> = module.funcs.iter_local().map(|(id, _)| id).collect();
    for id in all {
        work(module.funcs.get_mut(id).kind.unwrap_local_mut());
    }
}

pub(crate) fn sequence_ids(function: &LocalFunction) -> impl Iterator<Item = InstrSeqId> {
    sequences(function).into_iter().map(|sequence| sequence.id)
}

fn sequences(function: &LocalFunction) -> Vec<Sequence> {
    let mut found = Vec::new();
    let mut open = vec![function.entry_block()];
    while let Some(id) = open.pop() {
        let mut places = vec![0];
        for (at, (instruction, _)) in function.block(id).instrs.iter().enumerate() {
            match instruction {
                Instr::Block(block) => open.push(block.seq),
                Instr::Loop(block) => open.push(block.seq),
                Instr::IfElse(branches) => open.extend([branches.consequent, branches.alternative]),
                Instr::BrIf(_) => {}
                _ => continue,
            }
            places.push(at + 1);
        }
        found.push(Sequence { id, places });
    }
    found
}
