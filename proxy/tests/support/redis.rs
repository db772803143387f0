//! A real redis-server of a test's own: started on a free port in a folder of its own, and at the
//! test's mercy. A missing binary fails the test and says what to install.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::ports::free_port;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct RedisServer {
    folder: TempDir,
    port: u16,
    bus: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(String),
    Number(i64),
    List(Vec<Reply>),
    Nothing,
    Error(String),
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more arguments, as in `["--requirepass", "secret"]`.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        let mut server = Self { folder, port: free_port(), bus: 0, arguments, child: None };
        server.run();
        server
    }

    /// A sentinel that watches over the other server, which it calls `main`.
    pub(crate) fn sentinel_of(main: &Self) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("sentinel.conf");
        // Patient enough for a machine that has other things to do.
        let watch = format!(
            "sentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 2000\n\
             sentinel failover-timeout main 3000\n",
            main.port
        );
        std::fs::write(&file, watch).expect("a configuration");
        let file = file.to_str().expect("a plain path").to_owned();
        let arguments = vec![file, "--sentinel".to_owned()];
        let mut server = Self { folder, port: free_port(), bus: 0, arguments, child: None };
        server.run();
        server
    }

    /// A node of a cluster, without slots.
    pub(crate) fn node_of_cluster() -> Self {
        let bus = free_port();
        let mut node = Self::start_with(&[
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus.to_string(),
            "--cluster-node-timeout",
            "2000",
            "--cluster-require-full-coverage",
            "no",
            // Or it tells nobody but the others of its address, and those only what they saw.
            "--cluster-announce-ip",
            "127.0.0.1",
            "--enable-debug-command",
            "yes",
        ]);
        node.bus = bus;
        node
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn bus_port(&self) -> u16 {
        self.bus
    }

    /// The port that speaks TLS, with the certificate and its key in the folder of the server.
    pub(crate) fn start_with_tls(certificate: &str, key: &str) -> (Self, u16) {
        let (mut server, tls) = (Self::stopped(), free_port());
        let file = |name: &str, text: &str| {
            let path = server.folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.to_str().expect("a plain path").to_owned()
        };
        let (certificate, key) = (file("server.pem", certificate), file("server.key", key));
        let port = tls.to_string();
        server.add_arguments(&["--tls-port", &port, "--tls-cert-file", &certificate]);
        server.add_arguments(&["--tls-key-file", &key, "--tls-auth-clients", "no"]);
        server.run();
        (server, tls)
    }

    /// For the next start.
    pub(crate) fn add_arguments(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|text| (*text).to_owned()));
    }

    /// A server that is not running yet, with a port of its own.
    pub(crate) fn stopped() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, port: free_port(), bus: 0, arguments: Vec::new(), child: None }
    }

    /// Starts the process, empty, on the same port as before.
    pub(crate) fn run(&mut self) {
        assert!(self.child.is_none(), "redis-server runs already");
        // A configuration file has to come first.
        let child = Command::new("redis-server")
            .args(&self.arguments)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("redis-server cannot be started ({error}): apt-get install redis-server")
        });
        self.child = Some(child);
        let start = Instant::now();
        while self.try_command(&["PING"]).is_none() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "redis-server ended: {ended:?}");
            assert!(start.elapsed() < PATIENCE, "redis-server does not answer");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// One command on a connection of its own.
    pub(crate) fn command(&self, words: &[&str]) -> Reply {
        self.try_command(words).unwrap_or_else(|| panic!("no answer to {words:?}"))
    }

    pub(crate) fn number(&self, words: &[&str]) -> i64 {
        match self.command(words) {
            Reply::Number(number) => number,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    pub(crate) fn text(&self, words: &[&str]) -> Option<String> {
        match self.command(words) {
            Reply::Text(text) => Some(text),
            Reply::Nothing => None,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let Reply::List(keys) = self.command(&["KEYS", "*"]) else { panic!("not a list") };
        keys.into_iter()
            .map(|key| match key {
                Reply::Text(text) => text,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// Everything in the database, keys and values, as text.
    pub(crate) fn dump(&self) -> Vec<String> {
        let mut all = self.keys();
        let mut stream = self.connect().expect("redis-server listens");
        for key in all.clone() {
            let hash = ask(&mut stream, &["HGETALL", &key]);
            let Some(Reply::List(fields)) = hash else { panic!("no hash: {hash:?}") };
            all.extend(fields.into_iter().map(|field| format!("{field:?}")));
        }
        all
    }

    /// How often each command but our own bookkeeping was called so far.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let stats = self.text(&["INFO", "commandstats"]).expect("statistics");
        let prefix = format!("cmdstat_{command}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map_or(0, |rest| rest.split(',').next().unwrap_or("0").parse().unwrap_or(0))
    }

    /// Stops answering, without closing anything.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill redis-server");
            child.wait().expect("wait for redis-server");
        }
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("redis-server runs");
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal}");
    }

    /// One command after a password.
    pub(crate) fn command_as(&self, password: &str, words: &[&str]) -> Reply {
        let mut stream = self.connect().expect("redis-server listens");
        assert_eq!(ask(&mut stream, &["AUTH", password]), Some(Reply::Text("OK".into())));
        ask(&mut stream, words).unwrap_or_else(|| panic!("no answer to {words:?}"))
    }

    pub(crate) fn try_command(&self, words: &[&str]) -> Option<Reply> {
        ask(&mut self.connect()?, words)
    }

    fn connect(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(stream)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Reply {
    fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let (kind, rest) = line.trim_end().split_at_checked(1)?;
        match kind {
            "+" => Some(Self::Text(rest.to_owned())),
            "-" => Some(Self::Error(rest.to_owned())),
            ":" => rest.parse().ok().map(Self::Number),
            "$" => {
                let Ok(length) = usize::try_from(rest.parse::<i64>().ok()?) else {
                    return Some(Self::Nothing);
                };
                let mut bytes = vec![0; length + 2];
                stream.read_exact(&mut bytes).ok()?;
                bytes.truncate(length);
                Some(Self::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            "*" => (0..rest.parse().ok()?)
                .map(|_| Self::read(stream))
                .collect::<Option<_>>()
                .map(Self::List),
            _ => None,
        }
    }
}

fn ask(stream: &mut TcpStream, words: &[&str]) -> Option<Reply> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        // Writing to a string cannot fail.
        let _ = write!(request, "${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(request.as_bytes()).ok()?;
    Reply::read(&mut BufReader::new(stream))
}
