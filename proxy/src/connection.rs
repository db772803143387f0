//! One client connection, from accept to close.
//!
//! Owns what comes before HTTP, the choice of its version, the hyper connection, its one timer and
//! its end. Never looks into a request.

mod http2;
mod io;
mod linger;
mod meter;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io::ErrorKind,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Sleep, timeout},
};

use self::linger::linger;
pub(crate) use self::{io::ClientIo, meter::Meter};
use crate::{
    addresses::Crowded,
    client::{Admission, Client, Phase},
    clock::Tick,
    proxy, proxy_protocol,
    scan::{Requests, Scanned},
    stream::Stream,
    worker::Worker,
};

/// What hyper reads a client's requests of HTTP/1 from.
pub(crate) type Http1Io = TokioIo<Scanned<ClientIo, Requests>>;

/// Serves a client, from its first byte on, until it, we, or the time ends it.
pub(crate) async fn open(
    worker: Arc<Worker>,
    mut socket: TcpStream,
    mut peer: SocketAddr,
    mut admission: Admission,
) {
    if worker.proxy.is_announced(peer.ip()) {
        let header = Box::pin(proxy_protocol::read(&mut socket));
        match timeout(worker.proxy.limits.handshake, header).await {
            Ok(Ok(client)) => peer = client.unwrap_or(peer),
            Ok(Err(error)) if error.kind() == ErrorKind::InvalidData => {
                return tracing::warn!(%peer, %error, "no PROXY protocol header");
            }
            // It may only have looked whether we are there.
            Ok(Err(_)) | Err(_) => return,
        }
    }
    // By the address that the header names, so that those behind a proxy are told apart.
    match worker.proxy.seat(peer.ip().to_canonical()) {
        Ok(seat) => admission.seat = seat,
        Err(Crowded) => return worker.numbers().connections_refused.add(1),
    }
    let Some(acceptor) = &worker.proxy.acceptor else {
        let client = Client::new(worker, peer, false, admission);
        let io = ClientIo::in_clear(socket, Arc::clone(&client));
        return serve(io, client).await;
    };
    // Boxed here and below: the state of what few connections need is no part of all of them.
    let shaken = Box::pin(acceptor.accept(socket, worker.proxy.limits.handshake)).await;
    match shaken {
        Ok(tls) => {
            let client = Client::new(worker, peer, true, admission);
            let stream = Stream::Tls(Box::new(tls));
            let http2 = stream.agreed_on_http2();
            let io = ClientIo::over_tls(stream, Arc::clone(&client));
            if http2 {
                Box::pin(http2::serve(io, client)).await;
            } else {
                Box::pin(serve(io, client)).await;
            }
        }
        Err(error) => tracing::debug!(%peer, %error, "no TLS with this client"),
    }
}

/// HTTP/1, unless it turns out to be HTTP/2.
async fn serve(io: ClientIo, client: Arc<Client>) {
    let service = service_fn(|request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(proxy::answer::<false>(client, request).await) }
    });
    let limit = client.worker.proxy.limits.head_bytes;
    let stream = Scanned::new(io, Requests::new(Arc::clone(&client)), limit);
    let http = &client.worker.http;
    let mut connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let stop = pin!(client.worker.stop.draining());
    let mut watch = Watch::new(&client, stop);
    let end = poll_fn(|cx| {
        loop {
            // First of all, so that a request which has arrived is answered also at the end.
            // Errors are the client's: a reset, a malformed head. hyper has answered what can be.
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(if ended.is_ok() { End::Closed } else { End::Cut });
            }
            if client.gate.is_called() {
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
    let end = end.await;
    // None: it is another protocol's now.
    let Some(scanned) = connection.into_parts().map(|parts| parts.io.into_inner()) else { return };
    let unread = scanned.leaves_some_unread() || client.check_refusal().is_err();
    let (mut io, _) = scanned.into_parts();
    match end {
        End::Http2 => Box::pin(http2::serve(io, Arc::clone(&client))).await,
        End::SlowHead => {
            say_too_slow(&mut io).await;
            Box::pin(linger(io.stream, &client.worker.stop)).await;
        }
        End::Closed if unread => Box::pin(linger(io.stream, &client.worker.stop)).await,
        End::Closed | End::Cut => {}
    }
}

enum End {
    /// hyper has answered what it could.
    Closed,
    /// The client is told nothing more.
    Cut,
    SlowHead,
    Http2,
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
    stopping: Stopping,
    alarm: Alarm,
    closing: bool,
    http2: bool,
}

/// How far the signal to stop has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopping {
    Unasked,
    Awaited,
    Obeyed,
}

impl<'c, S: Future<Output = ()>> Watch<'c, S> {
    fn new(client: &'c Client, stop: Pin<&'c mut S>) -> Self {
        let (stopping, alarm) = (Stopping::Unasked, Alarm::default());
        Self { client, stop, stopping, alarm, closing: false, http2: false }
    }

    /// HTTP/2 can say that it ends, and answers what was sent before the client heard of it.
    fn of_http2(self) -> Self {
        Self { http2: true, ..self }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Next {
        if self.stopping != Stopping::Obeyed && self.stop_is_given(cx) {
            self.stopping = Stopping::Obeyed;
            match self.client.phase() {
                Phase::Busy => return Next::FinishAndClose,
                Phase::Idle if self.http2 => {
                    self.closing = true;
                    self.client.hurry();
                    return Next::FinishAndClose;
                }
                // The next request may be on its way. It is answered, with a word that it was the
                // last one.
                Phase::Idle => self.client.hurry(),
                Phase::Head | Phase::Http2 => {}
            }
        }
        if self.client.phase() == Phase::Http2 {
            return Next::End(End::Http2);
        }
        if self.alarm.poll(self.client, cx).is_pending() {
            return Next::Wait;
        }
        match self.client.phase() {
            // An answer that nobody takes would hold a server's connection as well.
            _ if self.client.has_stopped_reading() => Next::End(End::Cut),
            Phase::Head => Next::End(End::SlowHead),
            // It has had its time to close, too: it does not read our last bytes.
            Phase::Idle if self.closing => Next::End(End::Cut),
            Phase::Idle => {
                self.closing = true;
                self.client.linger();
                Next::FinishAndClose
            }
            // Nothing moves, since the client does not read what it asked for.
            Phase::Busy if self.http2 => Next::End(End::Cut),
            // The one who waits sees it when polled.
            Phase::Busy | Phase::Http2 => {
                self.client.expire();
                Next::Poll
            }
        }
    }

    /// A task's waker does not change: awaiting the signal once is enough to be woken by it, and
    /// later calls cost a load.
    fn stop_is_given(&mut self, cx: &mut Context<'_>) -> bool {
        if self.stopping == Stopping::Awaited {
            return self.client.worker.stop.is_draining();
        }
        self.stopping = Stopping::Awaited;
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
async fn say_too_slow(stream: &mut ClientIo) {
    const ANSWER: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\
        Rondel-Error: request-timeout\r\nContent-Type: text/plain\r\nContent-Length: 35\r\n\r\n\
        the request did not arrive in time\n";
    // A client that is gone or does not read is not told.
    let _ = timeout(Duration::from_secs(1), stream.write_all(ANSWER)).await;
}
