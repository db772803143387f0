//! What the binary can write of itself: completions and the manual page.

use std::io;

use clap::{Command, Subcommand};
use clap_complete::Shell;

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
}

impl Generate {
    pub(super) fn write(&self, mut flags: Command) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        match self {
            Self::Completions { shell } => {
                clap_complete::generate(*shell, &mut flags, "rondel-proxy", &mut text);
            }
            Self::Man => clap_mangen::Man::new(flags).render(&mut text)?,
        }
        Ok(text)
    }
}
