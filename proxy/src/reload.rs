//! Changing the servers while the proxy runs.
//!
//! Owns the watch over the file that names them: it is read again when it has changed, or when
//! somebody asks, and the roster is brought in line with it by difference. What cannot be read
//! changes nothing. Never touches a connection.
//!
//! A change counts once the folder is quiet, or has been busy for long, and the file has twice been
//! read the same, so that a file that is still being written is left alone.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc;

use crate::{
    config, file,
    roster::{Changes, Roster},
    servers,
    spec::ServerSpec,
    watch::{Watch, quiet},
};

/// The file that says who the servers are.
#[derive(Clone, Debug)]
pub enum Source {
    /// A servers file.
    Servers(PathBuf),
    /// The `[[servers]]` of a configuration file.
    Config(PathBuf),
}

impl Source {
    fn path(&self) -> &Path {
        let (Self::Servers(path) | Self::Config(path)) = self;
        path
    }

    /// Reads the servers.
    ///
    /// # Errors
    ///
    /// All that is wrong with the file, each with file and line.
    pub(crate) fn read(&self) -> Result<Vec<ServerSpec>, Vec<String>> {
        self.parse(&file::read_text(self.path()).map_err(|error| vec![error])?)
    }

    /// Refuses a server that is the proxy itself: its first request would come round without end.
    pub(crate) fn none_is(
        &self,
        listen: SocketAddr,
        servers: Vec<ServerSpec>,
    ) -> Result<Vec<ServerSpec>, Vec<String>> {
        let file = self.path().display();
        let itself = servers.iter().filter(|server| server.is_at(listen));
        let errors: Vec<_> = itself
            .map(|server| format!("{file}: {} is where this proxy itself listens", server.url()))
            .collect();
        if errors.is_empty() { Ok(servers) } else { Err(errors) }
    }

    fn parse(&self, text: &str) -> Result<Vec<ServerSpec>, Vec<String>> {
        match self {
            Self::Servers(path) => servers::parse(text).map_err(|errors| {
                errors.0.iter().map(|error| format!("{}:{error}", path.display())).collect()
            }),
            Self::Config(path) => config::parse(path, text)?
                .servers
                .ok_or_else(|| vec![format!("{}: there is no [[servers]] in it", path.display())]),
        }
    }
}

/// How long a folder is to be quiet before its files are read.
const QUIET: Duration = Duration::from_millis(100);
/// For file systems that tell nothing, such as those of other machines.
const LOOK: Duration = Duration::from_secs(10);

/// Keeps the roster in line with its source, for as long as `asked` has a sender. A message there
/// asks for a reload even if the file has not changed. `listen`: where the proxy is itself.
pub async fn follow(
    roster: Arc<Roster>,
    source: Source,
    listen: SocketAddr,
    mut asked: mpsc::Receiver<()>,
) {
    let (tell, mut changes) = mpsc::channel(1);
    let mut watch = Watch::new(tell);
    // It may have changed since the roster was made from it.
    let mut applied = None;
    loop {
        watch.folders_of(&[source.path()]);
        let ask = tokio::select! {
            ask = asked.recv() => match ask {
                Some(()) => true,
                None => return,
            },
            _ = changes.recv() => false,
            () = tokio::time::sleep(LOOK) => false,
        };
        let text =
            if ask { file::read_text(source.path()) } else { settled(&source, &mut changes).await };
        if ask || applied.as_ref() != Some(&text) {
            reload(&roster, &source, listen, &text, ask);
            applied = Some(text);
        }
    }
}

/// The text of the file, once nothing happens to it any more.
async fn settled(source: &Source, changes: &mut mpsc::Receiver<()>) -> Result<String, String> {
    let mut before = file::read_text(source.path());
    loop {
        quiet(changes, QUIET).await;
        let now = file::read_text(source.path());
        if now == before {
            return now;
        }
        before = now;
    }
}

fn reload(
    roster: &Roster,
    source: &Source,
    listen: SocketAddr,
    text: &Result<String, String>,
    asked: bool,
) {
    let file = source.path().display();
    let specs = match text {
        Ok(text) => source.parse(text),
        Err(error) => Err(vec![error.clone()]),
    };
    let specs = specs.and_then(|specs| source.none_is(listen, specs));
    match specs.map(|specs| roster.apply(specs)) {
        Ok(changes) if changes == Changes::default() && !asked => {}
        Ok(Changes { added, removed, changed }) => {
            tracing::info!(%file, added, removed, changed, "servers reloaded");
        }
        Err(errors) => {
            for error in errors {
                tracing::error!("{error}");
            }
            tracing::error!(%file, "servers not reloaded: all stay as they were");
        }
    }
}
