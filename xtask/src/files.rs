//! Files, with errors that say which.

use std::{fs, io, path::Path};

use crate::run::{Outcome, root};

pub(crate) fn read(path: impl AsRef<Path>) -> Outcome<String> {
    let path = path.as_ref();
    fs::read_to_string(path).map_err(failed(path))
}

pub(crate) fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> Outcome {
    let path = path.as_ref();
    fs::write(path, text).map_err(failed(path))
}

/// Makes a folder, and those that it lies in.
pub(crate) fn make_folder(path: impl AsRef<Path>) -> Outcome {
    let path = path.as_ref();
    fs::create_dir_all(path).map_err(failed(path))
}

/// Copies a file, or a folder and all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome {
    if from.is_dir() {
        for entry in fs::read_dir(from).map_err(failed(from))? {
            let name = entry.map_err(failed(from))?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        make_folder(folder)?;
    }
    fs::copy(from, to).map(drop).map_err(failed(from))
}

/// Paths within the workspace are shown from its folder on.
pub(crate) fn failed(path: &Path) -> impl Fn(io::Error) -> String {
    let shown = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    move |error| format!("{shown}: {error}")
}
