//! Memory per session: how much a server grows while it begins very many of them over HTTP.

use crate::contestants::{BASELINE, Contestant};
use crate::cores;
use crate::entrant::CONNECTIONS;
use crate::load::{Load, Until};
use crate::route::Route;
use crate::server::Server;
use crate::table;
use anyhow::{Result, ensure};
use std::sync::Arc;

/// Sessions made before the first reading, so that what a server allocates once isn't counted.
const WARM_UP: usize = 1_000;

/// Measures the contestants one after the other and prints the table.
pub async fn measure(contestants: &[&'static Contestant], sessions: usize) -> Result<()> {
    cores::pin(cores::LOAD)?;
    let mut rows = Vec::new();
    for contestant in contestants.iter().filter(|contestant| contestant.name != BASELINE) {
        let (own, mapped) = per_session(contestant, sessions).await?;
        eprintln!("{:>16} {own:.0} bytes, {mapped:.0} of mapped files", contestant.name);
        rows.push(vec![contestant.title.to_owned(), format!("{own:.0}"), format!("{mapped:.0}")]);
    }
    let title = format!("Resident bytes per session, with {sessions} sessions");
    table::print(&title, &["contestant", "own memory", "mapped files"], rows.into_iter());
    Ok(())
}

async fn per_session(contestant: &Contestant, sessions: usize) -> Result<(f64, f64)> {
    let mut server = Server::start(contestant).await?;
    let mut load = Load::open(server.address, CONNECTIONS).await?;
    let new = Arc::from(Route::New.requests(&[]));
    load.run(&new, Until::Count(WARM_UP)).await?;
    let before = server.stats().await?;
    let made = load.run(&new, Until::Count(sessions)).await?;
    let after = server.stats().await?;
    ensure!(made.errors == 0, "{}: {} of /new failed", contestant.name, made.errors);
    let each = |before: u64, after: u64| (after as f64 - before as f64) / made.requests as f64;
    Ok((each(before.anonymous, after.anonymous), each(before.mapped, after.mapped)))
}
