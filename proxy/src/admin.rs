//! The page, the API and the metrics: for operators, on a listener of their own.
//!
//! Owns that listener and the way from a request's path to what answers it. Runs on the background
//! thread, so that nothing which happens here can hold up a client; whoever looks on does so
//! through `view`, which only reads.

mod answer;
mod api;
mod events;
mod guard;
mod openapi;
mod page;
mod prometheus;
mod view;

use std::{
    convert::Infallible,
    fmt, io,
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use self::{answer::Body, events::Events, page::Page, view::Observer};
use crate::{proxy::Proxy, stop::Stop};

/// What the operator's side of the proxy may do, and who may use it.
#[derive(Clone)]
pub struct AdminSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether the operator asked for this address; the default one may be taken by another proxy.
    pub explicit: bool,
    /// What changes and reads must bring as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Names under which it may be called, besides loopback and its own address.
    pub hosts: Vec<String>,
}

impl fmt::Debug for AdminSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminSettings")
            .field("listen", &self.listen)
            .field("token", &self.token.is_some())
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// What all connections share.
struct Admin {
    proxy: Arc<Proxy>,
    stop: Stop,
    observer: Arc<Observer>,
    events: Events,
    page: Page,
    token: Option<String>,
    hosts: Vec<String>,
}

/// Opens the listener.
///
/// # Errors
///
/// When the address cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Most connections at once; each dashboard that is open holds one.
const CONNECTIONS: usize = 512;

/// Answers operators until the runtime ends: a proxy that drains can still be asked how far it is.
///
/// # Errors
///
/// When the listener cannot be used.
pub async fn serve(
    listener: StdListener,
    proxy: Arc<Proxy>,
    settings: AdminSettings,
    stop: Stop,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let observer = Arc::new(Observer::new(Arc::clone(&proxy), stop.clone()));
    tokio::spawn(Arc::clone(&observer).remember());
    let events = Events::new();
    tokio::spawn(events.clone().publish(Arc::clone(&observer)));
    let AdminSettings { token, hosts, .. } = settings;
    let page = Page::new();
    let admin = Arc::new(Admin { proxy, stop, observer, events, page, token, hosts });
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return Ok(()) };
        match listener.accept().await {
            Ok((stream, _)) => {
                let admin = Arc::clone(&admin);
                tokio::spawn(async move {
                    admin.connection(stream).await;
                    drop(permit);
                });
            }
            // No more file descriptors, most likely: it passes.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Admin {
    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let Ok(local) = stream.local_addr() else { return };
        // A dashboard whose machine is gone says nothing; TCP finds out.
        let probe = TcpKeepalive::new().with_time(Duration::from_secs(60));
        let _ = SockRef::from(&stream).set_tcp_keepalive(&probe);
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| {
            let admin = Arc::clone(&self);
            async move { Ok::<_, Infallible>(admin.answer(request, local.ip()).await) }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(60));
        http.max_header_size(16 * 1024);
        // What can go wrong is the client's, and it has been told what can be told.
        let _ = http.serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: Request<Incoming>, local: IpAddr) -> Response<Body> {
        let (head, body) = request.into_parts();
        if let Err(refusal) = guard::check(&head, local, self.token.as_deref(), &self.hosts) {
            return refusal.response();
        }
        let path = head.uri.path();
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        match path {
            "/" if reads => self.page.response(),
            "/metrics" if reads => answer::text(
                "text/plain; version=0.0.4; charset=utf-8",
                prometheus::render(&self.observer.view()),
            ),
            "/healthz" if reads => answer::json(StatusCode::OK, &json!({ "status": "ok" })),
            "/readyz" if reads => self.readiness(),
            "/api/events" if reads => self.events.subscribe(&self.observer),
            "/api/openapi.json" if reads => answer::text("application/json", openapi::TEXT.into()),
            "/" | "/metrics" | "/healthz" | "/readyz" | "/api/events" | "/api/openapi.json" => {
                answer::not_allowed("GET, HEAD")
            }
            _ => match api::Target::of(path) {
                Some(target) => self.api(target, &head.method, body).await,
                None => answer::error(StatusCode::NOT_FOUND, "there is nothing here"),
            },
        }
    }

    /// Whether new clients should be sent here. A store that is away is no reason not to: requests
    /// are served without it.
    fn readiness(&self) -> Response<Body> {
        let servers = self.proxy.roster.servers();
        let available = servers.iter().filter(|server| server.is_available()).count();
        let draining = self.stop.is_draining();
        let ready = available > 0 && !draining;
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let word = match (ready, draining) {
            (true, _) => "ready",
            (_, true) => "stopping",
            _ => "no server is available",
        };
        let store = self.proxy.sessions.as_ref().map_or("off", |all| all.store_state().name());
        answer::json(status, &json!({ "status": word, "servers": available, "sessions": store }))
    }
}
