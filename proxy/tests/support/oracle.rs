//! The judge of requests that nobody wrote down: whatever the bytes are, the proxy refuses and says
//! so, or the server sees what the bytes say by the letter, and nothing but that.

use std::{net::SocketAddr, time::Duration};

use tokio::time::timeout;

use super::{
    client::{Client, Delivery},
    recorder::{Recorder, Seen},
    strict::{self, Message},
};

/// Judges one input; `patience`: how long the answer may take.
///
/// # Errors
///
/// What is wrong.
pub(crate) async fn judge(
    raw: &[u8],
    delivery: Delivery,
    patience: Duration,
    proxy: SocketAddr,
    recorder: &Recorder,
) -> Result<(), String> {
    let mut client = Client::connect(proxy).await;
    client.send(raw, delivery).await;
    let mut answers = Vec::new();
    let mut refused = false;
    while !refused && let Ok(answer) = timeout(patience, client.answer(false)).await {
        let Ok(answer) = answer else { break };
        refused = !answer.all("rondel-error").is_empty();
        if !refused && answer.second() != "200" {
            return Err(format!("an answer without a word for it: {}", answer.start));
        }
        answers.push(answer);
    }
    drop(client);
    let mut next = Client::connect(proxy).await;
    next.send(b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n", Delivery::AtOnce).await;
    // Long, since nothing is to be seen by a short wait here: this answer always comes.
    let answer = timeout(Duration::from_secs(10), next.answer(false)).await;
    let answer = answer.map_err(|_| "the next client got no answer")??;
    if answer.body != b"/next" {
        return Err(format!("the next client got {answer:?}"));
    }
    let seen = until_next(recorder.take())?;
    let served = answers.len() - usize::from(refused);
    if seen.len() < served {
        return Err(format!("{served} answers to {} requests", seen.len()));
    }
    for (request, answer) in seen.iter().zip(&answers) {
        let to_head = request.start.starts_with("HEAD ");
        if !to_head && answer.body != request.second().as_bytes() {
            return Err(format!("{:?} was answered with {:?}", request.start, answer.body));
        }
    }
    by_the_letter(raw, &seen)
}

/// What was seen before the last request, which is ours.
fn until_next(seen: Vec<Seen>) -> Result<Vec<Message>, String> {
    let mut requests = Vec::new();
    for seen in seen {
        match seen {
            Seen::Request(message) => requests.push(message),
            // A client that gives up, or is refused, ends what it began.
            Seen::Part(_) => {}
            Seen::Offence(why, bytes) => {
                let bytes = String::from_utf8_lossy(&bytes).into_owned();
                return Err(format!("the server saw {why} in {bytes:?}"));
            }
        }
    }
    let last = requests.pop().ok_or("the server saw nothing")?;
    if last.start == "GET /next HTTP/1.1" { Ok(requests) } else { Err(format!("last: {last:?}")) }
}

/// The requests that were seen are those that stand in the bytes, from the first on. What only a
/// forgiving parser could find there must not have been seen.
fn by_the_letter(raw: &[u8], seen: &[Message]) -> Result<(), String> {
    let mut at = 0;
    for message in seen {
        let rest = &raw[at..];
        let (meant, end) = match meant(rest) {
            Ok(Some(found)) => found,
            Ok(None) => return Err(format!("{:?} was seen and is not whole", message.start)),
            Err(why) => return Err(format!("{:?} was seen, but has a bad {why}", message.start)),
        };
        at += end;
        let method = |message: &Message| message.start.split(' ').next().map(str::to_owned);
        if method(&meant) != method(message) {
            return Err(format!("{:?} became {:?}", meant.start, message.start));
        }
        if meant.second().starts_with('/') && meant.second() != message.second() {
            return Err(format!("{:?} became {:?}", meant.start, message.start));
        }
        if meant.body != message.body {
            return Err(format!("a body became {:?}, not {:?}", message.body, meant.body));
        }
    }
    Ok(())
}

/// The request at the begin of some bytes, read strictly but for what is decided to be let in.
fn meant(raw: &[u8]) -> strict::Parsed {
    let (skipped, rest) = match raw.strip_prefix(b"\r\n") {
        Some(rest) => (2, rest),
        None => (0, raw),
    };
    let found = strict::client_request(rest)?;
    Ok(found.map(|(message, end)| (message, end + skipped)))
}
