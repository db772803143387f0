//! What the tests share. Each test binary uses a part of it.

#![allow(dead_code, reason = "each test binary uses a part, and no two the same")]

pub(crate) mod linear;
pub(crate) mod sequential;
