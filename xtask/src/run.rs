//! Running other programs.

use std::{
    path::PathBuf,
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
        // `cargo xtask` sets these for us; a `cargo +nightly` below must not inherit them.
        for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER"] {
            command.env_remove(name);
        }
        Self(command)
    }

    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.0.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// In another folder than the workspace's.
    pub(crate) fn inside(mut self, folder: &std::path::Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Shows the command, runs it, and fails if it does.
    pub(crate) fn check(mut self) -> Outcome {
        println!("\n$ {}", self.shown());
        let status = self.0.status().map_err(|error| format!("{}: {error}", self.shown()))?;
        if status.success() { Ok(()) } else { Err(format!("{}: {status}", self.shown())) }
    }

    /// Whether the command can be run, and succeeds. Shows nothing.
    pub(crate) fn works(self) -> bool {
        self.works_within(Duration::MAX)
    }

    /// Whether the command can be run, and succeeds in that time. Shows nothing.
    pub(crate) fn works_within(mut self, time: Duration) -> bool {
        self.0.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut child) = self.0.spawn() else { return false };
        let began = Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) if began.elapsed() < time => thread::sleep(Duration::from_millis(50)),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return false;
                }
            }
        }
    }

    fn shown(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }
}
