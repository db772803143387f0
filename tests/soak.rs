//! Hours of churn in small: memory stays flat, turns stay fair, and nobody is missed or doubled.
//!
//! A few seconds as a test; `cargo xtask soak` makes it half an hour. `RONDEL_SOAK_SECONDS` says
//! how long, and `RONDEL_SOAK_CSV` where to write the curve.

#![cfg(not(any(rondel_loom, rondel_small)))]
#![expect(clippy::print_stdout, reason = "the long form is watched by a person")]

use std::{
    collections::HashSet,
    env,
    fmt::Write as _,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use rondel::{Key, Ring, pin};

use crate::common::{Random, pin_until, seed, slot_of};

mod common;

/// Members that stay all the time, and whose turns are counted.
const STABLE: usize = 8;
/// Other members that each churner keeps in the ring, at most.
const PASSING: usize = 64;
const CHURNERS: usize = 2;
const PICKERS: usize = 2;
/// The passing members' name.
const NOBODY: usize = usize::MAX;

#[test]
fn churn_leaves_memory_flat_and_turns_fair() {
    let seconds = env::var("RONDEL_SOAK_SECONDS").map_or(Ok(4), |text| text.parse());
    let length = Duration::from_secs(seconds.expect("RONDEL_SOAK_SECONDS is a number"));
    let mut random = Random::new(seed());
    let soak = Arc::new(Soak::new());
    let threads = soak.start(&mut random);
    let curve = soak.watch(length);
    soak.over.store(true, SeqCst);
    for thread in threads {
        thread.join().expect("its panic is shown above");
    }
    soak.assert_sound(&curve);
    curve.save();
    let Ok(soak) = Arc::try_unwrap(soak) else { unreachable!("all threads have ended") };
    let (ring, created, dropped) = (soak.ring, soak.created, soak.dropped);
    let there = ring.len();
    pin_until("all that was removed is dropped", || {
        created.load(SeqCst) - dropped.load(SeqCst) == there
    });
    drop(ring);
    let created = created.load(SeqCst);
    println!("{created} values made and dropped");
    assert_eq!(created, dropped.load(SeqCst));
}

/// A member's value, whose life is counted.
struct Value {
    name: usize,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, SeqCst);
    }
}

struct Soak {
    ring: Ring<Value>,
    stable: Vec<Key>,
    /// Turns of each stable member; a whole lap is counted at once.
    turns: Vec<AtomicUsize>,
    picks: AtomicUsize,
    updates: AtomicUsize,
    laps: AtomicUsize,
    largest_slot: AtomicUsize,
    /// The most values that were alive at once, since it was asked last.
    most_alive: AtomicUsize,
    created: AtomicUsize,
    dropped: Arc<AtomicUsize>,
    pause: AtomicBool,
    paused: AtomicUsize,
    over: AtomicBool,
}

impl Soak {
    fn new() -> Self {
        let dropped = Arc::new(AtomicUsize::new(0));
        let ring = Ring::new();
        let value = |name| Value { name, dropped: Arc::clone(&dropped) };
        let stable = (0..STABLE).map(|name| ring.push_back(value(name))).collect();
        Self {
            ring,
            stable,
            turns: (0..STABLE).map(|_| AtomicUsize::new(0)).collect(),
            picks: AtomicUsize::new(0),
            updates: AtomicUsize::new(0),
            laps: AtomicUsize::new(0),
            largest_slot: AtomicUsize::new(0),
            most_alive: AtomicUsize::new(0),
            created: AtomicUsize::new(STABLE),
            dropped,
            pause: AtomicBool::new(false),
            paused: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        }
    }

    fn start(self: &Arc<Self>, random: &mut Random) -> Vec<thread::JoinHandle<()>> {
        let churners = (0..CHURNERS).map(|_| {
            let (soak, random) = (Arc::clone(self), random.fork());
            thread::spawn(move || soak.churn(random))
        });
        let churners: Vec<_> = churners.collect();
        let pickers = (0..PICKERS).map(|_| {
            let soak = Arc::clone(self);
            thread::spawn(move || soak.pick())
        });
        churners.into_iter().chain(pickers).collect()
    }

    /// Inserts and removes beside the members that stay, and goes round now and then.
    fn churn(&self, mut random: Random) {
        let mut own: Vec<Key> = Vec::new();
        while !self.over.load(SeqCst) {
            for _ in 0..64 {
                if own.len() < PASSING && (own.is_empty() || random.one_in(2)) {
                    own.push(self.insert(&mut random));
                } else {
                    let key = own.swap_remove(random.within(0..own.len()));
                    assert!(self.ring.remove(key), "nobody else removes it");
                }
            }
            self.updates.fetch_add(64, SeqCst);
            if random.one_in(64) {
                self.lap();
            }
            // More churn than anybody has, and not so much that a pin of a minute takes all slots.
            thread::sleep(Duration::from_millis(1));
        }
        assert!(own.into_iter().all(|key| self.ring.remove(key)));
    }

    fn insert(&self, random: &mut Random) -> Key {
        self.created.fetch_add(1, SeqCst);
        let value = Value { name: NOBODY, dropped: Arc::clone(&self.dropped) };
        let at = self.stable[random.within(0..STABLE)];
        let inserted = match random.within(0..4) {
            0 => Ok(self.ring.push_front(value)),
            1 => Ok(self.ring.push_back(value)),
            2 => self.ring.insert_before(at, value),
            _ => self.ring.insert_after(at, value),
        };
        let key = inserted.expect("a member that stays is there");
        self.largest_slot.fetch_max(slot_of(key), SeqCst);
        self.most_alive.fetch_max(self.alive(), SeqCst);
        key
    }

    /// Values that were made and not dropped, members among them.
    fn alive(&self) -> usize {
        let dropped = self.dropped.load(SeqCst);
        self.created.load(SeqCst) - dropped
    }

    /// Once round: the members that stay are shown once each and in order, and nobody twice.
    fn lap(&self) {
        let guard = pin();
        let mut stable = Vec::new();
        let mut shown = HashSet::new();
        for entry in self.ring.iter(&guard) {
            assert!(shown.insert(entry.key()), "{:?} was shown twice", entry.key());
            if entry.name < STABLE {
                stable.push(entry.name);
            }
        }
        assert!(stable.iter().copied().eq(0..STABLE), "a lap shows who stays: {stable:?}");
        self.laps.fetch_add(1, SeqCst);
    }

    fn pick(&self) {
        while !self.over.load(SeqCst) {
            if self.pause.load(SeqCst) {
                // Turns and counts agree for as long as all pickers stand here.
                self.paused.fetch_add(1, SeqCst);
                while self.pause.load(SeqCst) {
                    thread::yield_now();
                }
                self.paused.fetch_sub(1, SeqCst);
            }
            let mut guard = pin();
            for _ in 0..256 {
                guard.repin();
                let entry = self.ring.next(&guard).expect("members that stay");
                if entry.name < STABLE {
                    self.turns[entry.name].fetch_add(1, SeqCst);
                }
            }
            self.picks.fetch_add(256, SeqCst);
        }
    }

    /// The greatest difference of turns, while nobody picks.
    fn turn_difference(&self) -> usize {
        self.pause.store(true, SeqCst);
        while self.paused.load(SeqCst) < PICKERS {
            thread::yield_now();
        }
        let turns: Vec<_> = self.turns.iter().map(|turns| turns.load(SeqCst)).collect();
        self.pause.store(false, SeqCst);
        while self.paused.load(SeqCst) > 0 {
            thread::yield_now();
        }
        turns.iter().max().expect("members") - turns.iter().min().expect("members")
    }

    /// Lets the threads go on for so long, and writes down how they do. From the middle on, for a
    /// fifth of the time and a minute at most, a reader stays pinned.
    fn watch(self: &Arc<Self>, length: Duration) -> Curve {
        let step = (length / 20).min(Duration::from_secs(10));
        let stall = length / 2..length / 2 + (length / 5).min(Duration::from_secs(60));
        let mut curve = Curve::default();
        println!("{}", Point::HEADER);
        let began = Instant::now();
        let mut reader = None;
        let mut last = (began, 0, 0);
        while began.elapsed() < length {
            let elapsed = began.elapsed();
            if reader.is_none() && stall.contains(&elapsed) {
                reader = Some(pin());
            } else if elapsed >= stall.end {
                reader = None;
            }
            let pinned = reader.is_some();
            thread::sleep(step);
            let now = (Instant::now(), self.picks.load(SeqCst), self.updates.load(SeqCst));
            let seconds = (now.0 - last.0).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
            let rate = |now: usize, before: usize| (now - before) as f64 / seconds;
            let point = Point {
                seconds: began.elapsed().as_secs_f64(),
                resident: resident_kib(),
                members: self.ring.len(),
                slots: self.largest_slot.load(SeqCst),
                alive: self.most_alive.swap(0, SeqCst),
                picks: rate(now.1, last.1),
                updates: rate(now.2, last.2),
                difference: self.turn_difference(),
                pinned,
            };
            last = now;
            println!("{}", point.row());
            curve.0.push(point);
        }
        curve
    }

    fn assert_sound(&self, curve: &Curve) {
        let differences = curve.0.iter().map(|point| point.difference);
        assert!(differences.max().expect("points") <= 1, "turns are fair");
        assert!(self.laps.load(SeqCst) > 0 && self.updates.load(SeqCst) > 0);
        let before = curve.before_the_pin();
        let after = curve.0.last().expect("points");
        println!(
            "slots: {} before the pin, {} in the end, for {} members made",
            before.slots,
            after.slots,
            self.created.load(SeqCst)
        );
        // Slots are used again: there are as many as there were values at the worst moment, and not
        // as many as there were members. (Two threads may be between a value and its count.)
        let most = curve.0.iter().map(|point| point.alive).max().expect("points");
        assert!(after.slots <= most + CHURNERS, "{} slots for {most} values", after.slots);
        // What waited for the reader is dropped once the reader is gone.
        assert!(after.alive < most / 2, "{} values of {most} are still there", after.alive);
        assert!(curve.0.iter().any(|point| point.pinned), "there was a reader");
    }
}

/// How things stood at one time.
struct Point {
    seconds: f64,
    resident: u64,
    members: usize,
    slots: usize,
    /// Values at the worst moment since the last point: members, and who waits to be dropped.
    alive: usize,
    picks: f64,
    updates: f64,
    difference: usize,
    pinned: bool,
}

impl Point {
    const HEADER: &str = "seconds,resident_kib,members,largest_slot,most_alive,picks_per_s,updates_per_s,turn_difference,reader_pinned";

    fn row(&self) -> String {
        let Self { seconds, resident, members, slots, alive, picks, updates, difference, pinned } =
            self;
        format!(
            "{seconds:.1},{resident},{members},{slots},{alive},{picks:.0},{updates:.0},{difference},{}",
            u8::from(*pinned)
        )
    }
}

#[derive(Default)]
struct Curve(Vec<Point>);

impl Curve {
    fn before_the_pin(&self) -> &Point {
        self.0.iter().take_while(|point| !point.pinned).last().expect("a time before the pin")
    }

    fn save(&self) {
        let Ok(path) = env::var("RONDEL_SOAK_CSV") else { return };
        let mut text = format!("{}\n", Point::HEADER);
        for point in &self.0 {
            let _ = writeln!(text, "{}", point.row());
        }
        fs::write(&path, text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// What the system says that this process has in memory; 0 where it does not say.
fn resident_kib() -> u64 {
    let pages = || {
        let text = fs::read_to_string("/proc/self/statm").ok()?;
        text.split(' ').nth(1)?.parse::<u64>().ok()
    };
    pages().unwrap_or(0) * 4
}
