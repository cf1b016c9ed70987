//! How the shared library and the WebAssembly module are linked.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libsvcauth.so.0");
    }
    if target("FAMILY") == "wasm" {
        // The default stack of 1 MiB costs each instance time and memory; nothing here is recursive on input.
        println!("cargo::rustc-cdylib-link-arg=-zstack-size=131072");
        println!("cargo::rustc-cdylib-link-arg=--max-memory=67108864");
    }
}
