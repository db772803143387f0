//! A server that reads strictly, writes down what it reads, and answers each request with its own
//! target.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

use super::strict::{self, Message};

/// What came on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Request(Message),
    /// The connection ended in the middle of one.
    Part(Vec<u8>),
    /// Some parser reads this differently than others.
    Offence(String, Vec<u8>),
}

pub(crate) struct Recorder {
    pub(crate) line: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: JoinHandle<()>,
}

/// Asked for this, it answers with what it was told to.
pub(crate) const CASE: &str = "/case";

/// The bytes to answer with, and whether the connection ends behind them.
pub(crate) type Script = Arc<Mutex<(Vec<u8>, bool)>>;

impl Recorder {
    pub(crate) async fn start() -> Self {
        Self::start_with(Script::default()).await
    }

    pub(crate) async fn start_with(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let line = format!("http://{}", listener.local_addr().expect("its address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&noted), Arc::clone(&script)));
            }
        });
        Self { line, seen, accepting }
    }

    /// What was seen since it was last asked.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("the list"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn talk(mut stream: tokio::net::TcpStream, seen: Arc<Mutex<Vec<Seen>>>, script: Script) {
    let note = |what| seen.lock().expect("the list").push(what);
    let mut bytes = Vec::new();
    loop {
        match strict::request(&bytes) {
            Err(why) => return note(Seen::Offence(why, bytes)),
            Ok(Some((message, end))) => {
                bytes.drain(..end);
                let (answer, ends) = answer(&message, &script);
                note(Seen::Request(message));
                if stream.write_all(&answer).await.is_err() || ends {
                    return;
                }
            }
            Ok(None) => match stream.read_buf(&mut bytes).await {
                Ok(1..) => {}
                _ if bytes.is_empty() => return,
                _ => return note(Seen::Part(bytes)),
            },
        }
    }
}

fn answer(asked: &Message, script: &Script) -> (Vec<u8>, bool) {
    if asked.second() == CASE {
        return script.lock().expect("the script").clone();
    }
    let target = asked.second();
    let body = if asked.start.starts_with("HEAD ") { "" } else { target };
    let length = target.len();
    (format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes(), false)
}
