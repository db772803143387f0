//! TLS with servers.

mod support;

use std::time::Duration;

use rcgen::date_time_ymd;
use rondel_proxy::{backend::State, health::HealthSettings, settings::HostPolicy, tls::Roots};
use support::{
    Server, TestProxy, Wire,
    process::ProxyProcess,
    tls::{self, Authority},
    until,
};

/// The port of a server that has this certificate.
async fn serve(authority: &Authority, names: &[&str], server: &Server) -> u16 {
    let pair = authority.issue("server", names);
    tls::before(server.address, &pair, &["http/1.1"]).await.port()
}

#[tokio::test]
async fn a_server_that_proves_who_it_is_is_asked_over_kept_connections() {
    let (authority, server) = (Authority::new(), Server::echo().await);
    let port = serve(&authority, &["localhost"], &server).await;
    let proxy = TestProxy::start_with(format!("https://localhost:{port}"), |settings| {
        settings.roots = authority.roots();
        settings.host = HostPolicy::Backend;
    })
    .await;
    let mut client = proxy.connect().await;
    let body = vec![b'x'; 1_000_000];
    for _ in 0..3 {
        client
            .write(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()))
            .await;
        client.write(&body).await;
        assert!(client.read_answer().await.body == body);
    }
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::Relaxed), 1);
    let host = format!("localhost:{port}");
    assert_eq!(server.heads()[0].field("host"), Some(host.as_str()));
    assert_eq!(server.heads()[0].field("x-forwarded-proto"), Some("http"));
}

#[tokio::test]
async fn an_address_in_the_url_is_the_name_in_the_certificate() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let port = serve(&authority, &["127.0.0.1"], &server).await;
    let proxy = TestProxy::start_with(format!("https://127.0.0.1:{port}"), |settings| {
        settings.roots = authority.roots();
    })
    .await;
    assert_eq!(proxy.get("/").await.text(), "a");
}

#[tokio::test]
async fn a_server_that_does_not_prove_who_it_is_gets_no_request_and_the_reason_is_told() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let other = Authority::new();
    let old = authority.issue_with("old", &["localhost"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let early = authority.issue_with("early", &["localhost"], |params| {
        params.not_before = date_time_ymd(2090, 1, 1);
    });
    for (pair, roots, why) in [
        (authority.issue("name", &["example.org"]), authority.roots(), "is for another name"),
        (old, authority.roots(), "has expired"),
        (early, authority.roots(), "is not valid yet"),
        (authority.issue("issuer", &["localhost"]), other.roots(), "not from an authority"),
        (authority.issue("system", &["localhost"]), Roots::of_system(), "not from an authority"),
    ] {
        let port = tls::before(server.address, &pair, &[]).await.port();
        let proxy = TestProxy::start_with(format!("https://localhost:{port}"), |settings| {
            settings.roots = roots;
        })
        .await;
        let answer = proxy.get("/").await;
        assert_eq!((answer.status(), answer.error()), (502, "tls"));
        assert!(answer.text().contains(why), "{}, not {why}", answer.text());
    }
    // Nor does one that speaks no TLS at all.
    let port = server.address.port();
    let proxy = TestProxy::start_with(format!("https://127.0.0.1:{port}"), |settings| {
        settings.roots = authority.roots();
        settings.limits.handshake = Duration::from_millis(300);
    })
    .await;
    let answer = proxy.get("/").await;
    assert_eq!((answer.status(), answer.error()), (502, "tls"), "{}", answer.text());
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_request_goes_to_another_server_if_the_first_does_not_prove_who_it_is() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let good = serve(&authority, &["localhost"], &server).await;
    let bad = authority.issue("bad", &["example.org"]);
    let bad = tls::before(server.address, &bad, &[]).await.port();
    let servers = format!("https://localhost:{bad}\nhttps://localhost:{good}");
    let proxy = TestProxy::start_with(servers, |settings| settings.roots = authority.roots()).await;
    for _ in 0..4 {
        assert_eq!(proxy.get("/").await.text(), "a");
    }
}

#[tokio::test]
async fn probes_go_over_tls_too_and_the_log_says_what_is_wrong() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let good = serve(&authority, &["localhost"], &server).await;
    let bad = authority.issue("bad", &["example.org"]);
    let bad = tls::before(server.address, &bad, &[]).await.port();
    let servers = format!("https://localhost:{bad} name=bad\nhttps://localhost:{good} name=good");
    let proxy = TestProxy::start_with(&servers, |settings| {
        settings.roots = authority.roots();
        let interval = Duration::from_millis(50);
        settings.health = Some(HealthSettings { interval, ..HealthSettings::default() });
    })
    .await;
    until(|| proxy.roster.find("bad").unwrap().state() == State::Down).await;
    until(|| server.hits() > 3).await;
    assert_eq!(proxy.roster.find("good").unwrap().state(), State::Up);

    let ca = authority.file();
    let flags = ["--ca", ca.to_str().unwrap(), "--health", "on", "--health-interval", "50ms"];
    let mut process = ProxyProcess::start(&servers, &flags).await;
    let said = process.says("server is down").await;
    assert!(said.contains("its certificate is for another name"), "{said}");
    let mut client = Wire::connect(process.address).await;
    assert_eq!(client.get("/").await.text(), "a");
}

#[tokio::test]
async fn an_upgrade_passes_to_a_server_over_tls() {
    let authority = Authority::new();
    let server = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        wire.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
        )
        .await;
        while let Ok(byte) = wire.read_exact(1).await {
            wire.write(byte).await;
        }
    })
    .await;
    let port = serve(&authority, &["localhost"], &server).await;
    let proxy = TestProxy::start_with(format!("https://localhost:{port}"), |settings| {
        settings.roots = authority.roots();
    })
    .await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    assert_eq!(client.read_head().await.unwrap().status(), 101);
    client.write("more").await;
    assert_eq!(client.read_exact(4).await.unwrap(), b"more");
}
