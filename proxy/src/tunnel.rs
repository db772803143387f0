//! After an upgrade: bytes, both ways, until one side ends.
//!
//! Owns the two sockets once HTTP is over on them. Never looks at what they carry.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};

use crate::{backend::InFlight, client::Client, connection::Http1Io, stream::Stream};

/// Starts passing bytes as soon as the client has been told that the protocol is switched. The
/// tunnel counts as a request in flight and as an open connection until it ends.
pub(crate) fn start(
    switched: OnUpgrade,
    server: Stream,
    from_server: Bytes,
    client: Arc<Client>,
    in_flight: InFlight,
) {
    tokio::spawn(async move {
        let passed = pass(switched, server, from_server).await;
        let server = in_flight.backend().id();
        tracing::debug!(peer = %client.peer, server, ?passed, "tunnel ended");
    });
}

async fn pass(
    switched: OnUpgrade,
    mut server: Stream,
    from_server: Bytes,
) -> io::Result<(u64, u64)> {
    let upgraded = switched.await.map_err(io::Error::other)?;
    let parts = upgraded
        .downcast::<Http1Io>()
        .map_err(|_| io::Error::other("the client's connection is of an unknown kind"))?;
    let (client, held) = parts.io.into_inner().into_parts();
    let mut client = client.stream;
    // There is no idle limit, since a silent WebSocket is a healthy one; so a peer that is gone
    // without a word is found by TCP.
    for socket in [client.socket(), server.socket()] {
        let probe = TcpKeepalive::new().with_time(Duration::from_secs(60));
        SockRef::from(socket).set_tcp_keepalive(&probe)?;
    }
    server.write_all(&parts.read_buf).await?;
    server.write_all(&held).await?;
    client.write_all(&from_server).await?;
    copy_bidirectional(&mut client, &mut server).await
}
