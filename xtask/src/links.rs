//! Links between the Markdown files of this repository, and from them to other files.
//!
//! Owns the rule that each of them leads somewhere: to a file that is kept here, and to a heading
//! that is there. Never looks at the web, nor at the paths of items, which rustdoc checks.

use std::{
    collections::{HashMap, HashSet},
    path::{Component, Path, PathBuf},
};

use crate::{
    files,
    run::{Outcome, Run, root},
};

/// Every link that leads nowhere, with file and line.
pub(crate) fn dead() -> Outcome<Vec<String>> {
    let kept = kept()?;
    let is_page = |path: &&PathBuf| path.extension().is_some_and(|end| end == "md");
    let mut pages = HashMap::new();
    for path in kept.iter().filter(is_page) {
        pages.insert(path.clone(), Page::of(&files::read(root().join(path))?));
    }
    if pages.len() < 10 {
        return Err(format!("only {} pages found: is this the workspace?", pages.len()));
    }
    let mut dead = Vec::new();
    for (path, page) in &pages {
        for (line, target) in &page.links {
            if let Err(why) = follow(path, target, &kept, &pages) {
                dead.push(format!("{}:{line}: {target}: {why}", path.display()));
            }
        }
    }
    dead.sort();
    Ok(dead)
}

/// What git knows or would take: what is built or left lying about is nobody else's.
fn kept() -> Outcome<HashSet<PathBuf>> {
    let listed = Run::program("git", "ls-files --cached --others --exclude-standard").output()?;
    let files = listed.lines().map(PathBuf::from).filter(|path| root().join(path).exists());
    Ok(files.flat_map(|file| file.ancestors().map(Path::to_owned).collect::<Vec<_>>()).collect())
}

fn follow(
    from: &Path,
    target: &str,
    kept: &HashSet<PathBuf>,
    pages: &HashMap<PathBuf, Page>,
) -> Result<(), &'static str> {
    if target.contains("://") || target.starts_with("mailto:") || target.contains("::") {
        return Ok(());
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(f, a)| (f, Some(a)));
    let path = match file {
        "" => from.to_owned(),
        file => resolve(from, file).ok_or("it leads out of the repository")?,
    };
    if !kept.contains(&path) {
        return Err("there is no such file");
    }
    match (anchor, pages.get(&path)) {
        (None, _) => Ok(()),
        (Some(anchor), Some(page)) if page.anchors.contains(anchor) => Ok(()),
        (Some(_), Some(_)) => Err("there is no such heading"),
        (Some(_), None) => Err("only pages have headings"),
    }
}

/// The path from the root that a relative link means.
fn resolve(from: &Path, file: &str) -> Option<PathBuf> {
    let mut path = from.parent()?.to_owned();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir if !path.pop() => return None,
            Component::Normal(name) => path.push(name),
            Component::ParentDir | Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// What a page leads to, and where in it one can be led to.
#[derive(Debug, Default, PartialEq)]
struct Page {
    links: Vec<(usize, String)>,
    anchors: HashSet<String>,
}

impl Page {
    fn of(text: &str) -> Self {
        let mut page = Self::default();
        let mut fence = None;
        for (number, line) in (1..).zip(text.lines()) {
            let bare = line.trim_start();
            let ticks = bare.chars().take_while(|c| *c == '`').count();
            match fence {
                Some(open) if ticks >= open => fence = None,
                Some(_) => {}
                None if ticks >= 3 => fence = Some(ticks),
                None => page.read(number, line),
            }
        }
        page
    }

    fn read(&mut self, number: usize, line: &str) {
        let hashes = line.chars().take_while(|c| *c == '#').count();
        if (1..=6).contains(&hashes) && line[hashes..].starts_with(' ') {
            self.head(&line[hashes..]);
        }
        let prose = without_code(line);
        let mut links: Vec<&str> = Vec::new();
        links.extend(prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()));
        for attribute in ["href=\"", "src=\"", "srcset=\""] {
            let values = prose.split(attribute).skip(1);
            links.extend(values.filter_map(|rest| rest.split(['"', ' ']).next()));
        }
        if prose.starts_with('[') {
            let defined = prose.split_once("]: ").map(|(_, target)| target.trim());
            links.extend(defined);
        }
        self.links.extend(links.into_iter().map(|link| (number, link.to_owned())));
        for attribute in ["id=\"", "name=\""] {
            let named = prose.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
            self.anchors.extend(named.map(str::to_owned));
        }
    }

    /// A heading is called as GitHub calls it; the second of a name has a number.
    fn head(&mut self, heading: &str) {
        let slug = slug(heading);
        let mut name = slug.clone();
        let mut number = 0;
        while !self.anchors.insert(name) {
            number += 1;
            name = format!("{slug}-{number}");
        }
    }
}

fn slug(heading: &str) -> String {
    // Of a link its text is shown, and of code its letters.
    let mut shown = String::new();
    for (at, part) in heading.split("](").enumerate() {
        shown.push_str(if at == 0 { part } else { part.split_once(')').map_or("", |(_, r)| r) });
    }
    let kept = shown.trim().chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The line without what stands between backticks, where nothing is a link.
fn without_code(line: &str) -> String {
    let mut prose = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('`') {
        prose.push_str(before);
        let more = after.chars().take_while(|c| *c == '`').count();
        let fence = "`".repeat(more + 1);
        match after[more..].split_once(&fence) {
            Some((_, next)) => rest = next,
            // Code that goes on in the next line, or a lone backtick.
            None => return prose + after,
        }
    }
    prose + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_every_form_are_found_and_those_in_code_are_none() {
        let page = Page::of(
            "# A `b` [c](d.md)\n```sh\n[x](no.md)\n```\n`[y](no.md)` [z](e.md#f \"title\")\n\
             <img src=\"g.svg\">\n[h]: i.md\n## A\n## A\n",
        );
        let links: Vec<_> = page.links.iter().map(|(n, link)| (*n, link.as_str())).collect();
        assert_eq!(links, [(1, "d.md"), (5, "e.md#f"), (6, "g.svg"), (7, "i.md")]);
        let anchors = ["a-b-c", "a", "a-1"].map(str::to_owned);
        assert_eq!(page.anchors, HashSet::from(anchors));
    }

    #[test]
    fn a_link_leads_to_a_file_that_is_kept_and_to_a_heading_that_is_there() {
        let paths = ["a/b.md", "a", "c.md", "d.rs", ""];
        let kept = paths.map(PathBuf::from).into();
        let pages = HashMap::from([(PathBuf::from("c.md"), Page::of("## What it is: `x`"))]);
        let follow = |link| follow(Path::new("a/b.md"), link, &kept, &pages);
        for good in ["../c.md", "../c.md#what-it-is-x", "../d.rs", "https://x#y", "crate::a", ".."]
        {
            assert_eq!(follow(good), Ok(()), "{good}");
        }
        for bad in ["../e.md", "c.md", "../c.md#other", "../d.rs#L1", "../../c.md", "/c.md"] {
            assert!(follow(bad).is_err(), "{bad}");
        }
    }
}
