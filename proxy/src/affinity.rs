//! Whether a client goes back to the server it had.
//!
//! Owns that rule alone: which server its cookie names, the session says; whose turn it is
//! otherwise, the rotation says.

use crate::{
    backend::InFlight, error::Failure, proxy::Proxy, session::Session, settings::Affinity,
};

/// Who is asked first.
pub(crate) struct Pick {
    pub(crate) in_flight: InFlight,
    /// Nobody else may be asked.
    pub(crate) bound: bool,
}

/// The server that the client's cookie names, where that matters; else the next one in turn.
pub(crate) fn pick(proxy: &Proxy, session: Option<&Session>) -> Result<Pick, Failure> {
    let wanted = match proxy.affinity {
        Affinity::None => None,
        Affinity::Prefer | Affinity::Strict => session.and_then(Session::backend),
    };
    let bound = wanted.is_some() && proxy.affinity == Affinity::Strict;
    let in_flight = match wanted.and_then(|id| proxy.roster.named(id)) {
        Some(own) => own,
        None if bound => return Err(Failure::Bound),
        None => proxy.roster.next().ok_or(Failure::NoBackend)?,
    };
    Ok(Pick { in_flight, bound })
}

/// What a client is told that may be served by one server only: this one is away.
pub(crate) fn only_one(failure: Failure) -> Failure {
    if matches!(failure, Failure::Connect | Failure::ConnectTimeout | Failure::Tls(_)) {
        Failure::Bound
    } else {
        failure
    }
}
