//! `svcauth-js-bindgen MODULE.wasm FOLDER NAME`: what the command wasm-bindgen does, with a version that a lock file
//! pins.

use std::{env, process::ExitCode};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module, folder, name] = arguments.as_slice() else {
        eprintln!("usage: svcauth-js-bindgen MODULE.wasm FOLDER NAME");
        return ExitCode::FAILURE;
    };
    let made = Bindgen::new()
        .input_path(module)
        .out_name(name)
        .web(true)
        .map(|bindgen| bindgen.typescript(true).remove_name_section(true))
        .and_then(|bindgen| bindgen.generate(folder));
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{module}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
