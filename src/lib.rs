//! A lock-free circular list with a shared round-robin cursor.
