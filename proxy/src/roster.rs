//! Who is in the rotation.
//!
//! Owns the ring, which all workers share, and every change of its members. A change touches the
//! members of the server that it is about and nobody else's: whoever stays keeps its place and its
//! turn, and the rotation goes on where it was. Never picks (`pick.rs`).

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rondel::{Key, Ring};

use crate::{
    backend::{Backend, State},
    policy::{Algorithm, Policy},
    spec::ServerSpec,
};

/// The servers and their turns.
#[derive(Debug)]
pub struct Roster {
    /// A server of weight w is w members, spread evenly over the lap.
    pub(crate) ring: Ring<Arc<Backend>>,
    pub(crate) policy: Box<dyn Policy>,
    pub(crate) time: Time,
    /// How long a server that comes back takes to be given all of its turns again.
    pub(crate) slow_start: Duration,
    /// Whether servers that fail requests are ejected.
    pub(crate) ejects: bool,
    /// Counts second choices, so that a dead server's share is dealt to all others and does not
    /// fall on its neighbour.
    pub(crate) second_choices: AtomicUsize,
    /// Whoever changes the ring holds this. The request path never does.
    seats: Mutex<Vec<Seat>>,
}

/// A server and its members of the ring.
#[derive(Debug)]
struct Seat {
    backend: Arc<Backend>,
    keys: Vec<Key>,
}

/// See [`Roster::all`].
pub(crate) struct All<'r>(MutexGuard<'r, Vec<Seat>>);

impl All<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.0.iter().map(|seat| &seat.backend)
    }
}

/// How many servers a list has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// They were not there before.
    pub added: usize,
    /// They are no longer there.
    pub removed: usize,
    /// Their weight, limit or role is another.
    pub changed: usize,
}

/// Why a change was not made; nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says its meaning in its message")]
pub enum RosterError {
    #[error("there is no server `{0}`")]
    Unknown(String),
    #[error("{url} is already server `{id}`")]
    Duplicate { url: String, id: String },
    #[error("the name `{0}` is already taken")]
    DuplicateName(String),
    #[error("a weight is a whole number from 1 to 256")]
    Weight,
}

impl Roster {
    /// These servers, in their order.
    pub(crate) fn new(servers: Vec<ServerSpec>, policy: Box<dyn Policy>) -> Self {
        let ring = Ring::new();
        let weights: Vec<u16> = servers.iter().map(|server| server.weight).collect();
        let totals = policy.totals();
        let seat = |server| Seat {
            backend: Backend::new(server, totals.map(Arc::clone)),
            keys: Vec::new(),
        };
        let mut seats: Vec<Seat> = servers.into_iter().map(seat).collect();
        for turn in lap(&weights) {
            let seat = &mut seats[turn];
            seat.keys.push(ring.push_back(Arc::clone(&seat.backend)));
        }
        Self {
            ring,
            policy,
            time: Time::default(),
            slow_start: Duration::ZERO,
            ejects: false,
            second_choices: AtomicUsize::new(0),
            seats: Mutex::new(seats),
        }
    }

    /// The same in simulated time: nanoseconds, which the caller tells.
    #[doc(hidden)]
    pub fn simulated(
        servers: Vec<ServerSpec>,
        algorithm: Algorithm,
        clock: Arc<AtomicU64>,
    ) -> Self {
        let time = Time::Simulated(clock);
        Self { time, ..Self::new(servers, algorithm.policy(0.0)) }
    }

    /// All servers, in the order in which they came.
    pub fn servers(&self) -> Vec<Arc<Backend>> {
        self.seats().iter().map(|seat| Arc::clone(&seat.backend)).collect()
    }

    /// The ids of the servers, one for each turn of a lap, in the order of the turns.
    pub fn turns(&self) -> Vec<String> {
        let guard = rondel::pin();
        self.ring.iter(&guard).map(|member| member.id().to_owned()).collect()
    }

    /// All servers, while nobody joins or leaves.
    pub(crate) fn all(&self) -> All<'_> {
        All(self.seats())
    }

    /// The server of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Backend>> {
        let seats = self.seats();
        let seat = seats.iter().find(|seat| seat.backend.id() == id)?;
        Some(Arc::clone(&seat.backend))
    }

    /// Takes a server into the rotation, behind all others.
    ///
    /// # Errors
    ///
    /// When its URL or its name is taken, or its weight is none.
    pub fn add(&self, spec: ServerSpec) -> Result<Arc<Backend>, RosterError> {
        check_weight(spec.weight)?;
        let mut seats = self.seats();
        let url = spec.url();
        for seat in seats.iter() {
            let id = seat.backend.id();
            if id == spec.id {
                return Err(RosterError::DuplicateName(spec.id));
            }
            if seat.backend.url() == url {
                return Err(RosterError::Duplicate { url, id: id.to_owned() });
            }
        }
        let seat = self.take_in(spec);
        let backend = Arc::clone(&seat.backend);
        seats.push(seat);
        Ok(backend)
    }

    /// Takes a server out. What it has in hand, it finishes.
    ///
    /// # Errors
    ///
    /// When there is no such server.
    pub fn remove(&self, id: &str) -> Result<(), RosterError> {
        let mut seats = self.seats();
        let at = position(&seats, id)?;
        self.let_go(&mut seats.remove(at));
        Ok(())
    }

    /// Gives a server another share of the turns.
    ///
    /// # Errors
    ///
    /// When there is no such server, or the weight is none.
    pub fn set_weight(&self, id: &str, weight: u16) -> Result<(), RosterError> {
        check_weight(weight)?;
        let mut seats = self.seats();
        let at = position(&seats, id)?;
        let spec = seats[at].backend.spec();
        self.adopt(&mut seats[at], &ServerSpec { weight, ..spec });
        Ok(())
    }

    /// Gives a server nothing new, or its turns again.
    ///
    /// # Errors
    ///
    /// When there is no such server.
    pub fn drain(&self, id: &str, draining: bool) -> Result<(State, State), RosterError> {
        let seats = self.seats();
        let at = position(&seats, id)?;
        Ok(seats[at].backend.change(|condition| {
            if condition.draining && !draining {
                self.let_in(condition);
            }
            condition.draining = draining;
        }))
    }

    /// Brings the servers in line with a list, by difference: who is in both stays, with its turn,
    /// its requests and what is known of it.
    pub fn apply(&self, specs: Vec<ServerSpec>) -> Changes {
        let mut seats = self.seats();
        let mut changes = Changes::default();
        let mut kept = Vec::new();
        for spec in specs {
            let known = seats.iter_mut().find(|seat| {
                let backend = &seat.backend;
                backend.id() == spec.id && backend.url() == spec.url()
            });
            if let Some(seat) = known {
                kept.push(seat.backend.serial());
                if seat.backend.spec() != spec {
                    self.adopt(seat, &spec);
                    changes.changed += 1;
                }
            } else {
                let seat = self.take_in(spec);
                kept.push(seat.backend.serial());
                seats.push(seat);
                changes.added += 1;
            }
        }
        // Last of all, so that at no time there is nobody.
        seats.retain_mut(|seat| {
            let stays = kept.contains(&seat.backend.serial());
            if !stays {
                self.let_go(seat);
                changes.removed += 1;
            }
            stays
        });
        changes
    }

    fn take_in(&self, spec: ServerSpec) -> Seat {
        let backend = Backend::new(spec, self.policy.totals().map(Arc::clone));
        backend.change(|condition| self.let_in(condition));
        let keys = self.seat(&backend, backend.weight());
        Seat { backend, keys }
    }

    fn let_go(&self, seat: &mut Seat) {
        for key in seat.keys.drain(..) {
            self.ring.remove(key);
        }
        seat.backend.retire();
    }

    /// Weight, limit and role as the spec has them. Its members are dealt anew if their number
    /// changes; the new ones are there before the old ones go, so that it never misses its turn.
    fn adopt(&self, seat: &mut Seat, spec: &ServerSpec) {
        if seat.keys.len() != usize::from(spec.weight) {
            let old = std::mem::take(&mut seat.keys);
            seat.keys = self.seat(&seat.backend, spec.weight);
            for key in old {
                self.ring.remove(key);
            }
        }
        seat.backend.adopt(spec);
    }

    /// New members for a server, spread evenly between those of the others.
    fn seat(&self, backend: &Arc<Backend>, weight: u16) -> Vec<Key> {
        let guard = rondel::pin();
        let others = self.ring.iter(&guard).filter(|member| member.serial() != backend.serial());
        let others: Vec<Key> = others.map(|member| member.key()).collect();
        let sit = |place: usize| {
            let member = Arc::clone(backend);
            // Only who holds the seats removes, so each of these is a member still.
            match place.checked_sub(1).map(|before| others[before]) {
                Some(before) => self.ring.insert_after(before, member),
                None => Ok(self.ring.push_front(member)),
            }
        };
        places(others.len(), weight.into()).filter_map(|place| sit(place).ok()).collect()
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time since the roster began: the system's, or a simulation's.
#[derive(Debug)]
pub(crate) enum Time {
    Real(Instant),
    Simulated(Arc<AtomicU64>),
}

impl Default for Time {
    fn default() -> Self {
        Self::Real(Instant::now())
    }
}

impl Time {
    pub(crate) fn now(&self) -> Duration {
        match self {
            Self::Real(start) => start.elapsed(),
            Self::Simulated(nanos) => Duration::from_nanos(nanos.load(Ordering::Relaxed)),
        }
    }
}

fn position(seats: &[Seat], id: &str) -> Result<usize, RosterError> {
    let found = seats.iter().position(|seat| seat.backend.id() == id);
    found.ok_or_else(|| RosterError::Unknown(id.to_owned()))
}

fn check_weight(weight: u16) -> Result<(), RosterError> {
    if (1..=256).contains(&weight) { Ok(()) } else { Err(RosterError::Weight) }
}

/// The order of turns in which each index comes `weight` times, spread evenly: from the lightest to
/// the heaviest, each is dealt out between those before it. So the heavier one is, the more even
/// are its turns, and no two of its turns meet unless it has more than half of them.
fn lap(weights: &[u16]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&index| weights[index]);
    let mut lap: Vec<usize> = Vec::new();
    for index in order {
        let others = std::mem::take(&mut lap);
        let mut places = places(others.len(), weights[index].into()).peekable();
        for at in 0..=others.len() {
            while places.next_if_eq(&at).is_some() {
                lap.push(index);
            }
            lap.extend(others.get(at));
        }
    }
    // The first server of the file has the first turn.
    let first = lap.iter().rposition(|&index| index == 0).unwrap_or_default();
    lap.rotate_left(first);
    lap
}

/// Behind how many of the others each of a server's members comes, so that they are spread evenly;
/// a single one comes last.
fn places(others: usize, members: usize) -> impl Iterator<Item = usize> {
    (1..=members).map(move |nth| nth * others / members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers;

    fn specs(text: &str) -> Vec<ServerSpec> {
        servers::parse(text).unwrap()
    }

    fn roster(text: &str) -> Roster {
        Roster::new(specs(text), Algorithm::Rr.policy(0.0))
    }

    fn order(roster: &Roster) -> String {
        roster.turns().concat()
    }

    fn turns(roster: &Roster, count: usize) -> String {
        (0..count).map(|_| roster.next().unwrap().backend().id().to_owned()).collect()
    }

    const ABC: &str = "http://a name=a\nhttp://b name=b\nhttp://c name=c";

    #[test]
    fn weights_are_exact_in_a_lap_and_never_bunch() {
        let roster =
            roster("http://a name=a weight=3\nhttp://b name=b weight=2\nhttp://c name=c weight=1");
        let lap = turns(&roster, 6);
        assert_eq!([lap.matches('a').count(), lap.matches('b').count()], [3, 2]);
        assert_eq!(lap, "abacab");
        assert!(!lap.repeat(2).contains("aa"));
    }

    #[test]
    fn a_lap_is_as_even_as_its_weights_allow() {
        for (weights, expected) in [
            (&[1, 1, 1, 1][..], "abcd"),
            (&[2, 2, 2], "abcabc"),
            (&[1, 1, 2], "acbc"),
            (&[2, 1, 1], "abac"),
            (&[5, 1, 1], "aaabaac"),
        ] {
            let letters = lap(weights).into_iter().map(|index| ["a", "b", "c", "d"][index]);
            assert_eq!(letters.collect::<String>(), expected, "{weights:?}");
        }
    }

    #[test]
    fn who_joins_or_leaves_moves_nobody_elses_turn() {
        let roster = roster(ABC);
        assert_eq!(turns(&roster, 2), "ab");
        roster.add(specs("http://d name=d").remove(0)).unwrap();
        assert_eq!(turns(&roster, 4), "cdab");
        roster.remove("b").unwrap();
        assert_eq!(turns(&roster, 4), "cdac");
        roster.remove("d").unwrap();
        assert_eq!(turns(&roster, 2), "ac");
    }

    #[test]
    fn a_new_weight_is_spread_evenly_and_the_rotation_goes_on_where_it_was() {
        let roster = roster("http://a name=a\nhttp://b name=b\nhttp://c name=c\nhttp://d name=d");
        assert_eq!(turns(&roster, 2), "ab");
        roster.set_weight("d", 2).unwrap();
        assert_eq!(order(&roster), "adbcd");
        assert_eq!(turns(&roster, 5).matches('d').count(), 2);
        roster.set_weight("d", 4).unwrap();
        let lap = order(&roster);
        assert_eq!((lap.len(), lap.matches('d').count()), (7, 4));
        roster.set_weight("d", 1).unwrap();
        assert_eq!(order(&roster), "abcd");
        roster.set_weight("a", 256).unwrap();
        assert_eq!(roster.ring.len(), 259);
        assert_eq!(turns(&roster, 259).matches('b').count(), 1);
    }

    #[test]
    fn a_lone_server_can_be_weighed_and_an_emptied_pool_filled_again() {
        let roster = roster("http://a name=a");
        roster.set_weight("a", 3).unwrap();
        assert_eq!(order(&roster), "aaa");
        roster.remove("a").unwrap();
        assert!(roster.next().is_none());
        roster.add(specs("http://b name=b weight=2").remove(0)).unwrap();
        assert_eq!(turns(&roster, 3), "bbb");
    }

    #[test]
    fn a_draining_server_gets_nothing_new_and_comes_back_to_its_place() {
        let roster = roster(ABC);
        let held = roster.next().unwrap();
        assert_eq!(roster.drain("a", true), Ok((State::Up, State::Draining)));
        assert_eq!(turns(&roster, 4), "bcbc");
        assert_eq!(held.backend().in_flight(), 1);
        roster.drain("a", false).unwrap();
        assert_eq!(turns(&roster, 3), "abc");
    }

    #[test]
    fn a_list_is_applied_by_difference() {
        let roster = roster(ABC);
        assert_eq!(turns(&roster, 2), "ab");
        let held = roster.next().unwrap();
        let list = "http://d name=d\nhttp://c name=c max=9\nhttp://b name=b";
        let changes = roster.apply(specs(list));
        assert_eq!(changes, Changes { added: 1, removed: 1, changed: 1 });
        assert_eq!(turns(&roster, 4), "dbcd");
        assert!(Arc::ptr_eq(held.backend(), &roster.find("c").unwrap()));
        assert_eq!(roster.find("c").unwrap().spec().max, Some(9));
        assert_eq!(roster.apply(specs(list)), Changes::default());
        // The same name at another address is another server.
        let before = roster.find("b").unwrap();
        roster.apply(specs("http://x name=b"));
        assert_ne!(before.serial(), roster.find("b").unwrap().serial());
        assert_eq!(turns(&roster, 2), "bb");
    }

    #[test]
    fn what_cannot_be_done_changes_nothing() {
        let roster = roster(ABC);
        let add = |text| roster.add(specs(text).remove(0)).map(|_| ());
        assert_eq!(
            add("http://A:80 name=x"),
            Err(RosterError::Duplicate { url: "http://a".into(), id: "a".into() })
        );
        assert_eq!(add("http://x name=a"), Err(RosterError::DuplicateName("a".into())));
        let unknown = Err(RosterError::Unknown("x".into()));
        assert_eq!(roster.remove("x"), unknown);
        assert_eq!(roster.set_weight("x", 1), unknown);
        assert_eq!(roster.set_weight("a", 0), Err(RosterError::Weight));
        assert_eq!(roster.set_weight("a", 257), Err(RosterError::Weight));
        assert_eq!(order(&roster), "abc");
    }
}
