//! A scheduler with a position of its own: tasks take steps in turn, start others, and end.
//!
//! The scheduler's private `Cursor` is nobody's turn. The shared cursor is free for something else,
//! here for a supervisor that looks at one task after the other.
//!
//! ```text
//! read 1, parse 1, write 1
//! read 2, parse 2, index 1, write 2
//! parse 3, index 2
//! supervised: parse, index, parse
//! index 1, parse 4
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicU32, Ordering};

use rondel::{Cursor, Ring, pin};

struct Task {
    name: &'static str,
    steps: u32,
    done: AtomicU32,
}

impl Task {
    fn new(name: &'static str, steps: u32) -> Self {
        Self { name, steps, done: AtomicU32::new(0) }
    }

    /// One step; its number, and whether it was the last.
    fn step(&self) -> (u32, bool) {
        let number = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        (number, number == self.steps)
    }
}

fn main() {
    let tasks: Ring<Task> =
        [Task::new("read", 2), Task::new("parse", 4), Task::new("write", 2)].into_iter().collect();
    let mut scheduler = tasks.cursor();
    show(&run(&tasks, &mut scheduler, 3), "read 1, parse 1, write 1");
    show(&run(&tasks, &mut scheduler, 4), "read 2, parse 2, index 1, write 2");
    show(&run(&tasks, &mut scheduler, 2), "parse 3, index 2");

    tasks.push_back(Task::new("index", 1));
    let guard = pin();
    let seen: Vec<_> = (0..3).filter_map(|_| tasks.next(&guard)).map(|task| task.name).collect();
    show(&format!("supervised: {}", seen.join(", ")), "supervised: parse, index, parse");

    // The scheduler goes on behind the task that it ran last, whatever the supervisor did.
    show(&run(&tasks, &mut scheduler, 2), "index 1, parse 4");
}

/// Lets so many tasks take a step each.
fn run(tasks: &Ring<Task>, scheduler: &mut Cursor<'_, Task>, steps: usize) -> String {
    let mut log = Vec::new();
    for _ in 0..steps {
        let guard = pin(); // for one step
        let Some(task) = scheduler.move_next(&guard) else { break };
        let (number, is_last) = task.step();
        log.push(format!("{} {number}", task.name));
        if (task.name, number) == ("parse", 2) {
            // Right behind the task that starts it: it has the next step.
            let started = tasks.insert_after(task.key(), Task::new("index", 2));
            assert!(started.is_ok(), "the task that runs is a member");
        }
        if is_last {
            tasks.remove(task.key()); // the cursor is on it, and goes on behind it all the same
        }
    }
    log.join(", ")
}

fn show(line: &str, expected: &str) {
    println!("{line}");
    assert_eq!(line, expected);
}
