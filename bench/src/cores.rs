//! Which core does what: the server has one for itself, everything else is on the other.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Where the server runs.
pub const SERVER: usize = 0;

/// Where the load comes from.
pub const LOAD: usize = 1;

/// Keeps this thread, and those it starts from now on, to one core.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .with_context(|| format!("cannot run on core {core}: measuring over HTTP needs two cores"))
}
