//! What the binary can write of itself: completions, the manual page, the page of all settings.

use std::io;

use clap::{Command, Subcommand};
use clap_complete::Shell;

use super::reference;

/// What the binary can write of itself.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Generate {
    /// Write completions for a shell to standard output
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: Shell,
    },
    /// Write the manual page to standard output
    Man,
    /// Write the page of all settings, in Markdown, to standard output
    Reference,
}

impl Generate {
    pub(super) fn write(&self, mut flags: Command) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        match self {
            Self::Completions { shell } => {
                clap_complete::generate(*shell, &mut flags, "rondel-proxy", &mut text);
            }
            Self::Reference => text = reference::page(&flags).into_bytes(),
            Self::Man => clap_mangen::Man::new(flags).render(&mut text)?,
        }
        Ok(text)
    }
}
