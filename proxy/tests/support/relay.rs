//! A stretch of bad network in front of a server: it delays, and it loses answers.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

pub(crate) struct Relay {
    port: u16,
    weather: Arc<Weather>,
}

#[derive(Default)]
struct Weather {
    /// Milliseconds in each direction.
    delay: AtomicU64,
    mute: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Relay {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let weather = Arc::new(Weather::default());
        let shared = Arc::clone(&weather);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let pair = [&client, &server].map(|end| end.try_clone().expect("a handle"));
                shared.open.lock().expect("the list").extend(pair);
                let [to, from] = [&client, &server].map(|end| end.try_clone().expect("a handle"));
                carry(client, server, &shared, false);
                carry(from, to, &shared, true);
            }
        });
        Self { port, weather }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How long the way there and back takes.
    pub(crate) fn delay(&self, both_ways: Duration) {
        let each = u64::try_from(both_ways.as_millis() / 2).expect("a short time");
        self.weather.delay.store(each, Ordering::SeqCst);
    }

    /// What is asked arrives, and no answer comes back.
    pub(crate) fn mute(&self, on: bool) {
        self.weather.mute.store(on, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        for stream in self.weather.open.lock().expect("the list").drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, weather: &Arc<Weather>, answers: bool) {
    let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    let weather = Arc::clone(weather);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = from.read(&mut buffer) {
            let delay = Duration::from_millis(weather.delay.load(Ordering::SeqCst));
            let lost = answers && weather.mute.load(Ordering::SeqCst);
            if count == 0 {
                break;
            }
            if !lost && sender.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        // The other side may be gone already.
        let _ = to.shutdown(Shutdown::Both);
    });
}
