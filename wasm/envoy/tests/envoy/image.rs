//! The OCI image.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use svcauth_envoy::{filter_module, repository};

#[test]
fn the_image_has_one_layer_with_the_module_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let module = filter_module().unwrap();
    let make = |name: &str| {
        let image = folder.path().join(name);
        let made = Command::new(repository().join("wasm/envoy/make-image"))
            .args([&module, &image])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        image
    };
    let image = make("once");

    let layout: Value = json(&image.join("oci-layout"));
    assert_eq!(layout["imageLayoutVersion"], "1.0.0");
    let index: Value = json(&image.join("index.json"));
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    let manifest: Value = json(&blob(&image, &entries[0]));
    assert_eq!(
        manifest["annotations"]["module.wasm.image/variant"],
        "compat"
    );
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert_eq!(
        layers[0]["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+gzip"
    );
    let config: Value = json(&blob(&image, &manifest["config"]));
    let layer = blob(&image, &layers[0]);
    let tar = folder.path().join("layer.tar");
    let unpacked = Command::new("gzip")
        .args(["-dc"])
        .arg(&layer)
        .stdout(fs::File::create(&tar).unwrap())
        .status()
        .unwrap();
    assert!(unpacked.success());
    assert_eq!(config["rootfs"]["diff_ids"][0], digest(&tar));
    let listed = Command::new("tar").arg("-tf").arg(&tar).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "plugin.wasm\n");
    let plugin = Command::new("tar")
        .arg("-xOf")
        .arg(&tar)
        .arg("plugin.wasm")
        .output()
        .unwrap();
    assert!(
        plugin.stdout == fs::read(&module).unwrap(),
        "plugin.wasm is not the module"
    );

    let again = make("again");
    let same = Command::new("diff")
        .arg("-r")
        .args([&image, &again])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(same.success(), "a second image differs");
}

/// A blob's file, after its digest and size were compared with what the descriptor says.
fn blob(image: &Path, descriptor: &Value) -> PathBuf {
    let named = descriptor["digest"].as_str().unwrap();
    let file = image.join("blobs").join(named.replace(':', "/"));
    assert_eq!(digest(&file), named);
    assert_eq!(
        fs::metadata(&file).unwrap().len(),
        descriptor["size"].as_u64().unwrap()
    );
    file
}

fn digest(file: &Path) -> String {
    let sum = Command::new("sha256sum").arg(file).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    format!("sha256:{}", sum.split(' ').next().unwrap())
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}
