//! The proxy as a process of its own, with what it says.

use std::{net::SocketAddr, path::PathBuf, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
};

use super::{
    wire::{Answer, Wire},
    within,
};

/// The proxy as a process of its own.
pub struct ProxyProcess {
    pub child: Child,
    pub address: SocketAddr,
    /// Where its admin listener is, if it has one.
    pub admin: Option<SocketAddr>,
    /// What it said until it listened.
    pub before: Vec<String>,
    stderr: Option<BufReader<ChildStderr>>,
    folder: tempfile::TempDir,
}

impl ProxyProcess {
    pub async fn start(servers: &str, flags: &[&str]) -> Self {
        Self::start_on(0, servers, flags, &[]).await
    }

    pub async fn start_on(
        port: u16,
        servers: &str,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("servers.txt");
        std::fs::write(&file, servers).unwrap();
        let mut child = Command::new(binary())
            .envs(environment.iter().copied())
            .args(["-p", &port.to_string(), "--bind", "127.0.0.1", "-f"])
            .arg(&file)
            .args(if flags.contains(&"--health") { &[][..] } else { &["--health", "off"] })
            .args(flags)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut before = Vec::new();
        let (address, admin) = loop {
            let mut line = String::new();
            assert!(within(stderr.read_line(&mut line)).await.unwrap() > 0, "it ended at once");
            let event: serde_json::Value = serde_json::from_str(&line).expect("one event a line");
            if event["message"] == "listening" {
                let at = |name: &str| event[name].as_str().unwrap().parse();
                break (at("address").unwrap(), at("admin").ok());
            }
            before.push(line);
        };
        Self { child, address, admin, before, stderr: Some(stderr), folder }
    }

    /// Its servers file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("servers.txt")
    }

    /// What it says next on stderr that has this in it.
    pub async fn says(&mut self, what: &str) -> String {
        let stderr = self.stderr.as_mut().unwrap();
        loop {
            let mut line = String::new();
            let read = within(stderr.read_line(&mut line)).await.unwrap();
            assert!(read > 0, "it ended without a word of `{what}`");
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Keeps all that it says from now on, and gives it once it has ended.
    pub fn keep(&mut self) -> JoinHandle<Vec<u8>> {
        let (mut stderr, mut kept) = (self.stderr.take().unwrap(), Vec::new());
        tokio::spawn(async move {
            stderr.read_to_end(&mut kept).await.unwrap();
            kept
        })
    }

    /// Lets it say what it likes from now on, and does not listen.
    pub fn ignore(&mut self) {
        let mut stderr = self.stderr.take().unwrap();
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
    }

    /// A word to its admin listener.
    pub async fn administer(&self, method: &str, path: &str, body: &str) -> Answer {
        let at = self.admin.expect("an admin listener");
        let mut wire = Wire::connect(at).await;
        let length = body.len();
        wire.write(format!(
            "{method} {path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
        .await;
        wire.read_answer().await
    }

    /// The value of a sample, its labels as they are written.
    pub async fn metric(&self, sample: &str) -> u64 {
        let page = self.administer("GET", "/metrics", "").await;
        let line = page.text().lines().find_map(|line| line.strip_prefix(&format!("{sample} ")));
        line.unwrap_or_else(|| panic!("no {sample}")).parse().unwrap()
    }

    /// How many files it has open.
    pub fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id().unwrap())).unwrap().count()
    }

    /// How much memory it has, in KiB.
    pub fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its exit code, once it has ended.
    pub async fn ended(&mut self) -> i32 {
        within(self.child.wait()).await.unwrap().code().expect("a signal killed it")
    }
}

pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_rondel-proxy"))
}
