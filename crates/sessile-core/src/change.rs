//! What one request did to its session, in a form that can be done again on a fresher record.

use std::fmt;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    policy::{Limits, Policy},
    record::Record,
    token::{SecretHash, Token},
};

/// Turns the encoded value under a key, which it is told for its errors, into the next one.
pub(crate) type Updater = dyn Fn(&str, Option<&[u8]>) -> Result<Vec<u8>, Error> + Send + Sync;

/// One step. Doing it again on a record that others have changed since keeps their changes.
pub(crate) enum Step {
    Set(String, Vec<u8>),
    Update(String, Box<Updater>),
    Remove(String),
    Clear,
    LogIn(String),
    Join(String),
    Leave(String),
    Device(Option<String>),
    Persist(bool),
    /// A new token.
    Renew,
    /// Store the session even if it holds nothing.
    Start,
}

impl Step {
    /// Does the step. On an error the record is as it was.
    pub(crate) fn apply(&self, record: &mut Record, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        let limits = &policy.limits;
        match self {
            Self::Set(name, value) => set(record, name, value, limits)?,
            Self::Update(name, update) => {
                let value = update(name, record.data.get(name))?;
                set(record, name, &value, limits)?;
            }
            Self::Remove(name) => {
                record.data.remove(name);
            }
            Self::Clear => record.data = crate::Data::new(),
            Self::LogIn(user) => {
                check_name("log_in", "user", user, limits)?;
                record.user = Some(user.clone());
                record.lifetime.deadline = now + policy.absolute_timeout;
                record.lifetime.retention = policy.retention;
            }
            Self::Join(group) => {
                check_name("join", "group", group, limits)?;
                if let Err(place) = record.groups.binary_search(group) {
                    record.groups.insert(place, group.clone());
                }
            }
            Self::Leave(group) => record.groups.retain(|joined| joined != group),
            Self::Device(device) => {
                if let Some(device) = device {
                    check_name("set_device", "device", device, limits)?;
                }
                record.device.clone_from(device);
            }
            Self::Persist(persistent) => record.persistent = *persistent,
            Self::Renew | Self::Start => {}
        }
        Ok(())
    }

    /// Whether this step makes `earlier` pointless.
    pub(crate) fn replaces(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Set(name, _) | Self::Remove(name), _) => earlier.key() == Some(name),
            (Self::Clear, _) => earlier.key().is_some() || matches!(earlier, Self::Clear),
            (Self::Device(_), Self::Device(_)) | (Self::Persist(_), Self::Persist(_)) => true,
            _ => false,
        }
    }

    fn key(&self) -> Option<&String> {
        match self {
            Self::Set(name, _) | Self::Update(name, _) | Self::Remove(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(name, value) => write!(f, "Set({name:?}, {} bytes)", value.len()),
            Self::Update(name, _) => write!(f, "Update({name:?})"),
            Self::Remove(name) => write!(f, "Remove({name:?})"),
            Self::Clear => f.write_str("Clear"),
            Self::LogIn(_) => f.write_str("LogIn"),
            Self::Join(_) => f.write_str("Join"),
            Self::Leave(_) => f.write_str("Leave"),
            Self::Device(_) => f.write_str("Device"),
            Self::Persist(persistent) => write!(f, "Persist({persistent})"),
            Self::Renew => f.write_str("Renew"),
            Self::Start => f.write_str("Start"),
        }
    }
}

/// The record of a session that begins `now` and holds nothing yet. Its secret is set when it is
/// first stored.
pub(crate) fn fresh(policy: &Policy, now: Timestamp) -> Record {
    Record {
        secret: SecretHash::from_bytes([0; 32]),
        previous: None,
        user: None,
        groups: Vec::new(),
        created: now,
        seen: now,
        renewed: now,
        lifetime: policy.lifetime(now),
        persistent: false,
        device: None,
        ended: None,
        data: crate::Data::new(),
    }
}

/// Gives `record` the secret of `token`, at once: the old token is worth nothing from here on.
pub(crate) fn issue(record: &mut Record, token: &Token, now: Timestamp) {
    record.secret = token.hash();
    record.previous = None;
    record.renewed = now;
}

/// Puts an encoded value into the record, if the limits allow.
pub(crate) fn set(record: &mut Record, name: &str, value: &[u8], limits: &Limits) -> Result<(), Error> {
    let replaced = record.data.get(name).map(|old| name.len() + old.len());
    let size = record.data.size() + name.len() + value.len() - replaced.unwrap_or(0);
    let keys = record.data.len() + usize::from(replaced.is_none());
    let complaint = if size > limits.data {
        format!("with {name:?} the session would hold {size} bytes, more than the {} allowed", limits.data)
    } else if keys > limits.keys {
        format!("with {name:?} the session would have more than the {} keys allowed", limits.keys)
    } else {
        record.data.set(name, value);
        return Ok(());
    };
    Err(Error::new(ErrorKind::TooLarge, "insert", complaint))
}

/// Refuses names that are too long.
pub(crate) fn check_name(
    operation: &'static str,
    what: &str,
    name: &str,
    limits: &Limits,
) -> Result<(), Error> {
    if name.len() <= limits.name {
        return Ok(());
    }
    let detail = format!("the {what}'s name has {} bytes, more than the {} allowed", name.len(), limits.name);
    Err(Error::new(ErrorKind::TooLarge, operation, detail))
}
