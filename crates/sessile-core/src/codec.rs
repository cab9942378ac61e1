//! A record as bytes: the one binary form that every store without columns keeps.
//!
//! Layout, version 1 (numbers big-endian, "varint" is LEB128):
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format version |
//! | 1 | flags: which optional parts follow |
//! | 8 | last seen, so that a touch patches eight bytes |
//! | 32 | hash of the secret |
//! | varint × 6 | created, renewed − created, deadline − created, idle, slack, retention (ms) |
//! | … | previous token, user, groups, device, ended: each if flagged |
//! | rest | data, see [`Data`] |

use std::time::Duration;

use crate::{
    clock::{Timestamp, millis},
    data::Data,
    error::{Error, ErrorKind},
    record::{EndReason, Ended, Lifetime, Previous, Record},
    token::{Nonce, SecretHash},
};

const FORMAT: u8 = 1;
const SEEN: std::ops::Range<usize> = 2..10;

const PERSISTENT: u8 = 1;
const PREVIOUS: u8 = 1 << 1;
const CONFIRMED: u8 = 1 << 2;
const USER: u8 = 1 << 3;
const GROUPS: u8 = 1 << 4;
const DEVICE: u8 = 1 << 5;
const ENDED: u8 = 1 << 6;
const ENDED_BY: u8 = 1 << 7;

impl Record {
    /// The record as bytes, for stores that keep records whole.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.data.size());
        self.write_to(&mut out);
        out
    }

    /// Appends the record's bytes.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let flag = |bit, set: bool| if set { bit } else { 0 };
        let confirmed = self.previous.as_ref().is_some_and(|previous| previous.until.is_some());
        let ended_by = self.ended.as_ref().is_some_and(|ended| ended.by.is_some());
        out.push(FORMAT);
        out.push(
            flag(PERSISTENT, self.persistent)
                | flag(PREVIOUS, self.previous.is_some())
                | flag(CONFIRMED, confirmed)
                | flag(USER, self.user.is_some())
                | flag(GROUPS, !self.groups.is_empty())
                | flag(DEVICE, self.device.is_some())
                | flag(ENDED, self.ended.is_some())
                | flag(ENDED_BY, ended_by),
        );
        out.extend(self.seen.as_millis().to_be_bytes());
        out.extend(self.secret.as_bytes());
        let created = self.created.as_millis();
        write_varint(out, created);
        write_varint(out, self.renewed.as_millis().saturating_sub(created));
        write_varint(out, self.lifetime.deadline.as_millis().saturating_sub(created));
        write_varint(out, millis(self.lifetime.idle));
        write_varint(out, millis(self.lifetime.slack));
        write_varint(out, millis(self.lifetime.retention));
        if let Some(previous) = &self.previous {
            out.extend(previous.secret.as_bytes());
            out.extend(previous.nonce.as_bytes());
            if let Some(until) = previous.until {
                write_varint(out, until.as_millis());
            }
        }
        if let Some(user) = &self.user {
            write_bytes(out, user.as_bytes());
        }
        if !self.groups.is_empty() {
            write_varint(out, self.groups.len() as u64);
            for group in &self.groups {
                write_bytes(out, group.as_bytes());
            }
        }
        if let Some(device) = &self.device {
            write_bytes(out, device.as_bytes());
        }
        if let Some(ended) = &self.ended {
            out.push(ended.reason.code());
            write_varint(out, ended.at.as_millis());
            if let Some(by) = &ended.by {
                write_bytes(out, by.as_bytes());
            }
        }
        out.extend(self.data.as_bytes());
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Decodes no value of the data.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if the bytes are damaged, [`ErrorKind::Unsupported`] if a newer
    /// version of Sessile wrote them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let format = reader.byte()?;
        if format != FORMAT {
            return Err(unsupported(format));
        }
        let flags = reader.byte()?;
        let has = |bit| flags & bit != 0;
        let seen = Timestamp::from_millis(u64::from_be_bytes(reader.array()?));
        let secret = SecretHash::from_bytes(reader.array()?);
        let created = reader.timestamp()?;
        let renewed = created + reader.duration()?;
        let lifetime = Lifetime {
            deadline: created + reader.duration()?,
            idle: reader.duration()?,
            slack: reader.duration()?,
            retention: reader.duration()?,
        };
        let previous = has(PREVIOUS)
            .then(|| {
                Ok::<_, Error>(Previous {
                    secret: SecretHash::from_bytes(reader.array()?),
                    nonce: Nonce::from_bytes(reader.array()?),
                    until: has(CONFIRMED).then(|| reader.timestamp()).transpose()?,
                })
            })
            .transpose()?;
        let user = has(USER).then(|| reader.string()).transpose()?;
        let mut groups = Vec::new();
        if has(GROUPS) {
            for _ in 0..reader.varint()? {
                groups.push(reader.string()?);
            }
        }
        let device = has(DEVICE).then(|| reader.string()).transpose()?;
        let ended = has(ENDED)
            .then(|| {
                Ok::<_, Error>(Ended {
                    reason: EndReason::from_code(reader.byte()?)
                        .ok_or_else(|| corrupt("an unknown reason for the end"))?,
                    at: reader.timestamp()?,
                    by: has(ENDED_BY).then(|| reader.string()).transpose()?,
                })
            })
            .transpose()?;
        let data = Data::from_bytes(reader.rest().to_vec())?;
        Ok(Self {
            secret,
            previous,
            user,
            groups,
            created,
            seen,
            renewed,
            lifetime,
            persistent: has(PERSISTENT),
            device,
            ended,
            data,
        })
    }

    /// Moves last-seen forward to `seen` in a record's bytes, in place: what a touch does.
    /// An earlier `seen` changes nothing.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), as far as those bytes are looked at.
    pub fn touch_bytes(bytes: &mut [u8], seen: Timestamp) -> Result<(), Error> {
        match bytes.first() {
            Some(&FORMAT) => {}
            Some(&other) => return Err(unsupported(other)),
            None => return Err(corrupt("no bytes")),
        }
        let field = bytes.get_mut(SEEN).ok_or_else(|| corrupt("cut short"))?;
        // `SEEN` is eight bytes wide; a failed conversion can only mean "cut short".
        let stored = <[u8; 8]>::try_from(&*field).map_err(|_| corrupt("cut short"))?;
        let latest = u64::from_be_bytes(stored).max(seen.as_millis());
        field.copy_from_slice(&latest.to_be_bytes());
        Ok(())
    }
}

#[cold]
fn unsupported(format: u8) -> Error {
    let detail = format!(
        "a stored session has format {format}, this version of Sessile reads {FORMAT}; \
         upgrade every node before the first one writes"
    );
    Error::new(ErrorKind::Unsupported, "decode", detail)
}

#[cold]
pub(crate) fn corrupt(what: &str) -> Error {
    let detail = format!("a stored session is damaged ({what}); it was left as it is");
    Error::new(ErrorKind::Corrupt, "decode", detail)
}

pub(crate) fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Bytes that `write_bytes` takes for something of this length.
pub(crate) fn bytes_size(len: usize) -> usize {
    let bits = usize::BITS - (len | 1).leading_zeros();
    bits.div_ceil(7) as usize + len
}

pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes bytes from the front; every read checks that they are there.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.position == self.bytes.len()
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some((taken, _)) = rest.split_at_checked(len) else { return Err(corrupt("cut short")) };
        self.position += len;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some(taken) = rest.first_chunk() else { return Err(corrupt("cut short")) };
        self.position += N;
        Ok(*taken)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Error> {
        match self.bytes.get(self.position) {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Error> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(corrupt("a number too large"))
    }

    fn timestamp(&mut self) -> Result<Timestamp, Error> {
        self.varint().map(Timestamp::from_millis)
    }

    fn duration(&mut self) -> Result<Duration, Error> {
        self.varint().map(|ms| if ms == u64::MAX { Duration::MAX } else { Duration::from_millis(ms) })
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = usize::try_from(self.varint()?).map_err(|_| corrupt("cut short"))?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes()?).map_err(|_| corrupt("text that is not UTF-8"))
    }

    fn string(&mut self) -> Result<String, Error> {
        self.text().map(str::to_owned)
    }

    fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.position..];
        self.position = self.bytes.len();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Token;

    fn full() -> Record {
        let at = Timestamp::from_millis;
        let mut data = Data::new();
        data.set("n", &[7]);
        Record {
            secret: Token::generate().unwrap().hash(),
            previous: Some(Previous {
                secret: Token::generate().unwrap().hash(),
                nonce: Nonce::from_bytes([9; 16]),
                until: Some(at(900)),
            }),
            user: Some("ferris".into()),
            groups: vec!["a".into(), "b".into()],
            created: at(100),
            seen: at(250),
            renewed: at(200),
            lifetime: Lifetime {
                idle: Duration::MAX,
                slack: Duration::from_millis(3),
                deadline: Timestamp::MAX,
                retention: Duration::from_secs(1),
            },
            persistent: true,
            device: Some("Firefox".into()),
            ended: Some(Ended { reason: EndReason::Killed, at: at(300), by: Some("op".into()) }),
            data,
        }
    }

    #[test]
    fn a_record_survives_its_bytes() {
        let record = full();
        assert_eq!(Record::from_bytes(&record.to_bytes()).unwrap(), record);
        let plain =
            Record { previous: None, user: None, groups: vec![], ended: None, device: None, ..record };
        assert_eq!(Record::from_bytes(&plain.to_bytes()).unwrap(), plain);
    }

    #[test]
    fn cut_bytes_and_newer_formats_are_errors() {
        let bytes = full().to_bytes();
        let data = full().data.size();
        for end in 0..bytes.len() - data {
            assert_eq!(Record::from_bytes(&bytes[..end]).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        let newer = [&[FORMAT + 1], &bytes[1..]].concat();
        assert_eq!(Record::from_bytes(&newer).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_touch_moves_seen_forward_only() {
        let mut bytes = full().to_bytes();
        for (touch, seen) in [(260, 260), (255, 260)] {
            Record::touch_bytes(&mut bytes, Timestamp::from_millis(touch)).unwrap();
            assert_eq!(Record::from_bytes(&bytes).unwrap().seen, Timestamp::from_millis(seen));
        }
        assert!(Record::touch_bytes(&mut [FORMAT, 0, 1], Timestamp::MAX).is_err());
    }
}
