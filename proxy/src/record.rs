//! What is noted of one request until it ends.
//!
//! Owns the times, and the one place where a request's numbers are counted: its end, whatever the
//! end was. Two clock reads a request, at its begin and at the head of its response; a third only
//! if the body had to be waited for. With metrics off there is none.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hyper::{HeaderMap, Method, Request, StatusCode, Uri};

use crate::{
    access_log::Line,
    backend::{Backend, InFlight},
    client::Client,
    error::Failure,
    metrics::{Class, Fault},
    session::SessionKind,
    trace,
    worker::Worker,
};

/// The notes of one request.
#[derive(Debug)]
pub(crate) struct Record {
    /// None: nobody wants to know.
    begun: Option<Instant>,
    /// Nanoseconds until the head of the response; 0: there is none yet.
    first_byte: u64,
    /// 0: there is none yet.
    status: u16,
    retries: u16,
    /// Bytes of the response's body.
    sent: u64,
    /// Whether more of the body had to be waited for once the head was there.
    streamed: bool,
    session: Option<SessionKind>,
    server: Server,
    failure: Option<&'static str>,
    /// Of use to the access log alone; none: there is no log.
    noted: Option<Box<Noted>>,
}

/// What the access log says of a request itself.
#[derive(Debug)]
struct Noted {
    begun: SystemTime,
    client: IpAddr,
    method: Method,
    uri: Uri,
    trace: Option<String>,
}

/// Whom the request was with last.
#[derive(Debug)]
enum Server {
    Nobody,
    /// It has the request in hand until the response's last byte.
    Answers(InFlight),
    /// It failed, or the request is not in its hands by this record.
    Named(Arc<Backend>),
}

impl Record {
    pub(crate) fn begin(worker: &Worker) -> Self {
        let begun = worker.proxy.metrics.on.then(|| {
            worker.numbers().begun.add(1);
            Instant::now()
        });
        Self {
            begun,
            first_byte: 0,
            status: 0,
            retries: 0,
            sent: 0,
            streamed: false,
            session: None,
            server: Server::Nobody,
            failure: None,
            noted: None,
        }
    }

    /// Keeps what the access log will say of the request, if there is one.
    pub(crate) fn note<B>(&mut self, client: &Client, request: &Request<B>) {
        self.noted = client.worker.proxy.access_log.get().map(|_| {
            Box::new(Noted {
                begun: SystemTime::now(),
                client: client.peer,
                method: request.method().clone(),
                uri: request.uri().clone(),
                trace: None,
            })
        });
    }

    pub(crate) fn trace(&mut self, request: &HeaderMap) {
        if let Some(noted) = &mut self.noted {
            noted.trace = trace::id(request).map(str::to_owned);
        }
    }

    pub(crate) fn session(&mut self, kind: SessionKind) {
        self.session = Some(kind);
    }

    /// It is this server's turn.
    pub(crate) fn picked(&self, worker: &Worker, server: &Backend) {
        if self.begun.is_some() {
            let numbers = worker.numbers();
            numbers.dealt.add(1);
            numbers.last.set(server.serial().into());
            server.numbers().of(worker.place).picked.add(1);
        }
    }

    /// A server failed the request; maybe another one is asked.
    pub(crate) fn server_failed(&mut self, worker: &Worker, server: &Arc<Backend>, why: Failure) {
        if let Some(fault) = Fault::of(why) {
            server.numbers().of(worker.place).failed[fault as usize].add(1);
        }
        self.server = Server::Named(Arc::clone(server));
    }

    /// Another server is asked.
    pub(crate) fn retried(&mut self) {
        self.retries += 1;
    }

    /// The head of the response is there. It is given `server` to hold until the end.
    pub(crate) fn answered(&mut self, status: StatusCode, server: InFlight, streamed: bool) {
        self.server = Server::Answers(server);
        self.streamed = streamed;
        self.head(status);
    }

    /// The protocol is switched, and `server` goes on being busy on its own.
    pub(crate) fn switched(&mut self, status: StatusCode, server: &InFlight) {
        self.server = Server::Named(Arc::clone(server.backend()));
        self.head(status);
    }

    /// The proxy answers by itself.
    pub(crate) fn refused(&mut self, status: StatusCode, word: &'static str) {
        self.failure = Some(word);
        self.head(status);
    }

    /// A part of the response's body goes to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The server stopped in the middle of its answer.
    pub(crate) fn broke_off(&mut self, worker: &Worker) {
        self.failure = Some(Fault::BrokenOff.name());
        if let Some(backend) = self.backend() {
            let numbers = backend.numbers().of(worker.place);
            numbers.failed[Fault::BrokenOff as usize].add(1);
        }
    }

    /// The server that is answering.
    pub(crate) fn backend(&self) -> Option<&Arc<Backend>> {
        match &self.server {
            Server::Nobody => None,
            Server::Answers(in_flight) => Some(in_flight.backend()),
            Server::Named(backend) => Some(backend),
        }
    }

    fn head(&mut self, status: StatusCode) {
        self.status = status.as_u16();
        if let Some(begun) = self.begun {
            self.first_byte = nanoseconds(begun);
        }
    }

    /// Counts the request.
    pub(crate) fn end(&mut self, worker: &Worker) {
        let Some(begun) = self.begun else { return };
        let over = self.streamed || self.status == 0;
        let whole = if over { nanoseconds(begun) } else { self.first_byte };
        let numbers = worker.numbers();
        let class = Class::of(self.status) as usize;
        numbers.ended[class].add(1);
        numbers.sent.add(self.sent);
        numbers.retries.add(self.retries.into());
        if let Some(kind) = self.session {
            numbers.sessions[kind as usize].add(1);
        }
        let refused = self.failure.is_some() && !matches!(self.server, Server::Answers(_));
        let answering = self.backend().filter(|_| self.status != 0 && !refused);
        if let Some(backend) = answering {
            let numbers = backend.numbers().of(worker.place);
            numbers.answered[class].add(1);
            numbers.sent.add(self.sent);
            numbers.first_byte.record(self.first_byte);
            numbers.whole.record(whole);
        }
        self.log(worker, whole);
    }

    fn log(&mut self, worker: &Worker, whole: u64) {
        let (Some(noted), Some(log)) = (self.noted.take(), worker.proxy.access_log.get()) else {
            return;
        };
        let Noted { begun, client, method, uri, trace } = *noted;
        let cancelled = (self.status == 0).then_some("cancelled");
        log.push(Box::new(Line {
            begun,
            client,
            method,
            uri,
            status: self.status,
            bytes: self.sent,
            first_byte: Duration::from_nanos(self.first_byte),
            whole: Duration::from_nanos(whole),
            backend: self.backend().map(|backend| backend.id().to_owned()),
            retries: self.retries,
            session: self.session.map(SessionKind::name),
            trace,
            error: self.failure.or(cancelled),
        }));
    }
}

fn nanoseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
