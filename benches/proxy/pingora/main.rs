//! `proxy-bench-pingora LISTEN ORIGIN`: every request goes to one origin, by one worker.

use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::{
    Result,
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

struct Plain {
    origin: String,
}

#[async_trait]
impl ProxyHttp for Plain {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&self.origin, false, String::new())))
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(listen), Some(origin)) = (words.next(), words.next()) else {
        eprintln!("usage: proxy-bench-pingora LISTEN ORIGIN");
        std::process::exit(64);
    };
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 1024, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), Plain { origin });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
