//! The record of a session.
//!
//! A record is a hash of fields that any language can read: `v`, `created`, `seen`, `backend`,
//! `h:<name>` for captured request headers and `d:<name>` for data that backends set. Owns what it
//! may hold, and for how long; how it becomes another one is said by a `Change`.

use http::{HeaderName, HeaderValue};

use super::{
    change::{Beginning, Change},
    id::Key,
    jwt,
};

/// The form of the record, in its field `v`.
pub(super) const VERSION: &str = "1";
/// What the name of a data header begins with, before the name of the field.
pub(crate) const DATA_PREFIX: &str = "rondel-session-";

pub(super) const MOST_FIELDS: usize = 32;
const LONGEST_VALUE: usize = 4 * 1024;
const LARGEST_RECORD: usize = 8 * 1024;

/// One session, as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The key of the record, ready to be sent as a header.
    pub(crate) key: HeaderValue,
    /// Unix seconds.
    pub(crate) created: u64,
    /// Unix seconds of the last use that was written down.
    pub(crate) seen: u64,
    /// The backend that the session was given at first.
    pub(crate) backend: String,
    fields: Vec<(Field, HeaderValue)>,
}

/// What a field of a record is the value of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// A request header that was captured, `h:<name>`.
    Captured(HeaderName),
    /// Session data of the backends, `d:<name>`; named by its header, `rondel-session-<name>`.
    /// Made by [`Field::data`] alone, which sees to the prefix.
    Data(HeaderName),
}

/// Why a value was not taken into a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooManyFields,
    ValueTooLong,
    RecordTooLarge,
    Token,
}

/// How long sessions live, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    pub(crate) idle: u64,
    pub(crate) max: u64,
}

impl Lifetime {
    /// The earlier of the idle and the absolute end.
    pub(crate) fn end(self, created: u64, seen: u64) -> u64 {
        seen.saturating_add(self.idle).min(created.saturating_add(self.max))
    }

    /// How old `seen` may grow before a use is written down: rarely, but well before the idle end.
    pub(crate) fn touch_interval(self) -> u64 {
        (self.idle / 10).max(60).min(self.idle / 4)
    }
}

impl Record {
    pub(crate) fn new(key: Key, now: u64, backend: &str) -> Self {
        Self {
            key: key.header_value(),
            created: now,
            seen: now,
            backend: backend.to_owned(),
            fields: Vec::new(),
        }
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&Field, &HeaderValue)> {
        self.fields.iter().map(|(field, value)| (field, value))
    }

    pub(crate) fn value(&self, field: &Field) -> Option<&HeaderValue> {
        self.fields().find_map(|(known, value)| (known == field).then_some(value))
    }

    /// The remembered value of a captured header.
    pub(crate) fn captured(&self, header: &HeaderName) -> Option<&HeaderValue> {
        self.fields().find_map(|(field, value)| {
            matches!(field, Field::Captured(name) if name == header).then_some(value)
        })
    }

    /// Takes one edit if the limits allow it; `Ok(false)` if it changes nothing.
    pub(crate) fn edit(
        &mut self,
        field: &Field,
        value: Option<&HeaderValue>,
    ) -> Result<bool, Refusal> {
        if self.value(field) == value {
            return Ok(false);
        }
        if let Some(value) = value {
            self.check(field, value)?;
        }
        self.put(field, value);
        Ok(true)
    }

    /// Carries out a change.
    pub(crate) fn apply(&mut self, change: &Change) {
        self.seen = self.seen.max(change.seen);
        for (field, value) in &change.edits {
            self.put(field, value.as_ref());
        }
    }

    /// The change that writes the whole record.
    pub(crate) fn as_change(&self, lifetime: Lifetime) -> Change {
        Change {
            begins: Some(Beginning { created: self.created, backend: self.backend.clone() }),
            seen: self.seen,
            expires: lifetime.end(self.created, self.seen),
            edits: self
                .fields
                .iter()
                .map(|(field, value)| (field.clone(), Some(value.clone())))
                .collect(),
        }
    }

    /// The record that a beginning change describes.
    pub(crate) fn from_change(key: Key, change: &Change) -> Option<Self> {
        let begins = change.begins.as_ref()?;
        let mut record = Self::new(key, begins.created, &begins.backend);
        record.apply(change);
        Some(record)
    }

    /// Reads the fields of a hash. `None` if they are no record: it begins with `v` and `created`,
    /// which only its first write sets.
    pub(crate) fn from_hash<'a>(
        key: Key,
        hash: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Option<Self> {
        let (mut version, mut created, mut seen) = (None, None, None);
        let mut record = Self::new(key, 0, "");
        for (name, value) in hash {
            match name {
                b"v" => version = Some(value),
                b"created" => created = number(value),
                b"seen" => seen = number(value),
                b"backend" => record.backend = String::from_utf8_lossy(value).into_owned(),
                _ => record.read_field(name, value),
            }
        }
        record.created = created?;
        record.seen = seen.unwrap_or(record.created);
        (version? == VERSION.as_bytes()).then_some(record)
    }

    /// About how much memory the record takes.
    pub(crate) fn weight(&self) -> usize {
        // Names and values have an allocation each behind a handle of 32 and 40 bytes.
        200 + self.fields.len() * 160 + self.size()
    }

    /// A field that somebody else wrote has to keep our limits too, since it becomes a header.
    fn read_field(&mut self, name: &[u8], value: &[u8]) {
        let Some(field) = Field::parse(name) else { return };
        let Ok(value) = HeaderValue::from_bytes(value) else { return };
        if self.check(&field, &value).is_ok() {
            self.put(&field, Some(&value));
        }
    }

    fn check(&self, field: &Field, value: &HeaderValue) -> Result<(), Refusal> {
        let before = self.value(field);
        let grown = field.size_with(value);
        let shed = before.map_or(0, |value| field.size_with(value));
        if value.len() > LONGEST_VALUE {
            Err(Refusal::ValueTooLong)
        } else if before.is_none() && self.fields.len() >= MOST_FIELDS {
            Err(Refusal::TooManyFields)
        } else if self.size() - shed + grown > LARGEST_RECORD {
            Err(Refusal::RecordTooLarge)
        } else if jwt::holds_token(value.as_bytes()) {
            Err(Refusal::Token)
        } else {
            Ok(())
        }
    }

    fn put(&mut self, field: &Field, value: Option<&HeaderValue>) {
        let place = self.fields.iter().position(|(known, _)| known == field);
        match (place, value) {
            (Some(at), Some(value)) => self.fields[at].1 = value.clone(),
            (Some(at), None) => drop(self.fields.swap_remove(at)),
            (None, Some(value)) => self.fields.push((field.clone(), value.clone())),
            (None, None) => {}
        }
    }

    fn size(&self) -> usize {
        self.fields().map(|(field, value)| field.size_with(value)).sum()
    }
}

impl Field {
    /// The field that a data header stands for; `None` if it is no data header.
    pub(crate) fn data(header: HeaderName) -> Option<Self> {
        let name = header.as_str().strip_prefix(DATA_PREFIX)?;
        (!name.is_empty()).then(|| Self::Data(header))
    }

    /// The name in the hash.
    pub(crate) fn in_hash(&self) -> String {
        match self {
            Self::Captured(name) => format!("h:{name}"),
            Self::Data(name) => format!("d:{}", &name.as_str()[DATA_PREFIX.len()..]),
        }
    }

    /// Bytes of the field in the hash.
    fn size_with(&self, value: &HeaderValue) -> usize {
        let name = match self {
            Self::Captured(name) => name.as_str().len(),
            Self::Data(name) => name.as_str().len() - DATA_PREFIX.len(),
        };
        "h:".len() + name + value.len()
    }

    /// Only lower-case names are ours: two spellings of one header would be two fields.
    fn parse(name: &[u8]) -> Option<Self> {
        let (kind, name) = name.split_at_checked(2)?;
        if name.is_empty() || name.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        match kind {
            b"h:" => HeaderName::from_bytes(name).ok().map(Self::Captured),
            b"d:" => {
                let header = [DATA_PREFIX.as_bytes(), name].concat();
                HeaderName::from_bytes(&header).ok().and_then(Self::data)
            }
            _ => None,
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::id::Id;

    const LIFETIME: Lifetime = Lifetime { idle: 1_800, max: 86_400 };

    fn key() -> Key {
        Id::from_bytes([7; 16]).key()
    }

    fn data(name: &str) -> Field {
        Field::parse(format!("d:{name}").as_bytes()).unwrap()
    }

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    #[test]
    fn a_record_survives_its_hash() {
        let mut record = Record::new(key(), 100, "web1");
        record.edit(&data("cart"), Some(&value("apple"))).unwrap();
        let captured = Field::Captured(HeaderName::from_static("accept-language"));
        record.edit(&captured, Some(&value("de"))).unwrap();
        let hash = record.as_change(LIFETIME).to_set();
        let mut names: Vec<_> = hash.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["backend", "created", "d:cart", "h:accept-language", "seen", "v"]);
        let pairs = hash.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
        let again = Record::from_hash(key(), pairs).unwrap();
        assert_eq!((again.created, again.seen, again.backend.as_str()), (100, 100, "web1"));
        assert_eq!(again.value(&data("cart")).unwrap(), "apple");
        assert_eq!(again.value(&captured).unwrap(), "de");
    }

    #[test]
    fn what_has_no_beginning_is_no_record() {
        let edits = vec![(data("cart"), Some(value("late")))];
        let late = Change { begins: None, seen: 200, expires: 2_000, edits }.to_set();
        let pairs = late.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
        assert!(Record::from_hash(key(), pairs).is_none());
        assert!(Record::from_hash(key(), std::iter::empty()).is_none());
        let future = [(&b"v"[..], &b"2"[..]), (b"created", b"1")];
        assert!(Record::from_hash(key(), future.into_iter()).is_none());
    }

    #[test]
    fn foreign_fields_that_are_no_headers_are_passed_over() {
        let long = vec![b'x'; LONGEST_VALUE + 1];
        let hash: Vec<(&[u8], &[u8])> = vec![
            (b"v", b"1"),
            (b"created", b"5"),
            (b"d:ok", b"fine"),
            (b"d:Upper", b"x"),
            (b"d:", b"x"),
            (b"d:sp ace", b"x"),
            (b"d:lines", b"a\r\nb: c"),
            (b"d:long", &long),
            (b"own", b"x"),
            (b"\xff\xff", b"\xff"),
        ];
        let record = Record::from_hash(key(), hash.into_iter()).unwrap();
        let names: Vec<_> = record.fields().map(|(field, _)| field.in_hash()).collect();
        assert_eq!(names, ["d:ok"]);
    }

    #[test]
    fn the_limits_refuse_the_value_and_keep_the_rest() {
        let mut record = Record::new(key(), 1, "b");
        let long = value(&"x".repeat(LONGEST_VALUE + 1));
        assert_eq!(record.edit(&data("long"), Some(&long)), Err(Refusal::ValueTooLong));
        let most = value(&"x".repeat(LONGEST_VALUE));
        assert_eq!(record.edit(&data("one"), Some(&most)), Ok(true));
        assert_eq!(record.edit(&data("two"), Some(&most)), Err(Refusal::RecordTooLarge));
        assert_eq!(record.edit(&data("one"), Some(&most)), Ok(false), "nothing new");
        assert_eq!(record.edit(&data("one"), Some(&value("small"))), Ok(true));
        assert_eq!(record.edit(&data("two"), Some(&most)), Ok(true), "there is room again");
        for index in 0..30 {
            assert_eq!(record.edit(&data(&format!("n{index}")), Some(&value("1"))), Ok(true));
        }
        assert_eq!(record.edit(&data("more"), Some(&value("1"))), Err(Refusal::TooManyFields));
        assert_eq!(record.edit(&data("n1"), None), Ok(true), "an empty value deletes");
        assert_eq!(record.edit(&data("more"), Some(&value("1"))), Ok(true));
    }

    #[test]
    fn a_token_is_never_taken() {
        let mut record = Record::new(key(), 1, "b");
        let token = value("Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln");
        assert_eq!(record.edit(&data("auth"), Some(&token)), Err(Refusal::Token));
    }

    #[test]
    fn a_session_ends_at_the_earlier_of_idle_and_maximum() {
        assert_eq!(LIFETIME.end(100, 200), 2_000);
        assert_eq!(LIFETIME.end(100, 86_000), 86_500);
        assert_eq!(LIFETIME.touch_interval(), 180);
        assert_eq!(Lifetime { idle: 300, max: 300 }.touch_interval(), 60);
        assert_eq!(Lifetime { idle: 8, max: 100 }.touch_interval(), 2, "well before it ends");
    }
}
