//! gRPC through the proxy, with the reference implementation at both ends (`grpc/peer.py`).

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{path::PathBuf, process::Stdio, time::Duration};

use rondel_proxy::{backend::State, health::HealthSettings};
use support::{
    TestProxy, free_address,
    tls::{self, Authority},
    within,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// Python with grpcio, where `cargo xtask test` puts it.
fn peer(arguments: &[&str]) -> Command {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("../target/python/bin/python3");
    assert!(python.exists(), "there is no {}: `cargo xtask test` makes it", python.display());
    let mut command = Command::new(python);
    command.arg(here.join("tests/grpc/peer.py")).args(arguments).kill_on_drop(true);
    command
}

struct GrpcServer {
    port: u16,
    _process: Child,
}

impl GrpcServer {
    async fn start() -> Self {
        let mut process = peer(&["serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = within(said.next_line()).await.unwrap().expect("it ended at once");
        Self { port: port.parse().unwrap(), _process: process }
    }
}

async fn call(arguments: &[&str]) {
    let arguments = [&["call"], arguments].concat();
    let output = within(peer(&arguments).output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("all is well"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_call_passes_in_clear() {
    let server = GrpcServer::start().await;
    let line = format!("http://127.0.0.1:{} h2 name=grpc", server.port);
    let proxy = TestProxy::start_with(line, |settings| {
        let interval = Duration::from_millis(100);
        settings.health = Some(HealthSettings { interval, ..HealthSettings::default() });
    })
    .await;
    call(&[&proxy.address.to_string()]).await;
    // It resets what is no call of its own, such as a probe, and is there all the same.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(proxy.roster.find("grpc").unwrap().state(), State::Up);
    support::until(|| proxy.roster.find("grpc").unwrap().in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_call_passes_over_tls_on_both_sides() {
    let (authority, server) = (Authority::new(), GrpcServer::start().await);
    let pair = authority.issue("server", &["localhost"]);
    let port = tls::before(([127, 0, 0, 1], server.port).into(), &pair, &["h2"]).await.port();
    let proxy = TestProxy::start_with(format!("https://localhost:{port} h2"), |settings| {
        settings.certificates = Some(authority.certificates());
        settings.roots = authority.roots();
    })
    .await;
    let address = format!("localhost:{}", proxy.address.port());
    call(&[&address, authority.file().to_str().unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_no_server_takes_is_unavailable() {
    let nobody = free_address().await;
    let proxy = TestProxy::start(format!("http://{nobody} h2")).await;
    let output = within(peer(&["call", &proxy.address.to_string()]).output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("StatusCode.UNAVAILABLE"), "{said}");
}
