//! What manifests say.

use crate::{
    files,
    run::{Outcome, root},
};

/// The text of `key` in a package's manifest.
pub(crate) fn text(path: &str, key: &str) -> Outcome<String> {
    let text = files::read(root().join(path))?;
    entry(&text, key).map(str::to_owned).ok_or_else(|| format!("{path} has no `{key}`"))
}

/// The text of `key`, where a line begins with it.
pub(crate) fn entry<'m>(manifest: &'m str, key: &str) -> Option<&'m str> {
    manifest.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
        value.trim_start().strip_prefix('"')?.split('"').next()
    })
}

#[cfg(test)]
mod tests {
    use super::entry;

    #[test]
    fn an_entry_is_the_text_behind_its_key() {
        let manifest = "[package]\nrust-version = \"1.85\" # held\nversion=\"0.1.0\"\n";
        assert_eq!(entry(manifest, "version"), Some("0.1.0"));
        assert_eq!(entry(manifest, "rust-version"), Some("1.85"));
        assert_eq!(entry(manifest, "repository"), None);
    }
}
