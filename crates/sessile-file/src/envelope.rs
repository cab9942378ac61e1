//! The value under a session's id: checksum, version and index positions before the record.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC-32 of the id and of all that follows |
//! | 8 | version |
//! | 8 | time in the session's entry of `live` or `dead` |
//! | 8 | time in its entry of `by_seen` |
//! | rest | [`Record::to_bytes`] |
//!
//! Numbers are big-endian. With the id in the checksum, a value under a wrong key is damage too.

use sessile_core::{Error, ErrorKind, Record, SessionId, Timestamp, Version};

const CRC: usize = 4;
const HEAD: usize = CRC + 3 * 8;

/// What stands before the record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) version: Version,
    /// At which time the session stands in `live` (alive: never after its expiry) or `dead`.
    pub(crate) due: Timestamp,
    /// At which time it stands in `by_seen`, while alive: never after it was last seen.
    pub(crate) seen: Timestamp,
}

/// Room for a head, then the record: what [`seal`] finishes.
pub(crate) fn enclose(record: &Record) -> Vec<u8> {
    let bytes = record.to_bytes();
    let mut value = Vec::with_capacity(HEAD + bytes.len());
    value.resize(HEAD, 0);
    value.extend_from_slice(&bytes);
    value
}

/// Writes the head into an enclosed record.
pub(crate) fn seal(value: &mut [u8], id: &SessionId, head: Head) {
    let times = [head.version.0, head.due.as_millis(), head.seen.as_millis()];
    for (field, number) in value[CRC..HEAD].chunks_exact_mut(8).zip(times) {
        field.copy_from_slice(&number.to_be_bytes());
    }
    let crc = checksum(id, &value[CRC..]);
    value[..CRC].copy_from_slice(&crc.to_be_bytes());
}

/// Checks a value and splits it into its head and the record's bytes.
///
/// # Errors
/// [`ErrorKind::Corrupt`] if the value is not what was written under `id`.
pub(crate) fn open<'a>(id: &SessionId, value: &'a [u8]) -> Result<(Head, &'a [u8]), Error> {
    let (crc, rest) = value.split_first_chunk::<CRC>().ok_or_else(|| damaged(id))?;
    if u32::from_be_bytes(*crc) != checksum(id, rest) {
        return Err(damaged(id));
    }
    let (version, rest) = number(id, rest)?;
    let (due, rest) = number(id, rest)?;
    let (seen, rest) = number(id, rest)?;
    let head = Head {
        version: Version(version),
        due: Timestamp::from_millis(due),
        seen: Timestamp::from_millis(seen),
    };
    Ok((head, rest))
}

/// The record's bytes in an enclosed value, to be changed before it is sealed again.
pub(crate) fn record_bytes(value: &mut [u8]) -> &mut [u8] {
    value.get_mut(HEAD..).unwrap_or_default()
}

fn number<'a>(id: &SessionId, bytes: &'a [u8]) -> Result<(u64, &'a [u8]), Error> {
    let (number, rest) = bytes.split_first_chunk().ok_or_else(|| damaged(id))?;
    Ok((u64::from_be_bytes(*number), rest))
}

fn checksum(id: &SessionId, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(id.as_bytes());
    crc.update(bytes);
    crc.finalize()
}

#[cold]
fn damaged(id: &SessionId) -> Error {
    let detail = format!(
        "the stored record of session {id} is damaged (its checksum is wrong); it was left as it is and \
         others are not affected: restore a backup, or run `sessile repair DIRECTORY`, which drops it"
    );
    Error::new(ErrorKind::Corrupt, "read", detail)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sessile_core::{Data, Lifetime, Token};

    use super::*;

    #[test]
    fn any_flipped_bit_and_any_other_key_is_noticed() {
        let token = Token::generate().unwrap();
        let now = Timestamp::from_millis(1_000);
        let day = Duration::from_secs(86_400);
        let record = Record {
            secret: token.hash(),
            previous: None,
            user: Some("ferris".into()),
            groups: vec![],
            created: now,
            seen: now,
            renewed: now,
            lifetime: Lifetime { idle: day, slack: day, deadline: now + day, retention: day },
            persistent: false,
            device: None,
            ended: None,
            data: Data::new(),
        };
        let head = Head { version: Version(7), due: now + day, seen: now };
        let mut value = enclose(&record);
        seal(&mut value, &token.id(), head);
        let (found, bytes) = open(&token.id(), &value).unwrap();
        assert_eq!((found.version, found.due, found.seen), (head.version, head.due, head.seen));
        assert_eq!(Record::from_bytes(bytes).unwrap(), record);

        let other = SessionId::from_bytes([1; 16]);
        assert_eq!(open(&other, &value).unwrap_err().kind(), ErrorKind::Corrupt);
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&token.id(), &flipped).is_err(), "bit {bit}");
        }
        for end in 0..value.len() {
            assert!(open(&token.id(), &value[..end]).is_err(), "cut at {end}");
        }
    }
}
