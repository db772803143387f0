//! A service on tokio: a TCP balancer that gives each connection to the next of its servers, while
//! servers come and go.
//!
//! `next_cloned` pins inside, so that no guard is alive across an `.await`: a guard is not `Send`,
//! and would keep the memory of everything that is removed meanwhile.
//!
//! ```text
//! one two three one two three
//! two has gone: one three one three
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{io, net::SocketAddr, sync::Arc};

use rondel::Ring;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> io::Result<()> {
    let servers = Arc::new(Ring::new());
    let mut keys = Vec::new();
    for name in ["one", "two", "three"] {
        keys.push(servers.push_back(start_server(name).await?));
    }
    let balancer = TcpListener::bind("127.0.0.1:0").await?;
    let address = balancer.local_addr()?;
    tokio::spawn(balance(balancer, Arc::clone(&servers)));

    let before = visit(address, 6).await?;
    println!("{before}");
    assert_eq!(before, "one two three one two three");

    servers.remove(keys[1]); // connections that it has stay; new ones go to the others
    let after = visit(address, 4).await?;
    println!("two has gone: {after}");
    assert_eq!(after, "one three one three");
    Ok(())
}

/// Accepts for ever; a task for each connection.
async fn balance(listener: TcpListener, servers: Arc<Ring<SocketAddr>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let Some(address) = servers.next_cloned() else { continue }; // nobody there: hang up
        tokio::spawn(async move {
            let mut server = TcpStream::connect(address).await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

/// A server that tells its name to whoever connects.
async fn start_server(name: &'static str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(name.as_bytes()).await; // a client that has gone misses nothing
        }
    });
    Ok(address)
}

/// Connects so many times, one after the other; who answered.
async fn visit(address: SocketAddr, times: usize) -> io::Result<String> {
    let mut names = Vec::new();
    for _ in 0..times {
        let mut name = String::new();
        TcpStream::connect(address).await?.read_to_string(&mut name).await?;
        names.push(name);
    }
    Ok(names.join(" "))
}
