//! The configuration file: TOML in, settings and servers out.
//!
//! Owns the format: every flag by its long name, and `[[servers]]` tables with `url` and the keys
//! of the servers file. Reports every error with its line, all at once. Never says what a setting
//! means (`settings.rs`).

use std::{ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    file::read_text,
    servers::{self, Word},
    spec::ServerSpec,
};

/// What a configuration file says.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) settings: Vec<Setting>,
    /// None: there is no `[[servers]]` in it.
    pub(crate) servers: Option<Vec<ServerSpec>>,
}

/// A flag, as it could have been typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
}

/// Reads a configuration file, of whose settings `check` says what is wrong with them.
pub(crate) fn read(
    path: &Path,
    check: impl Fn(&Setting) -> Result<(), String>,
) -> Result<ConfigFile, Vec<String>> {
    let text = read_text(path).map_err(|error| vec![error])?;
    parse_text(&text, check).map_err(|errors| named(path, errors))
}

/// The same, for a text that comes from there and whose settings were checked before.
pub(crate) fn parse(path: &Path, text: &str) -> Result<ConfigFile, Vec<String>> {
    parse_text(text, |_| Ok(())).map_err(|errors| named(path, errors))
}

type Errors = Vec<(usize, String)>;

fn named(path: &Path, errors: Errors) -> Vec<String> {
    let name = path.display();
    errors.into_iter().map(|(line, why)| format!("{name}:{line}: {why}")).collect()
}

fn parse_text(
    text: &str,
    check: impl Fn(&Setting) -> Result<(), String>,
) -> Result<ConfigFile, Errors> {
    let line_of = |span: Range<usize>| 1 + text[..span.start.min(text.len())].matches('\n').count();
    let (table, found) = DeTable::parse_recoverable(text);
    let mut errors: Errors = found
        .iter()
        .map(|error| (error.span().map_or(1, line_of), error.message().replace('\n', ", ")))
        .collect();
    if !errors.is_empty() {
        errors.sort();
        return Err(errors);
    }
    let mut file = ConfigFile::default();
    for (key, value) in table.get_ref() {
        let line = line_of(key.span());
        if key.get_ref() == "servers" {
            let (entries, found) = entries(value, line_of);
            errors.extend(found);
            match servers::collect(entries) {
                Ok(servers) => file.servers = Some(servers),
                Err(found) => errors.extend(found.lines()),
            }
            continue;
        }
        match values(value.get_ref()) {
            Some(values) => {
                let setting = Setting { line, name: key.get_ref().to_string(), values };
                errors.extend(check(&setting).err().map(|why| (line, why)));
                file.settings.push(setting);
            }
            None => errors.push((line, format!("`{}` cannot have such a value", key.get_ref()))),
        }
    }
    errors.sort();
    if errors.is_empty() { Ok(file) } else { Err(errors) }
}

/// Each `[[servers]]` as the words of a line of the servers file, and what cannot be one.
fn entries(
    value: &Spanned<DeValue<'_>>,
    line_of: impl Fn(Range<usize>) -> usize,
) -> (Vec<Vec<Word>>, Errors) {
    let shape = |span| (line_of(span), "`[[servers]]` tables are expected".to_owned());
    let mut errors = Vec::new();
    let mut entries = Vec::new();
    let Some(array) = value.get_ref().as_array() else {
        return (entries, vec![shape(value.span())]);
    };
    for entry in array {
        let Some(table) = entry.get_ref().as_table() else {
            errors.push(shape(entry.span()));
            continue;
        };
        let mut url = None;
        let mut words = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let line = line_of(key.span());
            match (name, value.get_ref()) {
                ("url", DeValue::String(text)) => {
                    url = Some(Word { line, text: text.to_string() });
                }
                ("url", _) => {
                    errors.push((line, "`url` is a string".to_owned()));
                }
                (name, DeValue::Boolean(true)) => {
                    words.push(Word { line, text: name.to_owned() });
                }
                (_, DeValue::Boolean(false)) => {}
                (name, value) => match scalar(value) {
                    Some(text) => words.push(Word { line, text: format!("{name}={text}") }),
                    None => errors.push((line, format!("`{name}` cannot have such a value"))),
                },
            }
        }
        match url {
            Some(url) => {
                words.insert(0, url);
                entries.push(words);
            }
            None if table.iter().any(|(key, _)| key.get_ref() == "url") => {}
            None => errors.push((line_of(entry.span()), "a server has a `url`".to_owned())),
        }
    }
    (entries, errors)
}

/// One value or several.
fn values(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(array) => array.iter().map(|value| scalar(value.get_ref())).collect(),
        value => scalar(value).map(|one| vec![one]),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(true) => Some("true".to_owned()),
        DeValue::Boolean(false) => Some("false".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<ConfigFile, Errors> {
        parse_text(text, |setting| match setting.name.as_str() {
            "bad" => Err("it is".to_owned()),
            _ => Ok(()),
        })
    }

    #[test]
    fn settings_and_servers_are_read_with_their_lines() {
        let file = parsed(
            "port = 8080\n# why\nsession-header = [\"a\", \"b\"]\ndemo = true\n\n[[servers]]\n\
             url = \"http://a\"\nweight = 3\nbackup = true\n[[servers]]\nurl = \"http://b\"\n\
             name = \"b\"\nbackup = false\n",
        )
        .unwrap();
        let setting = |line, name: &str, values: &[&str]| Setting {
            line,
            name: name.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        };
        let mut settings = file.settings;
        settings.sort_by_key(|setting| setting.line);
        assert_eq!(
            settings,
            [
                setting(1, "port", &["8080"]),
                setting(3, "session-header", &["a", "b"]),
                setting(4, "demo", &["true"]),
            ]
        );
        let servers = file.servers.unwrap();
        assert_eq!((servers[0].weight, servers[0].backup), (3, true));
        assert_eq!((servers[1].id.as_str(), servers[1].backup), ("b", false));
    }

    #[test]
    fn every_error_is_reported_with_its_line() {
        let lines = |text| parsed(text).unwrap_err().into_iter().map(|(line, _)| line).collect();
        let found: Vec<usize> = lines("port = \n\nworkers = [\n");
        assert_eq!(found[0], 1);
        let found: Vec<usize> =
            lines("port = {}\n[[servers]]\nurl = \"http://a:0\"\n[[servers]]\nurl = \"ftp://b\"\n");
        assert_eq!(found, [1, 3, 5]);
        let found: Vec<usize> = lines("[[servers]]\nweight = 1\n");
        assert_eq!(found, [1]);
        let found: Vec<usize> = lines(
            "bad = 1\nport = {}\n[[servers]]\nweight = 1\n[[servers]]\nurl = \"http://a\"\nspeed = 1\n\
             [[servers]]\nurl = 3\n",
        );
        assert_eq!(found, [1, 2, 3, 7, 9]);
        let found: Vec<usize> = lines("servers = 3\n");
        assert_eq!(found, [1]);
    }
}
