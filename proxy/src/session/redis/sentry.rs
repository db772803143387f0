//! A connection that hears one thing: that the whole database was emptied.
//!
//! `FLUSHALL` names no keys, and the client drops the message that comes with it. So this asks, on
//! a connection of its own, for news of keys that nobody has: whatever comes is that message. It is
//! also how a silent loss of the server is noticed, without a command being sent: the system's own
//! keep-alive ends the connection. Where another server may take over, it asks now and then.

use std::{fmt::Write as _, io, time::Duration};

use fred::types::config::Server;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{interval, timeout},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// No key begins with this.
const NOBODY: &str = "rondel:none:";
const READY: &str = "rondel-ready";
const PATIENCE: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_millis(1_500);
/// A connection that says nothing may be one that a router has forgotten, and changes are to be
/// seen within five seconds: the system asks after two, every second, and gives up after four.
pub(super) const QUIET: Duration = Duration::from_secs(2);
pub(super) const ASK: Duration = Duration::from_secs(1);
pub(super) const RETRIES: u32 = 2;

/// Who we are to the server.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) name: Option<String>,
    pub(super) password: Option<String>,
    /// How the server shows who it is; `None`: it speaks in clear.
    pub(super) tls: Option<TlsConnector>,
}

/// Why the watch is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Alarm {
    Flushed,
    Lost,
}

pub(super) struct Sentry {
    stream: Box<dyn Stream>,
    beats: bool,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Sentry {
    /// Connects; when this returns nothing is missed any more. `beats`: another server may take
    /// this one's place while it hangs.
    pub(super) async fn post(server: &Server, login: &Login, beats: bool) -> io::Result<Self> {
        let connected = timeout(PATIENCE, async {
            let stream = TcpStream::connect((&*server.host, server.port)).await?;
            let keepalive =
                TcpKeepalive::new().with_time(QUIET).with_interval(ASK).with_retries(RETRIES);
            SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
            let mut stream: Box<dyn Stream> = match &login.tls {
                None => Box::new(stream),
                Some(tls) => {
                    let name = ServerName::try_from(server.host.to_string());
                    let name = name.map_err(|error| io::Error::other(error.to_string()))?;
                    Box::new(tls.connect(name, stream).await?)
                }
            };
            stream.write_all(&login.greeting()).await?;
            until_ready(&mut stream).await?;
            Ok(Self { stream, beats })
        });
        connected.await.map_err(io::Error::from)?
    }

    /// Waits for something to happen.
    pub(super) async fn watch(mut self) -> Alarm {
        let mut beat = interval(BEAT);
        let (mut answered, mut read) = (true, Vec::new());
        loop {
            tokio::select! {
                count = self.stream.read_buf(&mut read) => {
                    if !count.is_ok_and(|count| count > 0) {
                        return Alarm::Lost;
                    }
                    if read.starts_with(b"+PONG\r\n") {
                        answered = true;
                        read.drain(..b"+PONG\r\n".len());
                    }
                    if read.first().is_some_and(|byte| *byte != b'+') {
                        return Alarm::Flushed;
                    }
                }
                _ = beat.tick(), if self.beats => {
                    if !answered || self.stream.write_all(&words(&["PING"])).await.is_err() {
                        return Alarm::Lost;
                    }
                    answered = false;
                }
            }
        }
    }
}

impl Login {
    fn greeting(&self) -> Vec<u8> {
        let mut greeting = match &self.password {
            None => words(&["HELLO", "3"]),
            Some(password) => {
                let name = self.name.as_deref().unwrap_or("default");
                words(&["HELLO", "3", "AUTH", name, password])
            }
        };
        greeting.extend(words(&["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", NOBODY]));
        greeting.extend(words(&["PING", READY]));
        greeting
    }
}

/// The answers are read for two things alone: an error, and the end.
async fn until_ready(stream: &mut impl Stream) -> io::Result<()> {
    let end = format!("{READY}\r\n");
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let error = read.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"-"));
        if let Some(line) = error {
            return Err(io::Error::other(String::from_utf8_lossy(line).trim().to_owned()));
        }
    }
    Ok(())
}

/// A command in the protocol of Redis.
fn words(words: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        // Writing to a string cannot fail.
        let _ = write!(command, "${}\r\n{word}\r\n", word.len());
    }
    command.into_bytes()
}
