//! Who answers: the rotation.
//!
//! Owns the ring, which all workers share. Never talks to a server.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rondel::Ring;

use crate::backend::{Backend, InFlight, ServerSpec};

/// The servers in turn.
#[derive(Debug)]
pub(crate) struct Rotation {
    ring: Ring<Arc<Backend>>,
    /// Counts second choices, so that a dead server's share is dealt to all others and does not
    /// fall on its neighbour.
    second_choices: AtomicUsize,
}

impl Rotation {
    /// A server of weight w is w members, spread evenly over the lap.
    pub(crate) fn new(servers: Vec<ServerSpec>) -> Self {
        let ring = Ring::new();
        let weights: Vec<u16> = servers.iter().map(|server| server.weight).collect();
        let backends: Vec<_> = servers.into_iter().map(Backend::new).collect();
        for turn in lap(&weights) {
            ring.push_back(Arc::clone(&backends[turn]));
        }
        Self { ring, second_choices: AtomicUsize::new(0) }
    }

    /// The next one in turn that has room. Backups serve only when nobody else can.
    pub(crate) fn next(&self) -> Option<InFlight> {
        let guard = rondel::pin();
        loop {
            let turn = self
                .ring
                .next_where(&guard, |backend| !backend.spec().backup && backend.has_room())
                .or_else(|| self.ring.next_where(&guard, |backend| backend.has_room()))?;
            // Another worker may have taken the last room since.
            if let Ok(entered) = Arc::clone(&turn).enter() {
                return Some(entered);
            }
        }
    }

    /// The server of this id, if it can take a request. This is not a turn either.
    pub(crate) fn named(&self, id: &str) -> Option<InFlight> {
        let guard = rondel::pin();
        let named = self.ring.iter(&guard).find(|backend| backend.id() == id)?;
        Arc::clone(&named).enter().ok()
    }

    /// A second choice: somebody who is not in `tried`. This is not a turn: the shared cursor
    /// stays where it is, so that nobody is passed over because another one failed.
    pub(crate) fn another(&self, tried: &[u32]) -> Option<InFlight> {
        let guard = rondel::pin();
        let free =
            |backend: &Arc<Backend>| !tried.contains(&backend.serial()) && backend.has_room();
        let mut members: Vec<Arc<Backend>> =
            self.ring.iter(&guard).filter(|member| free(member)).map(|m| Arc::clone(&m)).collect();
        if members.iter().any(|member| !member.spec().backup) {
            members.retain(|member| !member.spec().backup);
        }
        // ORDERING: Relaxed; any number will do.
        let first = self.second_choices.fetch_add(1, Ordering::Relaxed);
        let count = members.len();
        (0..count)
            .find_map(|step| Arc::clone(&members[first.wrapping_add(step) % count]).enter().ok())
    }
}

/// The order of turns in which each index comes `weight` times and as evenly spread as can be:
/// whoever is furthest behind its share comes next.
fn lap(weights: &[u16]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut behind = vec![0; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        for (behind, weight) in behind.iter_mut().zip(&weights) {
            *behind += weight;
        }
        // The first of equals, so that equal weights keep the order of the file.
        let most = behind.iter().copied().max().unwrap_or_default();
        let Some(turn) = behind.iter().position(|value| *value == most) else { break };
        behind[turn] -= total;
        turns.push(turn);
    }
    turns
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers;

    fn rotation(text: &str) -> Rotation {
        Rotation::new(servers::parse(text).unwrap())
    }

    fn turns(rotation: &Rotation, count: usize) -> String {
        (0..count).map(|_| rotation.next().unwrap().backend().id().to_owned()).collect()
    }

    #[test]
    fn equal_servers_take_turns_in_the_order_of_the_file() {
        let rotation = rotation("http://a name=a\nhttp://b name=b\nhttp://c name=c");
        assert_eq!(turns(&rotation, 7), "abcabca");
    }

    #[test]
    fn weights_are_exact_in_a_lap_and_never_bunch() {
        let rotation = rotation(
            "http://a name=a weight=6\nhttp://b name=b weight=4\nhttp://c name=c weight=2",
        );
        let lap = turns(&rotation, 12);
        assert_eq!(lap.matches('a').count(), 6);
        assert_eq!(lap.matches('b').count(), 4);
        assert!(!lap.contains("aaa") && !lap.contains("bb") && !lap.contains("cc"), "{lap}");
    }

    #[test]
    fn a_second_choice_is_not_a_turn_and_is_dealt_to_all_others() {
        let rotation = rotation("http://a name=a\nhttp://b name=b\nhttp://c name=c");
        let first = rotation.next().unwrap();
        let tried = [first.backend().serial()];
        let seconds: Vec<String> =
            (0..4).map(|_| rotation.another(&tried).unwrap().backend().id().to_owned()).collect();
        assert_eq!(seconds, ["b", "c", "b", "c"]);
        assert_eq!(turns(&rotation, 3), "bca");
    }

    #[test]
    fn a_full_server_is_passed_over_and_if_all_are_full_there_is_nobody() {
        let rotation = rotation("http://a name=a max=1\nhttp://b name=b max=2");
        let held: Vec<_> = (0..3).map(|_| rotation.next().unwrap()).collect();
        assert!(rotation.next().is_none());
        assert!(rotation.another(&[]).is_none());
        drop(held);
        assert!(rotation.next().is_some());
    }

    #[test]
    fn a_backup_serves_only_when_nobody_else_can() {
        let rotation = rotation("http://a name=a max=1\nhttp://b name=b backup");
        let held = rotation.next().unwrap();
        assert_eq!(turns(&rotation, 2), "bb");
        let tried = [held.backend().serial()];
        assert_eq!(rotation.another(&tried).unwrap().backend().id(), "b");
        drop(held);
        assert_eq!(turns(&rotation, 2), "aa");
    }
}
