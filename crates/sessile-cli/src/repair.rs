//! `sessile repair`: what can be saved of a damaged database.

use std::process::ExitCode;

use sessile::store::Embedded;

use crate::{args::Repair, failure::Failure, output::say};

pub(crate) fn run(options: &Repair) -> Result<ExitCode, Failure> {
    let directory = &options.directory;
    if !directory.is_dir() {
        return Err(Failure::new(format!("there is no directory {}", directory.display())));
    }
    let found = Embedded::repair(directory)?;
    if found.is_clean() {
        say(&format!("{} records, none damaged: nothing to repair", found.intact));
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!(
        "{} records are whole, {} were damaged and dropped; indexes are new",
        found.intact, found.damaged
    ));
    for id in &found.examples {
        say(&format!("dropped: session {id}"));
    }
    Ok(ExitCode::SUCCESS)
}
