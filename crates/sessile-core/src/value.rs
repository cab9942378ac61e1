//! One value as bytes: MessagePack, self-describing, readable in other languages.

use rmp_serde::{Deserializer, Serializer};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, ErrorKind};

/// Encodes a value: structs as maps with named fields, dates and addresses in their readable
/// form, so that another language or a later version of the struct can read it.
pub(crate) fn encode<T: Serialize>(name: &str, value: &T, max_depth: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(128);
    let mut serializer = Serializer::new(&mut bytes).with_struct_map().with_human_readable();
    value.serialize(&mut serializer).map_err(|_| {
        let detail = format!("the value for {name:?} can't be encoded; it was not stored");
        Error::new(ErrorKind::Encode, "insert", detail).with_source(Shape)
    })?;
    if depth_within(&bytes, max_depth) {
        return Ok(bytes);
    }
    let detail = format!("the value for {name:?} is nested deeper than {max_depth}; it was not stored");
    Err(Error::new(ErrorKind::TooLarge, "insert", detail))
}

pub(crate) fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, Error> {
    let mut deserializer = Deserializer::from_read_ref(bytes).with_human_readable();
    T::deserialize(&mut deserializer).map_err(|_| {
        let wanted = std::any::type_name::<T>();
        let detail = format!("the value for {name:?} is no {wanted}; it was left as it is");
        Error::new(ErrorKind::Decode, "get", detail).with_source(Shape)
    })
}

/// Stands for the coder's own error, whose words may quote the value.
#[derive(Debug)]
struct Shape;

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the value and its type don't fit")
    }
}

impl std::error::Error for Shape {}

/// Whether arrays and maps are nested at most `max` deep. Iterative, so no input can exhaust the
/// stack; false for bytes that aren't MessagePack.
fn depth_within(bytes: &[u8], max: usize) -> bool {
    let mut open: Vec<u64> = Vec::new(); // elements still to come, per level
    let mut at = 0;
    while at < bytes.len() {
        let Some((skip, children)) = element(&bytes[at..]) else { return false };
        at += skip;
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if children > 0 {
            if open.len() == max {
                return false;
            }
            open.push(children);
        }
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    open.is_empty() && at == bytes.len()
}

/// How many bytes an element takes before its children, and how many children follow.
fn element(bytes: &[u8]) -> Option<(usize, u64)> {
    let marker = *bytes.first()?;
    let number = |width: usize| {
        let digits = bytes.get(1..=width)?;
        Some(digits.iter().fold(0u64, |number, digit| number << 8 | u64::from(*digit)))
    };
    let sized =
        |width: usize, extra: usize| Some((1 + width + extra + usize::try_from(number(width)?).ok()?, 0));
    match marker {
        0x80..=0x8f => Some((1, u64::from(marker & 0x0f) * 2)),
        0x90..=0x9f => Some((1, u64::from(marker & 0x0f))),
        0xa0..=0xbf => Some((1 + usize::from(marker & 0x1f), 0)),
        0xc4 | 0xd9 => sized(1, 0),
        0xc5 | 0xda => sized(2, 0),
        0xc6 | 0xdb => sized(4, 0),
        0xc7 => sized(1, 1),
        0xc8 => sized(2, 1),
        0xc9 => sized(4, 1),
        0xcc | 0xd0 => Some((2, 0)),
        0xcd | 0xd1 => Some((3, 0)),
        0xca | 0xce | 0xd2 => Some((5, 0)),
        0xcb | 0xcf | 0xd3 => Some((9, 0)),
        0xd4..=0xd8 => Some((2 + (1 << (marker - 0xd4)), 0)),
        0xdc => Some((3, number(2)?)),
        0xdd => Some((5, number(4)?)),
        0xde => Some((3, number(2)? * 2)),
        0xdf => Some((5, number(4)? * 2)),
        _ => Some((1, 0)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
    enum Tree {
        Leaf(u8),
        Branch(Vec<Tree>),
    }

    #[test]
    fn values_survive() {
        let map = BTreeMap::from([("a".to_owned(), vec![1.5_f64]), (String::new(), vec![])]);
        let bytes = encode("k", &map, 32).unwrap();
        assert_eq!(decode::<BTreeMap<String, Vec<f64>>>("k", &bytes).unwrap(), map);
        let nothing = encode("k", &None::<u8>, 32).unwrap();
        assert_eq!(decode::<Option<u8>>("k", &nothing).unwrap(), None);
        for number in [0_i64, -1, 200, 70_000, i64::MIN, i64::MAX] {
            assert_eq!(decode::<i64>("k", &encode("k", &number, 1).unwrap()).unwrap(), number);
        }
        let text = "x".repeat(70_000);
        assert_eq!(decode::<String>("k", &encode("k", &text, 1).unwrap()).unwrap(), text);
    }

    #[test]
    fn depth_is_counted_not_recursed() {
        let nest = |depth| (0..depth).fold(Tree::Leaf(1), |tree, _| Tree::Branch(vec![tree]));
        // Each branch is a map of one name to an array; the leaf is one more map.
        assert!(encode("k", &nest(3), 7).is_ok());
        assert_eq!(encode("k", &nest(3), 6).unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(!depth_within(&[0x91; 1_000_000], 32));
        assert!(!depth_within(&[0x92, 1], 32), "an element is missing");
    }

    #[test]
    fn a_wrong_type_is_an_error_that_does_not_show_the_value() {
        let bytes = encode("k", &"hunter2", 1).unwrap();
        let error = decode::<u64>("k", &bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(!format!("{error} {}", std::error::Error::source(&error).unwrap()).contains("hunter2"));
    }
}
