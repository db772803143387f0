//! A new process takes over from an old one, and the service manager is told.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{
    net::SocketAddr,
    os::unix::net::UnixDatagram,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use support::{Server, Wire, process::ProxyProcess, until};
use tokio::task::JoinHandle;

/// A connection for each request, or one for all, until told to stop.
fn ask(
    address: SocketAddr,
    keep: bool,
    stop: &Arc<AtomicBool>,
    asked: &Arc<AtomicUsize>,
) -> JoinHandle<()> {
    let (stop, asked) = (Arc::clone(stop), Arc::clone(asked));
    tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            let mut client = Wire::connect(address).await;
            let mut kept = false;
            loop {
                client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
                let Some(head) = client.read_head().await else {
                    // A stop closes what is idle, and may meet the next request on its way. Clients
                    // know that of any kept connection, and never see it on a new one.
                    assert!(kept, "a new connection was closed without an answer");
                    break;
                };
                assert_eq!(head.status(), 200);
                assert_eq!(client.read_body(&head).await.unwrap(), b"a");
                asked.fetch_add(1, Ordering::Relaxed);
                kept = keep && head.field("connection") != Some("close");
                if !kept || stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_takes_over_without_a_refused_connection_or_a_lost_request() {
    let server = Server::named("a").await;
    let flags = ["--session", "off", "--workers", "2"];
    let mut old = ProxyProcess::start(&server.line(), &flags).await;
    old.ignore();
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> =
        (0..4).map(|number| ask(old.address, number == 0, &stop, &asked)).collect();
    let more = async |count: usize| {
        let before = asked.load(Ordering::Relaxed);
        until(|| {
            assert!(clients.iter().all(|client| !client.is_finished()), "a client failed");
            asked.load(Ordering::Relaxed) > before + count
        })
        .await;
    };
    more(100).await;
    for _ in 0..3 {
        let mut new = ProxyProcess::start_on(old.address.port(), &server.line(), &flags, &[]).await;
        let warned = new.before.iter().any(|line| line.contains("is shared with another process"));
        assert!(warned, "{:?}", new.before);
        new.ignore();
        more(100).await;
        old.signal(Signal::TERM);
        assert_eq!(old.ended().await, 0);
        more(100).await;
        old = new;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

fn next_message(socket: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let length = socket.recv(&mut message).unwrap();
    String::from_utf8_lossy(&message[..length]).into_owned()
}

#[tokio::test]
async fn the_service_manager_hears_of_the_beginning_of_life_and_of_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1500000")];
    let mut proxy =
        ProxyProcess::start_on(0, "http://localhost:1", &["--session", "off"], &environment).await;
    assert_eq!(next_message(&manager), "READY=1");
    assert_eq!(next_message(&manager), "WATCHDOG=1");
    assert_eq!(next_message(&manager), "WATCHDOG=1");
    proxy.signal(Signal::TERM);
    let mut message = next_message(&manager);
    while message == "WATCHDOG=1" {
        message = next_message(&manager);
    }
    assert_eq!(message, "STOPPING=1");
    assert_eq!(proxy.ended().await, 0);
}

#[test]
fn the_unit_file_is_one_that_systemd_understands_and_that_is_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let unit = format!("{}/dist/rondel-proxy.service", env!("CARGO_MANIFEST_DIR"));
    let unit = std::fs::read_to_string(unit).unwrap();
    // What it starts has to be there.
    let here = support::process::binary();
    let unit = unit.replace("/usr/local/bin/rondel-proxy", here.to_str().unwrap());
    let file = folder.path().join("rondel-proxy.service");
    std::fs::write(&file, unit).unwrap();
    let systemd = |arguments: &[&str]| {
        let mut command = std::process::Command::new("systemd-analyze");
        let output = command.args(arguments).arg(&file).output();
        let output = output.expect("systemd-analyze: apt-get install systemd");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (accepted, said) = systemd(&["verify", "--man=no"]);
    assert!(accepted && !said.contains("rondel"), "{said}");
    // Of ten; a service without any hardening has 9.6.
    let (accepted, said) = systemd(&["security", "--offline=true", "--threshold=20"]);
    assert!(accepted, "{said}");
}
