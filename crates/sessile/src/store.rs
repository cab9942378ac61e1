//! Stores, and opening one by URL.

use std::{str::FromStr, sync::Arc};

pub use sessile_core::{
    BoxFuture, Cursor, Data, Expect, Fate, Lifetime, Memory, MemoryBuilder, Page, Previous, Put, Record,
    SecretHash, Store, Swept, Version, Versioned, WhenFull,
};
use sessile_core::{Error, ErrorKind};
#[cfg(feature = "embedded")]
pub use sessile_file::{Durability, Embedded, Options as EmbeddedOptions};

/// The store when nothing else is said: the built-in database in the directory `sessile-data`.
pub const DEFAULT_URL: &str = "embedded:./sessile-data";

/// Opens the store that `url` names.
///
/// | URL | store | options |
/// |---|---|---|
/// | `memory:` | this process's memory, gone when it ends | `max_entries`, `max_bytes`, `when_full=evict-anonymous\|refuse` |
/// | `embedded:DIRECTORY` | the built-in database: no server, several processes | `durability=every-commit\|relaxed`, `max_size` (bytes) |
///
/// Options follow a question mark: `memory:?max_entries=100000`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sessile::Error> {
/// let store = sessile::store::open("memory:?max_bytes=50000000&when_full=refuse").await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`ErrorKind::Config`] for an unknown scheme or option, or a value that can't be one;
/// [`ErrorKind::Unsupported`] if the store's feature is not compiled in, with the feature's name;
/// what the store says if it can't be opened.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, Error> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, place) = address.split_once(':').ok_or_else(|| unknown_scheme(address))?;
    let mut options = Options::parse(query)?;
    let store: Arc<dyn Store> = match scheme {
        "memory" if place.is_empty() => Arc::new(memory(&mut options)?),
        "memory" => return Err(config("memory: takes no path; write `memory:`")),
        "embedded" => embedded(place, &mut options)?,
        _ => return Err(unknown_scheme(scheme)),
    };
    options.finish(scheme)?;
    Ok(store)
}

fn memory(options: &mut Options) -> Result<Memory, Error> {
    let mut builder = Memory::builder();
    if let Some(entries) = options.number("max_entries")? {
        builder = builder.max_entries(entries);
    }
    if let Some(bytes) = options.number("max_bytes")? {
        builder = builder.max_bytes(bytes);
    }
    let policies = [("evict-anonymous", WhenFull::EvictAnonymous), ("refuse", WhenFull::Refuse)];
    if let Some(when_full) = options.choice("when_full", &policies)? {
        builder = builder.when_full(when_full);
    }
    Ok(builder.build())
}

#[cfg(feature = "embedded")]
fn embedded(place: &str, options: &mut Options) -> Result<Arc<dyn Store>, Error> {
    if place.is_empty() {
        return Err(config("embedded: needs a directory: `embedded:./sessions`"));
    }
    let mut settings = Embedded::options();
    let choices = [("every-commit", Durability::EveryCommit), ("relaxed", Durability::Relaxed)];
    if let Some(durability) = options.choice("durability", &choices)? {
        settings = settings.durability(durability);
    }
    if let Some(bytes) = options.number("max_size")? {
        settings = settings.max_size(bytes);
    }
    Ok(Arc::new(settings.open(place)?))
}

#[cfg(not(feature = "embedded"))]
fn embedded(_: &str, _: &mut Options) -> Result<Arc<dyn Store>, Error> {
    let detail = "this build has no built-in database: enable the feature `embedded` of the crate `sessile`";
    Err(Error::new(ErrorKind::Unsupported, "open", detail))
}

/// The options behind the question mark, taken one by one; what is left at the end is unknown.
struct Options(Vec<(String, String)>);

impl Options {
    fn parse(query: &str) -> Result<Self, Error> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                config(&format!("the store's option `{pair}` has no value: write `{pair}=…`"))
            })?;
            Ok((name.to_owned(), value.to_owned()))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Error> {
        let parse = |value: String| {
            value.parse().map_err(|_| config(&format!("the store's option `{name}` must be a whole number")))
        };
        self.take(name).map(parse).transpose()
    }

    fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        if let Some((_, choice)) = choices.iter().find(|(known, _)| *known == value) {
            return Ok(Some(*choice));
        }
        let known: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
        Err(config(&format!("the store's option `{name}` must be one of: {}", known.join(", "))))
    }

    fn finish(self, scheme: &str) -> Result<(), Error> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(config(&format!("`{scheme}:` has no option `{name}`, or it is given twice")))
            }
        }
    }
}

#[cold]
fn unknown_scheme(scheme: &str) -> Error {
    config(&format!("no store is called `{scheme}`; known: `memory:`, `embedded:DIRECTORY`"))
}

#[cold]
fn config(detail: &str) -> Error {
    Error::new(ErrorKind::Config, "open", detail)
}
