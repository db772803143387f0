//! Who is compared, each with the configuration that its own manual gives for this.
//!
//! One worker each, connections kept on both sides, no access log, and the address of the client
//! passed on. Nothing else is turned on, or off, but what the name of the contender says.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    beside::{Beside, Company},
    cell::Cell,
    load,
    process::{self, Running},
};

/// What clients speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Door {
    Clear,
    Tls,
    /// HTTP/2 over TLS.
    Http2,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Rondel(&'static [&'static str], Beside),
    Haproxy { cookie: bool },
    Nginx,
    Pingora,
}

#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    kind: Kind,
    binary: PathBuf,
}

/// A contender that serves.
pub(crate) struct Serving {
    pub(crate) process: Running,
    pub(crate) address: SocketAddr,
    pub(crate) configuration: String,
    /// It goes with it.
    _company: Option<Company>,
}

const OFF: &[&str] = &["--session=off", "--admin=off", "--health=off"];
const SESSIONS: &[&str] = &["--session=on", "--admin=off", "--health=off"];
const ALL_ON: &[&str] = &["--session=on"];

/// The first is the one that the others are compared with.
pub(crate) fn all(rondel: &Path, pingora: Option<&Path>) -> Vec<Contender> {
    let of = |name, kind, binary: &Path| Contender { name, kind, binary: binary.to_owned() };
    let mut all = vec![
        of("rondel", Kind::Rondel(OFF, Beside::Nothing), rondel),
        of("haproxy", Kind::Haproxy { cookie: false }, Path::new("haproxy")),
        of("nginx", Kind::Nginx, Path::new("nginx")),
        of("rondel, known session", Kind::Rondel(SESSIONS, Beside::Nothing), rondel),
        of("rondel, session in Redis", Kind::Rondel(SESSIONS, Beside::Redis), rondel),
        of("rondel, all on", Kind::Rondel(ALL_ON, Beside::Dashboard), rondel),
        of("haproxy, cookie insert", Kind::Haproxy { cookie: true }, Path::new("haproxy")),
    ];
    all.extend(pingora.map(|binary| of("pingora", Kind::Pingora, binary)));
    all
}

impl Contender {
    /// Those that differ from others by what they remember of a client are compared where that is
    /// most of the work.
    pub(crate) fn takes(&self, cell: &Cell) -> bool {
        let variant = matches!(self.kind, Kind::Rondel(flags, _) if flags != OFF)
            || self.kind == Kind::Haproxy { cookie: true };
        !variant || cell.compares_all()
    }

    /// Starts it, and waits until it answers; `None` if it does not have that door.
    pub(crate) async fn start(
        &self,
        door: Door,
        folder: &Path,
        origin: SocketAddr,
    ) -> io::Result<Option<Serving>> {
        if self.kind == Kind::Pingora && door != Door::Clear {
            return Ok(None); // its TLS needs another library than the others'
        }
        let address = free_address()?;
        let beside = match self.kind {
            Kind::Rondel(_, beside) => beside.prepare(folder).await?,
            _ => None,
        };
        let (mut arguments, mut configuration) = match self.kind {
            Kind::Rondel(flags, _) => rondel(flags, door, folder, address, origin)?,
            Kind::Haproxy { cookie } => haproxy(cookie, door, folder, address, origin)?,
            Kind::Nginx => nginx(door, folder, address, origin)?,
            Kind::Pingora => (vec![address.to_string(), origin.to_string()], String::new()),
        };
        if let Some(beside) = &beside {
            configuration = format!("{configuration} {}", beside.flag);
            arguments.push(beside.flag.clone());
        }
        let log = folder.join("log");
        let binary = self.binary.to_string_lossy();
        let process = Running::start(&binary, &arguments, process::PROXY, &log)?;
        for _ in 0..200 {
            if load::answers(door, address).await {
                let company = match beside {
                    Some(beside) => Some(beside.open().await?),
                    None => None,
                };
                return Ok(Some(Serving { process, address, configuration, _company: company }));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let log = fs::read_to_string(log).unwrap_or_default();
        Err(io::Error::other(format!("{} does not answer\n{configuration}\n{log}", self.name)))
    }
}

/// Nobody listens there now; whoever is started next takes it.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

type Start = (Vec<String>, String);

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

fn file(folder: &Path, name: &str, text: &str) -> io::Result<String> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

fn rondel(
    flags: &[&str],
    door: Door,
    folder: &Path,
    address: SocketAddr,
    origin: SocketAddr,
) -> io::Result<Start> {
    let servers = file(folder, "servers.txt", &format!("http://{origin}\n"))?;
    let port = address.port().to_string();
    let mut arguments = words(["-f", &servers, "--bind", "127.0.0.1", "-p", &port, "--workers=1"]);
    // As many as there are, though each may need a file for its server's side.
    arguments.push("--max-connections=10100".to_owned());
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    if door != Door::Clear {
        for (flag, name) in [("--tls-cert", "cert.pem"), ("--tls-key", "key.pem")] {
            arguments.push(flag.to_owned());
            arguments.push(folder.join(name).to_string_lossy().into_owned());
        }
    }
    let configuration = format!("rondel-proxy {}", arguments.join(" "));
    Ok((arguments, configuration))
}

fn haproxy(
    cookie: bool,
    door: Door,
    folder: &Path,
    address: SocketAddr,
    origin: SocketAddr,
) -> io::Result<Start> {
    let tls = match door {
        Door::Clear => String::new(),
        Door::Tls => format!(" ssl crt {}", folder.join("both.pem").display()),
        Door::Http2 => format!(" ssl crt {} alpn h2", folder.join("both.pem").display()),
    };
    let insert = if cookie { "\n    cookie SRV insert indirect nocache httponly" } else { "" };
    let of_server = if cookie { " cookie one" } else { "" };
    let text = format!(
        "global
    nbthread 1
    maxconn 9900
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    http-reuse always
    option forwardfor
frontend in
    bind {address}{tls}
    default_backend out
backend out{insert}
    server one {origin}{of_server}
"
    );
    let path = file(folder, "haproxy.cfg", &text)?;
    Ok((words(["-db", "-q", "-f", &path]), text))
}

fn nginx(door: Door, folder: &Path, address: SocketAddr, origin: SocketAddr) -> io::Result<Start> {
    let here = folder.display();
    let tls = match door {
        Door::Clear => "",
        Door::Tls => " ssl",
        Door::Http2 => " ssl http2",
    };
    let certificate = if door == Door::Clear {
        String::new()
    } else {
        format!(
            "
        ssl_certificate {here}/cert.pem;
        ssl_certificate_key {here}/key.pem;"
        )
    };
    let text = format!(
        "worker_processes 1;
daemon off;
pid {here}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 15000; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    keepalive_requests 100000000;
    upstream out {{
        server {origin};
        keepalive 1024;
        keepalive_requests 100000000;
    }}
    server {{
        listen {address}{tls};{certificate}
        location / {{
            proxy_pass http://out;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
"
    );
    let path = file(folder, "nginx.conf", &text)?;
    Ok((words(["-e", "/dev/null", "-c", &path]), text))
}
