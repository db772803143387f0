//! Ports that nobody takes between being chosen and being bound.
//!
//! A port that the kernel chose and that was let go again may be chosen once more, for another
//! listener or for an outgoing connection, before whoever asked for it binds it.

use std::{
    net::{Ipv4Addr, TcpListener},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

/// A port of the loopback that nobody listens on, for this process alone as long as it lives.
///
/// It lies below the ports that the kernel gives away, and its name as an abstract Unix socket
/// keeps it from whoever else asks here, in other processes too.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        let name = format!("rondel test port {port}");
        let name = SocketAddr::from_abstract_name(name).expect("a short name");
        let Ok(claim) = UnixListener::bind_addr(&name) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            // Kept until the process ends.
            std::mem::forget(claim);
            return port;
        }
    }
}
