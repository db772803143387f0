//! Running other programs.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What went wrong, for a person to read.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// The only argument, if there is one: a number of something.
pub(crate) fn number(arguments: &[String], of: &str) -> Outcome<Option<u64>> {
    match arguments {
        [] => Ok(None),
        [number] => {
            number.parse().map(Some).map_err(|_| format!("`{number}` is no number of {of}"))
        }
        _ => Err(format!("takes the number of {of} and nothing else")),
    }
}

/// How a command ended that had only so much time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Badly,
    Never,
}

/// A program, its arguments and environment, to be run in the workspace's folder.
pub(crate) struct Run(Command);

impl Run {
    /// `cargo ARGUMENTS`, split at spaces.
    pub(crate) fn cargo(arguments: &str) -> Self {
        Self::program("cargo", arguments)
    }

    pub(crate) fn program(program: &str, arguments: &str) -> Self {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace()).current_dir(root());
        // `cargo xtask` sets these for us; a `cargo +nightly` below must not inherit them, and build
        // scripts that look at the others would be run again.
        let own = ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER"].map(str::to_owned);
        let package = env::vars()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        own.into_iter().chain(package).for_each(|name| {
            command.env_remove(name);
        });
        Self(command)
    }

    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.0.arg(argument);
        self
    }

    /// More arguments, split at spaces.
    pub(crate) fn args(mut self, arguments: &str) -> Self {
        self.0.args(arguments.split_whitespace());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// In another folder than the workspace's.
    pub(crate) fn inside(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Shows the command, runs it, and fails if it does.
    pub(crate) fn check(mut self) -> Outcome {
        println!("\n$ {}", self.shown());
        let status = self.0.status().map_err(|error| format!("{}: {error}", self.shown()))?;
        if status.success() { Ok(()) } else { Err(format!("{}: {status}", self.shown())) }
    }

    /// As `check`; returns what the command writes to its standard output.
    pub(crate) fn watched(mut self) -> Outcome<String> {
        let shown = self.shown();
        println!("\n$ {shown}");
        let failed = |error| format!("{shown}: {error}");
        let mut child = self.0.stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut text = String::new();
        for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            let line = line.map_err(failed)?;
            println!("{line}");
            text.push_str(&line);
            text.push('\n');
        }
        let status = child.wait().map_err(failed)?;
        if status.success() { Ok(text) } else { Err(format!("{shown}: {status}")) }
    }

    /// What the command writes; all of it, in the error, if it fails.
    pub(crate) fn output(mut self) -> Outcome<String> {
        let output = self.0.output().map_err(|error| format!("{}: {error}", self.shown()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}: {}\n{text}\n{errors}", self.shown(), output.status))
    }

    /// Whether the command can be run, and succeeds. Shows nothing.
    pub(crate) fn works(mut self) -> bool {
        self.0.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.0.status().is_ok_and(|status| status.success())
    }

    /// Runs the command, and all that it starts, for that time at most, with all it writes in
    /// `transcript`. It has ended badly as soon as that `has_failed`.
    pub(crate) fn ends_within(
        mut self,
        time: Duration,
        transcript: &Path,
        has_failed: fn(&str) -> bool,
    ) -> Outcome<Ended> {
        let file = File::create(transcript).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = file.map_err(|error| format!("{}: {error}", transcript.display()))?;
        self.0.stdin(Stdio::null()).stdout(out).stderr(err);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut self.0, 0);
        let shown = self.shown();
        let failed = |error| format!("{shown}: {error}");
        let mut child = self.0.spawn().map_err(failed)?;
        let began = Instant::now();
        let ended = loop {
            match child.try_wait().map_err(failed)? {
                Some(status) if status.success() => return Ok(Ended::Well),
                Some(_) => return Ok(Ended::Badly),
                None if fs::read(transcript)
                    .is_ok_and(|text| has_failed(&String::from_utf8_lossy(&text))) =>
                {
                    break Ended::Badly;
                }
                None if began.elapsed() < time => thread::sleep(Duration::from_millis(100)),
                None => break Ended::Never,
            }
        };
        // Its whole group: what cargo runs would go on without it.
        #[cfg(unix)]
        Self::program("kill", "-KILL --").arg(&format!("-{}", child.id())).works();
        #[cfg(not(unix))]
        child.kill().map_err(failed)?;
        child.wait().map_err(failed)?;
        Ok(ended)
    }

    fn shown(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }
}
