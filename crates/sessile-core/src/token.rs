//! The token (secret, in the cookie), the session id (public) and the secret's hash (in the store).

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD as BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{error::Error, random::random};

const ID_BYTES: usize = 16;
const ID_CHARS: usize = 22;
const SECRET_BYTES: usize = 24;
const SECRET_CHARS: usize = 32;

/// The public handle of a session: may be logged, listed and put in a URL.
///
/// 128 random bits that never change during the session's life. Knowing it is never enough to
/// act as the session. As text: 22 characters of base64url.
///
/// ```
/// use sessile_core::SessionId;
///
/// let id = SessionId::from_bytes([7; 16]);
/// assert_eq!(id.to_string().parse::<SessionId>(), Ok(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; ID_BYTES]);

impl SessionId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The id's bytes, as stores keep them.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; ID_CHARS];
        f.write_str(encode(&self.0, &mut text))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// A text that is no session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidSessionId;

impl fmt::Display for InvalidSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a session id is {ID_CHARS} characters of base64url")
    }
}

impl std::error::Error for InvalidSessionId {}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        let mut bytes = [0; ID_BYTES];
        decode(text.as_bytes(), &mut bytes).then_some(Self(bytes)).ok_or(InvalidSessionId)
    }
}

/// What the client holds: the session's id and 192 secret bits. `Debug` shows the id only.
///
/// As text, in the cookie: 54 characters of base64url.
#[derive(Clone)]
pub struct Token {
    id: SessionId,
    secret: Secret,
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Secret([u8; SECRET_BYTES]);

impl Token {
    /// Characters of a token's text.
    pub const CHARS: usize = ID_CHARS + SECRET_CHARS;

    /// A new id and secret from the operating system's CSPRNG.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the system gives no random bytes.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0; ID_BYTES + SECRET_BYTES];
        random(&mut bytes)?;
        let (mut id, mut secret) = ([0; ID_BYTES], Secret([0; SECRET_BYTES]));
        id.copy_from_slice(&bytes[..ID_BYTES]);
        secret.0.copy_from_slice(&bytes[ID_BYTES..]);
        bytes.zeroize();
        Ok(Self { id: SessionId(id), secret })
    }

    /// A new secret for the session `id`.
    pub(crate) fn for_session(id: SessionId) -> Result<Self, Error> {
        let mut secret = Secret([0; SECRET_BYTES]);
        random(&mut secret.0)?;
        Ok(Self { id, secret })
    }

    /// The token that follows this one: the same for everybody who holds this token and `nonce`,
    /// so that parallel requests which renew one session agree without a word.
    pub(crate) fn successor(&self, nonce: &Nonce) -> Self {
        // RFC 2104 fills a short key with zeros to the hash's block, which is 64 bytes.
        let mut key = [0; 64];
        key[..SECRET_BYTES].copy_from_slice(&self.secret.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        key.zeroize();
        mac.update(b"sessile renewal");
        mac.update(&self.id.0);
        mac.update(&nonce.0);
        let mut secret = Secret([0; SECRET_BYTES]);
        secret.0.copy_from_slice(&mac.finalize().into_bytes()[..SECRET_BYTES]);
        Self { id: self.id, secret }
    }

    /// Reads a token; anything that isn't exactly one is `None`. Touches no store.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != Self::CHARS {
            return None;
        }
        let (id_text, secret_text) = text.split_at(ID_CHARS);
        let (mut id, mut secret) = ([0; ID_BYTES], Secret([0; SECRET_BYTES]));
        (decode(id_text, &mut id) && decode(secret_text, &mut secret.0))
            .then_some(Self { id: SessionId(id), secret })
    }

    /// The session that this token is for.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The token as the client must send it. This is the secret: for the cookie, never for a log.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut text = String::with_capacity(Self::CHARS);
        self.reveal_in(&mut text);
        text
    }

    /// Appends the token as the client must send it.
    pub(crate) fn reveal_in(&self, text: &mut String) {
        text.push_str(encode(&self.id.0, &mut [0; ID_CHARS]));
        text.push_str(encode(&self.secret.0, &mut [0; SECRET_CHARS]));
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        let hash = Sha256::new().chain_update(self.id.0).chain_update(&self.secret.0);
        SecretHash(hash.finalize().into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, secret redacted)", self.id)
    }
}

/// SHA-256 of a session's id and secret: what a store holds instead of the token.
///
/// The secret has 192 random bits, so no salt or slow hash is needed; the id in the hash keeps
/// one session's hash from serving another. Equality takes the same time for any two hashes.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash's bytes, for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        let difference = self.0.iter().zip(other.0).fold(0, |difference, (a, b)| difference | (a ^ b));
        difference.ct_eq(&0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(redacted)")
    }
}

/// The random part of a renewal, kept in the record while the previous token is still good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 16]);

impl Nonce {
    pub(crate) fn generate() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The nonce with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The nonce's bytes, for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(redacted)")
    }
}

/// Canonical: one text for one value, or `false`.
fn decode(text: &[u8], bytes: &mut [u8]) -> bool {
    BASE64URL.decode_len(text.len()) == Ok(bytes.len()) && BASE64URL.decode_mut(text, bytes).is_ok()
}

/// `text` must have the length that the constants above say.
fn encode<'a>(bytes: &[u8], text: &'a mut [u8]) -> &'a str {
    BASE64URL.encode_mut(bytes, text);
    // base64url is ASCII.
    std::str::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_no_other_text_is_a_token() {
        let token = Token::generate().unwrap();
        let text = token.reveal();
        assert_eq!(text.len(), Token::CHARS);
        let parsed = Token::parse(text.as_bytes()).unwrap();
        assert_eq!((parsed.id(), parsed.hash()), (token.id(), token.hash()));

        for wrong in ["", "x", &text[1..], &format!("{text}A"), &text.replace(&text[..1], "+")] {
            assert!(Token::parse(wrong.as_bytes()).is_none(), "{wrong:?}");
        }
        // The last character of the id carries four bits that must be zero.
        let mut twin = SessionId::from_bytes([0; 16]).to_string();
        twin.replace_range(21.., "B");
        assert_eq!(twin.parse::<SessionId>(), Err(InvalidSessionId));
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = Token::generate().unwrap();
        let secret = &token.reveal()[ID_CHARS..];
        let shown = format!("{token:?} {:?} {:?}", token.hash(), Nonce([1; 16]));
        assert!(!shown.contains(secret));
        assert!(shown.contains(&token.id().to_string()));
    }

    #[test]
    fn successors_depend_on_token_and_nonce_only() {
        let token = Token::generate().unwrap();
        let (one, two) = (Nonce([1; 16]), Nonce([2; 16]));
        assert_eq!(token.successor(&one).hash(), token.successor(&one).hash());
        assert_ne!(token.successor(&one).hash(), token.successor(&two).hash());
        assert_ne!(token.successor(&one).hash(), token.hash());
        assert_eq!(token.successor(&one).id(), token.id());
    }
}
