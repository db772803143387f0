//! The backends of `docs/sessions.md`, each of them run. Python 3 and Node have to be there.

mod support;
#[path = "../examples/visits.rs"]
#[expect(dead_code, reason = "here it is no program of its own")]
mod visits;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use redis::RedisServer;
use rondel_proxy::session::SessionSettings;
use support::{TestProxy, Wire, ports};

/// A backend as a process of its own.
struct Backend {
    child: Child,
    line: String,
}

impl Backend {
    fn start(name: &str, program: &str, arguments: &[String]) -> Self {
        let child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("{program} cannot be run ({error}): the examples need it to be installed")
        });
        let mut said = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut said).expect("a line");
        let port = said.trim().rsplit(' ').next().and_then(|port| port.parse::<u16>().ok());
        let port = port.unwrap_or_else(|| panic!("{program} {arguments:?} says {said:?}"));
        Self { child, line: format!("http://127.0.0.1:{port} name={name}\n") }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(name: &str) -> String {
    format!("{}/examples/sessions/{name}", env!("CARGO_MANIFEST_DIR"))
}

async fn get(wire: &mut Wire, cookie: &mut String) -> String {
    wire.write(format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n")).await;
    let answer = wire.read_answer().await;
    assert_eq!(answer.status(), 200);
    if let Some(set) = answer.head.field("set-cookie") {
        set.split(';').next().expect("a pair").clone_into(cookie);
    }
    assert!(answer.head.fields.iter().all(|(name, _)| !name.starts_with("rondel-")));
    answer.text().to_owned()
}

#[tokio::test]
async fn a_count_goes_on_over_backends_in_three_languages() {
    let any = "0".to_owned();
    let backends = [
        Backend::start("python", "python3", &[script("visits.py"), any.clone()]),
        Backend::start("node", "node", &[script("visits.mjs"), any]),
    ];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let rust = format!("http://{} name=rust\n", listener.local_addr().expect("its address"));
    tokio::spawn(visits::serve(listener));
    let lines: String = backends.iter().map(|backend| backend.line.as_str()).collect();
    let lines = lines + &rust;
    let proxy = TestProxy::start_with(lines, |settings| {
        settings.sessions = Some(SessionSettings::default());
    })
    .await;
    let (mut wire, mut cookie) = (proxy.connect().await, String::new());
    for visit in 1..=12 {
        assert_eq!(get(&mut wire, &mut cookie).await, format!("visit {visit}\n"));
    }
}

#[tokio::test]
async fn a_backend_reads_the_record_from_redis_itself_and_writes_to_it() {
    let redis = RedisServer::start();
    let (any, port) = ("0".to_owned(), redis.port().to_string());
    let backends = [
        Backend::start("record", "python3", &[script("record.py"), any.clone(), port]),
        Backend::start("visits", "python3", &[script("visits.py"), any]),
    ];
    let lines: String = backends.iter().map(|backend| backend.line.as_str()).collect();
    let proxy = TestProxy::start_with(lines, |settings| {
        settings.sessions =
            Some(SessionSettings { redis: Some(redis.url()), ..SessionSettings::default() });
    })
    .await;
    let (mut wire, mut cookie) = (proxy.connect().await, String::new());
    let (mut read, mut counted) = (String::new(), String::new());
    support::within(async {
        // The two take turns. What one writes, the other one sees, in its own time.
        while !(read.contains("\"d:visits\"") && read.contains("\"d:reads\"")) {
            let text = get(&mut wire, &mut cookie).await;
            let place = if text.starts_with('{') { &mut read } else { &mut counted };
            *place = text;
        }
    })
    .await;
    for field in ["\"v\": \"1\"", "\"created\"", "\"seen\"", "\"backend\""] {
        assert!(read.contains(field), "{field}: {read}");
    }
    assert!(counted.starts_with("visit "), "{counted}");
}
