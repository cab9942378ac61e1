//! Random bytes from the operating system's CSPRNG, asked for in portions.

use std::cell::RefCell;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, ErrorKind};

/// Enough for a dozen tokens. A system call for each would be most of what a new session costs.
const PORTION: usize = 512;

/// Random bytes that were fetched and not used yet.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Portion {
    bytes: [u8; PORTION],
    used: usize,
    /// The process that fetched them: a fork must not use them too.
    process: u32,
}

thread_local! {
    static PORTION_LEFT: RefCell<Portion> =
        const { RefCell::new(Portion { bytes: [0; PORTION], used: PORTION, process: 0 }) };
}

/// Fills `bytes`, at most [`PORTION`] of them, with random bytes that nobody else ever gets: every
/// one comes from the operating system and is wiped from the portion when it is handed out.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Error> {
    PORTION_LEFT.with_borrow_mut(|portion| {
        if PORTION - portion.used < bytes.len() || portion.process != std::process::id() {
            getrandom::fill(&mut portion.bytes).map_err(|source| {
                let detail = "the operating system gave no random bytes";
                Error::new(ErrorKind::Unavailable, "random", detail).with_source(source)
            })?;
            portion.used = 0;
            portion.process = std::process::id();
        }
        let handed_out = portion.used..portion.used + bytes.len();
        bytes.copy_from_slice(&portion.bytes[handed_out.clone()]);
        portion.bytes[handed_out.clone()].zeroize();
        portion.used = handed_out.end;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_bytes_are_handed_out_twice() {
        let mut seen = HashSet::new();
        for len in (16..=40).cycle().take(20_000) {
            let mut bytes = [0; 40];
            random(&mut bytes[..len]).unwrap();
            assert!(seen.insert(bytes[..16].to_vec()));
            assert_ne!(bytes[len - 16..len], [0; 16]);
        }
    }
}
