//! Checks what the tables hold: each record's checksum, and that indexes and records agree.
//!
//! Agreement without looking anything up: every record says which index entries it must have, so
//! the sum of the fingerprints of those must be that of the entries there are, table by table.

use sessile_core::{ErrorKind, Record, SessionId};

use super::Finding;
use crate::{
    engine::Stored,
    keys::{self, owner_hash, owner_key, time_key},
    tables::{BY_GROUP, BY_SEEN, BY_USER, DEAD, LIVE},
};

/// What was found in a database whose structure is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that are whole: sessions and tombstones.
    pub intact: u64,
    /// Records whose checksum is wrong.
    pub damaged: u64,
    /// The first few of those.
    pub examples: Vec<SessionId>,
    /// Records that a newer version of Sessile wrote.
    pub newer: u64,
    /// Indexes that don't agree with the records. Compared only if all records could be read.
    pub indexes: Vec<&'static str>,
}

impl Report {
    /// Whether no damage was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damaged == 0 && self.indexes.is_empty()
    }
}

const EXAMPLES: usize = 10;

/// The tables whose entries are counted up against the records.
const INDEXES: [&str; 5] = [BY_USER, BY_GROUP, LIVE, DEAD, BY_SEEN];

#[derive(Debug, Default)]
pub(super) struct Content {
    report: Report,
    expected: [u64; 5],
    found: [u64; 5],
    misplaced: [bool; 5],
}

impl Content {
    /// A record.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Finding> {
        let id = keys::id_of(key).filter(|id| id.as_bytes() == key);
        let id = id.ok_or_else(|| Finding::damage("a key of a session has a wrong length"))?;
        match Stored::read(&id, value) {
            Ok(stored) => {
                self.report.intact += 1;
                self.expect(&id, &stored);
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => self.report.newer += 1,
            Err(_) => {
                self.report.damaged += 1;
                if self.report.examples.len() < EXAMPLES {
                    self.report.examples.push(id);
                }
            }
        }
        Ok(())
    }

    fn expect(&mut self, id: &SessionId, Stored { head, record }: &Stored) {
        let [by_user, by_group, live, dead, by_seen] = &mut self.expected;
        let add = |sum: &mut u64, key: &[u8]| *sum = sum.wrapping_add(fingerprint(key));
        if let Some(user) = &record.user {
            add(by_user, &owner_key(&owner_hash(user), id));
        }
        for group in groups(record) {
            add(by_group, &owner_key(&owner_hash(group), id));
        }
        let due = time_key(head.due, id);
        if record.ended.is_some() {
            add(dead, &due);
            self.misplaced[3] |= head.due != record.due();
        } else {
            add(live, &due);
            add(by_seen, &time_key(head.seen, id));
            self.misplaced[2] |= head.due > record.due();
            self.misplaced[4] |= head.seen > record.seen;
        }
    }

    /// An entry of the table `name`, if that is an index.
    pub(super) fn entry(&mut self, name: &[u8], key: &[u8]) {
        if let Some(index) = INDEXES.iter().position(|index| index.as_bytes() == name) {
            self.found[index] = self.found[index].wrapping_add(fingerprint(key));
        }
    }

    pub(super) fn finish(mut self) -> Report {
        for (index, name) in INDEXES.into_iter().enumerate() {
            let differs = self.expected[index] != self.found[index] || self.misplaced[index];
            if differs && self.report.newer == 0 && self.report.damaged == 0 {
                self.report.indexes.push(name);
            }
        }
        self.report
    }
}

/// Groups are sorted and without repeats; should one repeat, it has one entry all the same.
fn groups(record: &Record) -> impl Iterator<Item = &String> {
    record
        .groups
        .iter()
        .enumerate()
        .filter(|(at, group)| !record.groups[..*at].contains(group))
        .map(|(_, group)| group)
}

/// Mixes a key into 64 bits: chance, not malice, has to be told apart here.
fn fingerprint(key: &[u8]) -> u64 {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    let mut state = key.len() as u128;
    for chunk in key.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = (state ^ u128::from(u64::from_le_bytes(word))).wrapping_mul(ODD);
        state ^= state >> 64;
    }
    state as u64
}
