//! The public conformance kit against the embedded database.
#![allow(clippy::unwrap_used)]

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use sessile_core::testing::{Kit, block_on};
use sessile_file::{Durability, Embedded};

#[test]
fn keeps_the_contract() {
    keeps_the_contract_with(Durability::EveryCommit);
}

#[test]
fn keeps_the_contract_when_relaxed() {
    keeps_the_contract_with(Durability::Relaxed);
}

fn keeps_the_contract_with(durability: Durability) {
    let dir = tempfile::tempdir().unwrap();
    let path = |number: usize| -> PathBuf { dir.path().join(number.to_string()) };
    let count = AtomicUsize::new(0);
    let open = || {
        let path = path(count.fetch_add(1, Ordering::Relaxed));
        std::future::ready(Embedded::options().durability(durability).open(path))
    };
    if let Err(broken) = block_on(Kit::new().run(open)) {
        panic!("{broken}");
    }
    // Opening checks that indexes and records agree.
    for number in 0..count.into_inner() {
        Embedded::open(path(number)).unwrap();
    }
}
