//! What a serving process knows about itself, and how it tells.

use crate::allocations;
use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::str::FromStr;

/// Where a process tells.
pub const PATH: &str = "/stats";

/// A reading. Only differences of two readings mean anything, except for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time of all threads, also those that have ended.
    pub cpu_ns: u64,
    /// Time in which a thread could have run but the core was taken: how noisy the machine is.
    pub waited_ns: u64,
    /// See [`allocations::counted`].
    pub allocations: u64,
    /// Resident memory of the process's own.
    pub anonymous: u64,
    /// Resident pages of mapped files, which the system can drop.
    pub mapped: u64,
}

impl Stats {
    /// This process, now.
    pub fn now() -> Result<Self> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = fs::read_to_string("/proc/self/status")?;
        Ok(Self {
            cpu_ns: u64::try_from(cpu.tv_sec)? * 1_000_000_000 + u64::try_from(cpu.tv_nsec)?,
            waited_ns: waited()?,
            allocations: allocations::counted(),
            anonymous: field(&status, "RssAnon:")? * 1024,
            mapped: (field(&status, "RssFile:")? + field(&status, "RssShmem:")?) * 1024,
        })
    }

    /// The numbers in the order of the fields.
    pub fn to_text(self) -> String {
        let Self { cpu_ns, waited_ns, allocations, anonymous, mapped } = self;
        format!("{cpu_ns} {waited_ns} {allocations} {anonymous} {mapped}")
    }
}

impl FromStr for Stats {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next().context("a number is missing")?.context("not a number");
        Ok(Self {
            cpu_ns: next()?,
            waited_ns: next()?,
            allocations: next()?,
            anonymous: next()?,
            mapped: next()?,
        })
    }
}

/// The second number of every thread's `schedstat`. A thread may end while we look.
fn waited() -> Result<u64> {
    let mut total = 0;
    for task in fs::read_dir("/proc/self/task")? {
        if let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) {
            total += line.split(' ').nth(1).context("a short schedstat")?.parse::<u64>()?;
        }
    }
    Ok(total)
}

fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next());
    Ok(value.with_context(|| format!("no {name} in the process status"))?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let stats = Stats { cpu_ns: 1, waited_ns: 2, allocations: 3, anonymous: 4, mapped: 5 };
        assert_eq!(stats.to_text().parse::<Stats>().unwrap(), stats);
    }

    #[test]
    fn a_process_can_be_read() {
        assert!(Stats::now().unwrap().cpu_ns > 0);
    }
}
