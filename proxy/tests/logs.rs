//! What is written down: the access log, events, traces; and what never is.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rondel_proxy::{access_log::Target, session::SessionSettings};
use serde_json::Value;
use support::{Server, TestProxy, process::binary, until};
use tokio::io::AsyncBufReadExt as _;

struct Logged {
    proxy: TestProxy,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

async fn logged(servers: &str) -> Logged {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let to = Target::File(file.clone());
    let proxy = TestProxy::start_with(servers, |settings| {
        settings.access_log = Some(to);
        settings.sessions = Some(SessionSettings::default());
    })
    .await;
    Logged { proxy, file, _folder: folder }
}

/// The lines of the log, once there are so many.
async fn lines(file: &Path, count: usize) -> Vec<Value> {
    let read = || std::fs::read_to_string(file).unwrap_or_default();
    until(|| read().lines().count() >= count).await;
    read().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_line_says_what_was_asked_what_came_back_and_who_answered() {
    let a = Server::named("alpha").await;
    let logged = logged(&format!("{} name=a", a.line())).await;
    let answer = logged.proxy.get("/path/to?query=1").await;
    let line = lines(&logged.file, 1).await.remove(0);
    assert_eq!(line["method"], "GET");
    assert_eq!(line["path"], "/path/to");
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes"], answer.body.len());
    assert_eq!(line["backend"], "a");
    assert_eq!(line["retries"], 0);
    assert_eq!(line["session"], "new");
    assert_eq!(line["client"], "127.0.0.1");
    assert_eq!(line["error"], Value::Null);
    assert_eq!(line["trace"], a.heads()[0].field("traceparent").unwrap()[3..35]);
    let (first, total) = (line["first_byte_ms"].as_f64(), line["total_ms"].as_f64());
    assert!(first.unwrap() > 0.0 && total >= first);
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn retries_refusals_failures_and_clients_that_leave_each_have_their_line() {
    let waits = Server::start(|mut wire, recorder| async move {
        while let Some(head) = wire.read_head().await {
            let slow = head.start.contains("slow");
            recorder.record(head);
            if slow {
                wire.is_closed().await;
                return;
            }
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let logged = logged(&format!("http://127.0.0.1:1 name=gone\n{} name=well", waits.line())).await;
    let proxy = &logged.proxy;
    proxy.get("/retried").await;
    let retried = lines(&logged.file, 1).await.remove(0);
    assert_eq!((&retried["retries"], &retried["backend"]), (&1.into(), &"well".into()));

    proxy.ask("GET /refused HTTP/1.1\r\n\r\n").await;
    let refused = lines(&logged.file, 2).await.remove(1);
    assert_eq!((&refused["status"], &refused["error"]), (&400.into(), &"bad-host".into()));
    assert_eq!(refused["backend"], Value::Null);

    let hits = waits.hits();
    let mut client = proxy.connect().await;
    client.write("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n").await;
    until(|| waits.hits() > hits).await;
    drop(client);
    let left = lines(&logged.file, 3).await.remove(2);
    assert_eq!((&left["status"], &left["error"]), (&0.into(), &"cancelled".into()));

    waits.kill().await;
    assert_eq!(proxy.get("/failed").await.status(), 502);
    let failed = lines(&logged.file, 4).await.remove(3);
    assert_eq!((&failed["status"], &failed["error"]), (&502.into(), &"connect".into()));
}

#[tokio::test]
async fn no_cookie_token_or_query_is_ever_written() {
    let a = Server::named("a").await;
    let logged = logged(&a.line()).await;
    let first = logged.proxy.get("/").await;
    let cookie = first.head.field("set-cookie").unwrap().split(';').next().unwrap();
    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJl";
    for secret in [
        format!("Cookie: {cookie}; other=hunter2"),
        format!("Authorization: Bearer {token}"),
        "Authorization: Basic aHVudGVyMjpodW50ZXIy".to_owned(),
        "X-Api-Key: hunter2\r\nProxy-Authorization: Basic aHVudGVyMg==".to_owned(),
    ] {
        let answer = logged
            .proxy
            .ask(&format!("GET /?token=hunter2 HTTP/1.1\r\nHost: t\r\n{secret}\r\n\r\n"))
            .await;
        assert_eq!(answer.status(), 200);
    }
    let sessions: Vec<_> =
        lines(&logged.file, 5).await.iter().map(|line| line["session"].to_string()).collect();
    assert_eq!(sessions[..3], ["\"new\"", "\"hit\"", "\"bypass\""]);
    let text = std::fs::read_to_string(&logged.file).unwrap();
    let value = cookie.split_once('=').unwrap().1;
    for secret in ["hunter2", "aHVudGVyMg", token, "c2lnbmF0dXJl", value, &value[3..25]] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_log_that_was_moved_away_is_begun_anew_and_a_stop_loses_no_line() {
    let a = Server::named("a").await;
    let logged = logged(&a.line()).await;
    logged.proxy.get("/1").await;
    lines(&logged.file, 1).await;
    let moved = logged.file.with_extension("1");
    std::fs::rename(&logged.file, &moved).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    logged.proxy.get("/2").await;
    assert_eq!(lines(&logged.file, 1).await[0]["path"], "/2");
    for _ in 0..200 {
        logged.proxy.get("/3").await;
    }
    logged.proxy.stop.drain();
    let file = logged.file.clone();
    assert!(logged.proxy.ended().await);
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 201);
}

#[tokio::test]
async fn a_trace_is_passed_on_or_begun_unless_that_is_off() {
    let a = Server::named("a").await;
    let proxy = TestProxy::before(&[&a]).await;
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    proxy.ask(&format!("GET / HTTP/1.1\r\nHost: t\r\ntraceparent: {given}\r\n\r\n")).await;
    proxy.get("/").await;
    let quiet = TestProxy::start_with(a.line(), |settings| settings.trace = false).await;
    quiet.get("/").await;
    let heads = a.heads();
    assert_eq!(heads[0].field("traceparent"), Some(given));
    assert_eq!(heads[1].field("traceparent").unwrap().len(), 55);
    assert_eq!(heads[2].field("traceparent"), None);
}

#[tokio::test]
async fn events_are_json_for_programs_and_say_at_the_start_what_was_understood() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("servers.txt");
    std::fs::write(&file, "http://127.0.0.1:1 name=a\nhttp://127.0.0.1:2 weight=3\n").unwrap();
    let mut child = tokio::process::Command::new(binary())
        .args([
            "-p",
            "0",
            "--bind",
            "127.0.0.1",
            "--admin",
            "127.0.0.1:0",
            "--access-log",
            "-",
            "-f",
        ])
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut events = tokio::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let start = loop {
        let line = support::within(events.next_line()).await.unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "listening" {
            break event;
        }
    };
    for (field, value) in [
        ("level", "INFO"),
        ("sessions", "embedded"),
        ("algorithm", "rr"),
        ("affinity", "none"),
        ("health", "/ every 5s"),
        ("access_log", "-"),
    ] {
        assert_eq!(start[field], value, "{start}");
    }
    assert_eq!(start["servers"], 2);
    let admin = start["admin"].as_str().unwrap();
    assert!(admin.starts_with("127.0.0.1:") && admin != "127.0.0.1:0");
    let mut wire =
        support::Wire::connect(start["address"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(wire.get("/x").await.status(), 502);
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let line = support::within(lines.next_line()).await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["path"], "/x");
}

#[test]
fn completions_and_the_manual_page_know_the_flags() {
    let run = |arguments: &[&str]| {
        let output = Command::new(binary()).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, text) = run(&["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(text.contains("admin-token-file"), "{shell}");
    }
    let (code, page) = run(&["man"]);
    assert_eq!(code, Some(0));
    assert!(page.contains(".TH rondel-proxy 1") && page.contains("access\\-log"));
    assert_eq!(run(&["completions", "nonsense"]).0, Some(64));
}

#[test]
fn bash_completes_flags_and_their_values() {
    let script = r#"
        source <("$0" completions bash)
        complete=$(complete -p rondel-proxy | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=(rondel-proxy --alg) COMP_CWORD=1
        $complete rondel-proxy --alg rondel-proxy
        echo "${COMPREPLY[@]}"
        COMP_WORDS=(rondel-proxy --algorithm '') COMP_CWORD=2
        $complete rondel-proxy '' --algorithm
        echo "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash").args(["-c", script]).arg(binary()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "--algorithm\nrr sigma least-conn p2c peak-ewma\n");
}

#[test]
fn the_admin_address_is_refused_without_a_token_and_ends_with_71_if_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("servers.txt");
    std::fs::write(&file, "http://127.0.0.1:1\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        let command = command.args(["-p", "0", "--bind", "127.0.0.1", "-f"]).arg(&file);
        let output = command.args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["--admin", "0.0.0.0:0"]);
    assert_eq!(code, Some(78));
    assert!(said.contains("--admin-token-file"), "{said}");
    let empty = folder.path().join("token");
    std::fs::write(&empty, "\n").unwrap();
    let (code, said) =
        run(&["--admin", "0.0.0.0:0", "--admin-token-file", empty.to_str().unwrap()]);
    assert_eq!(code, Some(78));
    assert!(said.contains("token"), "{said}");
    std::fs::write(&empty, "a-token-of-some-length\n").unwrap();
    let checked =
        ["--check", "--admin", "0.0.0.0:0", "--admin-token-file", empty.to_str().unwrap()];
    assert_eq!(run(&checked).0, Some(0));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = run(&["--admin", &address]);
    assert_eq!(code, Some(71), "{said}");
}

#[tokio::test]
async fn a_proxy_whose_default_admin_address_is_taken_serves_without_a_dashboard_and_says_so() {
    // By us, unless another proxy on this machine has it already.
    let ours = std::net::TcpListener::bind("127.0.0.1:7778");
    let taken = ours.is_ok() || std::net::TcpStream::connect("127.0.0.1:7778").is_ok();
    assert!(taken, "{ours:?}");
    let a = Server::named("a").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("servers.txt");
    std::fs::write(&file, a.line()).unwrap();
    let mut child = tokio::process::Command::new(binary())
        .args(["-p", "0", "--bind", "127.0.0.1", "-f"])
        .arg(&file)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut events = tokio::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let mut warned = false;
    let start = loop {
        let line = support::within(events.next_line()).await.unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        warned |= event["level"] == "WARN"
            && event["message"]
                .as_str()
                .unwrap()
                .contains("no dashboard: cannot listen on 127.0.0.1:7778");
        if event["message"] == "listening" {
            break event;
        }
    };
    assert!(warned);
    assert_eq!(start["admin"], "off");
    let mut wire =
        support::Wire::connect(start["address"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(wire.get("/").await.text(), "a");
}
