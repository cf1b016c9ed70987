//! The library as it is installed: what `make lib` and `make install` give, and examples/c, built from it in an
//! empty folder outside of this tree and run against the lab.
//!
//! `SVCAUTH_LIBRARY` names a folder of `make lib` or `make dist` that is tested instead of one that is built here.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};
use svcauth_lab::{KeyFetch, Lab, LabConfig, SmdConfig};
use tempfile::TempDir;

const NODE: &str = "/hsm/v2/State/Components/x0c0s0b0n0";

#[test]
fn what_is_staged_is_what_is_installed() {
    let stage = TempDir::new().unwrap();
    succeed(install("/opt/svcauth").env("DESTDIR", stage.path()));
    let staged = stage.path().join("opt/svcauth");
    let mut files: Vec<String> = files_below(&staged);
    files.sort();
    let version = env!("CARGO_PKG_VERSION");
    let versioned = format!("lib/libsvcauth.so.{version}");
    let mut expected = [
        "include/svcauth.h",
        "lib/cmake/Svcauth/SvcauthConfig.cmake",
        "lib/cmake/Svcauth/SvcauthConfigVersion.cmake",
        "lib/libsvcauth.a",
        "lib/libsvcauth.so",
        "lib/libsvcauth.so.0",
        versioned.as_str(),
        "lib/pkgconfig/svcauth.pc",
    ];
    expected.sort();
    assert_eq!(files, expected);
    for (link, to) in [
        ("libsvcauth.so", "libsvcauth.so.0"),
        ("libsvcauth.so.0", &versioned["lib/".len()..]),
    ] {
        let found = fs::read_link(staged.join("lib").join(link)).unwrap();
        assert_eq!(found, Path::new(to));
    }
    for file in files_below(&staged) {
        let bytes = fs::read(staged.join(&file)).unwrap();
        let place = stage.path().as_os_str().as_encoded_bytes();
        let told = bytes.windows(place.len()).any(|window| window == place);
        assert!(!told, "{file} tells where it was staged");
    }
    let description = fs::read_to_string(staged.join("lib/pkgconfig/svcauth.pc")).unwrap();
    assert!(description.starts_with("prefix=/opt/svcauth\nlibdir=${prefix}/lib\n"));
}

#[test]
fn a_folder_without_a_library_is_refused_with_what_to_do() {
    let nothing = TempDir::new().unwrap();
    let said = fail(
        Command::new(root().join("install-lib"))
            .arg(nothing.path())
            .env("DESTDIR", nothing.path()),
    );
    assert!(said.contains("run make lib first"), "{said}");
}

#[test]
fn a_library_that_asks_for_too_new_a_glibc_is_refused() {
    let said = fail(
        Command::new(root().join("check-lib"))
            .arg(library())
            .arg("2.5"),
    );
    assert!(said.contains("newer than 2.5"), "{said}");
}

#[test]
fn the_archive_links_beside_another_library_in_rust_and_both_catch_their_panics() {
    let folder = TempDir::new().unwrap();
    let other = folder.path().join("libother.a");
    succeed(
        Command::new("rustc")
            .args(["--edition=2021", "--crate-type=staticlib", "-O", "-o"])
            .arg(&other)
            .arg(root().join("tests/c/beside/other.rs")),
    );
    let program = folder.path().join("beside");
    succeed(
        Command::new("cc")
            .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(root().join("include"))
            .arg("-o")
            .arg(&program)
            .arg(root().join("tests/c/beside/main.c"))
            .arg(library().join("libsvcauth.a"))
            .arg(other)
            .args(["-lpthread", "-ldl", "-lm"]),
    );
    let said = succeed(&mut Command::new(program));
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        "both work, and both catch\n"
    );
}

#[test]
fn a_program_may_be_linked_without_any_shared_library() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("flow");
    succeed(
        Command::new("cc")
            .args(["-std=c11", "-static", "-w", "-I"])
            .arg(root().join("include"))
            .arg("-o")
            .arg(&program)
            .arg(root().join("tests/c/flow.c"))
            .arg(library().join("libsvcauth.a"))
            .args(["-lpthread", "-ldl", "-lm"]),
    );
    succeed(&mut Command::new(program));
}

#[test]
fn the_examples_are_built_by_pkg_config_and_run() {
    let installed = Installed::new();
    for flags in [&[][..], &["STATIC=1"][..]] {
        let folder = installed.examples();
        succeed(
            installed
                .make(folder.path())
                .args(["CFLAGS=-Werror -Wpedantic", "CXXFLAGS=-Werror -Wpedantic"])
                .args(flags),
        );
        let library = installed.prefix().join("lib");
        run_examples(folder.path(), flags.is_empty().then_some(&library));
    }
}

#[test]
fn the_examples_are_built_by_cmake_and_run() {
    let installed = Installed::new();
    for option in ["-DSTATIC=OFF", "-DSTATIC=ON"] {
        let folder = installed.examples();
        succeed(installed.cmake(folder.path()).arg(option));
        let build = folder.path().join("build");
        succeed(Command::new("cmake").arg("--build").arg(&build));
        run_examples(&build, None);
    }
}

#[test]
fn where_the_library_is_missing_the_build_says_what_to_do() {
    let installed = Installed::new();
    let folder = installed.examples();
    fs::remove_file(installed.prefix().join("lib/pkgconfig/svcauth.pc")).unwrap();
    let said = fail(&mut installed.make(folder.path()));
    assert!(said.contains("libsvcauth is not installed"), "{said}");

    fs::remove_file(installed.prefix().join("lib/libsvcauth.a")).unwrap();
    let said = fail(&mut installed.cmake(folder.path()));
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("lib/libsvcauth.a is missing"), "{said}");
    assert!(said.contains("install libsvcauth again"), "{said}");
}

#[test]
fn where_the_header_is_missing_the_build_says_what_to_do() {
    let installed = Installed::new();
    let folder = installed.examples();
    let said = fail(
        Command::new("cc")
            .args(["-std=c11", "-fsyntax-only", "-I"])
            .arg(installed.prefix().join("include"))
            .arg(folder.path().join("bss.c")),
    );
    assert!(said.contains("take the flags from pkg-config"), "{said}");

    fs::remove_file(installed.prefix().join("include/svcauth.h")).unwrap();
    let said = fail(&mut installed.cmake(folder.path()));
    assert!(said.contains("svcauth.h is missing"), "{said}");
}

#[test]
fn another_version_than_the_one_that_is_asked_for_is_not_found() {
    let installed = Installed::new();
    for (asked, found) in [
        ("0.1", true),
        ("0.1.0", true),
        ("0.2", false),
        ("1", false),
        ("0.1.9", false),
    ] {
        let folder = TempDir::new().unwrap();
        let list = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(x C)\nfind_package(Svcauth {asked} REQUIRED)\n"
        );
        fs::write(folder.path().join("CMakeLists.txt"), list).unwrap();
        let output = output(&mut installed.cmake(folder.path()));
        assert_eq!(
            output.status.success(),
            found,
            "{asked}: {}",
            said_by(&output)
        );
    }
}

/// All three programs that were built in this folder.
fn run_examples(folder: &Path, libraries: Option<&PathBuf>) {
    let command = |name: &str| {
        let mut command = Command::new(folder.join(name));
        if let Some(libraries) = libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    };
    let lab = Lab::start(LabConfig::default());
    lab.add_client("bss", "a secret: 100%", "read");
    let configuration = configuration(&lab, folder);
    let node = format!("{}{NODE}", lab.smd_url());

    let output = succeed(command("flow").arg(lab.issuer_url()).arg(&node));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("\n200 {") && said.contains("x0c0s0b0n0"),
        "{said}"
    );

    let output = succeed(
        command("inventory")
            .arg(&configuration)
            .args(["smd", &node]),
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "16 of 16 calls worked, with 1 token request\n"
    );

    // SMD takes no token of the old key any more: the call is made once more with a new one.
    lab.set_smd(SmdConfig {
        keys: KeyFetch::Always,
        ..SmdConfig::default()
    });
    let mut bss = command("bss");
    let bss = bss.arg(&configuration).stdin(Stdio::piped());
    let mut bss = bss
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut urls = bss.stdin.take().unwrap();
    let mut answers = BufReader::new(bss.stdout.take().unwrap()).lines();
    let mut fetch = |url: &str| {
        writeln!(urls, "{url}").unwrap();
        answers.next().unwrap().unwrap()
    };
    assert!(fetch(&node).starts_with("200 {"));
    lab.rotate_signing_key();
    assert!(fetch(&node).starts_with("200 {"));
    // No token goes elsewhere.
    assert!(fetch(&format!("{}/x", lab.elsewhere_url())).starts_with("200 "));
    drop(urls);
    let output = bss.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said_by(&output));
    let log = String::from_utf8_lossy(&output.stderr);
    let calls = log.matches(r#""event":"call""#).count();
    assert_eq!(
        calls, 4,
        "two, of which one twice, and one elsewhere: {log}"
    );
    assert!(log.contains(r#""event":"rejected""#), "{log}");
    assert!(!log.contains("a secret"), "{log}");
}

/// The example's configuration, for the lab.
fn configuration(lab: &Lab, folder: &Path) -> PathBuf {
    let secret = folder.join("secret");
    fs::write(&secret, "a secret: 100%\n").unwrap();
    let example = fs::read_to_string(examples().join("svcauth.json")).unwrap();
    let written = example
        .replace("https://hydra.example", &lab.issuer_url())
        .replace("https://smd.example", &lab.smd_url())
        .replace("/run/secrets/bss", secret.to_str().unwrap());
    let path = folder.join("svcauth-lab.json");
    fs::write(&path, written).unwrap();
    path
}

/// The library under a prefix of its own.
struct Installed(TempDir);

impl Installed {
    fn new() -> Installed {
        let folder = TempDir::new().unwrap();
        let installed = Installed(folder);
        succeed(&mut install(installed.prefix()));
        installed
    }

    fn prefix(&self) -> PathBuf {
        self.0.path().join("prefix")
    }

    /// A folder with nothing but the examples.
    fn examples(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        for entry in fs::read_dir(examples()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        folder
    }

    fn make(&self, folder: &Path) -> Command {
        let mut make = Command::new("make");
        make.arg("--silent").arg("-C").arg(folder);
        make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        make.env("PKG_CONFIG_PATH", self.prefix().join("lib/pkgconfig"));
        make
    }

    fn cmake(&self, folder: &Path) -> Command {
        let mut cmake = Command::new("cmake");
        cmake
            .arg("-S")
            .arg(folder)
            .arg("-B")
            .arg(folder.join("build"));
        cmake.arg("-DCMAKE_PREFIX_PATH=".to_owned() + self.prefix().to_str().unwrap());
        cmake
    }
}

fn install(prefix: impl AsRef<OsStr>) -> Command {
    let mut install = Command::new(root().join("install-lib"));
    install.arg(library()).env("PREFIX", prefix);
    for name in ["DESTDIR", "LIBDIR", "INCLUDEDIR"] {
        install.env_remove(name);
    }
    install
}

/// The folder that `SVCAUTH_LIBRARY` names, or one that is built.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| match env::var_os("SVCAUTH_LIBRARY") {
        Some(folder) => folder.into(),
        None => {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lib");
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
            succeed(
                Command::new(root().join("build-lib"))
                    .arg(&folder)
                    .env("CARGO_TARGET_DIR", target),
            );
            folder
        }
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> PathBuf {
    root().join("../examples/c")
}

fn files_below(folder: &Path) -> Vec<String> {
    let output = succeed(
        Command::new("find")
            .current_dir(folder)
            .args([".", "!", "-type", "d"]),
    );
    let listed = String::from_utf8(output.stdout).unwrap();
    listed.lines().map(|path| path[2..].to_owned()).collect()
}

fn output(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command.output().unwrap_or_else(|error| {
        panic!("{program:?} cannot be run ({error}); `make c-tools` installs what these tests need")
    })
}

fn succeed(command: &mut Command) -> Output {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", said_by(&output));
    output
}

/// What a command that must not succeed says.
fn fail(command: &mut Command) -> String {
    let output = output(command);
    assert!(!output.status.success(), "{command:?} succeeded");
    said_by(&output)
}

fn said_by(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
