//! One client connection, from accept to close.
//!
//! Owns the hyper connection, its one timer and its end. Never looks into a request.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::Sleep};

use crate::{
    client::{Client, Phase},
    clock::Tick,
    proxy,
    scan::{Requests, Scanned},
};

/// What hyper reads a client's requests from.
pub(crate) type ClientIo = TokioIo<Scanned<TcpStream, Requests>>;

/// Serves a client until it, we, or the time ends it.
pub(crate) async fn serve(stream: TcpStream, client: Arc<Client>) {
    let service = service_fn(|request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(proxy::answer(client, request).await) }
    });
    let limit = client.worker.proxy.limits.head_bytes;
    let stream = Scanned::new(stream, Requests::new(Arc::clone(&client)), limit);
    let http = &client.worker.http;
    let mut connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let stop = pin!(client.worker.stop.draining());
    let mut watch = Watch::new(&client, stop);
    let end = poll_fn(|cx| {
        loop {
            // First of all, so that a request which has arrived is answered also at the end.
            // Errors are the client's: a reset, a malformed head. hyper has answered what can be.
            if Pin::new(&mut connection).poll(cx).is_ready() {
                return Poll::Ready(End::Closed);
            }
            if client.is_called() {
                continue;
            }
            match watch.next(cx) {
                Next::Wait => return Poll::Pending,
                Next::Poll => {}
                Next::FinishAndClose => Pin::new(&mut connection).graceful_shutdown(),
                Next::End(end) => return Poll::Ready(end),
            }
        }
    });
    if let End::SlowHead = end.await
        && let Some(parts) = connection.into_parts()
    {
        say_too_slow(parts.io.into_inner().into_parts().0).await;
    }
}

enum End {
    Closed,
    SlowHead,
}

/// What is to be done with the hyper connection after it was polled.
enum Next {
    Wait,
    Poll,
    FinishAndClose,
    End(End),
}

/// Ends the connection from outside: on the signal to stop, and when its time is over.
struct Watch<'c, S> {
    client: &'c Client,
    stop: Pin<&'c mut S>,
    stop_awaited: bool,
    stop_obeyed: bool,
    alarm: Alarm,
    closing: bool,
}

impl<'c, S: Future<Output = ()>> Watch<'c, S> {
    fn new(client: &'c Client, stop: Pin<&'c mut S>) -> Self {
        let alarm = Alarm::default();
        Self { client, stop, stop_awaited: false, stop_obeyed: false, alarm, closing: false }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Next {
        if self.stop_is_given(cx) && !self.stop_obeyed {
            self.stop_obeyed = true;
            match self.client.phase() {
                Phase::Busy => return Next::FinishAndClose,
                // The next request may be on its way. It is answered, with a word that it was the
                // last one.
                Phase::Idle => self.client.hurry(),
                Phase::Head => {}
            }
        }
        if self.alarm.poll(self.client, cx).is_pending() {
            return Next::Wait;
        }
        match self.client.phase() {
            Phase::Head => Next::End(End::SlowHead),
            // It has had its time to close, too: it does not read our last bytes.
            Phase::Idle if self.closing => Next::End(End::Closed),
            Phase::Idle => {
                self.closing = true;
                self.client.linger();
                Next::FinishAndClose
            }
            // The one who waits sees it when polled.
            Phase::Busy => {
                self.client.expire();
                Next::Poll
            }
        }
    }

    /// A task's waker does not change: awaiting the signal once is enough to be woken by it, and
    /// later calls cost a load.
    fn stop_is_given(&mut self, cx: &mut Context<'_>) -> bool {
        if self.stop_awaited {
            return self.client.worker.stop.is_draining();
        }
        self.stop_awaited = true;
        self.stop.as_mut().poll(cx).is_ready()
    }
}

/// The connection's one timer.
///
/// It is set anew only when it goes off early or a nearer deadline turns up, and not by each
/// request: a busy connection sets it about once a minute.
#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    armed_for: Tick,
}

impl Alarm {
    /// Ready once the client's deadline, as it is now, has passed.
    fn poll(&mut self, client: &Client, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = client.deadline() else { return Poll::Pending };
        let sleep = match &mut self.sleep {
            Some(sleep) if sleep.is_elapsed() && self.armed_for >= due => {
                self.sleep = None;
                return Poll::Ready(());
            }
            Some(sleep) if !sleep.is_elapsed() && self.armed_for <= due => return Poll::Pending,
            Some(sleep) => {
                sleep.as_mut().reset(client.worker.clock.instant(due));
                sleep
            }
            none => {
                none.insert(Box::pin(tokio::time::sleep_until(client.worker.clock.instant(due))))
            }
        };
        self.armed_for = due;
        sleep.as_mut().poll(cx)
    }
}

/// hyper can no longer answer, since it has no request yet; so the few bytes are written here.
async fn say_too_slow(mut stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\
        Rondel-Error: request-timeout\r\nContent-Type: text/plain\r\nContent-Length: 35\r\n\r\n\
        the request did not arrive in time\n";
    let written = tokio::time::timeout(Duration::from_secs(1), async {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await
    });
    // A client that is gone or does not read is not told.
    let _ = written.await;
}
