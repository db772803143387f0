//! Links of the pages in Markdown. (Those between items of the code are rustdoc's.)

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::run::{Outcome, Run, root};

/// Folders whose pages are read; the first is the root, without those below it.
const FOLDERS: [&str; 4] = [".", "docs", "src/docs", ".github"];

/// Every link to a file leads to one. `[external]`: and every other one is answered, which needs
/// the network.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let external = match arguments {
        [] => false,
        [external] if external == "external" => true,
        _ => return Err("takes nothing, or `external`".to_owned()),
    };
    let mut broken = Vec::new();
    let mut urls = BTreeSet::new();
    let mut count = 0;
    for page in pages(&root())? {
        let text = fs::read_to_string(root().join(&page));
        let text = text.map_err(|error| format!("{}: {error}", page.display()))?;
        for (number, link) in links(&text) {
            count += 1;
            if link.starts_with("https://") || link.starts_with("http://") {
                urls.insert(link.split('#').next().unwrap_or(link).to_owned());
            } else if !leads_somewhere(&page, link) {
                broken.push(format!("{}:{number}: {link} leads nowhere", page.display()));
            }
        }
    }
    if count == 0 {
        return Err("no page has a link: were they looked for in the wrong place?".to_owned());
    }
    if external {
        let is_local = |url: &&String| url.contains("//localhost") || url.contains("//127.0.0.1");
        let dead = urls.iter().filter(|url| !is_local(url)).filter(|url| !is_answered(url));
        broken.extend(dead.map(|url| format!("{url} is not answered")));
    }
    if broken.is_empty() {
        println!("links: {count}, of them {} to other sites", urls.len());
        return Ok(());
    }
    Err(format!("{} links are broken\n{}", broken.len(), broken.join("\n")))
}

fn pages(root: &Path) -> Outcome<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for folder in FOLDERS {
        let failed = |error| format!("{folder}: {error}");
        for entry in fs::read_dir(root.join(folder)).map_err(failed)? {
            let path = Path::new(folder).join(entry.map_err(failed)?.file_name());
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort_unstable();
    Ok(pages)
}

/// Targets of `[text](target)` and `<url>`, with their lines; not those in code.
fn links(page: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in page.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        // What stands between backticks is every other piece.
        for text in line.split('`').step_by(2).filter(|_| !in_code) {
            let inline = text.match_indices("](").map(|(at, open)| (at + open.len(), ')'));
            let bare = text.match_indices("<http").map(|(at, _)| (at + 1, '>'));
            for (from, close) in inline.chain(bare) {
                found.extend(text[from..].split_once(close).map(|(link, _)| (number + 1, link)));
            }
        }
    }
    // A link's text may be code, which ends the piece that has its bracket.
    found
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    // rustdoc checks the names of items.
    if page.starts_with("src") && (link.contains("::") || link.starts_with('#')) {
        return true;
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = page.parent().unwrap_or(Path::new(""));
    let path = if file.is_empty() { page.to_owned() } else { folder.join(file) };
    let path = root().join(path);
    if heading.is_empty() || path.extension().is_none_or(|extension| extension != "md") {
        return path.exists();
    }
    fs::read_to_string(path).is_ok_and(|text| headings(&text).any(|known| known == heading))
}

/// The anchors that a page's headings get.
fn headings(page: &str) -> impl Iterator<Item = String> {
    page.lines().filter(|line| line.starts_with('#')).map(|line| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept =
            text.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    })
}

fn is_answered(url: &str) -> bool {
    Run::program("curl", "--silent --fail --location --retry 2 --max-time 30 --output")
        .arg(if cfg!(windows) { "NUL" } else { "/dev/null" })
        .arg(url)
        .works()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{headings, leads_somewhere, links};

    #[test]
    fn links_are_found_outside_of_code() {
        let page =
            "[a](b.md) and <https://c.d>\n`[e](f)`\n```text\n[g](h)\n```\n[`i`](j), ![k](l)\n";
        let targets = [(1, "b.md"), (1, "https://c.d"), (6, "j"), (6, "l")];
        assert_eq!(links(page), targets);
    }

    #[test]
    fn a_link_to_a_file_or_a_heading_that_is_not_there_leads_nowhere() {
        let page = Path::new("README.md");
        assert!(leads_somewhere(page, "Cargo.toml"));
        assert!(!leads_somewhere(page, "Cargo.tomb"));
        assert!(leads_somewhere(page, "CHANGELOG.md#changelog"));
        assert!(!leads_somewhere(page, "CHANGELOG.md#nothing"));
    }

    #[test]
    fn a_heading_becomes_an_anchor() {
        let anchors: Vec<_> = headings("# One, two\ntext\n## `a` b-c\n").collect();
        assert_eq!(anchors, ["one-two", "a-b-c"]);
    }
}
