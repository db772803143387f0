//! Whether a client goes back to the server it had: `--affinity none`, `prefer` and `strict`.

mod support;

use std::sync::{Arc, Mutex};

use rondel_proxy::{session::SessionSettings, settings::Affinity};
use support::{Answer, Recorder, Server, TestProxy, Wire, process::ProxyProcess};

struct Client {
    wire: Wire,
    cookie: String,
}

impl Client {
    async fn of(proxy: &TestProxy) -> Self {
        Self { wire: proxy.connect().await, cookie: String::new() }
    }

    /// The answer, and whether it set a cookie.
    async fn get(&mut self) -> (Answer, bool) {
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", self.cookie);
        self.wire.write(request).await;
        let answer = self.wire.read_answer().await;
        let set = answer.head.field("set-cookie").and_then(|set| set.split(';').next());
        if let Some(set) = set {
            set.clone_into(&mut self.cookie);
        }
        let sets = set.is_some();
        (answer, sets)
    }

    async fn server(&mut self) -> String {
        let (answer, _) = self.get().await;
        assert_eq!(answer.status(), 200);
        answer.text().to_owned()
    }

    /// The server that the cookie names.
    fn named(&self) -> &str {
        self.cookie.split('.').nth(2).expect("a cookie of ours")
    }

    fn id(&self) -> &str {
        self.cookie.split('.').nth(1).expect("a cookie of ours")
    }
}

async fn three() -> [Server; 3] {
    [Server::named("one").await, Server::named("two").await, Server::named("three").await]
}

async fn proxy(servers: &[Server; 3], affinity: Affinity) -> TestProxy {
    let names = ["one", "two", "three"];
    let line = |(server, name): (&Server, _)| format!("{} name={name}\n", server.line());
    let lines: String = servers.iter().zip(names).map(line).collect();
    TestProxy::start_with(lines, |settings| {
        settings.affinity = affinity;
        settings.sessions = Some(SessionSettings {
            secrets: vec![vec![b's'; 32]],
            reissue: affinity == Affinity::Prefer,
            ..SessionSettings::default()
        });
    })
    .await
}

#[tokio::test]
async fn without_affinity_every_server_serves_and_the_cookie_stays() {
    let servers = three().await;
    let proxy = proxy(&servers, Affinity::None).await;
    let mut client = Client::of(&proxy).await;
    let mut seen = Vec::new();
    for turn in 0..6 {
        let (answer, sets) = client.get().await;
        seen.push(answer.text().to_owned());
        assert_eq!(sets, turn == 0, "turn {turn}");
    }
    assert_eq!(seen, ["one", "two", "three", "one", "two", "three"]);
}

#[tokio::test]
async fn a_client_goes_back_to_its_server_and_new_ones_take_turns() {
    let servers = three().await;
    for affinity in [Affinity::Prefer, Affinity::Strict] {
        let proxy = proxy(&servers, affinity).await;
        let mut firsts = Vec::new();
        for _ in 0..3 {
            let mut client = Client::of(&proxy).await;
            let first = client.server().await;
            assert_eq!(client.named(), first);
            for _ in 0..5 {
                let (answer, sets) = client.get().await;
                assert_eq!((answer.text(), sets), (first.as_str(), false));
            }
            firsts.push(first);
        }
        assert_eq!(firsts, ["one", "two", "three"], "its own requests were no turns");
    }
}

#[tokio::test]
async fn where_it_is_preferred_another_server_takes_over_and_the_cookie_follows() {
    let servers = three().await;
    let proxy = proxy(&servers, Affinity::Prefer).await;
    let mut client = Client::of(&proxy).await;
    assert_eq!(client.server().await, "one");
    let id = client.id().to_owned();
    servers[0].kill().await;
    let (answer, sets) = client.get().await;
    assert_eq!(answer.status(), 200);
    let now = answer.text().to_owned();
    assert_ne!(now, "one");
    assert!(sets, "the cookie names who answered in the end");
    assert_eq!(answer.head.field("cache-control"), Some("private"));
    assert_eq!(
        (client.named(), client.id()),
        (now.as_str(), id.as_str()),
        "the session is the same"
    );
    for _ in 0..5 {
        let (answer, sets) = client.get().await;
        assert_eq!((answer.text(), sets), (now.as_str(), false));
    }
}

#[tokio::test]
async fn where_it_is_strict_nobody_else_answers() {
    let servers = three().await;
    let proxy = proxy(&servers, Affinity::Strict).await;
    let mut client = Client::of(&proxy).await;
    assert_eq!(client.server().await, "one");
    servers[0].kill().await;
    for _ in 0..3 {
        let (answer, sets) = client.get().await;
        assert_eq!((answer.status(), answer.error()), (503, "affinity"));
        assert!(answer.head.field("retry-after").is_some());
        assert!(!sets, "it may come back to it");
    }
    // Others are served, new ones too.
    for _ in 0..4 {
        assert_ne!(Client::of(&proxy).await.server().await, "one");
    }
}

#[tokio::test]
async fn a_cookie_that_names_no_server_of_ours_is_moved_or_refused() {
    let servers = three().await;
    let elsewhere = Server::named("elsewhere").await;
    let before = TestProxy::start_with(format!("{} name=gone", elsewhere.line()), |settings| {
        settings.sessions =
            Some(SessionSettings { secrets: vec![vec![b's'; 32]], ..SessionSettings::default() });
    })
    .await;
    let mut client = Client::of(&before).await;
    client.server().await;
    assert_eq!(client.named(), "gone");
    // The embedded store of another proxy does not know the session: it begins anew, anywhere.
    let strict = proxy(&servers, Affinity::Strict).await;
    client.wire = strict.connect().await;
    client.server().await;
    assert_ne!(client.named(), "gone");
}

// ------------------------------------------------------------- the proxy as it is run, by its flags

/// Answers with its name and, while it is told to, with 500; the first request after that it reads
/// and lets die.
async fn moody(name: &'static str, mood: Arc<Mutex<Mood>>) -> Server {
    Server::start(move |mut wire, recorder: Recorder| {
        let mood = Arc::clone(&mood);
        async move {
            while let Some(head) = wire.read_head().await {
                recorder.record(head);
                let mood = *mood.lock().expect("a mood");
                let status = match mood {
                    Mood::Well => "200 OK",
                    Mood::Failing => "500 Internal Server Error",
                    Mood::Dying => return,
                };
                let length = name.len();
                wire.write(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{name}"))
                    .await;
            }
        }
    })
    .await
}

#[derive(Clone, Copy)]
enum Mood {
    Well,
    Failing,
    Dying,
}

struct Run {
    proxy: ProxyProcess,
    moods: [Arc<Mutex<Mood>>; 3],
    _servers: Vec<Server>,
}

impl Run {
    async fn start(affinity: &str) -> Self {
        let names = ["one", "two", "three"];
        let moods = names.map(|_| Arc::new(Mutex::new(Mood::Well)));
        let (mut servers, mut lines) = (Vec::new(), String::new());
        for (name, mood) in names.into_iter().zip(&moods) {
            let server = moody(name, Arc::clone(mood)).await;
            lines.push_str(&server.line());
            lines.push_str(" name=");
            lines.push_str(name);
            lines.push('\n');
            servers.push(server);
        }
        // Probes would find a failing server too, in their own time.
        let flags = ["--affinity", affinity, "--admin", "127.0.0.1:0", "--health", "on"];
        let more = ["--health-interval", "1h", "--workers", "1"];
        let proxy = ProxyProcess::start(&lines, &[&flags[..], &more[..]].concat()).await;
        Self { proxy, moods, _servers: servers }
    }

    async fn client(&self) -> Client {
        Client { wire: Wire::connect(self.proxy.address).await, cookie: String::new() }
    }

    fn set(&self, name: &str, mood: Mood) {
        let at = ["one", "two", "three"].iter().position(|known| *known == name).expect("a server");
        *self.moods[at].lock().expect("a mood") = mood;
    }

    async fn drain(&self, name: &str, on: bool) {
        let path = format!("/api/servers/{name}");
        let answer = self.proxy.administer("PATCH", &path, &format!("{{\"drain\":{on}}}")).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
    }

    async fn state(&self, name: &str) -> String {
        let answer = self.proxy.administer("GET", "/api/servers", "").await;
        let list: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let server = list.as_array().expect("a list").iter().find(|server| server["id"] == name);
        server.expect("the server")["state"].as_str().expect("a state").to_owned()
    }
}

#[tokio::test]
async fn where_it_is_preferred_clients_leave_a_server_that_drains_is_ejected_or_dies() {
    let run = Run::start("prefer").await;
    let mut client = run.client().await;
    let first = client.server().await;
    assert_eq!(client.named(), first);
    let id = client.id().to_owned();

    run.drain(&first, true).await;
    let second = client.server().await;
    assert_ne!(second, first);
    assert_eq!((client.named(), client.id()), (second.as_str(), id.as_str()));
    run.drain(&first, false).await;
    assert_eq!(client.server().await, second, "it stays where it is well");

    // Five errors in a row are the client's to see, and then the server is ejected.
    run.set(&second, Mood::Failing);
    for _ in 0..5 {
        assert_eq!(client.get().await.0.status(), 500);
    }
    assert_eq!(run.state(&second).await, "ejected");
    let third = client.server().await;
    assert_ne!(third, second);
    assert_eq!((client.named(), client.id()), (third.as_str(), id.as_str()));

    // One dies with the request in hand: another one answers, and it is that one's cookie.
    run.set(&third, Mood::Dying);
    let fourth = client.server().await;
    assert_ne!(fourth, third);
    assert_eq!((client.named(), client.id()), (fourth.as_str(), id.as_str()));
}

#[tokio::test]
async fn where_it_is_strict_clients_wait_for_a_server_that_drains_is_ejected_or_dies() {
    let run = Run::start("strict").await;
    let mut client = run.client().await;
    let own = client.server().await;
    let refused = |(answer, sets): (Answer, bool)| {
        assert_eq!((answer.status(), answer.error(), sets), (503, "affinity", false));
    };
    run.drain(&own, true).await;
    refused(client.get().await);
    run.drain(&own, false).await;
    assert_eq!(client.server().await, own);
    run.set(&own, Mood::Dying);
    let (answer, sets) = client.get().await;
    assert_eq!((answer.status(), sets), (502, false), "nobody else is asked");
    run.set(&own, Mood::Failing);
    while run.state(&own).await != "ejected" {
        client.get().await;
    }
    refused(client.get().await);
    assert_eq!(client.named(), own, "it is its own server still");
}

#[tokio::test]
async fn without_affinity_a_retry_is_the_first_cookies_server_and_no_reason_for_another() {
    let run = Run::start("none").await;
    run.set("one", Mood::Dying);
    let mut client = run.client().await;
    let first = client.server().await;
    assert_ne!(first, "one");
    assert_eq!(client.named(), first, "the one that answered in the end");
    run.set("one", Mood::Well);
    for _ in 0..6 {
        assert!(!client.get().await.1, "every server serves it, with the same cookie");
    }
}
