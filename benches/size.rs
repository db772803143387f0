//! Question: does a pick get slower as members are added?
//!
//! One thread, so that nothing but the number of members changes: a pick of the ring reads the
//! member that follows, which is in no cache any more once there are enough of them.

use rondel_peers::Study;

fn main() {
    let study = Study {
        name: "size",
        question: "What does a pick cost, by members? (one thread)",
        axis: "members",
        places: &[1, 4, 64, 1024, 65_536],
        at: |members| (members as usize, 1),
        references: &[("of the ring's", 0)],
    };
    study.run();
}
