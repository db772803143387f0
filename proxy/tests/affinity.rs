//! Whether a client goes back to the server it had: `--affinity none`, `prefer` and `strict`.

mod support;

use rondel_proxy::{session::SessionSettings, settings::Affinity};
use support::{Answer, Server, TestProxy, Wire};

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
