//! How much a store may hold, and how much it holds.

use std::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use crate::error::{Error, ErrorKind};

/// What a session costs beside its record's bytes: slot, table, indexes, allocator.
pub(super) const OVERHEAD: usize = 128;

/// Two counters that never pass their bounds, but for what can't be refused.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) max_entries: usize,
    pub(super) max_bytes: usize,
    entries: AtomicUsize,
    bytes: AtomicUsize,
    /// How often room became free.
    freed: AtomicUsize,
}

impl Bounds {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        let zero = AtomicUsize::default;
        Self { max_entries, max_bytes, entries: zero(), bytes: zero(), freed: zero() }
    }

    pub(super) fn entries(&self) -> usize {
        self.entries.load(Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// A number that changes whenever room becomes free.
    pub(super) fn freed(&self) -> usize {
        self.freed.load(Acquire)
    }

    /// Fails if a session of `bytes` doesn't fit even into an empty store.
    pub(super) fn check(&self, bytes: usize) -> Result<(), Error> {
        if bytes <= self.max_bytes { Ok(()) } else { Err(too_large(bytes, self.max_bytes)) }
    }

    /// Takes room for a new session of `bytes`; `false` if there isn't enough.
    pub(super) fn begin(&self, bytes: usize) -> bool {
        let taken = raise(&self.entries, 1, self.max_entries);
        if taken && !raise(&self.bytes, bytes, self.max_bytes) {
            self.entries.fetch_sub(1, Relaxed);
            return false;
        }
        taken
    }

    /// Takes or gives back what a session of `from` bytes needs to have `to`; `false` if there
    /// isn't enough.
    pub(super) fn resize(&self, from: usize, to: usize) -> bool {
        if to > from {
            return raise(&self.bytes, to - from, self.max_bytes);
        }
        if from > to {
            self.bytes.fetch_sub(from - to, Relaxed);
            self.freed.fetch_add(1, AcqRel);
        }
        true
    }

    /// As [`resize`](Self::resize), bound or no bound: ends are never refused.
    pub(super) fn force(&self, from: usize, to: usize) {
        if !self.resize(from, to) {
            self.bytes.fetch_add(to - from, Relaxed);
        }
    }

    /// Gives back what a session of `bytes` took.
    pub(super) fn end(&self, bytes: usize) {
        self.entries.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
        self.freed.fetch_add(1, AcqRel);
    }
}

fn raise(counter: &AtomicUsize, by: usize, max: usize) -> bool {
    counter.fetch_update(AcqRel, Acquire, |now| now.checked_add(by).filter(|sum| *sum <= max)).is_ok()
}

#[cold]
fn too_large(bytes: usize, max: usize) -> Error {
    let detail =
        format!("a session of {bytes} bytes can't fit into a memory store of {max}; raise max_bytes");
    Error::new(ErrorKind::TooLarge, "put", detail)
}
