//! A WebSocket client and server that know the whole protocol, with the proxy between them and
//! without: nobody can tell the difference (`websocket/cases.py`).

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{collections::BTreeMap, net::SocketAddr, process::Stdio};

use serde_json::Value;
use support::TestProxy;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websocket/cases.py");

/// The system's own interpreter: the library comes from its packages.
fn python() -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(CASES).kill_on_drop(true);
    command
}

async fn serve() -> (Child, SocketAddr) {
    let mut child = python()
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3; `cargo xtask test` installs it");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let port: u16 =
        line.trim().parse().expect("python3-websockets; `cargo xtask test` installs it");
    (child, ([127, 0, 0, 1], port).into())
}

async fn talk(to: SocketAddr) -> BTreeMap<String, Value> {
    let talk = python().args(["talk", &to.ip().to_string(), &to.port().to_string()]).output();
    let output = talk.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_comes_to_the_same_with_the_proxy_and_without() {
    let (_server, address) = serve().await;
    let direct = talk(address).await;
    assert!(direct.len() >= 150, "{}", direct.len());
    let fine = direct.iter().filter(|(name, _)| name.starts_with("echo"));
    assert!(fine.clone().count() >= 40 && fine.clone().all(|(_, end)| end[0] == true));
    let proxy = TestProxy::start(format!("http://{address}")).await;
    let through = talk(proxy.address).await;
    for (name, end) in &direct {
        assert_eq!(through.get(name), Some(end), "{name}");
    }
    assert_eq!(through.len(), direct.len());
}
