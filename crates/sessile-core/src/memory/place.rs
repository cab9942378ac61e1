//! Where a session lies: which shard, which slot.

use crate::token::SessionId;

/// Number of shards: enough that two threads seldom want the same one.
pub(super) const SHARDS: usize = 64;
const SHARD_BITS: u32 = SHARDS.trailing_zeros();
const SLOT_BITS: u32 = u32::BITS - SHARD_BITS;

/// Slots that a shard can number: 67 million.
pub(super) const MAX_SLOTS: u32 = 1 << SLOT_BITS;

/// A shard and a slot. A session keeps its place as long as it lives, so places order sessions in
/// a way that a scan can go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u32);

impl Place {
    pub(super) fn new(shard: usize, slot: u32) -> Self {
        Self((shard as u32) << SLOT_BITS | slot)
    }

    pub(super) fn shard(self) -> usize {
        (self.0 >> SLOT_BITS) as usize
    }

    pub(super) fn slot(self) -> u32 {
        self.0 & (MAX_SLOTS - 1)
    }

    /// The place after this one, in this shard or the next.
    pub(super) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// A session's hash. Ids are random, so folding their halves is enough; it keeps tables even when
/// ids are not.
pub(super) fn hash(id: &SessionId) -> u64 {
    let number = u128::from_le_bytes(*id.as_bytes());
    let (high, low) = ((number >> 64) as u64, number as u64);
    let product = u128::from(low ^ 0x9e37_79b9_7f4a_7c15) * u128::from(high ^ 0xa076_1d64_78bd_642f);
    (product >> 64) as u64 ^ product as u64
}

/// The shard of a session. The table uses the hash's lowest bits and its highest seven.
pub(super) fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
