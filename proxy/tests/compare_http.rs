//! The table of raw requests, run against nginx and haproxy as well: `cargo xtask compare-http`.
//!
//! Writes `docs/http.md`: what each does with each case about which they differ. It judges nobody:
//! it says what a backend gets to see. Both are set up with the limits that the table is about,
//! and otherwise as they come.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use support::cases::{RequestCase, bytes, expand};
use support::client::{Client, Delivery};
use support::recorder::{Recorder, Seen};
use support::{TestProxy, free_address, within};
use tokio::{net::TcpStream, time::timeout};

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long nothing may come before it counts as all.
const SILENCE: Duration = Duration::from_millis(40);

/// A proxy in front of a recorder of its own.
struct Contender {
    name: String,
    address: SocketAddr,
    recorder: Recorder,
    _process: Option<Process>,
    _ours: Option<TestProxy>,
}

struct Process {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "writes a page of the docs, and takes a minute"]
async fn the_page_says_what_each_does() {
    let contenders = [ours().await, nginx().await, haproxy().await];
    let cases = support::cases::requests();
    let mut rows = String::new();
    let mut agreed = 0;
    for case in &cases {
        let mut deeds = Vec::new();
        for contender in &contenders {
            deeds.push(deed(case, contender).await);
        }
        let alike = |deed: &String| deed.split(' ').next() == deeds[0].split(' ').next();
        if deeds.iter().all(alike) {
            agreed += 1;
            continue;
        }
        let name = &case.name;
        writeln!(rows, "| {name} | {} | {} |", case.rfc, deeds.join(" | ")).unwrap();
    }
    assert!(agreed > 0 && agreed < cases.len());
    let names: Vec<&str> = contenders.iter().map(|c| c.name.as_str()).collect();
    let page = format!(
        "{HEAD}\nOn {agreed} of the {} cases all of them agree: all pass it on, or all refuse alike. \
         On these they do not:\n\n| case | RFC | {} |\n| --- | --- | --- | --- | --- |\n{rows}",
        cases.len(),
        names.join(" | ")
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http.md");
    std::fs::write(path, page).unwrap();
}

const HEAD: &str = "\
<!-- Written by `cargo xtask compare-http`; changes belong into `proxy/tests/compare_http.rs`. -->

# What the proxy does with a strange request

`proxy/tests/cases/requests.toml` holds requests byte by byte, and says of each what the proxy does:
it refuses, or the backend sees exactly what was meant, framed in one way. Here the same bytes went
to nginx and haproxy, with the limits of the table (a head of 32 KiB, 100 fields, a body of 64 KiB)
and otherwise as they come, in front of a backend that writes down what it sees.

*passes* means that the backend saw a well-formed request; *malformed* that it saw one that not every
server reads the same way, or takes at all; a number is the status of a refusal; *begins* that the
backend saw a part before the proxy gave up. A case that others pass is no hole by itself: that depends
on who reads it next. The proxy refuses it because somebody could read it differently.
";

/// What the proxy makes of the case.
async fn deed(case: &RequestCase, contender: &Contender) -> String {
    contender.recorder.take();
    let mut client = Client::connect(contender.address).await;
    client.send(&bytes(&case.raw), Delivery::AtOnce).await;
    let head = timeout(PATIENCE, client.head()).await;
    let _ = timeout(SILENCE, client.rest()).await;
    drop(client);
    // What it saw in part it says once the connection has ended.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let seen = contender.recorder.take();
    if let Some(why) = seen.iter().find_map(|seen| match seen {
        Seen::Offence(why, _) => Some(why),
        _ => None,
    }) {
        return format!("malformed ({})", quoted(why));
    }
    let requests: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Request(message) => Some(message),
            _ => None,
        })
        .collect();
    let status = match &head {
        Ok(Some(head)) => head.split(' ').nth(1).unwrap_or("?").to_owned(),
        Ok(None) => "closes".to_owned(),
        Err(_) => "waits".to_owned(),
    };
    if requests.len() > case.first.len() {
        let starts: Vec<&str> = requests.iter().map(|message| message.start.as_str()).collect();
        let meant = if case.refused.is_some() { &case.first } else { &case.seen };
        let meant: Vec<String> = meant.iter().map(|start| expand(start)).collect();
        let as_meant = starts == meant && status == "200";
        return if as_meant {
            "passes".to_owned()
        } else {
            format!("passes ({})", quoted(&starts.join(", ")))
        };
    }
    if seen.len() > requests.len() { format!("begins, {status}") } else { status }
}

fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let more = if short.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", short.replace('|', "\\|").replace('`', "'"))
}

async fn ours() -> Contender {
    let recorder = Recorder::start().await;
    let proxy = TestProxy::start_with(&recorder.line, |settings| {
        settings.limits.max_body = Some(65_536);
    })
    .await;
    let name = format!("rondel-proxy {}", env!("CARGO_PKG_VERSION"));
    Contender { name, address: proxy.address, recorder, _process: None, _ours: Some(proxy) }
}

async fn nginx() -> Contender {
    let (recorder, address) = (Recorder::start().await, free_address().await);
    let server = recorder.line.clone();
    let config = format!(
        "daemon off; master_process off; error_log stderr crit; pid nginx.pid;
         events {{ worker_connections 256; }}
         http {{
           access_log off; client_max_body_size 64k; large_client_header_buffers 4 32k;
           client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u;
           scgi_temp_path s;
           upstream backend {{ server {}; keepalive 8; }}
           server {{
             listen {address};
             location / {{
               proxy_pass http://backend; proxy_http_version 1.1;
               proxy_set_header Connection \"\"; proxy_set_header Host $http_host;
             }}
           }}
         }}",
        server.trim_start_matches("http://")
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-c", "nginx.conf", "-p"]).arg(folder.path());
    let process = start(command, folder, address).await;
    let name = version("nginx", &["-v"], "nginx version: nginx/");
    Contender { name: format!("nginx {name}"), address, recorder, _process: process, _ours: None }
}

async fn haproxy() -> Contender {
    let (recorder, address) = (Recorder::start().await, free_address().await);
    let config = format!(
        "global\n tune.bufsize 40000\n tune.http.maxhdr 101\n\
         defaults\n mode http\n timeout connect 1s\n timeout client 10s\n timeout server 10s\n\
         frontend f\n bind {address}\n default_backend b\n\
         backend b\n http-reuse always\n server s {}\n",
        recorder.line.trim_start_matches("http://")
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    let process = start(command, folder, address).await;
    let name = version("haproxy", &["-v"], "HAProxy version ");
    Contender { name: format!("haproxy {name}"), address, recorder, _process: process, _ours: None }
}

async fn start(mut command: Command, folder: tempfile::TempDir, at: SocketAddr) -> Option<Process> {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.expect("it is installed by `cargo xtask compare-http`");
    let process = Process { child, _folder: folder };
    within(async {
        while TcpStream::connect(at).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    Some(process)
}

fn version(program: &str, flags: &[&str], before: &str) -> String {
    let output = Command::new(program).args(flags).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let behind = text.split(before).nth(1).unwrap_or("?");
    behind.split([' ', '-', '\n']).next().unwrap_or("?").to_owned()
}
