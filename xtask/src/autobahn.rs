//! Autobahn's suite of WebSocket cases, against its own server and against the proxy before that:
//! every case must come to the same.
//!
//! The suite is of the age of Python 2, which no system has any more: it is looked for in PATH, in
//! `PYTHON2`, and where pyenv keeps it (`pyenv install 2.7.18`).

use std::{
    collections::BTreeMap,
    env,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    files,
    run::{Outcome, Run, root},
};

const SUITE: &str = "autobahntestsuite==25.10.1";
/// The last that makes environments for Python 2.
const VIRTUALENV: &str = "virtualenv<20.22";
/// How often a case is tried that seems to differ: those with time limits can on a busy machine.
const TRIES: usize = 3;

/// What became of each case, as its report says.
type Verdicts = BTreeMap<String, String>;

/// `[CASE...]`, all if none, as `1.*`.
pub(crate) fn all(cases: &[String]) -> Outcome {
    let wstest = install()?;
    Run::cargo("build --package rondel-proxy --bin rondel-proxy").check()?;
    let folder = root().join("target/autobahn-reports");
    files::make_folder(&folder)?;
    let (port, front) = (free_port()?, free_port()?);
    let _server = Running::start(
        Command::new(&wstest).args(["-m", "testeeserver", "-w"]).arg(url(port)),
        port,
    )?;
    let servers = folder.join("servers.txt");
    files::write(&servers, format!("http://127.0.0.1:{port}\n"))?;
    let _proxy = Running::start(
        // The suite's server insists on being asked by its own name.
        Command::new(root().join("target/debug/rondel-proxy"))
            .args(["--bind", "127.0.0.1", "--admin", "off", "--session", "off"])
            .args(["--host", "backend", "--port", &front.to_string(), "--file"])
            .arg(&servers),
        front,
    )?;
    let run = |name: &str, port: u16, cases: &[String]| -> Outcome<Verdicts> {
        let spec = folder.join(format!("{name}.json"));
        let listed: Vec<String> = cases.iter().map(|case| format!("\"{case}\"")).collect();
        let text = format!(
            "{{\"outdir\": \"{}\", \"servers\": [{{\"agent\": \"{name}\", \"url\": \"{}\"}}],\n\
             \"cases\": [{}], \"exclude-cases\": [], \"exclude-agent-cases\": {{}}}}\n",
            folder.join(name).display(),
            url(port),
            listed.join(", "),
        );
        files::write(&spec, text)?;
        let program = wstest.to_string_lossy();
        Run::program(&program, "-m fuzzingclient -s").arg(&spec.to_string_lossy()).output()?;
        Ok(verdicts(&files::read(folder.join(name).join("index.json"))?))
    };
    let every = ["*".to_owned()];
    let (mut direct, mut proxied) = (Verdicts::new(), Verdicts::new());
    let mut asked = if cases.is_empty() { every.to_vec() } else { cases.to_vec() };
    for _ in 0..TRIES {
        direct.extend(run("direct", port, &asked)?);
        proxied.extend(run("proxied", front, &asked)?);
        asked = direct.keys().chain(proxied.keys()).cloned().collect();
        asked.retain(|case| direct.get(case) != proxied.get(case));
        asked.dedup();
        if asked.is_empty() {
            break;
        }
        println!("once more: {}", asked.join(", "));
    }
    for case in &asked {
        println!(
            "{case}: {:?} without the proxy, {:?} with it",
            direct.get(case),
            proxied.get(case)
        );
    }
    let good = direct.values().filter(|verdict| verdict.contains("\"OK\"")).count();
    println!("{} cases, {good} of them OK; {} differ", direct.len(), asked.len());
    if asked.is_empty() && good > 0 { Ok(()) } else { Err("the proxy makes a difference".into()) }
}

/// An environment of Python 2 with the suite in it.
fn install() -> Outcome<PathBuf> {
    let folder = root().join("target/autobahn");
    let wstest = folder.join("bin/wstest");
    if Run::program(&wstest.to_string_lossy(), "--version").works() {
        return Ok(wstest);
    }
    let pyenv = env::var("PYENV_ROOT").or_else(|_| env::var("HOME").map(|home| home + "/.pyenv"));
    let candidates = [
        env::var("PYTHON2").unwrap_or_default(),
        "python2.7".to_owned(),
        format!("{}/versions/2.7.18/bin/python2.7", pyenv.unwrap_or_default()),
    ];
    let works = |python: &&String| Run::program(python, "-c").arg("print 1").works();
    let python = candidates.iter().find(works);
    let python = python.ok_or("Python 2.7 is needed: set PYTHON2, or `pyenv install 2.7.18`")?;
    let maker = root().join("target/virtualenv");
    Run::program("python3", "-m venv").arg(&maker.to_string_lossy()).check()?;
    let inside = |folder: &PathBuf, program: &str| folder.join("bin").join(program);
    let pip = inside(&maker, "pip");
    Run::program(&pip.to_string_lossy(), "install --quiet").arg(VIRTUALENV).check()?;
    Run::program(&inside(&maker, "virtualenv").to_string_lossy(), "--quiet --python")
        .arg(python)
        .arg(&folder.to_string_lossy())
        .check()?;
    let pip = inside(&folder, "pip");
    Run::program(&pip.to_string_lossy(), "install --quiet").arg(SUITE).check()?;
    Ok(wstest)
}

/// From `"1.1.1": {"behavior": "OK", "behaviorClose": "OK", …}`: all but how long it took.
fn verdicts(index: &str) -> Verdicts {
    let mut verdicts = Verdicts::new();
    let mut case = None;
    for line in index.lines().map(|line| line.trim().trim_end_matches([',', ' '])) {
        let Some((name, value)) = line.split_once(": ") else { continue };
        let name = name.trim_matches('"');
        if value == "{" {
            case = Some(name.to_owned());
        } else if let Some(case) = &case
            && ["behavior", "behaviorClose", "remoteCloseCode"].contains(&name)
        {
            let verdict: &mut String = verdicts.entry(case.clone()).or_default();
            *verdict += value;
            verdict.push(' ');
        }
    }
    verdicts
}

fn url(port: u16) -> String {
    format!("ws://127.0.0.1:{port}")
}

fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.port())
}

/// A process until it is dropped.
struct Running(Child);

impl Running {
    /// Started, and listening.
    fn start(command: &mut Command, port: u16) -> Outcome<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let running = Self(command.spawn().map_err(|error| format!("{command:?}: {error}"))?);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if began.elapsed() > Duration::from_secs(30) {
                return Err(format!("{command:?} does not listen"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
