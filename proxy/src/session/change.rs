//! How a record changes.
//!
//! A change is idempotent: it names fields and their new values and an absolute expiry, so it may
//! be carried out twice, or late, or merged with a later one.

use http::HeaderValue;

use super::record::{Field, MOST_FIELDS, VERSION};

/// Edits that a merged change remembers. Only names that come and go while the store is away get
/// near it; then the oldest edit is forgotten.
const MOST_EDITS: usize = 4 * MOST_FIELDS;

/// Fields and their new values; `None` deletes.
pub(crate) type Edits = Vec<(Field, Option<HeaderValue>)>;

/// A change of a record that can be carried out any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Present if the record begins with this change. Without it the record must be there
    /// already: a late write never brings a destroyed session back.
    pub(crate) begins: Option<Beginning>,
    pub(crate) seen: u64,
    /// Unix seconds at which the record ends.
    pub(crate) expires: u64,
    pub(crate) edits: Edits,
}

/// What only the first write of a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    pub(crate) created: u64,
    pub(crate) backend: String,
}

impl Change {
    /// Adds a later change of the same record to this one.
    pub(crate) fn merge(&mut self, later: Change) {
        self.begins = later.begins.or(self.begins.take());
        self.seen = self.seen.max(later.seen);
        self.expires = self.expires.max(later.expires);
        for (field, value) in later.edits {
            match self.edits.iter_mut().find(|(known, _)| *known == field) {
                Some(edit) => edit.1 = value,
                None => self.edits.push((field, value)),
            }
        }
        let excess = self.edits.len().saturating_sub(MOST_EDITS);
        self.edits.drain(..excess);
    }

    /// The fields to set, as the hash has them.
    pub(crate) fn to_set(&self) -> Vec<(String, Vec<u8>)> {
        let own = |name: &str, value: String| (name.to_owned(), value.into_bytes());
        let mut fields = Vec::with_capacity(self.edits.len() + 4);
        if let Some(begins) = &self.begins {
            fields.push(own("v", VERSION.to_owned()));
            fields.push(own("created", begins.created.to_string()));
            fields.push(own("backend", begins.backend.clone()));
        }
        fields.push(own("seen", self.seen.to_string()));
        fields.extend(self.edits.iter().filter_map(|(field, value)| {
            Some((field.in_hash(), value.as_ref()?.as_bytes().to_vec()))
        }));
        fields
    }

    /// The fields to delete.
    pub(crate) fn to_delete(&self) -> Vec<String> {
        self.edits
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(field, _)| field.in_hash())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{
        id::{Id, Key},
        record::Record,
    };

    fn key() -> Key {
        Id::from_bytes([7; 16]).key()
    }

    fn data(name: &str) -> Field {
        Field::data(format!("rondel-session-{name}").parse().unwrap()).unwrap()
    }

    fn patch(edits: &[(&Field, Option<&'static str>)]) -> Change {
        let edits = edits
            .iter()
            .map(|(field, text)| ((*field).clone(), text.map(HeaderValue::from_static)))
            .collect();
        Change { begins: None, seen: 200, expires: 2_000, edits }
    }

    #[test]
    fn merging_two_changes_is_carrying_them_out_in_turn() {
        let (a, b, c) = (data("a"), data("b"), data("c"));
        let first = patch(&[(&a, Some("1")), (&b, Some("1"))]);
        let second = patch(&[(&b, None), (&c, Some("2")), (&a, Some("2"))]);
        let (mut apart, mut merged) = (Record::new(key(), 1, "b"), Record::new(key(), 1, "b"));
        apart.apply(&first);
        apart.apply(&second);
        let mut both = first.clone();
        both.merge(second.clone());
        merged.apply(&both);
        merged.apply(&both);
        for field in [&a, &b, &c] {
            assert_eq!(apart.value(field), merged.value(field), "{field:?}");
        }
        assert_eq!(both.to_delete(), ["d:b"]);
    }
}
