//! Keys of the records and of their indexes.

use sessile_core::{SessionId, Timestamp};
use sha2::{Digest, Sha256};

/// What stands for a user's or group's name in a key, so that a name of any length fits.
pub(crate) type OwnerHash = [u8; 16];

pub(crate) const ID: usize = 16;
pub(crate) const OWNER_KEY: usize = 16 + ID;
pub(crate) const TIME_KEY: usize = 8 + ID;

/// Two names may share a hash, by 2⁻¹²⁸ or by somebody's hard work: whoever reads an index
/// compares the name in the record too.
pub(crate) fn owner_hash(name: &str) -> OwnerHash {
    let mut hash = OwnerHash::default();
    hash.copy_from_slice(&Sha256::digest(name.as_bytes())[..16]);
    hash
}

/// Key in `by_user` and `by_group`.
pub(crate) fn owner_key(owner: &OwnerHash, id: &SessionId) -> [u8; OWNER_KEY] {
    let mut key = [0; OWNER_KEY];
    key[..16].copy_from_slice(owner);
    key[16..].copy_from_slice(id.as_bytes());
    key
}

/// Key in `live`, `dead` and `by_seen`: sorts by time.
pub(crate) fn time_key(time: Timestamp, id: &SessionId) -> [u8; TIME_KEY] {
    let mut key = [0; TIME_KEY];
    key[..8].copy_from_slice(&time.as_millis().to_be_bytes());
    key[8..].copy_from_slice(id.as_bytes());
    key
}

/// The session that a key of any table belongs to: its last 16 bytes.
pub(crate) fn id_of(key: &[u8]) -> Option<SessionId> {
    key.last_chunk().map(|id| SessionId::from_bytes(*id))
}

/// The owner in a key of `by_user` or `by_group`.
pub(crate) fn owner_of(key: &[u8]) -> Option<OwnerHash> {
    key.first_chunk().copied()
}

/// The first and the last key that a time can have.
pub(crate) const LOWEST: SessionId = SessionId::from_bytes([0; ID]);
pub(crate) const HIGHEST: SessionId = SessionId::from_bytes([0xff; ID]);
