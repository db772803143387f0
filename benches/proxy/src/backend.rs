//! The server behind every contender: as cheap as can be, since it shares its core with the load.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::load::{content_length, head_end};

/// Answers `GET /N` with N bytes, whatever came as a body. Called within the runtime.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    // A proxy may open hundreds of connections at once, when hundreds of clients begin.
    let listener = socket.listen(4_096)?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // The proxy closes when it wants to.
                let _ = serve(stream).await;
            });
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 << 10];
    let mut answer = (0, answer_of(0));
    let mut filled = 0;
    loop {
        let end = loop {
            if let Some(end) = head_end(&buffer[..filled]) {
                break end;
            }
            let read = stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
        };
        let size = wanted(&buffer[..end]);
        let mut body = content_length(&buffer[..end]).unwrap_or(0);
        let in_buffer = body.min(filled - end);
        buffer.copy_within(end + in_buffer..filled, 0);
        filled -= end + in_buffer;
        body -= in_buffer;
        while body > 0 {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let rest = read.saturating_sub(body);
            buffer.copy_within(read - rest..read, 0);
            filled = rest;
            body -= read - rest;
        }
        if answer.0 != size {
            answer = (size, answer_of(size));
        }
        stream.write_all(&answer.1).await?;
    }
}

/// The number in `GET /N `.
fn wanted(head: &[u8]) -> usize {
    let path = head.iter().position(|byte| *byte == b'/').map_or(head, |at| &head[at + 1..]);
    let digits = path.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

fn answer_of(size: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + size, b'x');
    answer
}
