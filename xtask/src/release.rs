//! A release of the crate: refused unless all is in order; nothing leaves this machine unless asked.

use crate::{
    builds, deny, files, lint, manifest, package,
    run::{Outcome, Run, root},
    test,
};

const BRANCH: &str = "main";

/// `VERSION [--execute]`: refuses what is not ready, runs the checks, and says what is left to do;
/// with `--execute` does it: tags, pushes the tag, and publishes.
pub(crate) fn all(arguments: &[String]) -> Outcome {
    let (version, execute) = match arguments {
        [version] => (version, false),
        [version, execute] if execute == "--execute" => (version, true),
        _ => return Err("takes a version, and `--execute`".to_owned()),
    };
    let state = State::read(execute)?;
    let obstacles = state.obstacles(version);
    if !obstacles.is_empty() {
        return Err(format!("{version} is not ready\n- {}", obstacles.join("\n- ")));
    }
    lint::all(&[])?;
    deny::all(&[])?;
    test::all(&[])?;
    package::all(&[])?;
    builds::msrv(&[])?;
    builds::minimal(&[])?;
    builds::cross(&[])?;
    builds::docs(&[])?;
    builds::api(&[])?;
    match previous(&state.changelog) {
        Some(previous) => no_break_since(&previous)?,
        None => println!("\nthe first release: there is none before it to be compatible with"),
    }
    let steps = [
        ("git", format!("tag --annotate v{version} --message v{version}")),
        ("git", format!("push origin v{version}")),
        ("cargo", "publish --package rondel".to_owned()),
    ];
    for (program, arguments) in steps {
        if execute {
            Run::program(program, &arguments).check()?;
        } else {
            println!("left to do: {program} {arguments}");
        }
    }
    if !execute {
        println!("`cargo xtask release {version} --execute` does it.");
    }
    Ok(())
}

/// What a release depends on.
struct State {
    branch: String,
    /// Files with changes that are not committed.
    changes: String,
    tags: String,
    manifest: String,
    changelog: String,
    /// Whether it is to be published now.
    execute: bool,
}

impl State {
    fn read(execute: bool) -> Outcome<Self> {
        let git = |arguments| Run::program("git", arguments).output();
        let read = |name: &str| files::read(root().join(name));
        Ok(Self {
            branch: git("branch --show-current")?.trim().to_owned(),
            changes: git("status --porcelain")?,
            tags: git("tag --list")?,
            manifest: read("Cargo.toml")?,
            changelog: read("CHANGELOG.md")?,
            execute,
        })
    }

    /// Everything that stands in the way of releasing `version`.
    fn obstacles(&self, version: &str) -> Vec<String> {
        let mut obstacles = Vec::new();
        let mut unless = |is_well: bool, why: String| {
            if !is_well {
                obstacles.push(why);
            }
        };
        let numbers: Vec<_> = version.split('.').collect();
        unless(
            numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok()),
            format!("`{version}` is not of the form 1.2.3"),
        );
        unless(self.branch == BRANCH, format!("the branch is `{}`, not `{BRANCH}`", self.branch));
        unless(
            self.changes.trim().is_empty(),
            format!("there are changes that are not committed:\n{}", self.changes.trim_end()),
        );
        let tag = format!("v{version}");
        unless(
            !self.tags.lines().any(|known| known == tag),
            format!("there is a tag {tag} already"),
        );
        let stated = manifest::entry(&self.manifest, "version").unwrap_or("none");
        unless(stated == version, format!("Cargo.toml says version {stated}, not {version}"));
        unless(
            entry(&self.changelog, version).is_some(),
            format!("CHANGELOG.md has no entry `## [{version}] - YYYY-MM-DD` that says anything"),
        );
        // Published, the links and pictures of the README need it.
        unless(
            !self.execute || manifest::entry(&self.manifest, "repository").is_some(),
            "Cargo.toml does not say where the repository is".to_owned(),
        );
        obstacles
    }
}

/// What the changelog says about a version, if it has a date and says something.
fn entry<'c>(changelog: &'c str, version: &str) -> Option<&'c str> {
    let (_, rest) = changelog.split_once(&format!("\n## [{version}] - "))?;
    let (date, rest) = rest.split_once('\n')?;
    let text = rest.split("\n## ").next()?;
    let digits = date.trim().split('-').map(str::len);
    let is_dated =
        digits.eq([4, 2, 2]) && date.trim().chars().all(|c| c == '-' || c.is_ascii_digit());
    (is_dated && text.lines().any(|line| line.starts_with("- "))).then_some(text)
}

/// The version before the newest one that has an entry.
fn previous(changelog: &str) -> Option<String> {
    let mut versions = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## [")?.split_once(']').map(|(version, _)| version))
        .filter(|version| *version != "Unreleased");
    versions.nth(1).map(str::to_owned)
}

/// That no program which compiles with the version before fails to with this one, unless the
/// numbers say so.
fn no_break_since(previous: &str) -> Outcome {
    if !Run::cargo("semver-checks --version").works() {
        Run::cargo("install cargo-semver-checks --locked --debug").check()?;
    }
    Run::cargo("semver-checks --package rondel --baseline-rev").arg(&format!("v{previous}")).check()
}

#[cfg(test)]
mod tests {
    use super::{State, entry, previous};

    const CHANGELOG: &str = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-11-24\n\n\
                             ### Added\n\n- A thing.\n\n## [0.1.0] - 2026-10-01\n\n- All.\n";

    const MANIFEST: &str = "version = \"0.2.0\"\nrepository = \"https://example.org\"\n";

    fn ready() -> State {
        State {
            branch: "main".to_owned(),
            changes: String::new(),
            tags: "v0.1.0\n".to_owned(),
            manifest: MANIFEST.to_owned(),
            changelog: CHANGELOG.to_owned(),
            execute: true,
        }
    }

    #[track_caller]
    fn assert_refused(state: &State, version: &str, why: &str) {
        let obstacles = state.obstacles(version);
        assert!(obstacles.iter().any(|obstacle| obstacle.contains(why)), "{obstacles:?}");
    }

    #[test]
    fn what_is_ready_meets_no_obstacle() {
        assert_eq!(ready().obstacles("0.2.0"), [""; 0]);
    }

    #[test]
    fn a_dirty_tree_is_refused() {
        let state = State { changes: " M src/lib.rs\n".to_owned(), ..ready() };
        assert_refused(&state, "0.2.0", "src/lib.rs");
    }

    #[test]
    fn another_branch_is_refused() {
        assert_refused(&State { branch: "work".to_owned(), ..ready() }, "0.2.0", "`work`");
    }

    #[test]
    fn a_version_that_is_tagged_or_not_in_the_manifest_is_refused() {
        assert_refused(&ready(), "0.1.0", "tag v0.1.0");
        assert_refused(&ready(), "0.1.0", "version 0.2.0");
        assert_refused(&ready(), "next", "form 1.2.3");
    }

    #[test]
    fn a_version_without_a_changelog_entry_is_refused() {
        assert_refused(&ready(), "0.3.0", "no entry");
        let empty = CHANGELOG.replace("- A thing.\n", "");
        assert_refused(&State { changelog: empty, ..ready() }, "0.2.0", "no entry");
        let undated = CHANGELOG.replace("2026-11-24", "soon");
        assert_refused(&State { changelog: undated, ..ready() }, "0.2.0", "no entry");
    }

    #[test]
    fn nothing_is_published_without_a_repository() {
        let state = State { manifest: "version = \"0.2.0\"\n".to_owned(), ..ready() };
        assert_refused(&state, "0.2.0", "repository");
        assert_eq!(State { execute: false, ..state }.obstacles("0.2.0"), [""; 0]);
    }

    #[test]
    fn an_entry_ends_where_the_next_begins() {
        assert_eq!(entry(CHANGELOG, "0.2.0").map(|text| text.contains("All")), Some(false));
        assert_eq!(previous(CHANGELOG), Some("0.1.0".to_owned()));
        assert_eq!(previous("# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-10-01\n"), None);
    }
}
