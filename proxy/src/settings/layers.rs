//! Who has the last word: what was typed, over the environment, over the configuration file.
//!
//! Owns the order of the three. A setting of the file is a new default of its flag, so that it is
//! read, checked and outdone as that flag is. Never says what a flag means (`args.rs`).

use std::{ffi::OsString, path::Path};

use clap::{
    Arg, ArgAction, Command, CommandFactory as _, FromArgMatches as _, Id, error::ErrorKind,
};

use super::{Args, BadConfiguration};
use crate::config::{self, ConfigFile, Setting};

impl Args {
    /// What was typed, over what the environment says, over what the configuration file says.
    ///
    /// # Errors
    ///
    /// When the flags, or the file, cannot be understood.
    pub fn read(typed: impl IntoIterator<Item = OsString>) -> Result<Self, Refusal> {
        let typed: Vec<OsString> = typed.into_iter().collect();
        let args = Self::from_arg_matches(&Self::flags().try_get_matches_from(&typed)?)?;
        let mut args = match args.config.clone() {
            Some(path) => Self::over(&path, &typed)?,
            None => args,
        };
        if args.file.is_some() {
            args.servers = None;
        } else if args.servers.is_none() && args.generate.is_none() {
            let why = "no servers: name their file with --file FILE, or a configuration that has \
                       [[servers]] with --config FILE";
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, why).into());
        }
        Ok(args)
    }

    /// The settings of the file become the defaults of the flags.
    fn over(path: &Path, typed: &[OsString]) -> Result<Self, Refusal> {
        let mut command = Self::flags();
        let check = |setting: &Setting| flag_of(&command, setting).map(|_| ());
        let ConfigFile { settings, servers } =
            config::read(path, check).map_err(BadConfiguration)?;
        for setting in settings {
            if let Ok(flag) = flag_of(&command, &setting) {
                command = command.mut_arg(flag, |arg| arg.default_values(setting.values));
            }
        }
        let args = Self::from_arg_matches(&command.try_get_matches_from(typed)?)?;
        Ok(Self { servers, ..args })
    }
}

/// Why the arguments were not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The flags; or help was asked for.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The configuration file.
    #[error(transparent)]
    Configuration(#[from] BadConfiguration),
}

/// Whether a flag can stand in the configuration file.
pub(super) fn is_setting(flag: &Arg) -> bool {
    !["config", "check", "help", "version"].contains(&flag.get_id().as_str())
}

/// The flag that a setting of the configuration file means, if it can have this value.
fn flag_of(command: &Command, setting: &Setting) -> Result<Id, String> {
    let Setting { name, values, .. } = setting;
    let flags = command.get_arguments();
    let flag = flags.into_iter().find(|flag| flag.get_long() == Some(name));
    let flag = flag.filter(|flag| is_setting(flag));
    let flag = flag.ok_or_else(|| format!("there is no setting `{name}`"))?;
    if !flag.get_action().takes_values() {
        let fits = matches!(&values[..], [value] if value == "true" || value == "false");
        return fits.then(|| flag.get_id().clone()).ok_or(format!("`{name}` is true or false"));
    }
    if values.len() != 1 && !matches!(flag.get_action(), ArgAction::Append) {
        return Err(format!("`{name}` has one value"));
    }
    let typed = values.iter().map(|value| format!("--{name}={value}"));
    let tried = Args::command().try_get_matches_from(std::iter::once(String::new()).chain(typed));
    match tried {
        Ok(_) => Ok(flag.get_id().clone()),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(first.trim_start_matches("error: ").to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    fn read(config: &str, typed: &[&str]) -> Args {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rondel.toml");
        fs::write(&path, config).unwrap();
        let path = path.to_str().unwrap();
        let typed = [&["rondel-proxy", "-f", "x", "--config", path], typed].concat();
        Args::read(typed.into_iter().map(OsString::from)).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_configuration_file_and_that_over_the_default() {
        let args = read("port = 1\ndrain = \"7s\"\n", &["-p", "2"]);
        assert_eq!((args.port, args.drain), (2, Duration::from_secs(7)));
        assert_eq!(args.session_idle, Duration::from_secs(1_800));
    }

    #[test]
    fn lists_and_switches_can_stand_in_the_configuration_file() {
        let config = "session-header = [\"x-a\", \"x-b\"]\ndemo = true\nsigma-z0 = 0.5\n";
        let args = read(config, &[]);
        assert_eq!(args.session_header, ["x-a", "x-b"]);
        assert!(args.demo);
        assert!((args.sigma_z0 - 0.5).abs() < f64::EPSILON);
        assert_eq!(read(config, &["--session-header", "x-c"]).session_header, ["x-c"]);
    }
}
