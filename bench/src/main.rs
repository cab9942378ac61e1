//! Compares what HTTP session libraries cost. See `README.md` beside this package.

mod allocations;
mod commits;
mod contestants;
mod cores;
mod entrant;
mod http;
mod load;
mod memory;
mod micro;
mod report;
mod route;
mod scratch;
mod serve;
mod server;
mod stats;
mod table;
mod wire;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use route::Route;
use std::time::Duration;
use tokio::runtime;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

#[derive(Parser)]
#[command(about = "Measures what HTTP session libraries cost")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// CPU and allocations per request over real HTTP, all contestants in turn
    Http {
        #[command(flatten)]
        only: Only,
        /// Routes to measure, separated by commas
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = Route::ALL)]
        routes: Vec<Route>,
        /// How often to measure everything
        #[arg(long, default_value_t = 24)]
        rounds: usize,
        /// Length of each window of load
        #[arg(long, default_value_t = 0.25)]
        seconds: f64,
    },
    /// Memory per session
    Memory {
        #[command(flatten)]
        only: Only,
        /// How many sessions to hold
        #[arg(long, default_value_t = 1_000_000)]
        sessions: usize,
    },
    /// What each path through Sessile's lifecycle costs in process
    Micro {
        #[command(flatten)]
        only: Only,
        /// The store
        #[arg(long, default_value = "memory:")]
        store: String,
    },
    /// Durable writes per second of the embedded store and of its engine, many writers at once
    Commits {
        /// How many write at once
        #[arg(long, default_value_t = 64)]
        writers: usize,
        /// How many sessions there are
        #[arg(long, default_value_t = 100_000)]
        sessions: usize,
        /// How often to measure everything
        #[arg(long, default_value_t = 24)]
        rounds: usize,
        /// Length of each window of writing
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
    },
    /// Serve one contestant, as the other commands do for themselves
    #[command(hide = true)]
    Serve { contestant: String },
}

#[derive(clap::Args)]
struct Only {
    /// Contestants to measure, separated by commas; all if not given
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Http { only, routes, rounds, seconds } => {
            let contestants = contestants::chosen(&only.only)?;
            let window = Duration::try_from_secs_f64(seconds)?;
            let plan = http::Plan { contestants, routes, rounds, window };
            let samples = one_thread()?.block_on(http::compare(&plan))?;
            if !report::print(&plan, &samples) {
                bail!("some requests failed, so these numbers compare nothing");
            }
            Ok(())
        }
        Command::Micro { only, store } => one_thread()?.block_on(async {
            micro::run(&store).await?;
            micro::routers(&contestants::chosen(&only.only)?).await
        }),
        Command::Memory { only, sessions } => {
            let contestants = contestants::chosen(&only.only)?;
            one_thread()?.block_on(memory::measure(&contestants, sessions))
        }
        Command::Commits { writers, sessions, rounds, seconds } => {
            let window = Duration::try_from_secs_f64(seconds)?;
            let plan = commits::Plan { writers, sessions, rounds, window };
            one_thread()?.block_on(commits::compare(&plan))
        }
        Command::Serve { contestant } => serve::serve(contestants::named(&contestant)?),
    }
}

/// The runtime of the load generator.
fn one_thread() -> Result<runtime::Runtime> {
    Ok(runtime::Builder::new_current_thread().enable_all().build()?)
}
