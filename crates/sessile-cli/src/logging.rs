//! The log: to stderr, as `RUST_LOG` says.

use std::env::{self, VarError};

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

const DEFAULT: &str = "warn,sessile=info";

/// Starts logging to stderr.
pub(crate) fn start() -> Result<(), Failure> {
    let wanted = match env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) | Err(VarError::NotPresent) => DEFAULT.to_owned(),
        Err(VarError::NotUnicode(_)) => return Err(Failure::new("RUST_LOG is no UTF-8 text")),
    };
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|error| Failure::new(format!("RUST_LOG={wanted}: {error}; try RUST_LOG=info")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| Failure::new(format!("can't start logging: {error}")))
}
