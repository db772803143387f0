//! How soon a proxy sees what others do to a session in Redis.

use std::time::Duration;

use crate::layer::{Client, Proxy, until, watch};

/// A change is seen within 100 ms where Redis tells of it.
pub(crate) const SOON: Duration = Duration::from_millis(100);
/// And in any case within five seconds.
pub(crate) const AT_LAST: Duration = Duration::from_secs(5);

/// How long it takes until the proxy hands out this value, but for what the machine kept everybody
/// waiting.
pub(crate) fn seen_in(proxy: &Proxy, client: &mut Client, value: Option<&str>) -> Duration {
    let watch = watch();
    until("the change is seen", || proxy.get(client, &[]).sent("rondel-session-note") == value);
    watch.elapsed()
}

/// How long it takes until the proxy gives the client another session.
pub(crate) fn end_seen_in(proxy: &Proxy, client: &Client) -> Duration {
    let watch = watch();
    until("the end is seen", || proxy.get(&mut client.clone(), &[]).sets_cookie());
    watch.elapsed()
}

/// Each of many changes is seen soon.
pub(crate) fn soon(mut times: Vec<Duration>) {
    times.sort();
    assert!(times[times.len() - 1] < SOON, "{times:?}");
}

/// A session that the proxy knows, and its key.
pub(crate) fn known(proxy: &Proxy) -> (Client, String) {
    let mut client = Client::default();
    let key = proxy.get(&mut client, &[]).key().to_owned();
    assert!(proxy.flush());
    (client, key)
}

/// Waits until changes are told of again: one that `note` writes is seen soon.
pub(crate) fn until_told(proxy: &Proxy, client: &mut Client, mut note: impl FnMut(&str)) {
    let mut turn = 0;
    until("changes are told of", || {
        turn += 1;
        let value = format!("told {turn}");
        note(&value);
        seen_in(proxy, client, Some(&value)) < SOON
    });
}
