//! The servers file: text in, servers out.
//!
//! Owns the format, `URL [key=value ...]` a line with `#` comments, and reports every error of a
//! text with its line, all at once. Never reads a file and never resolves a name.

use std::{
    collections::HashMap,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::spec::ServerSpec;

/// What is wrong with one line. What stands there may be anything, and is shown so that it can do
/// nothing to a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {}", visible(.problem))]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, in words for the person who wrote the line.
    pub problem: Problem,
}

/// See [`LineError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says its meaning in its message")]
pub enum Problem {
    #[error("`{0}` is no URL of a server: http://HOST[:PORT] or https://HOST[:PORT] is expected")]
    Scheme(String),
    #[error("`{0}` is no URL of a server: did you mean http://{0}?")]
    NoScheme(String),
    #[error("a server's URL has no path, query or fragment: `{0}`")]
    Path(String),
    #[error("a server's URL has no user or password: `{0}`")]
    UserInfo(String),
    #[error("`{0}` is no host name, IPv4 address or [IPv6] address")]
    Host(String),
    #[error("`{0}` is no port (1 to 65535)")]
    Port(String),
    #[error("weight `{0}` is not a whole number from 1 to 256")]
    Weight(String),
    #[error("max `{0}` is not a whole number from 1 to 4294967295")]
    Max(String),
    #[error("name `{0}` is not 1 to 64 of A-Z a-z 0-9 _ -")]
    Name(String),
    #[error("unknown key `{0}`: weight=, max=, name=, h2 and backup are known")]
    UnknownKey(String),
    #[error("`{0}` takes no value: write `{0}` alone")]
    Valued(String),
    #[error("`{0}` needs a value: write `{0}=...` without a space")]
    Valueless(String),
    #[error("`{0}` is given twice")]
    KeyTwice(String),
    #[error("{url} is already the server of line {first}")]
    Duplicate { url: String, first: usize },
    #[error("the name `{name}` is already taken by line {first}")]
    DuplicateName { name: String, first: usize },
    #[error("there is no server in it")]
    Empty,
}

/// Every error of a text, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<LineError>);

impl Errors {
    /// Each with its line.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, String)> {
        self.0.iter().map(|error| (error.line, visible(&error.problem)))
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.0.iter();
        if let Some(first) = lines.next() {
            write!(f, "{first}")?;
        }
        lines.try_for_each(|error| write!(f, "\n{error}"))
    }
}

impl std::error::Error for Errors {}

fn visible(problem: &Problem) -> String {
    let escaped = |c: char| c.is_control().then(|| c.escape_default().to_string());
    problem.to_string().chars().map(|c| escaped(c).unwrap_or(c.into())).collect()
}

/// The keys that may follow a URL, each with its default and what it means, for people.
pub(crate) const KEYS: [(&str, &str, &str); 5] = [
    ("weight=N", "1", "Its share of the turns: 1 to 256"),
    ("max=N", "any", "Most requests that it is given at once"),
    (
        "name=ID",
        "derived from the URL",
        "How it is called in cookies, records, logs and metrics: 1 to 64 of `A-Z a-z 0-9 _ -`",
    ),
    ("h2", "HTTP/1.1", "It is spoken to in HTTP/2, as gRPC wants it"),
    ("backup", "no", "It serves only when nobody else can"),
];

/// Reads the text of a servers file.
///
/// # Errors
///
/// Every line that is wrong, not only the first.
pub fn parse(text: &str) -> Result<Vec<ServerSpec>, Errors> {
    let lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
    let words = lines.map(|(line, text)| {
        let words = without_comment(text).split_whitespace();
        words.map(|text| Word { line, text: text.to_owned() }).collect::<Vec<_>>()
    });
    let entries: Vec<Vec<Word>> = words.filter(|words| !words.is_empty()).collect();
    if entries.is_empty() {
        let line = text.lines().count().max(1);
        return Err(Errors(vec![LineError { line, problem: Problem::Empty }]));
    }
    collect(entries)
}

/// A URL or a key, and where it stands.
pub(crate) struct Word {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The servers that these words name, the URL first and never none.
pub(crate) fn collect(entries: Vec<Vec<Word>>) -> Result<Vec<ServerSpec>, Errors> {
    let mut servers = Vec::new();
    let mut errors = Vec::new();
    let mut urls = HashMap::new();
    let mut ids = HashMap::new();

    for words in entries {
        let (server, problems) = parse_words(&words);
        errors.extend(problems);
        let Some(server) = server else { continue };
        let line = words[0].line;
        let url = server.url();
        if let Some(&first) = urls.get(&url) {
            errors.push(LineError { line, problem: Problem::Duplicate { url, first } });
            continue;
        }
        urls.insert(url, line);
        if let Some(&first) = ids.get(&server.id) {
            let name = server.id.clone();
            errors.push(LineError { line, problem: Problem::DuplicateName { name, first } });
        } else {
            ids.insert(server.id.clone(), line);
            servers.push(server);
        }
    }
    if errors.is_empty() { Ok(servers) } else { Err(Errors(errors)) }
}

/// A `#` begins a comment where a word could begin, so that none is lost inside of one.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, char)| *at == 0 || line[..*at].ends_with(char::is_whitespace);
    let end = line.char_indices().filter(|(_, c)| *c == '#').find(begins).map(|(at, _)| at);
    line[..end.unwrap_or(line.len())].trim()
}

/// One server, if its URL can be read, and all that is wrong with its words.
fn parse_words(words: &[Word]) -> (Option<ServerSpec>, Vec<LineError>) {
    let mut problems = Vec::new();
    let [url, keys @ ..] = words else { return (None, problems) };
    let server = parse_url(&url.text)
        .map_err(|problem| problems.push(LineError { line: url.line, problem }))
        .ok();
    // Keys are read even if the URL is wrong: every error of the line is reported at once.
    let mut read = server.unwrap_or_else(|| without_keys(false, String::new(), 0));
    let url_is_good = problems.is_empty();
    let mut seen = Vec::new();
    for Word { line, text } in keys {
        let key = text.split_once('=').map_or(text.as_str(), |(key, _)| key);
        let parsed = if seen.contains(&key) {
            Err(Problem::KeyTwice(key.to_owned()))
        } else {
            seen.push(key);
            parse_key(text, &mut read)
        };
        problems.extend(parsed.err().map(|problem| LineError { line: *line, problem }));
    }
    if read.id.is_empty() {
        read.id = ServerSpec::derived_id(&read.url());
    }
    (url_is_good.then_some(read), problems)
}

fn parse_url(url: &str) -> Result<ServerSpec, Problem> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| without_scheme(url))?;
    let https = scheme.eq_ignore_ascii_case("https");
    if !https && !scheme.eq_ignore_ascii_case("http") {
        return Err(Problem::Scheme(url.to_owned()));
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(Problem::Path(url.to_owned()));
    }
    if authority.contains('@') {
        return Err(Problem::UserInfo(url.to_owned()));
    }
    let (host, port) = parse_authority(authority)?;
    let port = port.unwrap_or(ServerSpec::default_port(https));
    Ok(without_keys(https, host, port))
}

/// A server as its URL alone describes it, but for its id.
fn without_keys(https: bool, host: String, port: u16) -> ServerSpec {
    let id = String::new();
    ServerSpec { id, https, h2: false, host, port, weight: 1, max: None, backup: false }
}

/// What somebody meant who left out how the server is spoken to.
fn without_scheme(text: &str) -> Problem {
    let is_address = parse_authority(text.strip_suffix('/').unwrap_or(text)).is_ok();
    if is_address { Problem::NoScheme(text.to_owned()) } else { Problem::Scheme(text.to_owned()) }
}

fn parse_authority(authority: &str) -> Result<(String, Option<u16>), Problem> {
    let bad_host = || Problem::Host(authority.to_owned());
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or_else(bad_host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| bad_host())?;
        let port = if after.is_empty() {
            None
        } else {
            Some(after.strip_prefix(':').ok_or_else(bad_host)?)
        };
        (address.to_string(), port)
    } else {
        let (host, port) =
            authority.split_once(':').map_or((authority, None), |(h, p)| (h, Some(p)));
        if !is_host_name(host) {
            return Err(bad_host());
        }
        (host.to_ascii_lowercase(), port)
    };
    let Some(port) = port else { return Ok((host, None)) };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number) if digits && number != 0 => Ok((host, Some(number))),
        _ => Err(Problem::Port(port.to_owned())),
    }
}

/// A name that DNS could hold, or an IPv4 address written in the usual way: what looks like an
/// address and is none (`1.2.3`, `300.1.1.1`) must not be sent to the resolver.
fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() || name.len() > 253 || !name.split('.').all(label) {
        return false;
    }
    let numeric =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    !numeric || host.parse::<Ipv4Addr>().is_ok()
}

fn parse_key(word: &str, server: &mut ServerSpec) -> Result<(), Problem> {
    match word.split_once('=') {
        Some(("weight", value)) => {
            server.weight = whole(value)
                .filter(|weight| (1..=256).contains(weight))
                .ok_or_else(|| Problem::Weight(value.to_owned()))?;
        }
        Some(("max", value)) => {
            let max = whole(value).filter(|max| *max > 0);
            server.max = Some(max.ok_or_else(|| Problem::Max(value.to_owned()))?);
        }
        Some(("name", value)) => {
            let good = (1..=64).contains(&value.len())
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if !good {
                return Err(Problem::Name(value.to_owned()));
            }
            value.clone_into(&mut server.id);
        }
        None if word == "backup" => server.backup = true,
        None if word == "h2" => server.h2 = true,
        Some((key @ ("backup" | "h2"), _)) => return Err(Problem::Valued(key.to_owned())),
        None if matches!(word, "weight" | "max" | "name") => {
            return Err(Problem::Valueless(word.to_owned()));
        }
        Some((key, _)) => return Err(Problem::UnknownKey(key.to_owned())),
        None => return Err(Problem::UnknownKey(word.to_owned())),
    }
    Ok(())
}

/// Digits only: `parse` alone would take `+3`.
fn whole<N: std::str::FromStr>(value: &str) -> Option<N> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> ServerSpec {
        let mut servers = parse(line).unwrap();
        assert_eq!(servers.len(), 1);
        servers.remove(0)
    }

    fn problems(text: &str) -> Vec<(usize, Problem)> {
        parse(text).unwrap_err().0.into_iter().map(|error| (error.line, error.problem)).collect()
    }

    #[test]
    fn every_form_of_a_host_and_port_is_read() {
        for (line, url) in [
            ("http://localhost:8000", "http://localhost:8000"),
            ("http://localhost:65535/", "http://localhost:65535"),
            ("HTTP://LocalHost", "http://localhost"),
            ("http://10.1.2.3:80", "http://10.1.2.3"),
            ("http://[::1]:5173", "http://[::1]:5173"),
            ("http://[0:0::1]", "http://[::1]"),
            ("https://a", "https://a"),
            ("HTTPS://A:443/", "https://a"),
            ("https://a:80", "https://a:80"),
            ("http://a:443", "http://a:443"),
            ("http://my_app.svc.cluster.local.:8080", "http://my_app.svc.cluster.local.:8080"),
        ] {
            assert_eq!(one(line).url(), url, "{line}");
        }
    }

    #[test]
    fn comments_blank_lines_and_windows_line_ends_are_passed_over() {
        let text = "\u{feff}# head\r\n\r\n  http://a:1 # why\r\nhttp://b:2\tname=b#2x\n";
        let bad = problems(text);
        assert_eq!(bad, [(4, Problem::Name("b#2x".into()))]);
        assert_eq!(parse("# head\r\n\r\n http://a:1 # why\r\n#http://b\n").unwrap().len(), 1);
    }

    #[test]
    fn every_key_is_read() {
        let server = one("http://a:1 weight=256 max=7 name=Web_1-a backup h2");
        assert_eq!((server.weight, server.max, server.backup), (256, Some(7), true));
        assert!(server.h2 && !server.https && one("https://a").https);
        assert_eq!(server.id, "Web_1-a");
    }

    #[test]
    fn the_keys_that_people_are_told_of_are_those_that_are_read() {
        let unknown = Problem::UnknownKey("x".into()).to_string();
        for (key, ..) in KEYS {
            one(&format!("http://a {}", key.replace("=N", "=1")));
            assert!(unknown.contains(key.trim_end_matches('N').trim_end_matches("ID")), "{key}");
        }
    }

    #[test]
    fn every_error_of_a_text_is_reported_with_its_line() {
        let text = "localhost:8000\nhttp://a:0\nhttp://a:65536 weight=0 weight=3\nhttp://ok\n\
                    ftp://x\nhttps://x:\nhttp://x/y\nhttp://u@x\nhttp://x speed=3 max=0 h2=1 backup=1\n\
                    http://300.1.1.1\nhttp://[::1\nhttp://a:+1\nhttp://\nhttp://a:\nhttp://::1";
        let lines: Vec<usize> = problems(text).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 3, 3, 5, 6, 7, 8, 9, 9, 9, 9, 10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn what_was_probably_meant_is_said() {
        for (line, meant) in [
            ("localhost:8001", "did you mean http://localhost:8001?"),
            ("http://a backup=yes", "`backup` takes no value: write `backup` alone"),
            ("http://a h2=1", "`h2` takes no value: write `h2` alone"),
            ("http://a weight 3", "`weight` needs a value: write `weight=...` without a space"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(meant), "{error}");
        }
    }

    #[test]
    fn what_is_shown_of_a_line_does_nothing_to_a_terminal() {
        let error = parse("\u{1b}[31m\u{7}\n").unwrap_err().to_string();
        assert!(error.starts_with(r"1: `\u{1b}[31m\u{7}` is no URL"), "{error}");
    }

    #[test]
    fn a_server_or_a_name_that_comes_twice_is_an_error() {
        assert_eq!(
            problems("http://a\n\nHTTP://A:80/\nhttp://b name=x\nhttp://c name=x"),
            [
                (3, Problem::Duplicate { url: "http://a".into(), first: 1 }),
                (5, Problem::DuplicateName { name: "x".into(), first: 4 }),
            ]
        );
    }

    #[test]
    fn a_file_without_a_server_is_an_error() {
        assert_eq!(problems(""), [(1, Problem::Empty)]);
        assert_eq!(problems("# none\n\n"), [(2, Problem::Empty)]);
    }

    #[test]
    fn an_id_is_derived_from_the_normal_form_of_the_url_and_can_stand_in_a_cookie() {
        let id = one("http://LOCALHOST:80").id;
        assert_eq!(id, one("http://localhost/").id);
        assert_eq!(id.len(), 11);
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{id}");
    }
}
