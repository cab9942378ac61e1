//! The public conformance kit against the embedded database.

use std::sync::atomic::{AtomicUsize, Ordering};

use sessile_core::testing::{self, Kit};
use sessile_file::{Durability, Embedded};

/// Opens databases in new directories under `dir`.
fn fresh(
    dir: &tempfile::TempDir,
    durability: Durability,
) -> impl Fn() -> std::future::Ready<Result<Embedded, sessile_core::Error>> {
    let (dir, count) = (dir.path().to_owned(), AtomicUsize::new(0));
    move || {
        let path = dir.join(count.fetch_add(1, Ordering::Relaxed).to_string());
        std::future::ready(Embedded::options().durability(durability).open(path))
    }
}

#[test]
fn keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let passed = testing::block_on(Kit::new().run(fresh(&dir, Durability::EveryCommit)));
    if let Err(broken) = passed {
        panic!("{broken}")
    }
}

#[test]
fn keeps_the_contract_when_relaxed() {
    let dir = tempfile::tempdir().unwrap();
    let passed = testing::block_on(Kit::new().run(fresh(&dir, Durability::Relaxed)));
    if let Err(broken) = passed {
        panic!("{broken}")
    }
}
