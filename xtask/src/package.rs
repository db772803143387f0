//! What goes to the registry: the files, that they build by themselves, and that a stranger's
//! program runs with them.

use std::path::PathBuf;

use crate::{
    files, manifest,
    run::{Outcome, Run, root},
};

/// What users need, and nothing else is published.
const PUBLISHED: [&str; 8] = [
    "src/",
    "examples/",
    "README.md",
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Cargo.toml",
    "Cargo.lock",
];
/// What cargo adds: the manifest as it was written, and the commit.
const ADDED: [&str; 2] = ["Cargo.toml.orig", ".cargo_vcs_info.json"];

/// All of it. `[--allow-dirty]`: with changes that are not committed.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let dirty = match arguments {
        [] => "",
        [dirty] if dirty == "--allow-dirty" => "--allow-dirty",
        _ => return Err("takes nothing, or `--allow-dirty`".to_owned()),
    };
    let list = Run::cargo("package --package rondel --list").args(dirty).output()?;
    only_what_users_need(&list)?;
    // Builds what it unpacks, and stops before the upload.
    Run::cargo("publish --package rondel --dry-run").args(dirty).check()?;
    stranger()
}

fn only_what_users_need(list: &str) -> Outcome {
    let files: Vec<String> = list.lines().map(|line| line.replace('\\', "/")).collect();
    let is =
        |file: &str, entry: &str| file == entry || entry.ends_with('/') && file.starts_with(entry);
    let known = || PUBLISHED.iter().chain(&ADDED);
    if let Some(stray) = files.iter().find(|file| !known().any(|entry| is(file, entry))) {
        return Err(format!("{stray} would be published"));
    }
    let missing = PUBLISHED.iter().find(|entry| !files.iter().any(|file| is(file, entry)));
    if let Some(missing) = missing {
        return Err(format!("{missing} would not be published"));
    }
    println!("{} files, all of them for users", files.len());
    Ok(())
}

/// A program outside of this workspace that knows nothing but the package: the first example.
fn stranger() -> Outcome {
    let package = unpacked()?;
    let home = root().join("target/stranger");
    let path = package.to_string_lossy().replace('\\', "/");
    let text = format!(
        "[package]\nname = \"stranger\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
         [dependencies]\nrondel = {{ path = \"{path}\" }}\n\n[workspace]\n"
    );
    files::copy(&package.join("examples/workers.rs"), &home.join("src/main.rs"))?;
    files::write(home.join("Cargo.toml"), text)?;
    Run::cargo("run --quiet --target-dir ../stranger-target").inside(&home).check()
}

/// Where the last `cargo package` unpacked and built the crate.
pub(crate) fn unpacked() -> Outcome<PathBuf> {
    let folder = root()
        .join("target/package")
        .join(format!("rondel-{}", manifest::text("Cargo.toml", "version")?));
    if folder.join("Cargo.toml").is_file() {
        return Ok(folder);
    }
    Err(format!("{} is not there: cargo xtask package", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::only_what_users_need;

    const LIST: &str = "Cargo.toml\nCargo.toml.orig\nCargo.lock\nsrc/lib.rs\nexamples\\workers.rs\n\
                        README.md\nCHANGELOG.md\nLICENSE-MIT\nLICENSE-APACHE\n.cargo_vcs_info.json\n";

    #[test]
    fn a_package_of_sources_and_texts_is_published() {
        assert_eq!(only_what_users_need(LIST), Ok(()));
    }

    #[test]
    fn a_stray_file_is_not_published() {
        let list = format!("{LIST}tests/stress.rs\n");
        assert_eq!(
            only_what_users_need(&list),
            Err("tests/stress.rs would be published".to_owned())
        );
    }

    #[test]
    fn a_package_without_a_licence_is_not_published() {
        let list = LIST.replace("LICENSE-MIT\n", "");
        assert_eq!(
            only_what_users_need(&list),
            Err("LICENSE-MIT would not be published".to_owned())
        );
    }
}
