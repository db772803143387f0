//! pingora's load balancer, as a contender.

use std::{
    collections::{BTreeSet, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use pingora_error::Result;
use pingora_load_balancing::{
    Backend, Backends, LoadBalancer, discovery::ServiceDiscovery, selection::RoundRobin,
};
use rondel_peers::{Members, Rotation, Skipping};

/// What pingora's own documentation has.
const MOST_ITERATIONS: usize = 256;

/// The members as they are now, for the balancer to discover.
struct Known(Arc<Mutex<BTreeSet<Backend>>>);

#[async_trait]
impl ServiceDiscovery for Known {
    async fn discover(&self) -> Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        Ok((self.0.lock().expect("no update panics").clone(), HashMap::new()))
    }
}

/// The balancer, and what it is to discover next.
pub(crate) struct Pingora {
    balancer: LoadBalancer<RoundRobin>,
    known: Arc<Mutex<BTreeSet<Backend>>>,
}

/// A member is an address.
fn backend(member: usize) -> Backend {
    let address = Ipv4Addr::from(0x0A00_0000 + u32::try_from(member).expect("few members"));
    Backend::new(&SocketAddr::from((address, 80)).to_string()).expect("an address")
}

fn member(backend: &Backend) -> usize {
    match backend.addr.as_inet() {
        Some(SocketAddr::V4(address)) => (u32::from(*address.ip()) - 0x0A00_0000) as usize,
        _ => panic!("not an address of ours: {backend:?}"),
    }
}

impl Pingora {
    fn update(&self) {
        let updated = self.balancer.update().now_or_never().expect("nothing to wait for");
        updated.expect("nothing that could fail");
    }
}

impl Rotation for Pingora {
    const NAME: &'static str = "pingora RoundRobin";
    type Local<'r> = ();

    fn with_members(members: usize) -> Self {
        let known = Arc::new(Mutex::new((0..members).map(backend).collect()));
        let backends = Backends::new(Box::new(Known(Arc::clone(&known))));
        let new = Self { balancer: LoadBalancer::from_backends(backends), known };
        new.update();
        new
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        member(&self.balancer.select(b"", MOST_ITERATIONS).expect("members"))
    }
}

impl Members for Pingora {
    type Ticket = usize;
    const FAIR: bool = false;

    fn tickets(&self) -> Vec<usize> {
        self.known.lock().expect("no update panics").iter().map(member).collect()
    }

    fn push(&self, member: usize) -> usize {
        self.known.lock().expect("no update panics").insert(backend(member));
        self.update();
        member
    }

    fn remove(&self, member: usize) {
        self.known.lock().expect("no update panics").remove(&backend(member));
        self.update();
    }
}

impl Skipping for Pingora {
    #[inline]
    fn next_where(&self, (): &mut (), accept: impl Fn(usize) -> bool + Copy) -> usize {
        let chosen = self.balancer.select_with(b"", MOST_ITERATIONS, |backend, is_healthy| {
            is_healthy && accept(member(backend))
        });
        member(&chosen.expect("a healthy member"))
    }
}
