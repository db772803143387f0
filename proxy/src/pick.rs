//! Who answers: the next one in turn.
//!
//! Owns the choice among the servers of the roster. Never changes the roster and never talks to a
//! server.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rondel::Guard;

use crate::{
    backend::{Backend, InFlight},
    policy::{Choice, Turn},
    roster::Roster,
};

impl Roster {
    /// The next one in turn that has room.
    pub fn next(&self) -> Option<InFlight> {
        let guard = rondel::pin();
        let now = self.now();
        loop {
            let turn = self.turn(&guard, now)?;
            // Another worker may have taken the last room since.
            if let Some(entered) = Arc::clone(&turn).enter(now) {
                return Some(entered);
            }
        }
    }

    /// The server of this id, if it can take a request. This is not a turn.
    pub(crate) fn named(&self, id: &str) -> Option<InFlight> {
        let guard = rondel::pin();
        let named = self.ring.iter(&guard).find(|backend| backend.id() == id)?;
        named.is_available().then(|| Arc::clone(&named).enter(self.now())).flatten()
    }

    /// A second choice: somebody who is not in `tried`. This is not a turn: the shared cursor
    /// stays where it is, so that nobody is passed over because another one failed.
    pub(crate) fn another(&self, tried: &[u32]) -> Option<InFlight> {
        let guard = rondel::pin();
        let free = self.ring.iter(&guard).filter(|backend| {
            !tried.contains(&backend.serial()) && backend.has_room() && !backend.is_draining()
        });
        let mut members: Vec<Arc<Backend>> = free.map(|member| Arc::clone(&member)).collect();
        prefer(&mut members, Backend::is_available);
        prefer(&mut members, |backend| !backend.is_backup());
        // ORDERING: Relaxed; any number will do.
        let first = self.second_choices.fetch_add(1, Ordering::Relaxed);
        let (count, now) = (members.len(), self.now());
        (0..count)
            .map(|step| Arc::clone(&members[first.wrapping_add(step) % count]))
            .find_map(|member| member.enter(now))
    }

    /// Backups serve only when nobody else can. If nobody at all is well, everybody is tried: what
    /// is known of them may be out of date, and an error is certain otherwise.
    fn turn<'g>(&'g self, guard: &'g Guard, now: Duration) -> Option<Turn<'g>> {
        let take = |usable: &dyn Fn(&Backend) -> bool| {
            self.policy.choose(&Choice { ring: &self.ring, guard, usable, now })
        };
        take(&|backend| backend.takes_turn() && !backend.is_backup() && backend.has_room())
            .or_else(|| {
                take(&|backend| {
                    backend.is_available() && !backend.is_backup() && backend.has_room()
                })
            })
            .or_else(|| take(&|backend| backend.is_available() && backend.has_room()))
            .or_else(|| {
                let nobody_is_well = !self.ring.iter(guard).any(|backend| backend.is_available());
                let last_hope = |backend: &Backend| !backend.is_draining() && backend.has_room();
                nobody_is_well.then(|| take(&last_hope)).flatten()
            })
    }

    /// The time, if the policy needs it: reading the clock costs as much as the pick.
    fn now(&self) -> Duration {
        if self.policy.is_timed() { self.time.now() } else { Duration::ZERO }
    }
}

/// Keeps those that are better, if there are any.
fn prefer(members: &mut Vec<Arc<Backend>>, better: impl Fn(&Backend) -> bool) {
    if members.iter().any(|member| better(member)) {
        members.retain(|member| better(member));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::Condition, policy::Algorithm, servers};

    fn roster(text: &str) -> Roster {
        Roster::new(servers::parse(text).unwrap(), Algorithm::Rr.policy(0.0))
    }

    fn turns(roster: &Roster, count: usize) -> String {
        (0..count).map(|_| roster.next().unwrap().backend().id().to_owned()).collect()
    }

    #[test]
    fn equal_servers_take_turns_in_the_order_of_the_file() {
        let roster = roster("http://a name=a\nhttp://b name=b\nhttp://c name=c");
        assert_eq!(turns(&roster, 7), "abcabca");
    }

    #[test]
    fn a_second_choice_is_not_a_turn_and_is_dealt_to_all_others() {
        let roster = roster("http://a name=a\nhttp://b name=b\nhttp://c name=c");
        let first = roster.next().unwrap();
        let tried = [first.backend().serial()];
        let seconds: Vec<String> =
            (0..4).map(|_| roster.another(&tried).unwrap().backend().id().to_owned()).collect();
        assert_eq!(seconds, ["b", "c", "b", "c"]);
        assert_eq!(turns(&roster, 3), "bca");
    }

    #[test]
    fn a_full_server_is_passed_over_and_if_all_are_full_there_is_nobody() {
        let roster = roster("http://a name=a max=1\nhttp://b name=b max=2");
        let held: Vec<_> = (0..3).map(|_| roster.next().unwrap()).collect();
        assert!(roster.next().is_none());
        assert!(roster.another(&[]).is_none());
        drop(held);
        assert!(roster.next().is_some());
    }

    #[test]
    fn a_backup_serves_only_when_nobody_else_can() {
        let roster = roster("http://a name=a max=1\nhttp://b name=b backup");
        let held = roster.next().unwrap();
        assert_eq!(turns(&roster, 2), "bb");
        let tried = [held.backend().serial()];
        assert_eq!(roster.another(&tried).unwrap().backend().id(), "b");
        drop(held);
        assert_eq!(turns(&roster, 2), "aa");
    }

    fn change(roster: &Roster, id: &str, change: impl FnOnce(&mut Condition)) {
        roster.find(id).unwrap().change(change);
    }

    #[test]
    fn whoever_is_down_or_ejected_is_passed_over_and_misses_no_turn_afterwards() {
        let roster = roster("http://a name=a\nhttp://b name=b\nhttp://c name=c");
        change(&roster, "b", |b| b.down = true);
        assert_eq!(turns(&roster, 4), "acac");
        change(&roster, "c", |c| c.ejected = Some(Duration::MAX));
        assert_eq!(turns(&roster, 2), "aa");
        change(&roster, "b", |b| b.down = false);
        change(&roster, "c", |c| c.ejected = None);
        assert_eq!(turns(&roster, 3), "bca");
    }

    #[test]
    fn if_nobody_is_well_everybody_is_tried_but_who_drains() {
        let roster = roster("http://a name=a\nhttp://b name=b backup\nhttp://c name=c");
        for id in ["a", "b", "c"] {
            change(&roster, id, |server| server.down = true);
        }
        assert_eq!(turns(&roster, 3), "abc");
        roster.drain("c", true).unwrap();
        assert_eq!(turns(&roster, 3), "aba");
    }

    #[test]
    fn a_full_server_does_not_make_those_that_are_down_serve() {
        let roster = roster("http://a name=a max=1\nhttp://b name=b");
        change(&roster, "b", |b| b.down = true);
        let _held = roster.next().unwrap();
        assert!(roster.next().is_none());
    }

    #[test]
    fn a_server_that_has_come_back_takes_its_percentage_of_turns() {
        fastrand::seed(7);
        let roster = roster("http://a name=a\nhttp://b name=b");
        change(&roster, "b", |b| b.ramp = 20);
        let share = turns(&roster, 6_000).matches('b').count();
        // Of every turn of b it takes a fifth: 1/6 of all.
        assert!((900..1_100).contains(&share), "{share}");
        change(&roster, "a", |a| a.down = true);
        assert_eq!(turns(&roster, 3), "bbb", "there is nobody to share with");
    }
}
