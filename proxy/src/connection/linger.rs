//! The end of a connection whose client may still be sending.
//!
//! Owns what is read after the last answer and thrown away. A socket that is closed with bytes in
//! it that nobody has read resets the connection, and the reset can overtake the answer: whoever
//! sends a body that is refused would never learn why (RFC 9112, 9.6). So we end our side first,
//! and then the client has a little time, and room, to find the answer and to end its own.

use std::{io, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::{stop::Stop, stream::Stream};

/// Of a body that was on its way already, or that comes from a client which reads only when it has
/// said everything.
const BYTES: u32 = 16 * 1024 * 1024;
const TIME: Duration = Duration::from_secs(30);
/// Who says nothing for so long has nothing more to say.
const SILENCE: Duration = Duration::from_secs(2);
/// Who sends fewer bytes a second than these is not about to end, and gets no more than `SILENCE`: a
/// crowd that crawls would be with us for all of `TIME`.
const RATE: u32 = 64 * 1024;

/// Ends our side, then waits for the client to end its own; not for long, and not at all once we
/// are to stop.
pub(super) async fn linger(mut stream: Stream, stop: &Stop) {
    let ended = async {
        // Over TLS it says more than the connection's end does. hyper may have said it already.
        timeout_at(Instant::now() + SILENCE, stream.shutdown()).await??;
        drain(stream.socket()).await
    };
    tokio::select! {
        biased;
        () = stop.draining() => {}
        // A client that is gone is one that has ended.
        _ = ended => {}
    }
}

async fn drain(socket: &TcpStream) -> io::Result<()> {
    let begin = Instant::now();
    let mut read = 0;
    while read < BYTES {
        let earned = SILENCE + Duration::from_secs(1) * read / RATE;
        let patience = (begin + earned.min(TIME)).min(Instant::now() + SILENCE);
        timeout_at(patience, socket.readable()).await??;
        // On the stack between two waits, so that who lingers costs no memory.
        match socket.try_read(&mut [0; 16 * 1024]) {
            Ok(0) => break,
            // No more than the room above.
            Ok(count) => read += u32::try_from(count).unwrap_or(BYTES),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        // Others are served between two reads.
        tokio::task::yield_now().await;
    }
    Ok(())
}
