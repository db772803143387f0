//! Hearing of changed files.
//!
//! Owns the system's watch over the folders of files. The folder is watched and not the file, since
//! editors put a new file in the old one's place, and Kubernetes turns a link beside it. Never
//! reads a file.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc;

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
