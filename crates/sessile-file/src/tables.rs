//! Names of the tables, and the mark by which a database is known as Sessile's.

/// The table that says whose database this is.
pub(crate) const SESSILE: &str = "sessile";
/// In it: the format's number, 4 bytes, big-endian.
pub(crate) const FORMAT_KEY: &str = "format";
/// The format that this version reads and writes.
pub(crate) const FORMAT: u32 = 1;

pub(crate) const RECORDS: &str = "records";
pub(crate) const BY_USER: &str = "by_user";
pub(crate) const BY_GROUP: &str = "by_group";
pub(crate) const LIVE: &str = "live";
pub(crate) const DEAD: &str = "dead";
pub(crate) const BY_SEEN: &str = "by_seen";
