//! The pages of `docs/`, held against what they speak of: commands are run, configurations are
//! handed to whom they are for, lists are compared with what there is.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;
#[path = "support/page.rs"]
mod page;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use page::{Shell, blocks};
use support::process::{ProxyProcess, binary};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(FOLDER).join(name)).unwrap()
}

/// Runs the commands of a page, and holds what they write against what it says.
fn follow(page: &str, ports: &[u16]) {
    let mut shell = Shell::start(&binary(), ports);
    let mut said = None;
    let mut compared = 0;
    for block in blocks(page) {
        match block.language {
            // What this test runs is built already; nothing else is left out.
            "sh" if block.text.starts_with("cargo build") => {}
            "sh" => said = Some(shell.run(block.text)),
            "text" => {
                let said = said.take().expect("a command before what it writes");
                assert_eq!(said, shell.here(block.text));
                compared += 1;
            }
            other => panic!("a block of {other}"),
        }
    }
    assert!(compared > 2, "{compared}");
}

#[test]
fn the_quick_start_does_what_it_says() {
    follow(&page("quick-start.md"), &[6379, 7777, 7778, 8001, 8002, 8003, 8004]);
}

#[test]
fn several_proxies_over_a_cluster_do_what_the_page_says() {
    let ports = [7001, 7002, 7003, 7004, 7005, 7006, 7771, 7772, 7781, 7782, 8001, 8002];
    follow(&page("cluster.md"), &ports);
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} has to be installed: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn rondel(arguments: &[&str]) -> String {
    run(binary().to_str().unwrap(), arguments)
}

#[test]
fn the_configuration_is_what_the_binary_writes() {
    let written = rondel(&["reference"]);
    let how = "cargo run -p rondel-proxy -- reference > docs/configuration.md";
    assert!(written == page("configuration.md"), "the page is out of date: {how}");
}

#[test]
fn every_default_of_the_configuration_can_be_written_into_the_file() {
    let page = page("configuration.md");
    let mut settings = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| `") && line.contains("`RONDEL_")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let flag = cells[0].split("--").nth(1).unwrap().split([' ', '`']).next().unwrap();
        let default = cells[2].trim_matches('`');
        settings.push(match cells[2] {
            "off" => format!("{flag} = false\n"),
            quoted if quoted.starts_with('`') => format!("{flag} = \"{default}\"\n"),
            _ => String::new(),
        });
    }
    settings.push("[[servers]]\nurl = \"http://localhost:8000\"\n".to_owned());
    let text = settings.concat();
    assert!(text.lines().count() > 20, "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rondel.toml");
    fs::write(&file, text).unwrap();
    rondel(&["--config", file.to_str().unwrap(), "--check"]);
}

#[test]
fn the_configurations_of_others_and_ours_beside_them_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let text = page("migrating.md");
    let mut checked = BTreeSet::new();
    for block in blocks(&text) {
        let file = folder.path().join(block.language);
        let name = file.to_str().unwrap().to_owned();
        match block.language {
            "nginx" => {
                // A test opens its ports as well.
                let here = block.text.replace("listen 7777;", "listen 127.0.0.1:0;");
                let here = here.replace("127.0.0.1:0", &format!("unix:{name}.socket"));
                let whole = format!(
                    "pid {name}.pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n{here}}}\n"
                );
                fs::write(&file, whole).unwrap();
                run("nginx", &["-t", "-c", &name]);
            }
            "haproxy" => {
                fs::write(&file, block.text).unwrap();
                run("haproxy", &["-c", "-f", &name]);
            }
            "text" => {
                fs::write(&file, block.text).unwrap();
                rondel(&["-f", &name, "--check"]);
            }
            "toml" => {
                let servers = folder.path().join("text");
                fs::write(&file, block.text).unwrap();
                rondel(&["-f", servers.to_str().unwrap(), "--config", &name, "--check"]);
            }
            "caddyfile" => {
                fs::write(&file, block.text).unwrap();
                run("caddy", &["validate", "--adapter", "caddyfile", "--config", &name]);
            }
            // Traefik has no command that would look at it.
            "yaml" => {}
            other => panic!("a block of {other}"),
        }
        checked.insert(block.language.to_owned());
    }
    let all = ["caddyfile", "haproxy", "nginx", "text", "toml", "yaml"];
    assert!(all.iter().all(|one| checked.contains(*one)), "{checked:?}");
}

/// What stands in the first column of the rows of a page, where that is code.
fn first_cells(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_is_explained_and_every_alert_too() {
    let proxy = ProxyProcess::start("http://127.0.0.1:1 name=a", &["--admin", "127.0.0.1:0"]).await;
    let metrics = proxy.administer("GET", "/metrics", "").await;
    let families = metrics.text().lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exist: BTreeSet<_> =
        families.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let told = first_cells(&page("operations.md"));
    let is_metric = |name: &&String| name.starts_with("rondel_");
    let told_metrics: BTreeSet<_> = told.iter().filter(is_metric).cloned().collect();
    assert_eq!(told_metrics, exist);

    let alerts =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/dist/alerts.yml")).unwrap();
    let exist: BTreeSet<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let told_alerts: BTreeSet<_> =
        told.iter().map(String::as_str).filter(|name| name.starts_with("Rondel")).collect();
    assert_eq!(told_alerts, exist);
}

#[test]
fn the_tests_that_are_named_are_there() {
    let text = page("failures.md");
    let mut named = 0;
    for (file, rest) in text.split("| `").filter_map(|cell| cell.split_once(".rs`: `")) {
        let name = rest.split('`').next().unwrap();
        let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(source.contains(&format!("fn {name}()")), "{file}: {name}");
        named += 1;
    }
    assert!(named > 25, "{named}");
}
