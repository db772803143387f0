//! Links to other sites, which only the network can tell whether they lead somewhere. (Those within
//! this repository are `links`', and those between items of the code are rustdoc's.)

use std::collections::BTreeSet;

use crate::{
    files,
    run::{Outcome, Run, root},
};

/// Addresses that are examples, or this machine's.
const NOT_SITES: [&str; 6] =
    ["//localhost", "//127.", "//10.", "example.", ".internal", "//www.w3.org/2000/svg"];

/// Asks for every address in the pages and in the comments of the code.
pub(crate) fn all(_: &[String]) -> Outcome {
    let listed = Run::program("git", "ls-files *.md *.rs *.toml").output()?;
    let mut addresses = BTreeSet::new();
    for file in listed.lines().filter(|file| !file.contains("/tests/")) {
        let text = files::read(root().join(file))?;
        let is_code = file.rsplit('.').next() != Some("md");
        let lines = text.lines().filter(|line| !is_code || line.trim_start().starts_with("//"));
        addresses.extend(lines.flat_map(of_line).map(str::to_owned));
    }
    if addresses.is_empty() {
        return Err("no page names any site: were they looked for in the wrong place?".to_owned());
    }
    let dead: Vec<_> = addresses.iter().filter(|address| !is_answered(address)).collect();
    for address in &addresses {
        println!("{} {address}", if dead.contains(&address) { "DEAD" } else { "  ok" });
    }
    match dead.len() {
        0 => Ok(()),
        dead => Err(format!("{dead} of {} addresses are not answered", addresses.len())),
    }
}

fn of_line(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("https://").chain(line.match_indices("http://")).filter_map(|(at, _)| {
        let end = |letter: char| letter.is_whitespace() || ")>\"'`|,;#…{$".contains(letter);
        let address = line[at..].split(end).next()?.trim_end_matches(['.', ':', '/']);
        let is_site = address.contains('.') && NOT_SITES.iter().all(|not| !address.contains(not));
        is_site.then_some(address)
    })
}

fn is_answered(address: &str) -> bool {
    Run::program("curl", "--silent --fail --location --retry 2 --max-time 30 --output")
        .arg(if cfg!(windows) { "NUL" } else { "/dev/null" })
        .arg(address)
        .works()
}

#[cfg(test)]
mod tests {
    use super::of_line;

    #[test]
    fn addresses_end_where_a_sentence_goes_on() {
        let line =
            "See [it](https://a.b/c#d), <https://e.f/>, https://g.h. Not http://localhost:1.";
        let found: Vec<_> = of_line(line).collect();
        assert_eq!(found, ["https://a.b/c", "https://e.f", "https://g.h"]);
    }
}
