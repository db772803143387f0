//! A pool of connections: idle ones are used in turn, a broken one is replaced in its place.
//!
//! `next_where` only *looks* whether a connection is idle, since it may ask about a member more
//! than once, and another thread may be faster. Whoever wants a connection then claims it.
//!
//! ```text
//! hello over connection 0
//! hello over connection 1
//! connection 2 broke, 3 took its place
//! hello over connection 3
//! hello over connection 0
//! hello over connection 1
//! hello over connection 3
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use rondel::{Entry, Ring, pin};

fn main() -> io::Result<()> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    thread::spawn(move || server.incoming().enumerate().for_each(answer));

    let pool = Pool::connect(address, 3)?;
    for expected in [0, 1, 3, 0, 1, 3] {
        let answer = pool.ask("hello")?;
        println!("{answer}");
        assert_eq!(answer, format!("hello over connection {expected}"));
    }
    Ok(())
}

struct Pool {
    address: SocketAddr,
    opened: AtomicU32,
    connections: Ring<Connection>,
}

impl Pool {
    fn connect(address: SocketAddr, size: u32) -> io::Result<Self> {
        let pool = Self { address, opened: AtomicU32::new(0), connections: Ring::new() };
        for _ in 0..size {
            pool.connections.push_back(pool.open()?);
        }
        Ok(pool)
    }

    fn open(&self) -> io::Result<Connection> {
        let name = self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Connection { name, stream: Mutex::new(TcpStream::connect(self.address)?) })
    }

    /// Sends a line over whichever idle connection is next, and returns the answer.
    fn ask(&self, line: &str) -> io::Result<String> {
        let guard = pin(); // the answer is near: for a slow server, keep an `Arc` and no guard
        loop {
            let idle = self.connections.next_where(&guard, Connection::is_idle);
            let Some(connection) = idle.or_else(|| self.connections.next(&guard)) else {
                return Err(io::ErrorKind::NotConnected.into());
            };
            match connection.exchange(line) {
                Ok(answer) => {
                    return Ok(format!("{} over connection {}", answer.trim(), connection.name));
                }
                Err(_) => self.replace(connection)?,
            }
        }
    }

    /// Opens a new connection where a broken one was, so that nobody's turn changes.
    fn replace(&self, broken: Entry<'_, Connection>) -> io::Result<()> {
        let new = self.open()?;
        let name = new.name;
        // Refused if another thread has replaced it already: the new one is closed then.
        let Ok(key) = self.connections.insert_after(broken.key(), new) else { return Ok(()) };
        if self.connections.remove(broken.key()) {
            println!("connection {} broke, {name} took its place", broken.name);
        } else {
            // Another thread did the same at the same time, and one is enough.
            self.connections.remove(key);
        }
        Ok(())
    }
}

struct Connection {
    name: u32,
    stream: Mutex<TcpStream>,
}

impl Connection {
    fn is_idle(&self) -> bool {
        self.stream.try_lock().is_ok()
    }

    fn exchange(&self, line: &str) -> io::Result<String> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(stream, "{line}")?;
        let mut answer = String::new();
        match BufReader::new(&*stream).read_line(&mut answer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer),
        }
    }
}

/// Echoes lines; closes its third connection at once.
fn answer((number, stream): (usize, io::Result<TcpStream>)) {
    let Ok(mut stream) = stream else { return };
    if number == 2 {
        return;
    }
    thread::spawn(move || {
        let Ok(reader) = stream.try_clone() else { return };
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            if writeln!(stream, "{line}").is_err() {
                return;
            }
        }
    });
}
