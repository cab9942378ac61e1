//! An allocator that counts, but only when told to: the windows in which time is measured run
//! without it, since an atomic addition for every allocation would show in the result.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

static COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Switches counting on or off.
pub fn count(on: bool) {
    COUNTING.store(on, Relaxed);
}

/// Allocations and reallocations while counting was on.
pub fn counted() -> u64 {
    COUNT.load(Relaxed)
}

/// The system's allocator, counted.
pub struct Counting;

impl Counting {
    fn note() {
        if COUNTING.load(Relaxed) {
            COUNT.fetch_add(1, Relaxed);
        }
    }
}

// SAFETY: every call goes to `System` unchanged; counting allocates nothing and cannot unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}
