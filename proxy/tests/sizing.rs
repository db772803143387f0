//! The memory that `docs/sizing.md` promises, measured on processes of their own. Of a build for
//! debugging it says nothing: `cargo xtask sizing`.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use support::{Server, Wire, process::ProxyProcess};

const PAGE: &str = include_str!("../../docs/sizing.md");

/// What the page says that this takes, in KiB.
fn said(what: &str) -> u64 {
    let (_, rest) = PAGE.split_once(&format!("\n| {what} | ")).expect("a row");
    let mut words = rest.split([' ', ';']).skip_while(|word| *word == "under");
    let number: u64 = words.next().unwrap().parse().unwrap();
    number * if words.next() == Some("MiB") { 1024 } else { 1 }
}

fn check(what: &str, total: u64, of: u64) {
    #[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
    {
        println!("{what}: {} bytes", total * 1024 / of);
    }
    assert!(total <= said(what) * of, "{what}: {total} KiB for {of}");
}

#[tokio::test]
#[cfg_attr(debug_assertions, ignore = "wants a release build: cargo xtask sizing")]
async fn the_process_its_connections_and_its_sessions_take_no_more_than_is_said() {
    const WARM_UP: u64 = 50;
    const CONNECTIONS: u64 = 400;
    const SESSIONS: u64 = 10_000;
    const AT_ONCE: u16 = 50;
    let server = Server::named("a").await;
    let proxy = ProxyProcess::start(&server.line(), &["--session", "off"]).await;
    let one = Wire::connect(proxy.address).await.get("/").await;
    assert_eq!(one.status(), 200);
    check("the process", proxy.memory(), 1);

    let mut idle = Vec::new();
    let mut before = 0;
    for number in 0..WARM_UP + CONNECTIONS {
        if number == WARM_UP {
            before = proxy.memory();
        }
        let mut wire = Wire::connect(proxy.address).await;
        wire.get("/").await;
        idle.push(wire);
    }
    let grown = proxy.memory().saturating_sub(before);
    check("a client's connection, idle after a request", grown, CONNECTIONS);

    let proxy = ProxyProcess::start(&server.line(), &[]).await;
    Wire::connect(proxy.address).await.get("/").await;
    let before = proxy.memory();
    let mut wire = Wire::connect(proxy.address).await;
    let requests = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(AT_ONCE.into());
    for _ in 0..SESSIONS / u64::from(AT_ONCE) {
        wire.write(&requests).await;
        for _ in 0..AT_ONCE {
            assert!(wire.read_answer().await.head.field("set-cookie").is_some());
        }
    }
    let grown = proxy.memory().saturating_sub(before);
    check("a session in the embedded store", grown, SESSIONS);
}
