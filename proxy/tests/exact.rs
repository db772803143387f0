//! The tables of raw messages, run against the proxy: either it refuses, or the other side sees
//! exactly what was meant, framed in one way; and whoever asks next gets their own answer.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::time::Duration;

use support::TestProxy;
use support::cases::{RequestCase, ResponseCase, bytes, expand};
use support::client::{Client, Delivery};
use support::recorder::{CASE, Recorder, Script, Seen};
use support::strict::Message;
use tokio::time::timeout;

/// For one case.
const PATIENCE: Duration = Duration::from_secs(3);
const MAX_BODY: u64 = 65_536;

async fn before(recorder: &Recorder) -> TestProxy {
    TestProxy::start_with(&recorder.line, |settings| {
        settings.limits.max_body = Some(MAX_BODY);
        // Nothing in the tables is there to wait for.
        settings.limits.head = Duration::from_secs(2);
    })
    .await
}

#[tokio::test]
async fn requests_are_refused_or_seen_as_they_were_meant() {
    let cases = support::cases::requests();
    assert!(cases.len() >= 250, "{}", cases.len());
    let recorder = Recorder::start().await;
    let proxy = before(&recorder).await;
    let mut random = fastrand::Rng::with_seed(1);
    let mut wrong = Vec::new();
    for case in &cases {
        let raw = bytes(&case.raw);
        let mut deliveries = vec![Delivery::AtOnce, Delivery::InTwo(random.usize(1..raw.len()))];
        if raw.len() < 500 {
            deliveries.push(Delivery::ByteByByte);
        }
        for delivery in deliveries {
            let judged = judge_request(case, &raw, delivery, &proxy, &recorder);
            let judged = timeout(PATIENCE, judged).await;
            if let Err(why) = judged.unwrap_or_else(|_| Err("no answer".to_owned())) {
                wrong.push(format!("{} ({delivery:?}; RFC {}): {why}", case.name, case.rfc));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

async fn judge_request(
    case: &RequestCase,
    raw: &[u8],
    delivery: Delivery,
    proxy: &TestProxy,
    recorder: &Recorder,
) -> Result<(), String> {
    recorder.take();
    let mut client = Client::connect(proxy.address).await;
    client.send(raw, delivery).await;
    let served = if case.refused.is_some() { &case.first } else { &case.seen };
    let mut expected: Vec<String> = served.iter().map(|start| expand(start)).collect();
    for start in &expected {
        let answer = client.answer(start.starts_with("HEAD ")).await?;
        same("status", answer.second(), "200")?;
        let target = start.split(' ').nth(1).unwrap();
        if !start.starts_with("HEAD ") {
            same("answer", &String::from_utf8_lossy(&answer.body), target)?;
        }
    }
    let mut goes_on = !case.closes;
    if let Some(refused) = &case.refused {
        is_refusal(&client.answer(false).await?, refused)?;
        goes_on = false;
    }
    if goes_on {
        client.send(b"GET /same HTTP/1.1\r\nHost: a\r\n\r\n", Delivery::AtOnce).await;
        same("same connection", &text(&client.answer(false).await?.body), "/same")?;
        expected.push("GET /same HTTP/1.1".to_owned());
    } else if !case.stays {
        let rest = client.rest().await;
        same("behind the end", &text(&rest), "")?;
    }
    let mut next = Client::connect(proxy.address).await;
    next.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n", Delivery::AtOnce).await;
    same("next connection", &text(&next.answer(false).await?.body), "/next")?;
    expected.push("GET /next HTTP/1.1".to_owned());
    is_seen(case, &expected, recorder.take())
}

fn is_refusal(answer: &Message, refused: &str) -> Result<(), String> {
    let (status, word) = refused.split_once(' ').unwrap_or((refused, ""));
    same("status", answer.second(), status)?;
    match answer.all("rondel-error")[..] {
        [said] if word.is_empty() || said == word => Ok(()),
        ref said => Err(format!("Rondel-Error is {said:?}, not {word}")),
    }
}

fn is_seen(case: &RequestCase, expected: &[String], seen: Vec<Seen>) -> Result<(), String> {
    let mut requests = Vec::new();
    for seen in seen {
        match seen {
            Seen::Request(message) => requests.push(message),
            // What is refused in its middle may have begun.
            Seen::Part(_) if case.refused.is_some() => {}
            other => return Err(format!("the server saw {other:?}")),
        }
    }
    let starts: Vec<&String> = requests.iter().map(|message| &message.start).collect();
    same("seen", &format!("{starts:?}"), &format!("{expected:?}"))?;
    for (message, body) in requests.iter().zip(&case.bodies) {
        same("body", &text(&message.body), &expand(body))?;
    }
    let Some(first) = requests.first() else { return Ok(()) };
    has_and_lacks(first, &case.has, &case.lacks)?;
    trailers(first, case.trailers.as_deref())
}

fn has_and_lacks(message: &Message, has: &[String], lacks: &[String]) -> Result<(), String> {
    for field in has {
        let field = expand(field);
        let (name, value) = field.split_once(": ").unwrap();
        if !message.all(name).contains(&value) {
            return Err(format!("{name} is {:?}, not {value:?}", message.all(name)));
        }
    }
    match lacks.iter().find(|name| !message.all(name).is_empty()) {
        Some(name) => Err(format!("{name} is there: {:?}", message.all(name))),
        None => Ok(()),
    }
}

fn trailers(message: &Message, expected: Option<&[String]>) -> Result<(), String> {
    let Some(expected) = expected else { return Ok(()) };
    let trailers: Vec<_> =
        message.trailers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    same("trailers", &format!("{trailers:?}"), &format!("{expected:?}"))
}

fn same(what: &str, is: &str, should: &str) -> Result<(), String> {
    let short = |text: &str| text.chars().take(300).collect::<String>();
    if is == should {
        Ok(())
    } else {
        Err(format!("{what}: {:?}, not {:?}", short(is), short(should)))
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[tokio::test]
async fn responses_are_refused_or_passed_on_as_they_were_meant() {
    let cases = support::cases::responses();
    assert!(cases.len() >= 80, "{}", cases.len());
    let script = Script::default();
    let recorder = Recorder::start_with(script.clone()).await;
    let proxy = before(&recorder).await;
    let mut wrong = Vec::new();
    for case in &cases {
        *script.lock().unwrap() = (bytes(&case.raw), case.ends);
        let judged = timeout(PATIENCE, judge_response(case, &proxy)).await;
        if let Err(why) = judged.unwrap_or_else(|_| Err("no answer".to_owned())) {
            wrong.push(format!("{} (RFC {}): {why}", case.name, case.rfc));
        }
        let seen = recorder.take();
        if seen.iter().any(|seen| !matches!(seen, Seen::Request(_))) {
            wrong.push(format!("{}: the server saw {seen:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

async fn judge_response(case: &ResponseCase, proxy: &TestProxy) -> Result<(), String> {
    let method = case.method.as_deref().unwrap_or("GET");
    let mut client = Client::connect(proxy.address).await;
    let request = format!("{method} {CASE} HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    client.send(request.as_bytes(), Delivery::AtOnce).await;
    if case.cut {
        let head = client.head().await.ok_or("there is no head")?;
        let status = case.status.unwrap_or(200).to_string();
        same("status", head.split(' ').nth(1).unwrap_or(""), &status)?;
        let answer = client.answer(method == "HEAD").await;
        answer.err().ok_or("the body looks whole")?;
    } else {
        let answer = client.answer(method == "HEAD").await?;
        if let Some(refused) = &case.refused {
            is_refusal(&answer, refused)?;
        } else {
            same("status", answer.second(), &case.status.unwrap_or(200).to_string())?;
            same("body", &text(&answer.body), &expand(&case.body))?;
            has_and_lacks(&answer, &case.has, &case.lacks)?;
            trailers(&answer, case.trailers.as_deref())?;
        }
        client.send(b"GET /same HTTP/1.1\r\nHost: a\r\n\r\n", Delivery::AtOnce).await;
        same("same connection", &text(&client.answer(false).await?.body), "/same")?;
    }
    let mut next = Client::connect(proxy.address).await;
    next.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n", Delivery::AtOnce).await;
    same("next connection", &text(&next.answer(false).await?.body), "/next")
}
