//! Reading what an operator has written.
//!
//! Owns the words for a file that cannot be read, with its name and where it can be said the line.
//! Never understands a text.

use std::{fs, path::Path};

/// A file's text, or why there is none.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| format!("{name}: it cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + memchr::memchr_iter(b'\n', &error.as_bytes()[..good]).count();
        format!("{name}:{line}: this is no text in UTF-8: is it the right file?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"one\ntwo \xff\n").unwrap();
        let error = read_text(&path).unwrap_err();
        assert_eq!(error.split_once("file:").unwrap().1.split(' ').next(), Some("2:"), "{error}");
        fs::write(&path, "é\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "é\n");
    }
}
