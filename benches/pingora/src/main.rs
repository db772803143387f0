//! Question: how does the ring compare with pingora's round robin, used as its users use it?
//!
//! `LoadBalancer<RoundRobin>::select`, and `update` whenever a member joins or leaves, which builds
//! a new picker with a counter that starts at 0. A pick of it does more than one of the ring: it
//! asks whether the backend is healthy, and clones it. The figures say what a pick costs a user.

mod balancer;

use std::{thread::available_parallelism, time::Duration};

use balancer::Pingora;
use rondel_peers::{
    ALL, CHURNED, Changing, Churn, Contender, Mode, Report, SKIPPING, Samples, Skipper, interleaved,
};

const ROUNDS: usize = 11;
const MEMBERS: usize = 8;

fn main() {
    let mode = Mode::asked_for();
    let mut report = Report::begin("pingora", "The ring beside pingora-load-balancing");
    print_picks(mode, &mut report);
    print_updates(mode, &mut report);
    print_fairness(mode, &mut report);
    print_skipping(mode, &mut report);
    report.end();
}

fn print_picks(mode: Mode, report: &mut Report) {
    let contenders = [ALL[0], ALL[1], Contender::of::<Pingora>()];
    for threads in [1_u32, 2, 4, 8] {
        report.line(&format!("\n{MEMBERS} members, threads: {threads}"));
        let rounds = interleaved(mode.rounds(ROUNDS), contenders.len(), |contender| {
            contenders[contender].picks(MEMBERS, threads as usize, mode.of(300_000)).each
        });
        let names = contenders.iter().map(|contender| contender.name);
        let samples: Vec<_> = names.zip(rounds.into_iter().map(Samples::new)).collect();
        let axis = ("threads", f64::from(threads));
        report.compare(axis, "ns per pick", &samples, &[("of the ring's", 0)]);
    }
}

fn print_updates(mode: Mode, report: &mut Report) {
    let contenders = [CHURNED[0], Changing::of::<Pingora>()];
    for (members, updates) in [(8_u32, 5_000_u32), (1024, 50)] {
        report.line(&format!("\nan update, nobody picks, members: {members}"));
        let updates = mode.of(u64::from(updates));
        let rounds = interleaved(mode.rounds(ROUNDS), contenders.len(), |contender| {
            let time = contenders[contender].update(members as usize, updates);
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let each = time.as_secs_f64() * 1e9 / updates as f64;
            each
        });
        let names = contenders.iter().map(|contender| contender.name);
        let samples: Vec<_> = names.zip(rounds.into_iter().map(Samples::new)).collect();
        let axis = ("members", f64::from(members));
        report.compare(axis, "ns per update", &samples, &[("of the ring's", 0)]);
    }
}

fn print_fairness(mode: Mode, report: &mut Report) {
    let contenders = [CHURNED[0], Changing::of::<Pingora>()];
    let threads = available_parallelism().map_or(1, usize::from).saturating_sub(1).clamp(1, 8);
    for updates in [0_u32, 100, 1_000, 10_000] {
        report.line(&format!(
            "\n{MEMBERS} members that stay, threads that pick: {threads}, updates a second: {updates}"
        ));
        let churn = Churn {
            members: MEMBERS,
            threads,
            updates: Some(u64::from(updates)),
            time: Duration::from_millis(mode.of(500)),
        };
        let rounds = interleaved(mode.rounds(3), contenders.len(), |contender| {
            contenders[contender].churn(&churn)
        });
        let names = contenders.iter().map(|contender| contender.name);
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 turns")]
        let apart = rounds
            .iter()
            .map(|rounds| rounds.iter().map(|churned| churned.difference as f64).collect());
        let samples: Vec<(&str, Samples)> = names.zip(apart).collect();
        report.compare(("updates/s", f64::from(updates)), "turns apart", &samples, &[]);
    }
}

fn print_skipping(mode: Mode, report: &mut Report) {
    let contenders = [SKIPPING[0], Skipper::of::<Pingora>()];
    report.line("\n8 members, the 3rd and the 4th unhealthy, threads: 1; 1 is a healthy one's due");
    let rounds = interleaved(mode.rounds(ROUNDS), contenders.len(), |contender| {
        contenders[contender].skip(1, mode.of(300_000)).turns[2]
    });
    let names = contenders.iter().map(|contender| contender.name);
    let samples: Vec<_> = names.zip(rounds.into_iter().map(Samples::new)).collect();
    report.compare(("threads", 1.0), "turns of the 5th", &samples, &[]);
}
