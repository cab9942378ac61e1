//! A store written against the public API alone passes the kit.
#![cfg(feature = "testing")]

mod toy;

use sessile_core::testing;
use toy::Toy;

#[test]
fn a_toy_store_keeps_the_contract() {
    testing::block_on(testing::conformance(|| async { Ok(Toy::default()) })).unwrap();
}
