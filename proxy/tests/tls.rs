//! TLS with clients.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{fs, path::Path, time::Duration};

use rondel_proxy::{session::SessionSettings, settings::Limits, tls::Certificates};
use support::{
    Server, TestProxy, Wire,
    process::ProxyProcess,
    tls::{Authority, shake},
    until, within,
};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::rustls::{
    ALL_VERSIONS, ProtocolVersion,
    version::{TLS12, TLS13},
};

async fn secure(authority: &Authority, server: &Server) -> TestProxy {
    TestProxy::start_with(server.line(), |settings| {
        settings.certificates = Some(authority.certificates());
    })
    .await
}

#[tokio::test]
async fn a_server_is_told_that_the_client_came_over_tls() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let proxy = secure(&authority, &server).await;
    let mut client = authority.connect(proxy.address, "localhost").await;
    assert_eq!(client.get("/").await.text(), "a");
    assert_eq!(client.get("/again").await.text(), "a");
    let head = &server.heads()[0];
    assert_eq!(head.field("x-forwarded-proto"), Some("https"));
    assert!(head.field("forwarded").unwrap().ends_with(";proto=https"));
}

#[tokio::test]
async fn both_versions_are_spoken_and_the_protocol_is_agreed_on() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let proxy = secure(&authority, &server).await;
    for (version, number) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        for (offered, agreed) in [
            (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
            (&["http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ] {
            let config = authority.client(&[version], offered);
            let stream = shake(config, proxy.address, "localhost").await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(number));
            assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
            if agreed != Some(b"h2") {
                assert_eq!(Wire::new(stream).get("/").await.text(), "a");
            }
        }
    }
}

#[tokio::test]
async fn the_session_cookie_is_for_tls_alone() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let pair = authority.issue("proxy", &["localhost"]);
    let (cert, key) = (pair.cert.to_str().unwrap(), pair.key.to_str().unwrap());
    let flags = ["--tls-cert", cert, "--tls-key", key];
    let proxy = ProxyProcess::start(&server.line(), &flags).await;
    let answer = authority.connect(proxy.address, "localhost").await.get("/").await;
    let cookie = answer.head.field("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-rondel_sid=v1."), "{cookie}");
    assert!(cookie.contains("; Secure"), "{cookie}");
    assert!(SessionSettings::default().cookie == "rondel_sid");
}

#[tokio::test]
async fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let pairs = vec![
        authority.issue("one", &["one.example"]),
        authority.issue("two", &["two.example", "*.two.example"]),
    ];
    let ders: Vec<_> = pairs.iter().map(|pair| der(&pair.cert)).collect();
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.certificates = Some(Certificates::read(pairs).unwrap());
    })
    .await;
    for (name, expected) in [("one.example", 0), ("two.example", 1), ("WWW.two.example", 1)] {
        let stream = shake(authority.client(ALL_VERSIONS, &[]), proxy.address, name).await.unwrap();
        let seen = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(seen[0].as_ref(), ders[expected], "{name}");
    }
    // Nobody's name: the first one is shown, and it is for the client to refuse it.
    for name in ["three.example", "a.b.two.example", "127.0.0.1"] {
        let refused = shake(authority.client(ALL_VERSIONS, &[]), proxy.address, name).await;
        let why = refused.unwrap_err().to_string();
        assert!(why.contains("one.example"), "{name}: {why}");
    }
}

fn der(file: &Path) -> Vec<u8> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
    CertificateDer::from_pem_file(file).unwrap().to_vec()
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_no_connection_is_closed_for_it() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let pair = authority.issue("proxy", &["localhost"]);
    let (cert, key) = (pair.cert.to_str().unwrap(), pair.key.to_str().unwrap());
    let flags = ["--tls-cert", cert, "--tls-key", key, "--session", "off"];
    let mut proxy = ProxyProcess::start(&server.line(), &flags).await;
    let mut old = authority.connect(proxy.address, "localhost").await;
    assert_eq!(old.get("/").await.text(), "a");
    let shown = async || {
        let config = authority.client(ALL_VERSIONS, &[]);
        let stream = shake(config, proxy.address, "localhost").await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let first = shown().await;
    authority.issue("proxy", &["localhost"]);
    let second = within(async {
        loop {
            let now = shown().await;
            if now != first {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(second, der(&pair.cert));
    proxy.says("certificates reloaded").await;
    assert_eq!(old.get("/").await.text(), "a");
    // Half of a pair is none.
    let other = authority.issue("other", &["localhost"]);
    fs::copy(&other.key, &pair.key).unwrap();
    let said = proxy.says("cannot be used with").await;
    assert!(said.contains("proxy.key"), "{said}");
    proxy.says("certificates not reloaded").await;
    let config = authority.client(ALL_VERSIONS, &[]);
    let stream = shake(config, proxy.address, "localhost").await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec(), second);
    fs::write(&pair.cert, "nonsense").unwrap();
    proxy.says("there is no certificate in it").await;
    assert_eq!(old.get("/").await.text(), "a");
}

#[tokio::test]
async fn who_does_not_shake_hands_is_let_go_and_holds_nobody_up() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.certificates = Some(authority.certificates());
        settings.limits = Limits { handshake: Duration::from_millis(500), ..Limits::default() };
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(proxy.connect().await);
    }
    let mut halting = proxy.connect().await;
    halting.write(b"\x16\x03\x01\x02\x00\x01").await;
    let mut client = authority.connect(proxy.address, "localhost").await;
    assert_eq!(client.get("/").await.text(), "a");
    for mut wire in silent {
        assert!(wire.is_closed().await);
    }
    assert!(halting.is_closed().await);
    // HTTP in clear gets no answer in clear.
    let mut clear = proxy.connect().await;
    clear.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let said = clear.read_to_end().await;
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    assert_eq!(client.get("/").await.text(), "a");
}

#[tokio::test]
async fn an_upgrade_passes_both_ways_over_tls() {
    let authority = Authority::new();
    let server = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        wire.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi",
        )
        .await;
        while let Ok(byte) = wire.read_exact(1).await {
            wire.write(byte).await;
        }
    })
    .await;
    let proxy = secure(&authority, &server).await;
    let mut client = authority.connect(proxy.address, "localhost").await;
    client
        .write("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly")
        .await;
    assert_eq!(client.read_head().await.unwrap().status(), 101);
    assert_eq!(client.read_exact(7).await.unwrap(), b"hiearly");
    client.write("more").await;
    assert_eq!(client.read_exact(4).await.unwrap(), b"more");
    within(client.stream.shutdown()).await.unwrap();
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn large_bodies_pass_both_ways_over_tls_and_a_cut_one_is_cut() {
    let (authority, server) = (Authority::new(), Server::echo().await);
    let proxy = secure(&authority, &server).await;
    let mut client = authority.connect(proxy.address, "localhost").await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    client
        .write(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()))
        .await;
    client.write(&body).await;
    assert!(client.read_answer().await.body == body);

    let cut = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    })
    .await;
    let proxy = secure(&authority, &cut).await;
    let mut client = authority.connect(proxy.address, "localhost").await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = client.read_head().await.unwrap();
    assert!(client.read_body(&head).await.is_err());
}

#[tokio::test]
async fn a_stop_lets_tls_clients_finish() {
    let authority = Authority::new();
    let server = Server::start(|mut wire, recorder| async move {
        recorder.record(wire.read_head().await.unwrap());
        tokio::time::sleep(Duration::from_millis(300)).await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
    })
    .await;
    let proxy = secure(&authority, &server).await;
    let mut client = authority.connect(proxy.address, "localhost").await;
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(|| server.hits() == 1).await;
    proxy.stop.drain();
    assert_eq!(client.read_answer().await.text(), "late");
    assert!(client.is_closed().await);
    assert!(proxy.ended().await);
}
