//! The examples: each is run, and prints what its header says.

use std::{fs, path::Path};

use crate::{
    files,
    run::{Outcome, Run, root},
};

/// Fewer than this, and they were looked for in the wrong place.
const AT_LEAST: usize = 7;

/// Runs every file of `examples`.
pub(crate) fn all(_: &[String]) -> Outcome {
    Run::cargo("build --package rondel --examples").check()?;
    let mut names = names(&root().join("examples"))?;
    names.sort_unstable();
    if names.len() < AT_LEAST {
        return Err(format!("only {} examples found", names.len()));
    }
    for name in &names {
        let source = files::read(root().join(format!("examples/{name}.rs")))?;
        let expected = promised(&source)
            .ok_or_else(|| format!("{name}: its header does not say what it prints"))?;
        let printed = Run::cargo("run --quiet --package rondel --example").arg(name).output()?;
        if !printed.lines().eq(expected.iter().map(String::as_str)) {
            return Err(format!("{name} says\n{}\nand prints\n{printed}", expected.join("\n")));
        }
        println!("{name}: prints what it says");
    }
    Ok(())
}

fn names(folder: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(files::failed(folder))? {
        let path = entry.map_err(files::failed(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    Ok(names)
}

/// The lines of the block of text in a file's header.
fn promised(source: &str) -> Option<Vec<String>> {
    let mut header = source.lines().map_while(|line| line.strip_prefix("//!"));
    header.find(|line| line.trim() == "```text")?;
    let block: Vec<_> = header.take_while(|line| line.trim() != "```").collect();
    let lines = block.iter().map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned());
    (!block.is_empty()).then(|| lines.collect())
}

#[cfg(test)]
mod tests {
    use super::promised;

    #[test]
    fn a_header_promises_the_lines_of_its_block() {
        let source = "//! What.\n//!\n//! ```text\n//! one\n//!   two\n//! ```\n\nfn main() {}\n";
        assert_eq!(promised(source), Some(vec!["one".to_owned(), "  two".to_owned()]));
    }

    #[test]
    fn a_header_without_a_block_promises_nothing() {
        assert_eq!(promised("//! What.\n\n/// ```text\n/// one\n/// ```\nfn main() {}\n"), None);
        assert_eq!(promised("//! ```text\n//! ```\n"), None);
    }
}
