//! The cache over a store in this process that can be slow, or away.

mod fake;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use http::{HeaderName, HeaderValue};
use tokio::{runtime::Runtime, sync::Semaphore};

use self::fake::{Fake, FakeState};
use super::*;
use crate::session::{id::Id, record::Field};

const LIFETIME: Lifetime = Lifetime { idle: 1_800, max: 86_400 };

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Time passes only when nothing else can happen, so that a busy machine makes no store slow.
fn patient() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

fn cached() -> (Cached, Arc<FakeState>) {
    let fake = Fake::default();
    let state = Arc::clone(&fake.0);
    let background = Handle::current();
    (Cached::new(Box::new(fake), LIFETIME, &Arc::default(), &background), state)
}

async fn load(cached: &Cached, key: &Key) -> Loaded {
    cached.load(key, &mut Budget::new()).await
}

fn key() -> Key {
    Id::random().unwrap().key()
}

fn set(text: &'static str) -> Change {
    let field = Field::data(HeaderName::from_static("rondel-session-a")).unwrap();
    let edits = vec![(field, Some(HeaderValue::from_static(text)))];
    Change { begins: None, seen: time::now(), expires: time::now() + 100, edits }
}

fn begin(key: Key) -> Change {
    Record::new(key, time::now(), "b").as_change(LIFETIME)
}

fn text(loaded: &Loaded) -> String {
    let first = |record: &Arc<Record>| {
        let first = record.fields().next().map(|(_, value)| value.to_str().unwrap().to_owned());
        first.unwrap_or_default()
    };
    match loaded {
        Loaded::Found(record) => first(record),
        Loaded::Gone => "gone".to_owned(),
        Loaded::Away(record) => {
            format!("away:{}", record.as_ref().map(first).unwrap_or_default())
        }
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_thousand_requests_for_one_session_are_one_look_up() {
    patient().block_on(async {
        let (cached, remote) = cached();
        let key = key();
        remote.put(key, "1");
        remote.hold_answers();
        let cached = Arc::new(cached);
        let requests: Vec<_> = (0..1_000)
            .map(|_| {
                let cached = Arc::clone(&cached);
                tokio::spawn(async move { load(&cached, &key).await })
            })
            .collect();
        until("a fetch", || remote.fetches() == 1).await;
        remote.answers.add_permits(1_000);
        for request in requests {
            assert_eq!(text(&request.await.unwrap()), "1");
        }
        assert_eq!(remote.fetches(), 1);
        assert_eq!(text(&cached.peek(&key, time::now()).unwrap()), "1", "and none from now on");
    });
}

#[test]
fn a_missing_record_is_looked_for_twice_and_then_gone() {
    patient().block_on(async {
        let (cached, remote) = cached();
        let (absent, late) = (key(), key());
        assert_eq!(text(&load(&cached, &absent).await), "gone");
        assert_eq!(remote.fetches(), 2);
        assert_eq!(
            text(&cached.peek(&absent, time::now()).unwrap()),
            "gone",
            "and that is remembered"
        );
        let look = load(&cached, &late);
        let write = async {
            until("the first look", || remote.fetches() == 3).await;
            remote.put(late, "1");
        };
        let (loaded, ()) = tokio::join!(look, write);
        assert_eq!(text(&loaded), "1", "another proxy was about to write it");
    });
}

#[test]
fn a_look_up_that_an_invalidation_overtook_is_not_kept() {
    patient().block_on(async {
        let (cached, remote) = cached();
        for general in [false, true] {
            let key = key();
            remote.put(key, "old");
            remote.hold_answers();
            let before = remote.fetches();
            let overtake = async {
                until("a fetch", || remote.fetches() > before).await;
                remote.put(key, "new");
                if general {
                    cached.0.doubt_everything(false);
                } else {
                    cached.0.changed(&[key]);
                }
                remote.answers.add_permits(100);
            };
            tokio::join!(load(&cached, &key), overtake);
            assert!(cached.peek(&key, time::now()).is_none(), "the old one is not fresh");
            assert_eq!(text(&load(&cached, &key).await), "new");
        }
    });
}

#[test]
fn a_look_up_never_hides_what_was_written_meanwhile() {
    patient().block_on(async {
        let (cached, remote) = cached();
        let key = key();
        remote.put(key, "old");
        remote.hold_answers();
        let save = async {
            until("a fetch", || remote.fetches() == 1).await;
            cached.save(key, set("new"));
            until("the write", || remote.batches.load(Ordering::SeqCst) == 1).await;
            until("its confirmation", || cached.0.desk().queue.is_empty()).await;
            remote.answers.add_permits(100);
        };
        tokio::join!(load(&cached, &key), save);
        let seen = match cached.peek(&key, time::now()) {
            Some(loaded) => loaded,
            None => load(&cached, &key).await,
        };
        assert_eq!(text(&seen), "new");
    });
}

#[test]
fn a_look_up_that_read_before_a_write_was_carried_out_is_not_kept() {
    patient().block_on(async {
        let (cached, remote) = cached();
        let key = key();
        remote.put(key, "old");
        remote.hold_answers();
        remote.turns.forget_permits(Semaphore::MAX_PERMITS);
        // Nothing is known of the record here, and the look-up begins after the write.
        cached.save(key, set("new"));
        let write = async {
            until("a fetch", || remote.fetches() == 1).await;
            remote.turns.add_permits(100);
            until("its confirmation", || cached.0.desk().queue.is_empty()).await;
            remote.answers.add_permits(100);
        };
        tokio::join!(load(&cached, &key), write);
        until("it has landed", || cached.0.desk().flights.is_empty()).await;
        assert!(cached.peek(&key, time::now()).is_none(), "it read what was before");
        assert_eq!(text(&load(&cached, &key).await), "new");
    });
}

#[test]
fn an_invalidation_of_everything_makes_the_next_request_ask() {
    patient().block_on(async {
        let (cached, remote) = cached();
        let key = key();
        cached.save(key, begin(key));
        assert!(cached.flush(Duration::from_secs(5)).await);
        assert_eq!(text(&cached.peek(&key, time::now()).unwrap()), "");
        remote.put(key, "theirs");
        cached.0.doubt_everything(false);
        assert!(cached.peek(&key, time::now()).is_none());
        assert_eq!(text(&load(&cached, &key).await), "theirs");
    });
}

#[test]
fn writes_while_one_is_under_way_go_together() {
    patient().block_on(async {
        let (cached, remote) = cached();
        for _ in 0..150 {
            let key = key();
            cached.save(key, begin(key));
            cached.save(key, set("1"));
        }
        assert!(cached.flush(Duration::from_secs(5)).await);
        assert_eq!(remote.records.lock().unwrap().len(), 150);
        assert_eq!(remote.batches.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn while_the_store_is_away_what_is_known_goes_on_and_arrives_later() {
    patient().block_on(async {
        let (cached, remote) = cached();
        remote.away.store(true, Ordering::SeqCst);
        let (ours, theirs) = (key(), key());
        cached.save(ours, begin(ours));
        cached.save(ours, set("kept"));
        cached.save(theirs, set("change of an unknown record"));
        until("the breaker opens", || cached.0.breaker.is_open()).await;
        cached.0.doubt_everything(false);
        let start = Instant::now();
        assert_eq!(text(&load(&cached, &ours).await), "away:kept");
        assert_eq!(text(&load(&cached, &theirs).await), "away:change of an unknown record");
        assert_eq!(text(&load(&cached, &key()).await), "away:");
        assert!(start.elapsed() < Duration::from_millis(10), "nobody waits any more");
        remote.away.store(false, Ordering::SeqCst);
        assert!(cached.flush(Duration::from_secs(10)).await);
        let records = remote.records.lock().unwrap();
        assert!(records.contains_key(&ours));
        assert!(!records.contains_key(&theirs), "a change alone makes no record");
    });
}

#[test]
fn a_session_that_was_ended_while_the_store_is_away_stays_ended() {
    patient().block_on(async {
        let (cached, remote) = cached();
        let key = key();
        remote.put(key, "1");
        assert_eq!(text(&load(&cached, &key).await), "1");
        remote.away.store(true, Ordering::SeqCst);
        cached.delete(key);
        cached.save(key, set("late"));
        assert_eq!(text(&cached.peek(&key, time::now()).unwrap()), "gone");
        cached.0.table.forget(&key);
        assert_eq!(text(&load(&cached, &key).await), "gone", "also when the copy is lost");
        remote.away.store(false, Ordering::SeqCst);
        assert!(cached.flush(Duration::from_secs(10)).await);
        assert!(remote.records.lock().unwrap().is_empty());
    });
}

#[test]
fn a_change_of_a_record_that_somebody_ended_voids_the_copy() {
    patient().block_on(async {
        let (cached, remote) = cached();
        let key = key();
        remote.put(key, "1");
        load(&cached, &key).await;
        remote.records.lock().unwrap().clear();
        cached.save(key, set("2"));
        assert!(cached.flush(Duration::from_secs(5)).await);
        assert!(cached.peek(&key, time::now()).is_none());
        assert_eq!(text(&load(&cached, &key).await), "gone");
    });
}

#[test]
fn a_slow_store_costs_a_request_its_budget_and_no_more() {
    patient().block_on(async {
        let (cached, remote) = cached();
        remote.hold_answers();
        let key = key();
        let start = Instant::now();
        assert_eq!(text(&load(&cached, &key).await), "away:");
        assert!(start.elapsed() >= WAIT);
        assert!(start.elapsed() < WAIT + Duration::from_millis(15), "{:?}", start.elapsed());
        until("the breaker opens", || {
            drop(cached.0.board(self::key()));
            cached.0.breaker.is_open()
        })
        .await;
    });
}

#[test]
fn settling_says_whether_the_record_is_in_the_store() {
    patient().block_on(async {
        let (cached, remote) = cached();
        let (one, two) = (key(), key());
        cached.save(one, begin(one));
        assert!(cached.settle(&one, &mut Budget::new()).await);
        assert!(remote.records.lock().unwrap().contains_key(&one));
        remote.away.store(true, Ordering::SeqCst);
        cached.save(two, begin(two));
        assert!(!cached.settle(&two, &mut Budget::new()).await);
        remote.away.store(false, Ordering::SeqCst);
        assert!(cached.flush(Duration::from_secs(10)).await);
        assert!(!remote.records.lock().unwrap().contains_key(&two), "it was given up");
    });
}

#[test]
fn many_threads_on_one_cache_agree_in_the_end() {
    let runtime = runtime();
    let (cached, remote) = runtime.block_on(async { cached() });
    let keys: Vec<_> = (0..20).map(|_| key()).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (cached, stop, keys) = (&cached, &stop, &keys);
        scope.spawn(move || {
            runtime.block_on(until("the end", || stop.load(Ordering::SeqCst)));
            runtime.block_on(async { assert!(cached.flush(Duration::from_secs(10)).await) });
        });
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn(move || {
                    for (at, key) in keys.iter().enumerate().cycle().take(2_000) {
                        if at % 4 == worker {
                            cached.save(*key, begin(*key));
                        } else {
                            cached.save(*key, set("1"));
                            cached.peek(key, time::now());
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        for key in &keys[10..] {
            cached.delete(*key);
        }
        stop.store(true, Ordering::SeqCst);
    });
    let records = remote.records.lock().unwrap();
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(records.contains_key(key), at < 10);
        assert_eq!(matches!(cached.peek(key, time::now()), Some(Loaded::Found(_))), at < 10);
    }
}
