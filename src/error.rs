//! What an insert can fail with.

use core::{error::Error, fmt};

/// The place to insert at is not there: `at` is no longer a member, or is of another ring.
///
/// Nothing is lost: [`into_inner`](Self::into_inner) gives the value back. The error is final: a key
/// that was refused once names a member never again.
///
/// ```
/// let ring = rondel::Ring::new();
/// let gone = ring.push_back("a");
/// ring.remove(gone);
/// let error = ring.insert_after(gone, "b").unwrap_err();
/// assert_eq!(error.into_inner(), "b");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InsertError<T> {
    value: T,
}

impl<T> InsertError<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value }
    }

    /// The value that was not inserted.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let gone = ring.push_back(1);
    /// ring.clear();
    /// // Wherever else it may go:
    /// if let Err(refused) = ring.insert_before(gone, 2) {
    ///     ring.push_back(refused.into_inner());
    /// }
    /// assert_eq!(ring.len(), 1);
    /// ```
    #[must_use = "the value is dropped with the result"]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> fmt::Debug for InsertError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsertError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for InsertError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the member to insert at is not, or no longer, in this ring")
    }
}

impl<T> Error for InsertError<T> {}
