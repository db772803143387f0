//! What stands beside a proxy: a Redis with its sessions, or a browser that shows its dashboard.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use crate::{
    contender::free_address,
    process::{self, Running},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Beside {
    Nothing,
    Redis,
    Dashboard,
}

/// What is there before the proxy starts.
pub(crate) struct Prepared {
    /// Tells the proxy of it.
    pub(crate) flag: String,
    redis: Option<Running>,
    dashboard: Option<SocketAddr>,
}

/// What is there while the proxy serves.
pub(crate) struct Company {
    _redis: Option<Running>,
    dashboard: Option<JoinHandle<()>>,
}

impl Drop for Company {
    fn drop(&mut self) {
        if let Some(dashboard) = &self.dashboard {
            dashboard.abort();
        }
    }
}

impl Beside {
    pub(crate) async fn prepare(self, folder: &Path) -> io::Result<Option<Prepared>> {
        let address = free_address()?;
        match self {
            Self::Nothing => Ok(None),
            Self::Redis => Ok(Some(Prepared {
                flag: format!("--redis=redis://{address}"),
                redis: Some(redis(address, folder).await?),
                dashboard: None,
            })),
            Self::Dashboard => Ok(Some(Prepared {
                flag: format!("--admin={address}"),
                redis: None,
                dashboard: Some(address),
            })),
        }
    }
}

impl Prepared {
    /// The proxy answers.
    pub(crate) async fn open(self) -> io::Result<Company> {
        let dashboard = match self.dashboard {
            Some(address) => Some(watch(address).await?),
            None => None,
        };
        Ok(Company { _redis: self.redis, dashboard })
    }
}

async fn redis(address: SocketAddr, folder: &Path) -> io::Result<Running> {
    let port = address.port().to_string();
    let arguments = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"];
    let arguments = arguments.map(str::to_owned);
    let redis =
        Running::start("redis-server", &arguments, process::REST, &folder.join("redis.log"))?;
    for _ in 0..200 {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(redis);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Err(io::Error::other("redis-server does not answer"))
}

/// Reads the dashboard's events, as its page does.
async fn watch(address: SocketAddr) -> io::Result<JoinHandle<()>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /api/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 64 << 10];
    let read = stream.read(&mut buffer).await?;
    if !buffer[..read].starts_with(b"HTTP/1.1 200") {
        return Err(io::Error::other(String::from_utf8_lossy(&buffer[..read]).into_owned()));
    }
    Ok(tokio::spawn(
        async move { while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {} },
    ))
}
