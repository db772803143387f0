//! Stand-in until the ring lands.
#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "goes away with the next merge")]
use std::{ops::Deref, sync::Mutex};
pub(crate) struct Guard;
pub(crate) fn pin() -> Guard {
    Guard
}
#[derive(Debug)]
pub(crate) struct Ring<T>(Mutex<(Vec<T>, usize)>);
pub(crate) struct Entry<T>(T);
impl<T> Deref for Entry<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
impl<T: Clone> Ring<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((Vec::new(), usize::MAX)))
    }
    pub(crate) fn push_back(&self, v: T) {
        self.0.lock().expect("x").0.push(v)
    }
    pub(crate) fn next_where(
        &self,
        _: &Guard,
        mut accept: impl FnMut(&T) -> bool,
    ) -> Option<Entry<T>> {
        let mut s = self.0.lock().expect("x");
        for step in 1..=s.0.len() {
            let at = s.1.wrapping_add(step) % s.0.len();
            if accept(&s.0[at]) {
                s.1 = at;
                return Some(Entry(s.0[at].clone()));
            }
        }
        None
    }
    pub(crate) fn iter(&self, _: &Guard) -> impl Iterator<Item = Entry<T>> {
        self.0.lock().expect("x").0.clone().into_iter().map(Entry)
    }
}
