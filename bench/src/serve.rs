//! The serving side: one contestant in a process of its own.

use crate::contestants::Contestant;
use crate::stats::{self, Stats};
use crate::{allocations, cores};
use anyhow::Result;
use axum::{Router, http::StatusCode, routing::get};
use std::io::Read;
use tokio::net::TcpListener;
use tokio::runtime;

/// Where counting allocations begins and ends.
pub const COUNT: &str = "/count/on";
/// See [`COUNT`].
pub const STOP_COUNTING: &str = "/count/off";

/// Serves on a free port and prints it. Ends when its standard input does, so that no server
/// outlives the run that started it.
pub fn serve(contestant: &Contestant) -> Result<()> {
    cores::pin(cores::SERVER)?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        // Merged after the contestant's layers were applied, so these routes are outside of them.
        let app = (contestant.app)().await?.merge(telling());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        axum::serve(listener, app).await?;
        Ok(())
    })
}

fn telling() -> Router {
    Router::new()
        .route(stats::PATH, get(tell))
        .route(COUNT, get(async || allocations::count(true)))
        .route(STOP_COUNTING, get(async || allocations::count(false)))
}

async fn tell() -> Result<String, StatusCode> {
    let stats = Stats::now().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(stats.to_text())
}
