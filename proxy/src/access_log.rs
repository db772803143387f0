//! One line for each request, if the operator wants it.
//!
//! Owns what a line says, the thread that writes it, and the file. A request only hands over what
//! it knows: formatting and writing are the thread's, and if the disk is too slow for the traffic,
//! lines are dropped and counted instead of requests held up. No header, no cookie and no query
//! gets here, since these are where secrets are.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, BufWriter, IsTerminal as _, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use hyper::{Method, Uri};
use rustix::fs::fstat;
use serde::Serialize;
use tokio::sync::oneshot;

/// Lines that may wait to be written.
const WAITING: usize = 16 * 1024;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// The end of this file.
    File(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What is known of a request at its end.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) begun: SystemTime,
    pub(crate) client: IpAddr,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) first_byte: Duration,
    pub(crate) whole: Duration,
    pub(crate) backend: Option<String>,
    pub(crate) retries: u16,
    pub(crate) session: Option<&'static str>,
    pub(crate) trace: Option<String>,
    pub(crate) error: Option<&'static str>,
}

/// The requests' end of the log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    lines: SyncSender<Option<Box<Line>>>,
    dropped: AtomicU64,
    writing: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// Opens the target and starts the thread.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub(crate) fn start(target: &Target) -> io::Result<Self> {
        let sink = Sink::open(target)?;
        let (lines, taken) = mpsc::sync_channel(WAITING);
        let writing = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(sink, &taken))?;
        let writing = Mutex::new(Some(writing));
        Ok(Self { lines, dropped: AtomicU64::new(0), writing })
    }

    pub(crate) fn push(&self, line: Box<Line>) {
        if self.lines.try_send(Some(line)).is_err() {
            // ORDERING: Relaxed; a count, which orders nothing.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were lost because writing was too slow.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Ends once everything is written, for a clean stop. Whoever waits need not wait for that: a
    /// pipe that nobody reads takes nothing any more.
    pub(crate) async fn finish(&self) {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writing) = writing else { return };
        let (tell, written) = oneshot::channel::<()>();
        let lines = self.lines.clone();
        let joining = thread::Builder::new().spawn(move || {
            if lines.send(None).is_ok() {
                // It has told what went wrong, if anything did.
                let _ = writing.join();
            }
            drop(tell);
        });
        if joining.is_ok() {
            // Told by its end.
            let _ = written.await;
        }
    }
}

fn write(mut sink: Sink, lines: &Receiver<Option<Box<Line>>>) {
    while let Ok(Some(line)) = lines.recv() {
        sink.reopen_if_moved();
        sink.write(&line);
        // Whatever else is there goes out with it.
        loop {
            match lines.try_recv() {
                Ok(Some(line)) => sink.write(&line),
                Ok(None) => return sink.flush(),
                Err(_) => break,
            }
        }
        sink.flush();
    }
}

/// What is written to.
struct Sink {
    to: BufWriter<Box<dyn Write + Send>>,
    /// For people, and not for programs.
    plain: bool,
    file: Option<Kept>,
    failing: bool,
}

/// A file that may be moved away under us, as `logrotate` does.
struct Kept {
    path: PathBuf,
    identity: (u64, u64),
    looked: Instant,
}

impl Sink {
    fn open(target: &Target) -> io::Result<Self> {
        let (to, plain, file): (Box<dyn Write + Send>, _, _) = match target {
            Target::Stdout => (Box::new(io::stdout()), io::stdout().is_terminal(), None),
            Target::File(path) => {
                let (file, kept) = open(path)?;
                (Box::new(file), false, Some(kept))
            }
        };
        Ok(Self { to: BufWriter::with_capacity(64 * 1024, to), plain, file, failing: false })
    }

    fn write(&mut self, line: &Line) {
        let written = if self.plain {
            writeln!(self.to, "{}", Plain(line))
        } else {
            serde_json::to_writer(&mut self.to, &Json::of(line))
                .map_err(io::Error::from)
                .and_then(|()| self.to.write_all(b"\n"))
        };
        self.tell(&written);
    }

    fn flush(&mut self) {
        let flushed = self.to.flush();
        self.tell(&flushed);
    }

    /// Says once that writing fails, and once that it works again.
    fn tell(&mut self, result: &io::Result<()>) {
        match result {
            Err(error) if !self.failing => tracing::error!(%error, "the access log is not written"),
            Ok(()) if self.failing => tracing::info!("the access log is written again"),
            _ => {}
        }
        self.failing = result.is_err();
    }

    fn reopen_if_moved(&mut self) {
        let Some(kept) = &mut self.file else { return };
        if kept.looked.elapsed() < Duration::from_secs(1) {
            return;
        }
        kept.looked = Instant::now();
        if identity(&kept.path) == Some(kept.identity) {
            return;
        }
        if let Ok((file, kept)) = open(&kept.path.clone()) {
            self.to = BufWriter::with_capacity(64 * 1024, Box::new(file));
            self.file = Some(kept);
        }
    }
}

fn open(path: &Path) -> io::Result<(File, Kept)> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let file = file.map_err(|error| {
        io::Error::new(error.kind(), format!("the access log {}: {error}", path.display()))
    })?;
    let stat = fstat(&file)?;
    let identity = (stat.st_dev, stat.st_ino);
    Ok((file, Kept { path: path.to_owned(), identity, looked: Instant::now() }))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::stat(path).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// A line for programs.
#[derive(Serialize)]
struct Json<'l> {
    time: String,
    client: IpAddr,
    method: &'l str,
    path: &'l str,
    status: u16,
    bytes: u64,
    first_byte_ms: f64,
    total_ms: f64,
    backend: Option<&'l str>,
    retries: u16,
    session: Option<&'static str>,
    trace: Option<&'l str>,
    error: Option<&'static str>,
}

impl<'l> Json<'l> {
    fn of(line: &'l Line) -> Self {
        Self {
            time: humantime::format_rfc3339_millis(line.begun).to_string(),
            client: line.client,
            method: line.method.as_str(),
            path: line.uri.path(),
            status: line.status,
            bytes: line.bytes,
            first_byte_ms: milliseconds(line.first_byte),
            total_ms: milliseconds(line.whole),
            backend: line.backend.as_deref(),
            retries: line.retries,
            session: line.session,
            trace: line.trace.as_deref(),
            error: line.error,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A line for people.
struct Plain<'l>(&'l Line);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0;
        let (first, whole) = (milliseconds(line.first_byte), milliseconds(line.whole));
        write!(
            f,
            "{} {} {} {} {} {} B {first}/{whole} ms {} session={}",
            humantime::format_rfc3339_millis(line.begun),
            line.client,
            line.method,
            line.uri.path().escape_debug(),
            line.status,
            line.bytes,
            line.backend.as_deref().unwrap_or("-"),
            line.session.unwrap_or("-"),
        )?;
        if line.retries > 0 {
            write!(f, " retries={}", line.retries)?;
        }
        line.error.map_or(Ok(()), |error| write!(f, " error={error}"))
    }
}
