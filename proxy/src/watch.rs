//! Hearing of changed files.
//!
//! Owns the system's watch over the folders of files, and the wait until they are quiet. The folder
//! is watched and not the file, since editors put a new file in the old one's place, and Kubernetes
//! turns a link beside it. Never reads a file.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

/// How long a folder may keep us waiting that is never quiet.
const BUSY: Duration = Duration::from_millis(500);

/// Tells a folder from a new one of the same name: device and number, which alone is that of every
/// other file system's root as well.
type Identity = (u64, u64);

/// The system's watch over the folders in which something can happen to a file.
pub(crate) struct Watch {
    watcher: notify::Result<RecommendedWatcher>,
    folders: Vec<(PathBuf, Option<Identity>)>,
    tell: mpsc::Sender<()>,
}

impl Watch {
    pub(crate) fn new(tell: mpsc::Sender<()>) -> Self {
        let changed = tell.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| is_reading(event.kind)) {
                // Full: a change is being told already.
                let _ = changed.try_send(());
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "files are not watched, only looked at from time to time");
        }
        Self { watcher, folders: Vec::new(), tell }
    }

    /// The folders of the files, and of the files they link to. They can change at any time.
    pub(crate) fn folders_of(&mut self, files: &[&Path]) {
        let real = files.iter().filter_map(|file| fs::canonicalize(file).ok());
        let mut folders: Vec<(PathBuf, Option<Identity>)> = Vec::new();
        for path in files.iter().map(|file| folder(file)).chain(real.map(|file| folder(&file))) {
            let identity = fs::metadata(&path).ok().map(|data| (data.dev(), data.ino()));
            if !folders.iter().any(|(_, known)| *known == identity) {
                folders.push((path, identity));
            }
        }
        let Ok(watcher) = &mut self.watcher else { return };
        if folders == self.folders {
            return;
        }
        for (old, _) in self.folders.drain(..) {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(&old);
        }
        for (folder, _) in &folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!(?folder, %error, "cannot watch this folder");
            }
        }
        self.folders = folders;
        // What happened before the watch was set is not told by it. Full: it is told already.
        let _ = self.tell.try_send(());
    }
}

/// Waits until nothing has happened for `pause`. Where something always does, as in a folder that
/// logs are written to, not for long.
pub(crate) async fn quiet(changes: &mut mpsc::Receiver<()>, pause: Duration) {
    let end = Instant::now() + BUSY;
    while Instant::now() < end && matches!(timeout(pause, changes.recv()).await, Ok(Some(()))) {}
}

/// Whether somebody has only read, as we do ourselves.
fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(mode)) => mode != AccessMode::Write,
        EventKind::Access(kind) => kind != AccessKind::Other,
        _ => false,
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_is_never_quiet_is_not_waited_for_without_end() {
        let (tell, mut changes) = mpsc::channel(1);
        let busy = async {
            loop {
                let _ = tell.try_send(());
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        let start = Instant::now();
        tokio::select! {
            () = quiet(&mut changes, Duration::from_millis(100)) => {}
            () = busy => {}
        }
        let waited = start.elapsed();
        assert!(waited >= BUSY && waited < BUSY + Duration::from_millis(100), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_folder_is_waited_for_as_long_as_it_was_to_be_quiet() {
        let (_tell, mut changes) = mpsc::channel(1);
        let start = Instant::now();
        quiet(&mut changes, Duration::from_millis(100)).await;
        assert_eq!(start.elapsed().as_millis() / 10, 10);
    }
}
