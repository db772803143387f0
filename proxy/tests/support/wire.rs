//! HTTP/1 as it is on the wire: sent and read byte by byte, as the test wants it.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::within;

/// One end of a connection that speaks HTTP/1, byte by byte as the test wants it.
pub struct Wire<S = TcpStream> {
    pub stream: S,
    read: Vec<u8>,
}

/// The head of a request or a response, as it came.
#[derive(Clone, Debug)]
pub struct Head {
    pub start: String,
    pub fields: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Head {
    /// All values of a field, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} comes several times: {values:?}");
        values.first().copied()
    }

    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The word of `Rondel-Error`.
    pub fn error(&self) -> &str {
        self.head.field("rondel-error").unwrap_or("")
    }
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::new(within(TcpStream::connect(address)).await.unwrap())
    }

    /// The same from this address, which is one of the loopback's.
    pub async fn connect_from(from: [u8; 4], to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        Self::new(within(socket.connect(to)).await.unwrap())
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// These bytes, unless the other side has ended the connection.
    pub async fn write_some(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// More bytes; false at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        Ok(within(self.stream.read_buf(&mut self.read)).await? > 0)
    }

    /// Everything up to the end of the connection; a reset is an end as well.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill().await.unwrap_or(false) {}
        std::mem::take(&mut self.read)
    }

    pub async fn read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < count {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.read.split_off(count);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    async fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.read_exact(end + 2).await?;
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next head, or none if the connection ends before one.
    pub async fn read_head(&mut self) -> Option<Head> {
        let start = self.read_line().await.ok()?;
        self.read_fields_of(start).await
    }

    /// The trailers, whose last chunk has been read; without a start line.
    pub async fn read_fields(&mut self) -> Option<Head> {
        self.read_fields_of(String::new()).await
    }

    async fn read_fields_of(&mut self, start: String) -> Option<Head> {
        let mut fields = Vec::new();
        loop {
            let line = self.read_line().await.ok()?;
            if line.is_empty() {
                return Some(Head { start, fields });
            }
            let (name, value) = line.split_once(':').unwrap();
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The body that belongs to this head; an error if it breaks off.
    pub async fn read_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.field("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let chunk = self.read_chunk().await?;
                if chunk.is_empty() {
                    return Ok(body);
                }
                body.extend(chunk);
            }
        }
        match head.field("content-length") {
            Some(length) => self.read_exact(length.parse().unwrap()).await,
            None if head.start.starts_with("HTTP/") => Ok(self.read_to_end().await),
            None => Ok(Vec::new()),
        }
    }

    /// One chunk; empty: the last one.
    pub async fn read_chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = usize::from_str_radix(&self.read_line().await?, 16).unwrap();
        let chunk = self.read_exact(size).await?;
        assert_eq!(self.read_line().await?, "");
        Ok(chunk)
    }

    /// One chunk; empty: the last one, and the trailers are still to come.
    pub async fn read_chunk_or_end(&mut self) -> io::Result<Vec<u8>> {
        let size = usize::from_str_radix(&self.read_line().await?, 16).unwrap();
        if size == 0 {
            return Ok(Vec::new());
        }
        let chunk = self.read_exact(size).await?;
        assert_eq!(self.read_line().await?, "");
        Ok(chunk)
    }

    /// The whole answer to a request that was sent before.
    pub async fn read_answer(&mut self) -> Answer {
        let head = self.read_head().await.expect("no answer");
        let body = match head.status() {
            204 | 304 => Vec::new(),
            _ => self.read_body(&head).await.expect("the answer breaks off"),
        };
        Answer { head, body }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.write(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        self.read_answer().await
    }

    /// Whether the other side has ended the connection, in whatever way.
    pub async fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.fill().await.unwrap_or(false)
    }
}
