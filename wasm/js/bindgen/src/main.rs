//! What bindings/js/build does with modules:
//!
//! - `bind MODULE FOLDER NAME`: what the command wasm-bindgen does, with a version that a lock file pins;
//! - `count MODULE OUT`: calls the import `reached.at` with a number at each point that code can come to, and
//!   `reached.read` with an address at each load;
//! - `keep MODULE REACHED OUT`: leaves out what is behind the points that were never come to, according to a file with
//!   the others' numbers, and the constants that nothing refers to then, except those at the addresses in the file, which
//!   have an @ before them. A trap stands there instead;
//! - `join MODULE OUT`: puts all constants into one segment.

mod data;
mod points;

use std::{env, error::Error, fs, process::ExitCode};
use walrus::Module;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments.as_slice() {
        ["bind", module, folder, name] => bind(module, folder, name),
        ["count", module, out] => count(module, out),
        ["keep", module, numbers, out] => keep(module, numbers, out),
        ["join", module, out] => join(module, out),
        _ => Err("the orders are bind, count, keep and join; see src/main.rs".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("svcauth-js-bindgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bind(module: &str, folder: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name(name).web(true)?;
    bindgen.typescript(true).remove_name_section(true);
    Ok(bindgen.generate(folder)?)
}

fn count(module: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let mut module = Module::from_file(module)?;
    points::count(&mut module);
    data::tell_reads(&mut module);
    Ok(module.emit_wasm_file(out)?)
}

fn keep(module: &str, numbers: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let mut module = Module::from_file(module)?;
    let (mut reached, mut read) = (Vec::new(), Vec::new());
    for number in fs::read_to_string(numbers)?.split_whitespace() {
        if let Some(address) = number.strip_prefix('@') {
            read.push(address.parse()?);
            continue;
        }
        let number: usize = number.parse()?;
        if reached.len() <= number {
            reached.resize(number + 1, false);
        }
        reached[number] = true;
    }
    points::keep(&mut module, |number| reached.get(number) == Some(&true));
    walrus::passes::gc::run(&mut module);
    data::keep_used(&mut module, read);
    Ok(module.emit_wasm_file(out)?)
}

fn join(module: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let mut module = Module::from_file(module)?;
    data::keep_all(&mut module);
    Ok(module.emit_wasm_file(out)?)
}
