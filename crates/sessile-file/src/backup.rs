//! A copy of the database while it is used.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use heed::CompactionOption;
use sessile_core::{Error, ErrorKind};

use crate::{engine::Engine, open};

/// Copies the newest snapshot, without free pages, into the directory `path`.
pub(crate) fn backup(engine: &Engine, path: &Path) -> Result<(), Error> {
    let directory = open::directory(path)?;
    let copy = directory.join(open::DATA);
    let disk = |source: io::Error| engine.error(source.into(), "backup");
    let mut file = create(&copy).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(&copy),
        _ => disk(error),
    })?;
    let copied = engine
        .env
        .copy_to_file(&mut file, CompactionOption::Enabled)
        .map_err(|error| engine.error(error, "backup"))
        .and_then(|()| file.sync_all().and_then(|()| open::sync_directory(&directory)).map_err(disk));
    copied.inspect_err(|_| {
        // Half a copy is worse than none; if even this fails, opening it will tell.
        let _ = fs::remove_file(&copy);
    })
}

fn create(path: &PathBuf) -> io::Result<fs::File> {
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn taken(path: &Path) -> Error {
    let detail = format!("{} is there already; give a directory without a database", path.display());
    Error::new(ErrorKind::Config, "backup", detail)
}
