//! The tables of raw messages (`tests/cases/`).

use serde::Deserialize;

/// One request as bytes, and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestCase {
    pub(crate) name: String,
    /// The paragraph that speaks of it.
    pub(crate) rfc: String,
    pub(crate) raw: String,
    pub(crate) refused: Option<String>,
    /// Refused, and yet the connection may go on.
    #[serde(default)]
    pub(crate) stays: bool,
    /// What is served before the refusal.
    #[serde(default)]
    pub(crate) first: Vec<String>,
    #[serde(default)]
    pub(crate) seen: Vec<String>,
    #[serde(default)]
    pub(crate) bodies: Vec<String>,
    #[serde(default)]
    pub(crate) has: Vec<String>,
    #[serde(default)]
    pub(crate) lacks: Vec<String>,
    pub(crate) trailers: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) closes: bool,
}

/// One response as bytes, and what the client gets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResponseCase {
    pub(crate) name: String,
    pub(crate) rfc: String,
    pub(crate) method: Option<String>,
    pub(crate) raw: String,
    /// The server closes the connection behind it.
    #[serde(default)]
    pub(crate) ends: bool,
    pub(crate) refused: Option<String>,
    #[serde(default)]
    pub(crate) cut: bool,
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) has: Vec<String>,
    #[serde(default)]
    pub(crate) lacks: Vec<String>,
    pub(crate) trailers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Table<C> {
    case: Vec<C>,
}

pub(crate) fn requests() -> Vec<RequestCase> {
    read(include_str!("../cases/requests.toml"))
}

pub(crate) fn responses() -> Vec<ResponseCase> {
    read(include_str!("../cases/responses.toml"))
}

fn read<C: for<'de> Deserialize<'de>>(table: &str) -> Vec<C> {
    toml::from_str::<Table<C>>(table).expect("a table of cases").case
}

/// The bytes that a text of a table stands for.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let one = |c: char| u8::try_from(u32::from(c)).expect("one byte a character");
    expand(text).chars().map(one).collect()
}

/// `${x*3}` becomes `xxx`.
pub(crate) fn expand(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (inner, after) = behind.split_once('}').expect("an end of `${`");
        let (what, times) = inner.rsplit_once('*').expect("how often");
        whole += before;
        whole += &what.repeat(times.parse().expect("a number"));
        rest = after;
    }
    whole + rest
}
