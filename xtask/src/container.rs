//! What `proxy/dist/Containerfile` makes, without a registry: the same static binary, by the same
//! command, run as the image runs it.

use std::{fs, path::Path, time::Duration};

use crate::{
    files,
    run::{Ended, Outcome, Run, root},
    test::install,
};

const TARGET: &str = "x86_64-unknown-linux-musl";
/// An image with more in it than it should have would be larger.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Builds the binary, and runs it with nothing else in its root and as nobody.
pub(crate) fn all(_: &[String]) -> Outcome {
    install("musl-gcc", "--version", "musl-tools")?;
    install("readelf", "--version", "binutils")?;
    Run::program("rustup", "target add").arg(TARGET).check()?;
    let recipe = files::read(root().join("proxy/dist/Containerfile"))?;
    let build = recipe.lines().find_map(|line| line.strip_prefix("RUN cargo "));
    let build = build.ok_or("the Containerfile builds nothing")?;
    Run::cargo(build).args("--target").arg(TARGET).check()?;
    let binary = root().join("target").join(TARGET).join("release/rondel-proxy");
    let size = fs::metadata(&binary).map_err(files::failed(&binary))?.len();
    println!("{} KiB", size / 1024);
    if size > LARGEST {
        return Err("the binary is larger than an image of it should be".to_owned());
    }
    let program = binary.to_string_lossy();
    let headers = Run::program("readelf", "--program-headers").arg(&program).output()?;
    if headers.contains("INTERP") {
        return Err("the binary is not static".to_owned());
    }
    run_as_the_image(&binary)
}

/// Its user is nobody and its root is empty but for the binary and the configuration.
fn run_as_the_image(binary: &Path) -> Outcome {
    let image = root().join("target/image");
    let _ = fs::remove_dir_all(&image);
    files::copy(binary, &image.join("rondel-proxy"))?;
    files::make_folder(image.join("etc/rondel"))?;
    files::write(image.join("etc/rondel/servers.txt"), "http://127.0.0.1:1\n")?;
    let inside = || {
        Run::program("chroot", "--userspec=65532:65532").arg(&image.to_string_lossy()).args(
            "/rondel-proxy --file /etc/rondel/servers.txt --bind 127.0.0.1 --port 0 --admin off",
        )
    };
    inside().args("--check").check()?;
    let transcript = root().join("target/image.log");
    // It serves until it is ended.
    match inside().ends_within(Duration::from_secs(2), &transcript, |_| false)? {
        Ended::Never => {}
        Ended::Well | Ended::Badly => return Err("it ended by itself".to_owned()),
    }
    let said = files::read(&transcript)?;
    if !said.contains("\"message\":\"listening\"") {
        return Err(format!("it did not listen:\n{said}"));
    }
    println!("static, and serves as user 65532 in a root with nothing else");
    Ok(())
}
