//! Where the databases under test lie.

use std::env;

use anyhow::{Context, Result, ensure};
use rustix::fs::statfs;
use tempfile::TempDir;

/// What `statfs` calls a file system in memory.
const TMPFS: i64 = 0x0102_1994;

/// An empty directory, removed when dropped: beside the program rather than in the system's
/// temporary directory, which may be in memory, for a durable store has to meet a disk.
pub fn directory() -> Result<TempDir> {
    let program = env::current_exe()?;
    let beside = program.parent().context("a program in no directory")?;
    ensure!(statfs(beside)?.f_type != TMPFS, "the program lies in memory; build it on a disk");
    Ok(TempDir::new_in(beside)?)
}
