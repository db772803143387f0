//! The admin listener: what it tells, what it changes, and from whom it takes nothing.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::{Answer, Server, TestProxy, Wire, admin, lines, until, within};

/// A client of the admin listener that sends what our own page would.
struct Operator {
    at: SocketAddr,
    headers: String,
}

impl Operator {
    fn of(proxy: &TestProxy) -> Self {
        let at = proxy.admin.unwrap();
        Self { at, headers: format!("Host: {at}\r\nContent-Type: application/json\r\n") }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let headers = &self.headers;
        raw(
            self.at,
            &format!(
                "{method} {path} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
        .await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    async fn servers(&self) -> Vec<Value> {
        json_of(&self.get("/api/servers").await).as_array().unwrap().clone()
    }

    /// The value of a sample, its labels as they are written.
    async fn metric(&self, sample: &str) -> u64 {
        let page = self.get("/metrics").await;
        let line = page.text().lines().find_map(|line| line.strip_prefix(&format!("{sample} ")));
        line.unwrap_or_else(|| panic!("no {sample}")).parse().unwrap()
    }
}

async fn raw(at: SocketAddr, request: &str) -> Answer {
    let mut wire = Wire::connect(at).await;
    wire.write(request).await;
    let head = wire.read_head().await.expect("no answer");
    let body = match (request.starts_with("HEAD "), head.status()) {
        (true, _) | (_, 204) => Vec::new(),
        _ => wire.read_body(&head).await.unwrap(),
    };
    Answer { head, body }
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"))
}

fn message(answer: &Answer) -> String {
    json_of(answer)["error"].as_str().unwrap().to_owned()
}

async fn watched(servers: &str) -> TestProxy {
    TestProxy::start_with(servers, |settings| settings.admin = Some(admin(None))).await
}

#[tokio::test]
async fn servers_are_listed_with_what_they_have_done() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let proxy =
        watched(&format!("{} name=a weight=2\n{} name=b max=7 backup", a.line(), b.line())).await;
    let operator = Operator::of(&proxy);
    for _ in 0..5 {
        proxy.get("/").await;
    }
    let mut servers = operator.servers().await;
    // A request is counted when its last byte has left, a moment after the client has it.
    while servers[0]["requests"] != 5 {
        servers = operator.servers().await;
    }
    assert_eq!(servers[0]["id"], "a");
    assert_eq!(servers[0]["name"], "a");
    assert_eq!(servers[0]["url"], a.line());
    assert_eq!(servers[0]["weight"], 2);
    assert_eq!(servers[0]["state"], "up");
    assert_eq!(servers[0]["in_flight"], 0);
    assert_eq!(servers[0]["picks"], 5);
    assert_eq!(servers[0]["by_class"]["2xx"], 5);
    assert_eq!(servers[0]["sent_bytes"], 5);
    assert_eq!((&servers[1]["backup"], &servers[1]["max"]), (&json!(true), &json!(7)));
    assert_eq!(servers[1]["requests"], 0);
    assert_eq!(json_of(&operator.get("/api/servers/b").await)["id"], "b");
    assert_eq!(operator.get("/api/servers/c").await.status(), 404);
}

#[tokio::test]
async fn a_server_is_added_weighed_drained_and_removed_while_requests_run() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let proxy = watched(&format!("{} name=a", a.line())).await;
    let operator = Operator::of(&proxy);
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.text(), "a");

    let new = json!({ "url": b.line(), "name": "b" }).to_string();
    let added = operator.ask("POST", "/api/servers", &new).await;
    assert_eq!((added.status(), added.head.field("location")), (201, Some("/api/servers/b")));
    assert_eq!(json_of(&added)["state"], "up");
    let mut seen = String::new();
    for _ in 0..4 {
        seen += client.get("/").await.text();
    }
    assert!(seen == "baba" || seen == "abab", "{seen}");

    let weighed = operator.ask("PATCH", "/api/servers/b", r#"{"weight":3}"#).await;
    assert_eq!((weighed.status(), &json_of(&weighed)["weight"]), (200, &json!(3)));
    let mut seen = String::new();
    for _ in 0..8 {
        seen += client.get("/").await.text();
    }
    assert_eq!(seen.matches('b').count(), 6, "{seen}");

    let drained = operator.ask("PATCH", "/api/servers/b", r#"{"drain":true}"#).await;
    assert_eq!(json_of(&drained)["state"], "draining");
    for _ in 0..4 {
        assert_eq!(client.get("/").await.text(), "a");
    }
    let back = operator.ask("PATCH", "/api/servers/b", r#"{"drain":false}"#).await;
    assert_eq!(json_of(&back)["state"], "up");

    let removed = operator.ask("DELETE", "/api/servers/a", "").await;
    assert_eq!((removed.status(), removed.body.len()), (204, 0));
    for _ in 0..3 {
        assert_eq!(client.get("/").await.text(), "b");
    }
    assert_eq!(operator.ask("DELETE", "/api/servers/a", "").await.status(), 404);
}

#[tokio::test]
async fn what_cannot_be_done_says_why_and_changes_nothing() {
    let proxy = watched("http://127.0.0.1:1 name=a").await;
    let operator = Operator::of(&proxy);
    for (method, path, body, status, why) in [
        ("POST", "/api/servers", "{", 400, "not usable"),
        ("POST", "/api/servers", "{}", 400, "url"),
        ("POST", "/api/servers", r#"{"url":"ftp://x"}"#, 400, "http://"),
        ("POST", "/api/servers", r#"{"url":"http://x","weight":0}"#, 400, "weight"),
        ("POST", "/api/servers", r#"{"url":"http://x","weight":257}"#, 400, "weight"),
        ("POST", "/api/servers", r#"{"url":"http://x","max":0}"#, 400, "max"),
        ("POST", "/api/servers", r#"{"url":"http://x","speed":1}"#, 400, "speed"),
        ("POST", "/api/servers", r#"{"url":"http://x","name":"a"}"#, 409, "taken"),
        ("POST", "/api/servers", r#"{"url":"http://127.0.0.1:1"}"#, 409, "already"),
        ("POST", "/api/servers", r#"{"url":"http://x weight=9"}"#, 400, "cannot have"),
        ("POST", "/api/servers", r#"{"url":"http://x\nhttp://y"}"#, 400, "cannot have"),
        ("POST", "/api/servers", r#"{"url":"http://x","name":"b backup"}"#, 400, "cannot have"),
        ("POST", "/api/servers", r#"{"url":""}"#, 400, ""),
        ("PATCH", "/api/servers/a", "{}", 400, "nothing to change"),
        ("PATCH", "/api/servers/a", r#"{"weight":0}"#, 400, "weight"),
        ("PATCH", "/api/servers/a", r#"{"weight":70000}"#, 400, "weight"),
        ("PATCH", "/api/servers/a", r#"{"weight":"2"}"#, 400, "not usable"),
        ("PATCH", "/api/servers/x", r#"{"weight":2}"#, 404, "no server"),
        ("DELETE", "/api/servers/x", "", 404, "no server"),
        ("DELETE", "/api/servers", "", 405, "POST"),
        ("PUT", "/api/servers/a", "{}", 405, "PATCH"),
        ("POST", "/metrics", "", 405, "GET"),
        ("GET", "/nothing", "", 404, "nothing"),
    ] {
        let answer = operator.ask(method, path, body).await;
        assert_eq!(answer.status(), status, "{method} {path} {body}: {}", answer.text());
        let said = message(&answer);
        assert!(!said.is_empty() && said.contains(why), "{method} {path} {body}: {said}");
    }
    let large = format!(r#"{{"url":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(operator.ask("POST", "/api/servers", &large).await.status(), 413);
    let servers = operator.servers().await;
    assert_eq!((servers.len(), &servers[0]["weight"]), (1, &json!(1)));
}

#[tokio::test]
async fn a_page_of_another_site_can_neither_read_nor_change_anything() {
    let proxy = watched("http://127.0.0.1:1 name=a").await;
    let at = proxy.admin.unwrap();
    let change = |headers: &str| {
        let request =
            format!("DELETE /api/servers/a HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n");
        async move { raw(at, &request).await.status() }
    };
    let ours = format!("Host: {at}\r\nContent-Type: application/json\r\n");
    let foreign = "Host: evil.example\r\nContent-Type: application/json\r\n";
    assert_eq!(change(foreign).await, 421);
    assert_eq!(change(&format!("{ours}Origin: http://evil.example\r\n")).await, 403);
    assert_eq!(change(&format!("{ours}Sec-Fetch-Site: cross-site\r\n")).await, 403);
    assert_eq!(change(&format!("Host: {at}\r\nContent-Type: text/plain\r\n")).await, 415);
    assert_eq!(change(&format!("Host: {at}\r\n")).await, 415);
    for path in ["/", "/metrics", "/healthz", "/api/servers", "/api/events"] {
        let rebound = raw(at, &format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n")).await;
        assert_eq!(rebound.status(), 421, "{path}");
    }
    let page = raw(at, &format!("GET /api/servers HTTP/1.1\r\nHost: {at}\r\n\r\n")).await;
    assert_eq!(page.status(), 200);
    assert!(page.head.all("access-control-allow-origin").is_empty());
    assert_eq!(change(&format!("{ours}Origin: http://{at}\r\n")).await, 204);
}

#[tokio::test]
async fn with_a_token_nothing_is_told_or_changed_without_it() {
    let proxy = TestProxy::start_with("http://127.0.0.1:1 name=a", |settings| {
        settings.admin = Some(admin(Some("correct-horse")));
    })
    .await;
    let mut operator = Operator::of(&proxy);
    for path in ["/metrics", "/api/servers", "/api/servers/a", "/api/events"] {
        let answer = operator.get(path).await;
        assert_eq!(answer.status(), 401, "{path}");
        assert!(answer.head.field("www-authenticate").unwrap().starts_with("Bearer"));
        assert!(!answer.text().contains("correct-horse"));
    }
    assert_eq!(operator.ask("DELETE", "/api/servers/a", "").await.status(), 401);
    for path in ["/", "/healthz", "/readyz", "/api/openapi.json"] {
        assert_eq!(operator.get(path).await.status(), 200, "{path}");
    }
    operator.headers += "Authorization: Bearer correct-horse\r\n";
    assert_eq!(operator.get("/metrics").await.status(), 200);
    assert_eq!(operator.ask("DELETE", "/api/servers/a", "").await.status(), 204);
}

#[tokio::test]
async fn it_is_ready_while_a_server_is_there_and_until_it_stops() {
    let proxy = watched("http://127.0.0.1:1 name=a").await;
    let operator = Operator::of(&proxy);
    assert_eq!(json_of(&operator.get("/healthz").await), json!({ "status": "ok" }));
    let ready = operator.get("/readyz").await;
    assert_eq!((ready.status(), &json_of(&ready)["status"]), (200, &json!("ready")));
    operator.ask("PATCH", "/api/servers/a", r#"{"drain":true}"#).await;
    assert_eq!(operator.get("/readyz").await.status(), 503);
    operator.ask("PATCH", "/api/servers/a", r#"{"drain":false}"#).await;
    assert_eq!(operator.get("/readyz").await.status(), 200);
    proxy.stop.drain();
    let stopping = operator.get("/readyz").await;
    assert_eq!((stopping.status(), &json_of(&stopping)["status"]), (503, &json!("stopping")));
    assert_eq!(operator.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn events_bring_the_state_at_once_and_then_again_and_again() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let proxy = watched(&format!("{} name=a weight=2\n{} name=b", a.line(), b.line())).await;
    let at = proxy.admin.unwrap();
    let mut wire = Wire::connect(at).await;
    wire.write(format!("GET /api/events HTTP/1.1\r\nHost: {at}\r\n\r\n")).await;
    let head = wire.read_head().await.unwrap();
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    let first = next_event(&mut wire).await;
    assert_eq!(first["cursor"], Value::Null);
    let ring = first["ring"].as_array().unwrap();
    assert_eq!(ring.iter().filter(|id| **id == "a").count(), 2);
    assert_eq!(ring.len(), 3);

    let asked = proxy.get("/").await;
    let mut event = next_event(&mut wire).await;
    while event["requests"]["by_class"]["2xx"] != 1 {
        event = next_event(&mut wire).await;
    }
    assert_eq!(event["cursor"], asked.text());
    assert_eq!(event["connections"]["total"], 1);
}

async fn next_event(wire: &mut Wire) -> Value {
    let chunk = String::from_utf8(wire.read_chunk().await.unwrap()).unwrap();
    let data = chunk.strip_prefix("event: state\ndata: ").unwrap();
    serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap()
}

#[tokio::test]
async fn a_hundred_dashboards_are_served_and_one_that_does_not_read_holds_nobody_up() {
    let proxy = watched("http://127.0.0.1:1 name=a").await;
    let at = proxy.admin.unwrap();
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut wire = Wire::connect(at).await;
        wire.write(format!("GET /api/events HTTP/1.1\r\nHost: {at}\r\n\r\n")).await;
        wire.read_head().await.unwrap();
        open.push(wire);
    }
    // The first one never reads again.
    for wire in &mut open[1..] {
        for _ in 0..3 {
            next_event(wire).await;
        }
    }
}

#[tokio::test]
async fn every_end_of_a_request_is_counted_once_where_it_belongs() {
    let well = Server::start(|mut wire, recorder| async move {
        while let Some(head) = wire.read_head().await {
            let status = head.start.split(['/', ' ']).nth(2).unwrap().to_owned();
            recorder.record(head);
            wire.write(format!("HTTP/1.1 {status} X\r\nContent-Length: 4\r\n\r\nbody")).await;
        }
    })
    .await;
    let proxy = watched(&format!("{} name=well", well.line())).await;
    let operator = Operator::of(&proxy);
    let mut client = proxy.connect().await;
    for path in ["/200", "/201", "/302", "/404", "/500"] {
        client.get(path).await;
    }
    let posted = "POST /200 HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n0123456789";
    proxy.ask(posted).await;
    let refused = proxy.ask("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(refused.status(), 400);
    for (class, count) in [("2xx", 3), ("3xx", 1), ("4xx", 2), ("5xx", 1)] {
        let all = format!("rondel_requests_total{{class=\"{class}\"}}");
        let of_server = count - u64::from(class == "4xx");
        let well = format!("rondel_server_requests_total{{server=\"well\",class=\"{class}\"}}");
        within(async { while operator.metric(&all).await != count {} }).await;
        within(async { while operator.metric(&well).await != of_server {} }).await;
    }
    assert_eq!(operator.metric("rondel_requests_in_flight").await, 0);
    assert_eq!(operator.metric("rondel_server_first_byte_seconds_count{server=\"well\"}").await, 6);
    assert_eq!(operator.metric("rondel_server_response_seconds_count{server=\"well\"}").await, 6);
    assert_eq!(operator.metric("rondel_received_bytes_total").await, 10);
    assert_eq!(operator.metric("rondel_connections_total").await, 3);
    drop(client);
    within(async { while operator.metric("rondel_connections_open").await != 0 {} }).await;
}

#[tokio::test]
async fn failures_retries_and_clients_that_leave_are_counted() {
    let cuts = Server::start(|mut wire, recorder| async move {
        if let Some(head) = wire.read_head().await {
            recorder.record(head);
        }
    })
    .await;
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
    let servers = format!(
        "{} name=cuts\nhttp://127.0.0.1:1 name=gone\n{} name=waits",
        cuts.line(),
        waits.line()
    );
    let proxy = watched(&servers).await;
    let operator = Operator::of(&proxy);
    for _ in 0..3 {
        assert_eq!(proxy.get("/").await.text(), "ok");
    }
    let failed = |server: &str, reason: &str| {
        format!("rondel_server_failures_total{{server=\"{server}\",reason=\"{reason}\"}}")
    };
    assert!(operator.metric(&failed("cuts", "cut")).await >= 1);
    assert!(operator.metric(&failed("gone", "connect")).await >= 1);
    assert!(operator.metric("rondel_retries_total").await >= 2);

    let before = waits.hits();
    let mut client = proxy.connect().await;
    client.write("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n").await;
    until(|| waits.hits() > before).await;
    assert_eq!(operator.metric("rondel_requests_in_flight").await, 1);
    drop(client);
    let cancelled = "rondel_requests_total{class=\"cancelled\"}";
    within(async { while operator.metric(cancelled).await != 1 {} }).await;
    assert_eq!(operator.metric("rondel_requests_in_flight").await, 0);
}

#[tokio::test]
async fn sessions_are_counted_by_what_they_were() {
    let a = Server::named("a").await;
    let proxy = TestProxy::start_with(lines(&[&a]), |settings| {
        settings.admin = Some(admin(None));
        settings.sessions = Some(rondel_proxy::session::SessionSettings::default());
    })
    .await;
    let operator = Operator::of(&proxy);
    let first = proxy.get("/").await;
    let cookie = first.head.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let ask = |header: String| {
        let address = proxy.address;
        async move {
            let mut wire = Wire::connect(address).await;
            wire.write(format!("GET / HTTP/1.1\r\nHost: t\r\n{header}\r\n\r\n")).await;
            wire.read_answer().await
        }
    };
    ask(format!("Cookie: {cookie}")).await;
    ask(format!("Cookie: {cookie}")).await;
    ask("Authorization: Bearer eyJhbGciOiJub25lIn0.e30.c2ln".to_owned()).await;
    for (result, count) in [("new", 1), ("hit", 2), ("bypass", 1), ("miss", 0)] {
        let sample = format!("rondel_session_requests_total{{result=\"{result}\"}}");
        within(async { while operator.metric(&sample).await != count {} }).await;
    }
    assert_eq!(operator.metric("rondel_session_store_up{store=\"embedded\"}").await, 1);
    assert_eq!(operator.metric("rondel_sessions_created_total").await, 1);
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_style_and_nothing_else() {
    let proxy = watched("http://127.0.0.1:1 name=a").await;
    let page = Operator::of(&proxy).get("/").await;
    assert_eq!(page.head.field("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.head.field("content-security-policy").unwrap();
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"));
    for directive in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(directive), "{policy}");
    }
    let html = page.text();
    for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
        let inside: Vec<_> = html.split(&format!("<{tag}>")).skip(1).collect();
        assert_eq!(inside.len(), 1, "one {tag}");
        let text = inside[0].split(&format!("</{tag}>")).next().unwrap();
        assert!(text.len() > 1_000, "the {tag} is there");
        let expected = format!("{directive} 'sha256-{}'", sha256(text));
        assert!(policy.contains(&expected), "{expected} is not in {policy}");
    }
    for outside in
        ["http://", "https://", " src=", " href=\"/", "@import", "url(", " style=\"", " onclick"]
    {
        let found = html.find(outside).map(|at| &html[at..(at + 60).min(html.len())]);
        // The name space of SVG is a name, not an address.
        let named = found.is_some_and(|text| text.starts_with("http://www.w3.org/2000/svg"));
        assert!(found.is_none() || named, "{outside}: {found:?}");
    }
    for part in ["id=\"ring\"", "id=\"servers\"", "id=\"add\"", "id=\"store\"", "lang=\"en\""] {
        assert!(html.contains(part), "{part}");
    }
}

fn sha256(text: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text))
}
