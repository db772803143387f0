//! The cells of the table: which requests, over how many connections.

use crate::contender::Door;

/// What the clients ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// `GET` of an answer of so many bytes.
    Get(usize),
    /// `POST` of so many bytes, answered by 100.
    Post(usize),
}

/// How requests come.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Pace {
    /// Each connection asks again as soon as it was answered.
    Closed,
    /// So many a second, whatever becomes of those before: a request's time begins when it is due.
    Open(u32),
    /// Each connection asks once, and then stays.
    Idle,
}

#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) door: Door,
    pub(crate) connections: usize,
    pub(crate) ask: Ask,
    pub(crate) pace: Pace,
}

impl Cell {
    /// Where system calls are counted too: the slow way, so not everywhere.
    pub(crate) fn counts_calls(&self) -> bool {
        self.connections == 64 && self.ask == SMALL && self.pace == Pace::Closed
    }

    /// Whether the request itself is most of the work.
    pub(crate) fn compares_all(&self) -> bool {
        self.door == Door::Clear && self.ask == SMALL && self.pace != Pace::Idle
    }
}

fn cell(name: &str, door: Door, connections: usize, ask: Ask, pace: Pace) -> Cell {
    Cell { name: format!("{name} c={connections}"), door, connections, ask, pace }
}

const SMALL: Ask = Ask::Get(100);

/// All, none with more connections than `most`.
pub(crate) fn all(most: usize) -> Vec<Cell> {
    let mut cells: Vec<Cell> = [1, 8, 64, 512]
        .map(|connections| cell("GET 0.1 KiB", Door::Clear, connections, SMALL, Pace::Closed))
        .into();
    cells.extend([
        cell("GET 10 KiB", Door::Clear, 64, Ask::Get(10 << 10), Pace::Closed),
        cell("GET 1 MiB", Door::Clear, 8, Ask::Get(1 << 20), Pace::Closed),
        cell("POST 1 KiB", Door::Clear, 64, Ask::Post(1 << 10), Pace::Closed),
        cell("POST 1 MiB", Door::Clear, 8, Ask::Post(1 << 20), Pace::Closed),
        cell("TLS GET 0.1 KiB", Door::Tls, 64, SMALL, Pace::Closed),
        cell("TLS GET 10 KiB", Door::Tls, 64, Ask::Get(10 << 10), Pace::Closed),
        cell("HTTP/2 GET 0.1 KiB", Door::Http2, 64, SMALL, Pace::Closed),
        cell("5,000 a second GET 0.1 KiB", Door::Clear, 64, SMALL, Pace::Open(5_000)),
        cell("idle", Door::Clear, most.min(10_000), SMALL, Pace::Idle),
    ]);
    cells
}
