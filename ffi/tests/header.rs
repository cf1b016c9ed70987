//! The header that is committed is the one that the sources say.

use std::{env, fs, path::Path};

#[test]
fn the_committed_header_is_the_one_the_sources_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut written = Vec::new();
    cbindgen::Builder::new()
        .with_crate(root)
        .with_config(config)
        .generate()
        .unwrap()
        .write(&mut written);
    let written = String::from_utf8(written).unwrap();

    let path = root.join("include/svcauth.h");
    if env::var_os("SVCAUTH_BLESS").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differing = committed
        .lines()
        .chain(["(end)"])
        .zip(written.lines().chain(["(end)"]))
        .enumerate()
        .find(|(_, (committed, written))| committed != written);
    assert_eq!(
        differing, None,
        "include/svcauth.h is not what the sources say (line counted from 0, committed, written): \
         run this test once more with SVCAUTH_BLESS=1 and commit the header"
    );
}
