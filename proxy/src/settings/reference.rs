//! The page about all settings, written from the flags themselves.
//!
//! Owns how the page looks, and the words for what all flags of a kind have in common. Never says
//! what one flag means: each says that itself.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, builder::PossibleValue};

use super::layers::is_setting;
use crate::servers::KEYS;

const HEAD: &str = "\
<!-- Written by `rondel-proxy reference`; changes belong into the flags' own words. -->

# Configuration

Every setting is a flag, a variable of the environment and a key of the TOML file that `--config`
names, all under one name: `--session-idle 1h`, `RONDEL_SESSION_IDLE=1h`, `session-idle = \"1h\"`. A
flag wins over the environment, and that over the file. In the file a number can stand with or
without quotes, a switch is `true` or `false`, and a list is one (`[\"a\", \"b\"]`); on the command
line a list is a flag that comes several times, and in the environment its items have commas
between them.

`--check` reads everything, says all that is wrong at once, each with file and line, and ends with 0
or 78. Whatever is changed in the file but its `[[servers]]` counts from the next start.

What stands for a value:

| | is |
| --- | --- |
";

/// What a value of this name can be.
const KINDS: [(&str, &str); 12] = [
    ("FILE", "a path; a relative one begins where the proxy was started"),
    ("FILE\\|-", "the same, or `-` for standard output"),
    ("PORT", "0 to 65535; with 0 the system chooses, and the log says which"),
    ("ADDR", "an IPv4 or IPv6 address; for `--admin` also with a port, a port alone, or `off`"),
    ("DUR", "a time with its unit: `500ms`, `90s`, `30m`, `1h 30m`, `7d`"),
    ("SIZE", "bytes, or with `k`, `m`, `g` for powers of 1024: `64k`"),
    ("RATE", "the same, a second"),
    ("N", "a whole number above 0"),
    ("Z", "a number from 0 to 100"),
    ("PATH", "a path on a server, such as `/health`"),
    ("CIDR", "a network (`10.0.0.0/8`) or an address"),
    ("NAME", "a name, without spaces"),
];

const URL: &str = "\
| `URL` | of Redis: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, with TLS `rediss://`; \
`redis-cluster://HOST:PORT?node=HOST2:PORT`, `redis-sentinel://HOST:PORT?sentinelServiceName=NAME`, \
and both with `rediss-`. See [sessions](sessions.md#rights-and-tls) |
";

const SERVERS: &str = "
## Servers

One a line in the file of `--file`, or one table `[[servers]]` in that of `--config`:

```text
# URL [key ...]
http://10.0.0.1:8000 weight=3 name=big
https://api.internal backup
```

```toml
[[servers]]
url = \"http://10.0.0.1:8000\"
weight = 3
name = \"big\"

[[servers]]
url = \"https://api.internal\"
backup = true
```

A URL is `http://HOST[:PORT]` or `https://HOST[:PORT]`: a name, an IPv4 or an `[IPv6]` address, and no
path. `#` begins a comment. Two lines for one server are an error. The file is followed: whoever
comes, goes or changes does so within a second, and no connection is closed for it.

| key | default | |
| --- | --- | --- |
";

const TAIL: &str = "
## The environment, besides

| variable | |
| --- | --- |
| `RUST_LOG` | which events are logged: `warn`, `debug`, `rondel_proxy::health=debug`; `info` if it is not set |
| `SSL_CERT_FILE`, `SSL_CERT_DIR` | whom this system trusts, for Redis over TLS and for https servers without `--ca` |
| `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID` | set by systemd, which is told when the proxy is ready, stops and lives |

## Exit codes

| code | |
| --- | --- |
| 0 | a clean stop, or `--check` found nothing |
| 1 | the system failed us; standard error says how |
| 64 | bad usage: a flag or variable that cannot be understood |
| 71 | an address cannot be bound |
| 78 | bad configuration: a file that cannot be read or understood, or settings that do not go together |
";

/// The page, in Markdown.
pub(super) fn page(flags: &Command) -> String {
    let mut page = HEAD.to_owned();
    // Writing into a string cannot fail, here and below.
    for (name, kind) in KINDS {
        let _ = writeln!(page, "| `{name}` | {kind} |");
    }
    page.push_str(URL);
    for (heading, flags) in by_heading(flags) {
        let _ = write!(page, "\n## {heading}\n\n{COLUMNS}");
        page.extend(flags.into_iter().map(row));
    }
    page.push_str(SERVERS);
    for (key, default, what) in KEYS {
        let _ = writeln!(page, "| `{key}` | {default} | {what} |");
    }
    page.push_str(TAIL);
    page
}

const COLUMNS: &str = "| flag | variable | default | |\n| --- | --- | --- | --- |\n";

/// The flags of each heading, in the order in which people are shown them.
fn by_heading(flags: &Command) -> Vec<(&str, Vec<&Arg>)> {
    let mut headings: Vec<(&str, Vec<&Arg>)> = Vec::new();
    for flag in flags.get_arguments().filter(|flag| is_documented(flag)) {
        let own = flag.get_help_heading().unwrap_or("Servers and address");
        match headings.iter_mut().find(|(heading, _)| *heading == own) {
            Some((_, flags)) => flags.push(flag),
            None => headings.push((own, vec![flag])),
        }
    }
    headings
}

fn is_documented(flag: &Arg) -> bool {
    !matches!(flag.get_id().as_str(), "help" | "version")
}

fn row(flag: &Arg) -> String {
    let long = flag.get_long().unwrap_or_default();
    let short = flag.get_short().map_or(String::new(), |short| format!("-{short}, "));
    let variable = flag.get_env().map_or("", |name| name.to_str().unwrap_or_default());
    let variable = if variable.is_empty() { "none".to_owned() } else { format!("`{variable}`") };
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let (help, said) = match help.split_once(" [default: ") {
        Some((help, rest)) => (help.to_owned(), Some(rest.trim_end_matches(']').to_owned())),
        None => (help, None),
    };
    let default = match (flag.get_default_values(), said) {
        ([], Some(said)) => said,
        ([], None) if flag.get_action().takes_values() => "none".to_owned(),
        ([], None) => "off".to_owned(),
        (values, _) if matches!(flag.get_action(), ArgAction::SetTrue) => off_or_on(values),
        (values, _) => format!("`{}`", values.join(std::ffi::OsStr::new(",")).to_string_lossy()),
    };
    let note = if is_setting(flag) { "" } else { " Not in the file." };
    let choices = choices(&flag.get_possible_values());
    let value = value(flag);
    format!("| `{short}--{long}{value}` | {variable} | {default} | {help}.{choices}{note} |\n")
}

/// A switch: clap gives it the default `false`.
fn off_or_on(values: &[clap::builder::OsStr]) -> String {
    if values.iter().all(|value| value == "false") { "off" } else { "on" }.to_owned()
}

/// ` FILE`, or ` on\|off`.
fn value(flag: &Arg) -> String {
    let choices: Vec<String> = names(&flag.get_possible_values());
    match flag.get_value_names() {
        _ if !flag.get_action().takes_values() => String::new(),
        _ if !choices.is_empty() => format!(" {}", choices.join("\\|")),
        Some([name, ..]) => format!(" {}", name.replace('|', "\\|")),
        _ => String::new(),
    }
}

fn names(values: &[PossibleValue]) -> Vec<String> {
    values.iter().map(|value| value.get_name().to_owned()).collect()
}

/// What each of them means, where they say it.
fn choices(values: &[PossibleValue]) -> String {
    let told = values.iter().filter_map(|value| {
        let help = value.get_help()?;
        Some(format!("`{}`: {help}", value.get_name()))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { String::new() } else { format!(" {}.", told.join(". ")) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::settings::Args;

    #[test]
    fn the_page_says_what_every_value_can_be() {
        let command = Args::command();
        for flag in command.get_arguments().filter(|flag| flag.get_action().takes_values()) {
            let kind = value(flag);
            let known = flag.get_possible_values().len() > 1
                || kind == " URL"
                || KINDS.iter().any(|(name, _)| kind == format!(" {name}"));
            assert!(known, "{}:{kind}", flag.get_id());
        }
    }

    #[test]
    fn every_flag_stands_in_the_page_once_with_what_it_says_of_itself() {
        let mut command = Args::command();
        command.build();
        let page = page(&command);
        for flag in command.get_arguments().filter(|flag| is_documented(flag)) {
            let name = format!("--{}", flag.get_long().unwrap());
            let rows: Vec<_> = page
                .lines()
                .filter(|line| {
                    line.starts_with("| `") && {
                        let cell = line.trim_start_matches("| `").split('`').next().unwrap();
                        cell.split([' ', ',']).any(|word| word == name)
                    }
                })
                .collect();
            assert_eq!(rows.len(), 1, "{name}: {rows:?}");
            let help = flag.get_help().unwrap().to_string();
            assert!(rows[0].contains(help.split(" [").next().unwrap()), "{name}");
        }
    }
}
