//! Clients behind a load balancer that names them by the PROXY protocol.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::time::Duration;

use support::{
    Server, TestProxy, Wire,
    http2::Client,
    process::ProxyProcess,
    tls::{Authority, shake},
    within,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// A proxy that believes whoever is on this machine.
async fn behind(server: &Server) -> TestProxy {
    TestProxy::start_with(server.line(), |settings| {
        settings.proxy_protocol = vec!["127.0.0.0/8".parse().unwrap()];
        settings.limits.handshake = Duration::from_millis(500);
    })
    .await
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    header.extend(rest);
    header
}

const FOUR: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 4, 0, 0, 80];

fn six() -> Vec<u8> {
    let mut addresses = vec![0; 36];
    addresses[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
    addresses[15] = 9;
    addresses
}

#[tokio::test]
async fn the_client_that_is_named_is_the_one_that_servers_see() {
    let server = Server::named("a").await;
    let proxy = behind(&server).await;
    let fields = [&FOUR[..], &[4, 0, 200], &[0; 200]].concat();
    for (header, client, forwarded) in [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 1024 80\r\n".to_vec(), "203.0.113.7", "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::9 ::1 1024 80\r\n".to_vec(), "2001:db8::9", "\"[2001:db8::9]\""),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1", "127.0.0.1"),
        (version_2(0x21, 0x11, &FOUR), "203.0.113.7", "203.0.113.7"),
        (version_2(0x21, 0x21, &six()), "2001:db8::9", "\"[2001:db8::9]\""),
        (version_2(0x21, 0x11, &fields), "203.0.113.7", "203.0.113.7"),
        (version_2(0x20, 0x11, &FOUR), "127.0.0.1", "127.0.0.1"),
        (version_2(0x20, 0x00, &[]), "127.0.0.1", "127.0.0.1"),
        (version_2(0x21, 0x31, &[0; 216]), "127.0.0.1", "127.0.0.1"),
    ] {
        // With the request in one piece, and byte by byte.
        for piece in [1_000, 1] {
            let mut wire = proxy.connect().await;
            for part in [&header[..], REQUEST.as_bytes()].concat().chunks(piece) {
                wire.write(part).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(wire.read_answer().await.text(), "a");
            // It is said once, and holds for all requests.
            assert_eq!(wire.get("/again").await.text(), "a");
            for head in &server.heads()[server.hits() - 2..] {
                assert_eq!(head.field("x-forwarded-for"), Some(client));
                let start = format!("for={forwarded};");
                assert!(head.field("forwarded").unwrap().starts_with(&start), "{head:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_header_that_is_malformed_missing_or_late_ends_the_connection() {
    let server = Server::named("a").await;
    let proxy = behind(&server).await;
    let long = format!("PROXY TCP4 {} 10.0.0.1 1 2\r\n", "1".repeat(120));
    for bad in [
        REQUEST.as_bytes().to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.7 10.0.0.1 1024 80\n".to_vec(),
        b"PROXY TCP4 203.0.113.7 10.0.0.1 1024\r\n".to_vec(),
        b"proxy TCP4 203.0.113.7 10.0.0.1 1024 80\r\n".to_vec(),
        long.into_bytes(),
        version_2(0x31, 0x11, &FOUR),
        version_2(0x21, 0x12, &FOUR),
        version_2(0x21, 0x11, &FOUR[..8]),
        // These are late.
        b"PROXY TCP4 203.0.113.7".to_vec(),
        version_2(0x21, 0x11, &FOUR)[..20].to_vec(),
        Vec::new(),
    ] {
        let mut wire = proxy.connect().await;
        wire.write(&bad).await;
        if bad.len() > 30 || bad.starts_with(b"PRI") {
            // Something behind it helps nothing. It may be closed already.
            let _ = wire.write_some(REQUEST.as_bytes()).await;
        }
        assert_eq!(wire.read_to_end().await, b"", "{:?}", String::from_utf8_lossy(&bad));
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn from_anybody_else_it_is_no_header() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.proxy_protocol = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    assert_eq!(proxy.get("/").await.text(), "a");
    let line = "PROXY TCP4 203.0.113.7 10.0.0.1 1024 80\r\n";
    assert_eq!(proxy.ask(&format!("{line}{REQUEST}")).await.status(), 400);
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn whether_a_client_is_trusted_is_asked_of_the_one_that_is_named() {
    let server = Server::named("a").await;
    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.proxy_protocol = vec!["127.0.0.1/32".parse().unwrap()];
        settings.trusted = vec!["203.0.113.0/24".parse().unwrap()];
    })
    .await;
    for (client, chain) in
        [("203.0.113.7", "198.51.100.1, 203.0.113.7"), ("192.0.2.1", "192.0.2.1")]
    {
        let request = format!(
            "PROXY TCP4 {client} 10.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\
             X-Forwarded-For: 198.51.100.1\r\n\r\n"
        );
        assert_eq!(proxy.ask(&request).await.text(), "a");
        assert_eq!(server.heads().last().unwrap().field("x-forwarded-for"), Some(chain));
    }
}

#[tokio::test]
async fn it_comes_before_tls_and_before_http2() {
    let (authority, server) = (Authority::new(), Server::named("a").await);
    let header = version_2(0x21, 0x11, &FOUR);
    let proxy = behind(&server).await;
    let mut socket = within(TcpStream::connect(proxy.address)).await.unwrap();
    socket.write_all(&header).await.unwrap();
    assert_eq!(Client::over(socket).await.get("/").await, (200, "a".into()));

    let proxy = TestProxy::start_with(server.line(), |settings| {
        settings.proxy_protocol = vec!["127.0.0.1/32".parse().unwrap()];
        settings.certificates = Some(authority.certificates());
    })
    .await;
    let mut socket = within(TcpStream::connect(proxy.address)).await.unwrap();
    socket.write_all(&header).await.unwrap();
    let config = authority.client(tokio_rustls::rustls::ALL_VERSIONS, &["http/1.1"]);
    let name = ServerName::try_from("localhost").unwrap();
    let shaken =
        within(TlsConnector::from(std::sync::Arc::new(config)).connect(name, socket)).await;
    assert_eq!(Wire::new(shaken.unwrap()).get("/").await.text(), "a");
    for head in server.heads() {
        assert_eq!(head.field("x-forwarded-for"), Some("203.0.113.7"));
    }
    // And nothing goes without it.
    let config = authority.client(tokio_rustls::rustls::ALL_VERSIONS, &[]);
    assert!(shake(config, proxy.address, "localhost").await.is_err());
}

#[tokio::test]
async fn the_access_log_has_the_client_that_is_named() {
    let server = Server::named("a").await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let flags = ["--proxy-protocol", "127.0.0.0/8", "--access-log", log.to_str().unwrap()];
    let proxy = ProxyProcess::start(&server.line(), &flags).await;
    let mut wire = Wire::connect(proxy.address).await;
    wire.write(format!("PROXY TCP4 203.0.113.7 10.0.0.1 1024 80\r\n{REQUEST}")).await;
    assert_eq!(wire.read_answer().await.text(), "a");
    support::until(|| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.contains(r#""client":"203.0.113.7""#)
    })
    .await;
}
