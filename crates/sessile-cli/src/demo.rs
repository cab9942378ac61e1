//! `sessile demo`: a small real site on loopback.
//!
//! [`app`] puts the site together: [`shop`] (home and cart), [`sign_in`], [`devices`], [`stored`]
//! and the [`lab`]. [`guard`] stands before all of it, [`page`] renders. [`listen`] and [`stop`]
//! are the two ends of its life.

mod app;
mod assets;
mod device;
mod devices;
mod guard;
mod lab;
mod listen;
mod page;
mod shop;
mod sign_in;
mod stop;
mod stored;
mod when;

use std::{process::ExitCode, time::Duration};

use sessile::{Policy, Sessions, store};
use tokio::runtime::Runtime;

use crate::{args::Demo, demo::stop::Stopped, failure::Failure, output::say};

/// How long a store that is closing may keep the process.
const CLOSING: Duration = Duration::from_secs(5);

/// Serves until it is told to stop.
pub(crate) fn run(options: &Demo) -> Result<ExitCode, Failure> {
    let runtime =
        Runtime::new().map_err(|error| Failure::new(format!("can't start the runtime: {error}")))?;
    let stopped = runtime.block_on(serve(options));
    match stopped? {
        Stopped::Gently => {
            // Ends the sweeper and whatever else holds the store, which is closed by that.
            runtime.shutdown_timeout(CLOSING);
            say("bye");
            Ok(ExitCode::SUCCESS)
        }
        Stopped::AtOnce => {
            runtime.shutdown_background();
            Ok(ExitCode::from(130))
        }
    }
}

async fn serve(options: &Demo) -> Result<Stopped, Failure> {
    let signals = stop::Signals::new()?;
    let loopback = listen::Loopback::bind(options.port).await?;
    let site = format!("http://localhost:{}", loopback.port());
    let policy = match options.insecure_cookie {
        true => Policy::default().insecure_for_localhost(),
        false => Policy::default(),
    };
    let sessions = Sessions::builder(store::open(&options.store).await?).policy(policy).build()?;
    let app = app::router(sessions, &site, &options.store);
    say(&greeting(&site, &options.store));
    stop::serve(loopback, app, signals).await
}

fn greeting(site: &str, store: &str) -> String {
    let place = match store.split_once(':') {
        Some(("embedded", place)) => {
            let place = place.split('?').next().unwrap_or(place);
            format!("{place} (kept over restarts; delete it to begin anew)")
        }
        Some(("memory", _)) => "this process's memory (gone when it ends)".to_owned(),
        _ => app::store_name(store),
    };
    format!(
        "Sessile's demo is running.\n\n  \
         Open       {site}/\n  \
         Races      {site}/lab\n  \
         Sessions   {place}\n\n\
         Ctrl-C stops it. `sessile demo --help` lists the routes for scripts."
    )
}
