//! Who is passed over because of how it is.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rondel_proxy::{backend::State, health::HealthSettings, servers, settings::Settings};
use support::{Answer, Server, TestProxy, Wire, answer_with, free_address, lines, until};

/// Probes often enough for a test.
fn eager(settings: &mut Settings) {
    settings.health = Some(HealthSettings {
        path: "/health".parse().unwrap(),
        interval: Duration::from_millis(20),
    });
}

/// No probe but the first of each server.
fn passive(settings: &mut Settings) {
    eager(settings);
    settings.health.as_mut().unwrap().interval = Duration::from_secs(3_600);
}

fn state(proxy: &TestProxy, at: usize) -> State {
    proxy.roster.servers()[at].state()
}

/// A server that answers clients and probes as it is told to, with its name.
async fn moody(name: &'static str, good: Arc<AtomicBool>, probes_too: bool) -> Server {
    Server::start(move |mut wire, recorder| {
        let good = Arc::clone(&good);
        async move {
            while let Some(head) = wire.read_head().await {
                let probe = head.start.contains("/health");
                let fine = good.load(Ordering::Relaxed) || (probe && !probes_too);
                let status = if fine { "200 OK" } else { "503 Service Unavailable" };
                if !probe {
                    recorder.record(head);
                }
                let length = name.len();
                wire.write(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{name}"))
                    .await;
            }
        }
    })
    .await
}

async fn ask(client: &mut Wire, count: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    for _ in 0..count {
        answers.push(client.get("/").await);
    }
    answers
}

fn shares(answers: &[Answer]) -> HashMap<String, usize> {
    let mut shares = HashMap::new();
    for answer in answers {
        *shares.entry(answer.text().to_owned()).or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn a_server_that_is_down_is_found_by_probes_and_its_share_goes_to_all_others_alike() {
    let good = Arc::new(AtomicBool::new(true));
    let b = moody("b", Arc::clone(&good), true).await;
    let others = [Server::named("a").await, Server::named("c").await, Server::named("d").await];
    let fifth = Server::named("e").await;
    let servers = lines(&[&others[0], &b, &others[1], &others[2], &fifth]);
    let proxy = TestProxy::start_with(servers, eager).await;
    let mut client = proxy.connect().await;
    ask(&mut client, 7).await;
    good.store(false, Ordering::Relaxed);
    until(|| state(&proxy, 1) == State::Down).await;
    let answers = ask(&mut client, 400).await;
    let shares = shares(&answers);
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert!(["a", "c", "d", "e"].iter().all(|name| shares[*name] == 100), "{shares:?}");

    good.store(true, Ordering::Relaxed);
    until(|| state(&proxy, 1) == State::Up).await;
    let answers = ask(&mut client, 5).await;
    assert_eq!(shares_of(&answers, "b"), 1);
}

fn shares_of(answers: &[Answer], name: &str) -> usize {
    answers.iter().filter(|answer| answer.text() == name).count()
}

#[tokio::test]
async fn a_server_that_fails_clients_but_not_probes_is_ejected() {
    let bad = moody("bad", Arc::new(AtomicBool::new(false)), false).await;
    let good = Server::named("good").await;
    let proxy = TestProxy::start_with(lines(&[&bad, &good]), eager).await;
    let mut client = proxy.connect().await;
    let answers = ask(&mut client, 100).await;
    assert_eq!(shares_of(&answers, "bad"), 5);
    assert_eq!(state(&proxy, 0), State::Ejected);
    assert!(answers[10..].iter().all(|answer| answer.status() == 200));
}

#[tokio::test]
async fn a_server_that_fails_more_than_the_others_but_never_in_a_row_is_ejected() {
    // Every third answer: five in a row never come, and probes are well.
    let asked = Arc::new(AtomicUsize::new(0));
    let bad = Server::start(move |mut wire, _| {
        let asked = Arc::clone(&asked);
        async move {
            while let Some(head) = wire.read_head().await {
                let probe = head.start.contains("/health");
                let fails = !probe && asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
                let status = if fails { "500 Internal Server Error" } else { "200 OK" };
                wire.write(format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nbad")).await;
            }
        }
    })
    .await;
    let mut servers = vec![bad];
    for name in ["b", "c", "d", "e"] {
        servers.push(Server::named(name).await);
    }
    let proxy = TestProxy::start_with(lines(&servers.iter().collect::<Vec<_>>()), eager).await;
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let address = proxy.address;
            tokio::spawn(async move {
                let mut client = Wire::connect(address).await;
                loop {
                    ask(&mut client, 1).await;
                }
            })
        })
        .collect();
    // The comparison is made every ten seconds.
    until(|| state(&proxy, 0) != State::Up).await;
    for task in asking {
        task.abort();
    }
    let states: Vec<_> = (0..5).map(|at| state(&proxy, at)).collect();
    assert_eq!(states[0], State::Ejected);
    assert!(states[1..].iter().all(|state| *state == State::Up), "{states:?}");
    assert!(proxy.roster.servers()[0].requests() >= 100, "or chance alone would tell");
    let shares = shares(&ask(&mut proxy.connect().await, 100).await);
    assert!(["b", "c", "d", "e"].iter().all(|name| shares[*name] == 25), "{shares:?}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_asked_three_times_and_then_rests() {
    let dead = free_address().await;
    let (a, b, c) = (Server::named("a").await, Server::named("b").await, Server::named("c").await);
    let list = format!("http://{dead}\n{}", lines(&[&a, &b, &c]));
    let proxy = TestProxy::start_with(list, passive).await;
    let mut client = proxy.connect().await;
    let answers = ask(&mut client, 12).await;
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert_eq!(state(&proxy, 0), State::Ejected);
    assert_eq!(proxy.roster.servers()[0].requests(), 3);
    let shares = shares(&ask(&mut client, 300).await);
    assert!(["a", "b", "c"].iter().all(|name| shares[*name] == 100), "{shares:?}");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_down() {
    let mute = Server::start(|mut wire, _| async move {
        wire.read_to_end().await;
    })
    .await;
    let good = Server::named("good").await;
    let proxy = TestProxy::start_with(lines(&[&mute, &good]), eager).await;
    until(|| state(&proxy, 0) == State::Down).await;
    let answers = ask(&mut proxy.connect().await, 10).await;
    assert_eq!(shares_of(&answers, "good"), 10);
}

#[tokio::test]
async fn the_last_server_is_never_ejected() {
    let lone = moody("lone", Arc::new(AtomicBool::new(false)), true).await;
    let proxy = TestProxy::start_with(lone.line(), passive).await;
    ask(&mut proxy.connect().await, 20).await;
    assert_eq!((lone.hits(), state(&proxy, 0)), (20, State::Up));
}

#[tokio::test]
async fn if_all_are_down_all_are_tried_and_whoever_is_back_first_serves_at_once() {
    let addresses = [free_address().await, free_address().await];
    let list = format!("http://{}\nhttp://{}", addresses[0], addresses[1]);
    let proxy = TestProxy::start_with(list, eager).await;
    until(|| (0..2).all(|at| state(&proxy, at) == State::Down)).await;
    let answer = proxy.get("/").await;
    assert_eq!((answer.status(), answer.error()), (502, "connect"));
    let _back =
        Server::start_on(addresses[1], |wire, recorder| answer_with("back", wire, recorder)).await;
    assert_eq!(proxy.get("/").await.text(), "back");
    until(|| state(&proxy, 1) == State::Up).await;
}

#[tokio::test]
async fn a_server_that_comes_back_starts_slowly() {
    let good = Arc::new(AtomicBool::new(false));
    let b = moody("b", Arc::clone(&good), true).await;
    let a = Server::named("a").await;
    let proxy = TestProxy::start_with(lines(&[&a, &b]), |settings| {
        eager(settings);
        settings.slow_start = Duration::from_secs(3_600);
    })
    .await;
    until(|| state(&proxy, 1) == State::Down).await;
    good.store(true, Ordering::Relaxed);
    until(|| state(&proxy, 1) == State::Starting(1)).await;
    let answers = ask(&mut proxy.connect().await, 300).await;
    // One percent of its turns; 20 are ten times more than to be expected.
    assert!(shares_of(&answers, "b") < 20);
}

#[tokio::test]
async fn a_server_that_is_added_or_taken_back_starts_slowly_too() {
    let (a, b, c) = (Server::named("a").await, Server::named("b").await, Server::named("c").await);
    let proxy = TestProxy::start_with(lines(&[&a, &b]), |settings| {
        settings.slow_start = Duration::from_secs(3_600);
    })
    .await;
    assert_eq!([state(&proxy, 0), state(&proxy, 1)], [State::Up; 2], "there is nobody to spare");
    let id = proxy.roster.servers()[1].id().to_owned();
    proxy.roster.drain(&id, true).unwrap();
    proxy.roster.drain(&id, false).unwrap();
    proxy.roster.apply(servers::parse(&lines(&[&a, &b, &c])).unwrap());
    assert_eq!([state(&proxy, 1), state(&proxy, 2)], [State::Starting(1); 2]);
    let answers = ask(&mut proxy.connect().await, 300).await;
    for name in ["b", "c"] {
        // One percent of its turns; 20 are more than ten times what is to be expected.
        assert!(shares_of(&answers, name) < 20, "{name}");
    }
}

#[tokio::test]
async fn a_server_that_flaps_costs_no_request() {
    let good = Server::named("good").await;
    let address = free_address().await;
    let list = format!("http://{address}\n{}", good.line());
    let proxy = TestProxy::start_with(list, eager).await;
    let (mut client, mut answers) = (proxy.connect().await, Vec::new());
    for _ in 0..20 {
        let flapper =
            Server::start_on(address, |wire, recorder| answer_with("flapper", wire, recorder));
        let flapper = flapper.await;
        for up in [true, false] {
            for _ in 0..10 {
                answers.extend(ask(&mut client, 1).await);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if up {
                flapper.kill().await;
            }
        }
    }
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert!(shares_of(&answers, "flapper") > 0, "or this shows nothing");
}
