//! The application's key/value map, kept as the bytes that a store holds.
//!
//! Entries lie one after the other: key length, key, value length, value (lengths as LEB128
//! varints, values as MessagePack). Finding a key skips over other values without looking into
//! them; reading decodes one value; writing splices one entry. So a loaded session that is only
//! read costs no decoding, no encoding and no allocation beyond the bytes themselves.

use std::{fmt, ops::Range};

use crate::{
    codec::{self, Reader},
    error::Error,
};

/// Room for a new map: most sessions need no more.
const FIRST: usize = 192;

/// A session's key/value map: names and encoded values. `Debug` shows names and sizes only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Data {
    entries: Vec<u8>,
    len: usize,
}

impl Data {
    /// A map without entries. Doesn't allocate.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), len: 0 }
    }

    /// Reads a map from the bytes that [`as_bytes`](Self::as_bytes) gave, checking its structure
    /// but decoding no value.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if the structure is broken.
    pub fn from_bytes(entries: Vec<u8>) -> Result<Self, Error> {
        let mut reader = Reader::new(&entries);
        let mut len = 0;
        while !reader.is_empty() {
            reader.text()?;
            reader.bytes()?;
            len += 1;
        }
        Ok(Self { entries, len })
    }

    /// The map as bytes, for the store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.entries
    }

    /// Bytes that the map takes in a store.
    #[must_use]
    pub fn size(&self) -> usize {
        self.entries.len()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The encoded value under `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.find(name).map(|(value, _)| value)
    }

    /// Names and encoded values, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries().map(|(name, value, _)| (name, value))
    }

    /// Puts an encoded value under `name`; `false` if it was there already, byte for byte.
    pub fn set(&mut self, name: &str, value: &[u8]) -> bool {
        match self.find(name) {
            Some((old, _)) if old == value => return false,
            Some((_, place)) => self.cut(place),
            None => {}
        }
        let room = codec::bytes_size(name.len()) + codec::bytes_size(value.len());
        if self.entries.capacity() == 0 {
            self.entries.reserve(room.max(FIRST));
        }
        self.entries.reserve(room);
        codec::write_bytes(&mut self.entries, name.as_bytes());
        codec::write_bytes(&mut self.entries, value);
        self.len += 1;
        true
    }

    /// Removes the entry under `name`; `false` if there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        let found = self.find(name).map(|(_, place)| place);
        found.map(|place| self.cut(place)).is_some()
    }

    fn cut(&mut self, place: Range<usize>) {
        self.entries.drain(place);
        self.len -= 1;
    }

    /// The value under `name`, and the place of its entry.
    fn find(&self, name: &str) -> Option<(&[u8], Range<usize>)> {
        self.entries().find(|(found, ..)| *found == name).map(|(_, value, place)| (value, place))
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &[u8], Range<usize>)> {
        let mut reader = Reader::new(&self.entries);
        std::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            let start = reader.position();
            // Only `from_bytes`, which checks, and `set` make entries: both reads succeed.
            let (name, value) = (reader.text().ok()?, reader.bytes().ok()?);
            Some((name, value, start..reader.position()))
        })
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, format!("{} bytes", value.len()))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_went_in() {
        let mut data = Data::new();
        for (name, value) in [("", &b""[..]), ("a", b"1"), ("\0.$'\"", b"22"), ("é", &[0; 70_000])] {
            assert!(data.set(name, value));
            assert!(!data.set(name, value), "the same value again is no change");
        }
        let read = Data::from_bytes(data.as_bytes().to_vec()).unwrap();
        assert_eq!((read.len(), read.get("é").unwrap().len()), (4, 70_000));
        assert_eq!(read.get("\0.$'\""), Some(&b"22"[..]));
        assert!(data.remove("a") && !data.remove("a"));
        assert_eq!((data.get("a"), data.len()), (None, 3));
    }

    #[test]
    fn damage_is_an_error() {
        let mut data = Data::new();
        data.set("name", b"value");
        let good = data.as_bytes();
        for end in 1..good.len() {
            assert!(Data::from_bytes(good[..end].to_vec()).is_err(), "cut at {end}");
        }
        assert!(Data::from_bytes(vec![0xff; 40]).is_err());
    }
}
