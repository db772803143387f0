//! How long a request waits for a store that never answers.

use http::{
    HeaderName, StatusCode,
    header::{COOKIE, SET_COOKIE},
};
use tokio::time::Instant;

use super::{
    id::Key,
    store::{Away, BoxFuture, Remote, Write, Written},
    *,
};

/// Takes everything, and says nothing.
#[derive(Debug)]
struct Silent;

impl Remote for Silent {
    fn ping(&self) -> BoxFuture<'_, Result<(), Away>> {
        Box::pin(std::future::pending())
    }

    fn fetch(&self, _: Key) -> BoxFuture<'_, Result<Option<Record>, Away>> {
        Box::pin(std::future::pending())
    }

    fn write<'a>(&'a self, _: &'a [(Key, Write)]) -> BoxFuture<'a, Result<Vec<Written>, Away>> {
        Box::pin(std::future::pending())
    }
}

fn sessions(fail: SessionFail, remote: Option<Box<dyn Remote>>) -> Sessions {
    let settings =
        SessionSettings { secrets: vec![vec![7; 32]], fail, ..SessionSettings::default() };
    let mut sessions = Sessions::new(settings, &Handle::current()).unwrap();
    if let Some(remote) = remote {
        let shared = Arc::get_mut(&mut sessions.0).unwrap();
        let (lifetime, stats) = (shared.lifetime, Arc::clone(&shared.stats));
        shared.store = Box::new(Cached::new(remote, lifetime, &stats, &Handle::current()));
    }
    sessions
}

/// A request with a cookie that another proxy of the same secret has set.
async fn known() -> HeaderMap {
    let elsewhere = sessions(SessionFail::Open, None);
    let mut response = HeaderMap::new();
    let first = elsewhere.open(&HeaderMap::new()).await.unwrap();
    first.to_client("b", StatusCode::OK, &mut response).await;
    let set = response[SET_COOKIE].to_str().unwrap();
    let mut request = HeaderMap::new();
    request.insert(COOKIE, set.split(';').next().unwrap().parse().unwrap());
    request
}

/// How long the store holds a request up, on its way to the backend and back.
async fn held_up(sessions: &Sessions, request: &HeaderMap, said: &[(&str, &str)]) -> Duration {
    let start = Instant::now();
    let opened = sessions.open(request).await;
    let on_the_way = start.elapsed();
    let Ok(session) = opened else { return on_the_way };
    // The backend takes its time, which is not waiting for the store.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut response = HeaderMap::new();
    for (name, value) in said {
        response.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let start = Instant::now();
    session.to_client("b", StatusCode::OK, &mut response).await;
    on_the_way + start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_20_ms_for_the_store_in_all_its_waits_together() {
    for fail in [SessionFail::Open, SessionFail::Closed] {
        for said in [&[][..], &[("rondel-session-a", "1")], &[("rondel-session", "rotate")]] {
            for request in [HeaderMap::new(), known().await] {
                let sessions = sessions(fail, Some(Box::new(Silent)));
                let waited = held_up(&sessions, &request, said).await;
                assert!(waited <= Duration::from_millis(20), "{fail:?} {said:?}: {waited:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_three_failures_nobody_waits_at_all() {
    let sessions = sessions(SessionFail::Open, Some(Box::new(Silent)));
    let mut waits = Vec::new();
    for _ in 0..10 {
        waits.push(held_up(&sessions, &known().await, &[]).await);
    }
    assert!(waits[..3].iter().all(|wait| *wait <= Duration::from_millis(20)), "{waits:?}");
    assert!(waits[3..].iter().all(Duration::is_zero), "{waits:?}");
}
