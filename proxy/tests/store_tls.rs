//! Redis behind TLS, and with no more rights than the handbook gives: the proxy as it is run.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

#[path = "support/lateness.rs"]
mod lateness;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;
mod support;

use std::time::Duration;

use lateness::Lateness;
use redis::{RedisServer, Reply};
use support::{Recorder, Server, Wire, ports, process::ProxyProcess, until, within};
use tempfile::{NamedTempFile, TempDir};

const SOON: Duration = Duration::from_millis(100);

/// Answers with the session and what it says of `note`.
async fn read_note(mut wire: Wire, _: Recorder) {
    while let Some(head) = wire.read_head().await {
        let given = |name| head.field(name).unwrap_or("none");
        let body = format!("{} {}", given("rondel-session"), given("rondel-session-note"));
        let length = body.len();
        wire.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")).await;
    }
}

/// A server that is called `localhost`, and the file with the only root that vouches for it.
fn server(folder: &TempDir) -> (RedisServer, u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, made.cert.pem()).unwrap();
    let (redis, port) =
        RedisServer::start_with_tls(&made.cert.pem(), &made.signing_key.serialize_pem());
    (redis, port, root.to_str().unwrap().to_owned())
}

async fn proxy(backend: &Server, url: &str, root: &str, secret: &NamedTempFile) -> ProxyProcess {
    let secret = secret.path().to_str().unwrap();
    let flags = ["--session-secret-file", secret, "--workers", "1", "--admin", "127.0.0.1:0"];
    // A password belongs into the environment: everybody may read the list of processes.
    let environment = [("RONDEL_REDIS", url), ("SSL_CERT_FILE", root)];
    ProxyProcess::start_on(0, &backend.line(), &flags, &environment).await
}

fn secret() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "the secret of these tests\n").unwrap();
    file
}

async fn ask(wire: &mut Wire, cookie: &mut String) -> (String, String) {
    wire.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{cookie}\r\n")).await;
    let answer = wire.read_answer().await;
    assert_eq!(answer.status(), 200);
    if let Some(set) = answer.head.field("set-cookie") {
        *cookie = format!("Cookie: {}\r\n", set.split(';').next().unwrap());
    }
    let (key, note) = answer.text().split_once(' ').unwrap();
    (key.to_owned(), note.to_owned())
}

/// The rights of the handbook.
fn rights() -> Vec<&'static str> {
    let handbook = include_str!("../../docs/sessions.md");
    let (_, rights) = handbook.split_once("ACL SETUSER rondel on >PASSWORD").expect("the rights");
    rights.split_once("```").expect("their end").0.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_and_the_least_rights_all_is_as_it_is_without() {
    let folder = tempfile::tempdir().unwrap();
    let (redis, port, root) = server(&folder);
    let user = ["ACL", "SETUSER", "rondel", "on", ">hunter2"];
    let user: Vec<_> = user.into_iter().chain(rights()).collect();
    assert_eq!(redis.command(&user), Reply::Text("OK".into()));
    let backend = Server::start(read_note).await;
    let (secret, url) = (secret(), format!("rediss://rondel:hunter2@localhost:{port}"));
    let one = proxy(&backend, &url, &root, &secret).await;
    let two = proxy(&backend, &url, &root, &secret).await;
    let (mut cookie, mut wire) = (String::new(), Wire::connect(one.address).await);
    let (key, _) = ask(&mut wire, &mut cookie).await;
    until(|| redis.number(&["EXISTS", &key]) == 1).await;
    let mut other = Wire::connect(two.address).await;
    assert_eq!(ask(&mut other, &mut cookie).await.0, key, "the other proxy knows it");
    // Tracking begins a moment after the connection.
    until(|| !redis.text(&["INFO", "clients"]).unwrap().contains("tracking_clients:0")).await;
    let lateness = Lateness::new();
    let mut times = Vec::new();
    for turn in 0..10 {
        let note = turn.to_string();
        redis.command(&["HSET", &key, "d:note", &note]);
        let watch = lateness.watch();
        within(async { while ask(&mut wire, &mut cookie).await.1 != note {} }).await;
        times.push(watch.elapsed());
    }
    redis.command(&["FLUSHALL"]);
    let watch = lateness.watch();
    within(async { while ask(&mut wire, &mut cookie).await.0 == key {} }).await;
    times.push(watch.elapsed());
    times.sort();
    assert!(times[times.len() - 1] < SOON, "{times:?}");
    assert_eq!(redis.command(&["ACL", "LOG"]), Reply::List(Vec::new()), "nothing was refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_vouches_for_is_told_nothing() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (redis, port, _) = server(&folder);
    let (_other, _, foreign) = server(&elsewhere);
    let backend = Server::start(read_note).await;
    let secret = secret();
    let proxy = proxy(&backend, &format!("rediss://localhost:{port}"), &foreign, &secret).await;
    let (mut cookie, mut wire) = (String::new(), Wire::connect(proxy.address).await);
    let (key, _) = ask(&mut wire, &mut cookie).await;
    within(async {
        while proxy.metric("rondel_session_store_up{store=\"redis\"}").await != 0 {
            assert_eq!(ask(&mut wire, &mut cookie).await.0, key, "the session lives here");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(redis.keys(), Vec::<String>::new());
}
