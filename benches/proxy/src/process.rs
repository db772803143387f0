//! What the kernel knows about a process: where it runs, what it used.

use std::{
    fs, io,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::{
    process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit},
    thread::{CpuSet, sched_setaffinity},
};

/// Keeps this process, and so all it starts, on one core.
pub(crate) fn pin_self(core: usize) -> io::Result<()> {
    pin(None, core)
}

pub(crate) fn pin(pid: Option<Pid>, core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(pid, &set)?)
}

/// Takes as many open files as the system lets this process, and those that it starts, have.
/// Returns how many connections a proxy can hold then, if each may cost it two.
pub(crate) fn allow_open_files() -> io::Result<usize> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX) / 2 - 100)
}

/// Where the proxies are; backend, load and store are on the other one.
pub(crate) const PROXY: usize = 1;
pub(crate) const REST: usize = 0;

/// A process on a core of its own choice, which ends with this value.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn start(
        program: &str,
        arguments: &[String],
        core: usize,
        log: &Path,
    ) -> io::Result<Self> {
        let errors = fs::File::create(log)?;
        let child = Command::new("taskset")
            .args(["-c", &core.to_string(), program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .map_err(|error| io::Error::other(format!("{program}: {error}")))?;
        Ok(Self { child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // nginx's master ends its worker only if it is asked to end.
            let _ = kill_process(pid, Signal::TERM);
        }
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process and its children: nginx serves from one.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    std::iter::once(pid)
        .chain(children.split_whitespace().filter_map(|child| child.parse().ok()))
        .collect()
}

/// The CPU time of all threads so far, by the scheduler's account.
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut nanos = 0;
    for member in family(pid) {
        for thread in fs::read_dir(format!("/proc/{member}/task"))? {
            let account = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanos += account.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// What of its memory is resident and its own, in KiB: not what processes share by a fork, twice.
pub(crate) fn memory(pid: u32) -> u64 {
    let own = |member| {
        let map = fs::read_to_string(format!("/proc/{member}/smaps_rollup")).unwrap_or_default();
        let line = map.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    family(pid).into_iter().map(own).sum()
}

/// The system calls that all threads make while `work` lasts, as `strace` counts them. It slows
/// the process down, so nothing else is measured meanwhile.
pub(crate) async fn system_calls(pid: u32, work: impl Future<Output = ()>) -> Option<u64> {
    let summary = tempfile::NamedTempFile::new().ok()?;
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(summary.path());
    for member in family(pid) {
        command.args(["-p", &member.to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut tracer = command.spawn().ok()?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    work.await;
    let pid = Pid::from_raw(i32::try_from(tracer.id()).ok()?)?;
    kill_process(pid, Signal::INT).ok()?;
    tracer.wait().ok()?;
    let text = fs::read_to_string(summary.path()).ok()?;
    let total = text.lines().find(|line| line.trim_end().ends_with("total"))?;
    // `% time, seconds, usecs/call, calls, errors, total`: the calls are the first whole number
    // behind the seconds.
    total.split_whitespace().skip(2).filter_map(|word| word.parse().ok()).max()
}
