//! Any bytes from a client, over the judge of the tests: `cargo xtask fuzz-http`.
//!
//! The proxy, its server and its client run for real, over loopback; the first byte of an input
//! says where it is cut in two on its way.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use rondel_proxy::{Proxy, Stop, servers, settings::Settings};
use tokio::runtime::Runtime;

#[path = "../../tests/support"]
#[allow(dead_code, reason = "the tests use more of it")]
mod support {
    pub mod client;
    pub mod oracle;
    pub mod recorder;
    pub mod strict;

    pub async fn within<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(std::time::Duration::from_secs(30), future).await.expect("too long")
    }
}

use support::{client::Delivery, oracle, recorder::Recorder};

struct World {
    runtime: Runtime,
    recorder: Recorder,
    address: std::net::SocketAddr,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (recorder, address) = runtime.block_on(async {
        let recorder = Recorder::start().await;
        let mut settings =
            Settings::for_servers(servers::parse(&recorder.line).expect("a servers file"));
        settings.limits.max_body = Some(1 << 20);
        let listeners = rondel_proxy::bind(settings.listen, 1).expect("a port");
        let address = listeners[0].local_addr().expect("its address");
        let proxy = Proxy::new(settings, &tokio::runtime::Handle::current()).expect("a proxy");
        tokio::spawn(rondel_proxy::serve(proxy, listeners, Stop::new()));
        (recorder, address)
    });
    World { runtime, recorder, address }
});

fuzz_target!(|input: &[u8]| {
    let Some((cut, raw)) = input.split_first() else { return };
    if raw.is_empty() {
        return;
    }
    let at = usize::from(*cut);
    let delivery = if at > 0 && at < raw.len() { Delivery::InTwo(at) } else { Delivery::AtOnce };
    let world = &*WORLD;
    let judge = |patience| {
        oracle::judge(raw, delivery, Duration::from_millis(patience), world.address, &world.recorder)
    };
    if world.runtime.block_on(judge(15)).is_err() {
        // On a busy machine an answer may have been late: once more, with patience.
        world.runtime.block_on(async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            world.recorder.take();
        });
        if let Err(why) = world.runtime.block_on(judge(2_000)) {
            panic!("{why}");
        }
    }
});
