//! A client that sends bytes as it is told and reads answers strictly.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    strict::{self, Message},
    within,
};

/// How the bytes of a case get to the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    AtOnce,
    /// In two pieces, the second after the first has been read.
    InTwo(usize),
    ByteByByte,
}

pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
    ended: bool,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream, read: Vec::new(), ended: false }
    }

    /// A proxy that has refused the begin does not read the rest, so errors are no news.
    pub(crate) async fn send(&mut self, bytes: &[u8], delivery: Delivery) {
        match delivery {
            Delivery::AtOnce => self.write(bytes).await,
            Delivery::InTwo(at) => {
                self.write(&bytes[..at]).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
                self.write(&bytes[at..]).await;
            }
            Delivery::ByteByByte => {
                for byte in bytes {
                    self.write(&[*byte]).await;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        let _ = within(self.stream.write_all(bytes)).await;
    }

    /// The next final answer.
    ///
    /// # Errors
    ///
    /// When what comes is none, or ends before it is whole.
    pub(crate) async fn answer(&mut self, to_head: bool) -> Result<Message, String> {
        loop {
            match strict::response(&self.read, to_head, self.ended)? {
                Some((message, end)) => {
                    self.read.drain(..end);
                    if !message.second().starts_with('1') || message.second() == "101" {
                        return Ok(message);
                    }
                }
                None if self.ended => {
                    let read = String::from_utf8_lossy(&self.read).into_owned();
                    return Err(format!("the answer is not whole: {read:?}"));
                }
                None => self.fill().await,
            }
        }
    }

    /// The head of an answer, of which the body need not come.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            let end = self.read.windows(4).position(|end| end == b"\r\n\r\n");
            if let Some(end) = end {
                return Some(String::from_utf8_lossy(&self.read[..end]).into_owned());
            }
            if self.ended {
                return None;
            }
            self.fill().await;
        }
    }

    /// What is left to read until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while !self.ended {
            self.fill().await;
        }
        std::mem::take(&mut self.read)
    }

    async fn fill(&mut self) {
        // A reset is an end as well.
        self.ended = within(self.stream.read_buf(&mut self.read)).await.unwrap_or(0) == 0;
    }
}
