//! One contestant taking part: its server, the connections to it, and its sessions.

use crate::contestants::{BASELINE, Contestant};
use crate::load::{Load, Tally, Until};
use crate::route::Route;
use crate::server::Server;
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections that are open, each with one request under way.
pub const CONNECTIONS: usize = 64;

const SESSIONS: usize = 1_000;
const WARM_UP: usize = 3_000;
const COUNTED: usize = 2_000;

/// Sent where a contestant sets no cookie, so that all requests are about as long.
const NO_SESSION: &str = "id=0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

/// A contestant with sessions to use.
pub struct Entrant {
    /// Which one.
    pub contestant: &'static Contestant,
    server: Server,
    load: Load,
    cookies: Vec<String>,
    written: u64,
}

/// What one window of load has shown.
pub struct Measured {
    pub tally: Tally,
    /// CPU time of the server.
    pub cpu: Duration,
    /// Time in which the server could have run but something else had its core.
    pub waited: Duration,
    pub elapsed: Duration,
    /// Allocations for one request, from a short window of their own.
    pub allocations: f64,
}

impl Entrant {
    /// Starts a server and makes its sessions.
    pub async fn start(contestant: &'static Contestant) -> Result<Self> {
        let server = Server::start(contestant).await?;
        let mut load = Load::open(server.address, CONNECTIONS).await?;
        let new = Arc::from(Route::New.requests(&[]));
        let made = load.each(&new, Until::Count(SESSIONS), |cookies: &mut Vec<String>, response| {
            cookies.push(response.cookies()?);
            Ok(())
        });
        let mut cookies: Vec<String> = made.await?.into_iter().flat_map(|(cookies, _)| cookies).collect();
        ensure!(cookies.len() >= SESSIONS, "{}: /new failed", contestant.name);
        cookies.truncate(SESSIONS);
        for cookie in cookies.iter_mut().filter(|cookie| cookie.is_empty()) {
            ensure!(contestant.name == BASELINE, "{}: /new set no cookie", contestant.name);
            NO_SESSION.clone_into(cookie);
        }
        Ok(Self { contestant, server, load, cookies, written: 0 })
    }

    /// Warms a route up, then measures it for so long.
    pub async fn measure(&mut self, route: Route, window: Duration) -> Result<Measured> {
        self.send(route, Until::Count(WARM_UP)).await?;

        let before = self.server.stats().await?;
        let start = Instant::now();
        let tally = self.send(route, Until::Elapsed(window)).await?;
        let elapsed = start.elapsed();
        let after = self.server.stats().await?;

        self.server.count_allocations(true).await?;
        let counted = self.send(route, Until::Count(COUNTED)).await?;
        self.server.count_allocations(false).await?;
        let allocations = self.server.stats().await?.allocations - after.allocations;

        Ok(Measured {
            tally,
            cpu: Duration::from_nanos(after.cpu_ns - before.cpu_ns),
            waited: Duration::from_nanos(after.waited_ns.saturating_sub(before.waited_ns)),
            elapsed,
            allocations: allocations as f64 / counted.requests as f64,
        })
    }

    /// Checks that every change that was answered with 200 is still there.
    pub async fn check(&mut self) -> Result<()> {
        if self.contestant.name == BASELINE {
            return Ok(());
        }
        let read = Arc::from(Route::Read.requests(&self.cookies));
        let counters = self.load.each(&read, Until::Once, |sum: &mut u64, response| {
            *sum += response.text()?.parse::<u64>()?;
            Ok(())
        });
        let kept: u64 = counters.await?.into_iter().map(|(sum, _)| sum).sum();
        let (name, written) = (self.contestant.name, self.written);
        ensure!(kept == written, "{name}: {written} changes were answered, {kept} were kept");
        Ok(())
    }

    async fn send(&mut self, route: Route, until: Until) -> Result<Tally> {
        let requests = Arc::from(route.requests(&self.cookies));
        let tally = self.load.run(&requests, until).await?;
        if route == Route::Write {
            self.written += tally.requests - tally.errors;
        }
        Ok(tally)
    }
}
