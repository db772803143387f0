//! Proxies that look at nothing, for the judge to find out.

use std::net::SocketAddr;

use hyper::{Request, body::Incoming, client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::recorder::Recorder;

/// One of them, until it is dropped.
pub(crate) struct Naive {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Naive {
    /// Carries bytes as they come.
    pub(crate) async fn of_bytes(server: &Recorder) -> Self {
        Self::start(server, |mut client, mut server| async move {
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        })
        .await
    }

    /// Reads and writes messages with hyper, and takes its word for them.
    pub(crate) async fn of_hyper(server: &Recorder) -> Self {
        Self::start(server, |client, server| async move {
            let Ok((sender, connection)) =
                client::conn::http1::handshake::<_, Incoming>(TokioIo::new(server)).await
            else {
                return;
            };
            let asking = tokio::spawn(connection);
            let sender = tokio::sync::Mutex::new(sender);
            let ask = async |mut request: Request<Incoming>| {
                if let Some(path) = request.uri().path_and_query().cloned() {
                    *request.uri_mut() = path.into();
                }
                sender.lock().await.send_request(request).await
            };
            let service = service_fn(ask);
            let _ = server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(client), service)
                .await;
            asking.abort();
        })
        .await
    }

    async fn start<F>(
        server: &Recorder,
        talk: impl Fn(TcpStream, TcpStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let server = server.line.trim_start_matches("http://").to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                tokio::spawn(talk(client, server));
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Naive {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
