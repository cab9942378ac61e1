//! The load generator: many connections on one thread, each going through sessions of its own.

use crate::wire::{Connection, Response};
use anyhow::Result;
use std::iter::Sum;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A set of open connections to one server.
pub struct Load {
    connections: Vec<Connection>,
}

/// When to stop.
#[derive(Clone, Copy)]
pub enum Until {
    /// Every request has been sent once.
    Once,
    /// This many requests have been sent, in all and roughly.
    Count(usize),
    /// So much time has passed. Requests on their way are waited for.
    Elapsed(Duration),
}

/// How many answers came, and how many of them were not 200.
#[derive(Default, Clone, Copy)]
pub struct Tally {
    pub requests: u64,
    pub errors: u64,
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, tally| Self {
            requests: sum.requests + tally.requests,
            errors: sum.errors + tally.errors,
        })
    }
}

impl Load {
    /// Opens `connections` connections.
    pub async fn open(address: SocketAddr, connections: usize) -> Result<Self> {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            open.push(Connection::open(address).await?);
        }
        Ok(Self { connections: open })
    }

    /// Sends requests and counts the answers.
    pub async fn run(&mut self, requests: &Arc<[Vec<u8>]>, until: Until) -> Result<Tally> {
        let seen = self.each(requests, until, |(), _| Ok(())).await?;
        Ok(seen.into_iter().map(|((), tally)| tally).sum())
    }

    /// Sends requests and shows every good answer to `see`. Returns what each connection has
    /// made of its answers.
    ///
    /// Connections share no session, so no two requests of one session are ever under way
    /// together. With more connections than requests, requests are shared instead.
    pub async fn each<S: Default + Send + 'static>(
        &mut self,
        requests: &Arc<[Vec<u8>]>,
        until: Until,
        see: fn(&mut S, Response<'_>) -> Result<()>,
    ) -> Result<Vec<(S, Tally)>> {
        let stride = self.connections.len();
        let mut tasks = JoinSet::new();
        for (index, connection) in self.connections.drain(..).enumerate() {
            let first = index % requests.len();
            let limit = Limit::of(until, requests.len().saturating_sub(index), stride);
            tasks.spawn(drive(connection, Arc::clone(requests), first, stride, limit, see));
        }
        let mut seen = Vec::with_capacity(stride);
        while let Some(done) = tasks.join_next().await {
            let (connection, state, tally) = done??;
            self.connections.push(connection);
            seen.push((state, tally));
        }
        Ok(seen)
    }
}

/// When one connection stops.
struct Limit {
    requests: u64,
    deadline: Option<Instant>,
}

impl Limit {
    /// The share of a connection that has `remaining` requests from its first one on.
    fn of(until: Until, remaining: usize, connections: usize) -> Self {
        let requests = match until {
            Until::Once => remaining.div_ceil(connections) as u64,
            Until::Count(count) => count.div_ceil(connections) as u64,
            Until::Elapsed(_) => u64::MAX,
        };
        let deadline = match until {
            Until::Elapsed(time) => Some(Instant::now() + time),
            _ => None,
        };
        Self { requests, deadline }
    }

    fn reached(&self, sent: u64) -> bool {
        sent >= self.requests || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// One connection: `first`, then every `stride`-th request, round and round.
async fn drive<S: Default>(
    mut connection: Connection,
    requests: Arc<[Vec<u8>]>,
    first: usize,
    stride: usize,
    limit: Limit,
    see: fn(&mut S, Response<'_>) -> Result<()>,
) -> Result<(Connection, S, Tally)> {
    let (mut state, mut tally, mut next) = (S::default(), Tally::default(), first);
    while !limit.reached(tally.requests) {
        let response = connection.exchange(&requests[next]).await?;
        tally.requests += 1;
        if response.is_ok() {
            see(&mut state, response)?;
        } else {
            tally.errors += 1;
        }
        next += stride;
        if next >= requests.len() {
            next = first;
        }
    }
    Ok((connection, state, tally))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_means_each_request_once() {
        for (requests, connections) in [(1_000_usize, 64), (64, 64), (65, 64), (3, 64)] {
            let shares = (0..connections)
                .map(|index| Limit::of(Until::Once, requests.saturating_sub(index), connections).requests);
            assert_eq!(shares.sum::<u64>(), requests as u64);
        }
    }
}
