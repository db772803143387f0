//! Programs that must not compile, each beside a twin that must: so that none of them fails for
//! another reason than its own. (The codes are compared by a nightly compiler alone.)

/// A ring drops its values, so that no entry may outlive it.
///
/// ```compile_fail,E0505
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let guard = rondel::pin();
/// let entry = ring.next(&guard).unwrap();
/// drop(ring);
/// assert_eq!(*entry, 0);
/// ```
///
/// ```
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let guard = rondel::pin();
/// let entry = ring.next(&guard).unwrap();
/// assert_eq!(*entry, 0);
/// drop(ring);
/// ```
struct EntryOutlivesRing;

/// The same for what a lease or a private cursor shows, which borrow the ring themselves.
///
/// ```compile_fail,E0505
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let guard = rondel::pin();
/// let entry = ring.lease(1).next(&guard).unwrap();
/// drop(ring);
/// assert_eq!(*entry, 0);
/// ```
///
/// ```compile_fail,E0505
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let guard = rondel::pin();
/// let entry = ring.cursor().move_next(&guard).unwrap();
/// drop(ring);
/// assert_eq!(*entry, 0);
/// ```
///
/// ```
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let guard = rondel::pin();
/// let leased = ring.lease(1).next(&guard).unwrap(); // outlives its lease
/// let found = ring.cursor().move_next(&guard).unwrap(); // outlives its cursor
/// assert_eq!((*leased, *found), (0, 0));
/// drop(ring);
/// ```
struct LeasedEntryOutlivesRing;

/// A guard that is repinned shows nothing of before.
///
/// ```compile_fail,E0502
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let mut guard = rondel::pin();
/// let entry = ring.next(&guard).unwrap();
/// guard.repin();
/// assert_eq!(*entry, 0);
/// ```
///
/// ```
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let mut guard = rondel::pin();
/// assert_eq!(*ring.next(&guard).unwrap(), 0);
/// guard.repin();
/// assert_eq!(*ring.next(&guard).unwrap(), 1);
/// ```
struct EntryOutlivesPin;

/// Values wait for their grace period, so they may not borrow.
///
/// ```compile_fail,E0597
/// let ring = rondel::Ring::new();
/// let name = String::from("a");
/// ring.push_back(name.as_str());
/// drop(name);
/// ```
///
/// ```
/// let ring = rondel::Ring::new();
/// let name = String::from("a");
/// ring.push_back(name);
/// ```
struct ValueBorrows;

/// Values are shown to other threads, and dropped there.
///
/// ```compile_fail,E0277
/// rondel::Ring::new().push_back(std::rc::Rc::new(0));
/// ```
///
/// ```compile_fail,E0277
/// rondel::Ring::new().push_back(std::cell::Cell::new(0));
/// ```
///
/// ```
/// rondel::Ring::new().push_back(std::sync::Arc::new(0));
/// ```
struct ValueStaysWithItsThread;

/// A ring hands out `&T` alone, and so is invariant in `T` no more than it has to be: a longer
/// lifetime inside a value cannot be shortened behind the ring's back.
///
/// ```compile_fail
/// fn shorten<'s>(ring: rondel::Ring<fn(&'static str)>) -> rondel::Ring<fn(&'s str)> {
///     ring
/// }
/// ```
///
/// ```
/// fn same(ring: rondel::Ring<fn(&'static str)>) -> rondel::Ring<fn(&'static str)> {
///     ring
/// }
/// ```
struct RingIsInvariant;

/// A future that keeps a guard across an `.await` cannot move between threads.
///
/// ```compile_fail
/// fn spawn(_: impl Future + Send) {}
/// let ring: std::sync::Arc<rondel::Ring<u32>> = Default::default();
/// spawn(async move {
///     let guard = rondel::pin();
///     let entry = ring.next(&guard);
///     std::future::ready(()).await;
///     drop(entry);
/// });
/// ```
///
/// ```
/// fn spawn(_: impl Future + Send) {}
/// let ring: std::sync::Arc<rondel::Ring<u32>> = Default::default();
/// spawn(async move {
///     let value = ring.next_cloned();
///     std::future::ready(()).await;
///     drop(value);
/// });
/// ```
struct GuardAcrossAwait;
