//! The commands of a page, run in their order as a reader would, in one shell.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::ports::free_port;

/// For one block.
const PATIENCE: Duration = Duration::from_secs(90);
const END: &str = "--- end of block";

/// A fenced block: its language and its text.
pub(crate) struct Block<'p> {
    pub(crate) language: &'p str,
    pub(crate) text: &'p str,
}

/// All of a page, in their order.
pub(crate) fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut rest = page;
    let mut blocks = Vec::new();
    while let Some((_, after)) = rest.split_once("\n```") {
        let (language, body) = after.split_once('\n').expect("a block");
        let (text, next) = body.split_once("```\n").expect("the end of a block");
        blocks.push(Block { language, text });
        rest = next;
    }
    blocks
}

/// A shell in a folder of its own, in which the proxy is installed and the repository's examples
/// are. Whatever it starts ends with it.
pub(crate) struct Shell {
    folder: tempfile::TempDir,
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// What each port of the page is here.
    ports: BTreeMap<u16, u16>,
}

impl Shell {
    /// `ports`: those that the page speaks of, which may be taken on this machine.
    pub(crate) fn start(binary: &Path, ports: &[u16]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_MANIFEST_DIR"), folder.path().join("proxy")).unwrap();
        let ports: BTreeMap<u16, u16> = ports.iter().map(|port| (*port, free_ports())).collect();
        let path = std::env::var("PATH").unwrap();
        let complaints = File::create(folder.path().join("complaints")).unwrap();
        let mut child = Command::new("bash")
            .args(["-euo", "pipefail", "-s"])
            .current_dir(folder.path())
            .env("PATH", format!("{}:{path}", binary.parent().unwrap().display()))
            .envs(ports.get(&7778).map(|port| ("RONDEL_ADMIN", port.to_string())))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { folder, child, stdin, lines, ports }
    }

    /// Runs a block, and gives what it writes.
    pub(crate) fn run(&mut self, block: &str) -> String {
        let block = self.here(block);
        writeln!(self.stdin, "{block}\necho '{END}'").unwrap();
        let until = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line == END => break,
                Ok(line) => said.push_str(&(line + "\n")),
                Err(error) => panic!("{error}:\n{block}\n{said}\n{}", self.complaints()),
            }
        }
        said
    }

    /// The text with the ports of this run.
    pub(crate) fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (port, here) in &self.ports {
            // Marked, so that no port that was put in is taken for one of the page's.
            let digits: Vec<String> = here.to_string().chars().map(String::from).collect();
            text = text.replace(&port.to_string(), &digits.join("\u{1}"));
        }
        text.replace('\u{1}', "")
    }

    /// What went to standard error, and into the logs.
    fn complaints(&self) -> String {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| {
            path.extension().is_some_and(|end| end == "log") || path.ends_with("complaints")
        });
        let shown = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            format!("{}:\n{text}", path.display())
        };
        logs.map(shown).collect()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Nothing of it may be left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// With the one that a node of a Redis Cluster opens beside it.
fn free_ports() -> u16 {
    loop {
        let port = free_port();
        if port < 22_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}
