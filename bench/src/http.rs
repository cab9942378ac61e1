//! The comparison: all contestants at once, taking turns, round after round.

use crate::contestants::Contestant;
use crate::cores;
use crate::entrant::{Entrant, Measured};
use crate::route::Route;
use anyhow::Result;
use std::time::Duration;

/// What to compare, and for how long.
pub struct Plan {
    pub contestants: Vec<&'static Contestant>,
    pub routes: Vec<Route>,
    pub rounds: usize,
    pub window: Duration,
}

/// One window of load on one route of one contestant.
pub struct Sample {
    pub contestant: &'static str,
    pub route: Route,
    pub round: usize,
    pub measured: Measured,
}

/// Runs the plan. Every round has fresh servers; within a round the contestants are measured on
/// one route directly after each other, forwards and backwards in turn, so that whatever else the
/// machine does hits them alike.
pub async fn compare(plan: &Plan) -> Result<Vec<Sample>> {
    cores::pin(cores::LOAD)?;
    let mut samples = Vec::new();
    for round in 0..plan.rounds {
        let mut entrants = Vec::new();
        for contestant in &plan.contestants {
            entrants.push(Entrant::start(contestant).await?);
        }
        for (turn, &route) in plan.routes.iter().enumerate() {
            for entrant in in_turn(&mut entrants, (round + turn) % 2 == 1) {
                let contestant = entrant.contestant.name;
                let measured = entrant.measure(route, plan.window).await?;
                progress(round, contestant, route, &measured);
                samples.push(Sample { contestant, route, round, measured });
            }
        }
        for entrant in &mut entrants {
            entrant.check().await?;
        }
    }
    Ok(samples)
}

fn in_turn(entrants: &mut [Entrant], backwards: bool) -> Box<dyn Iterator<Item = &mut Entrant> + '_> {
    if backwards { Box::new(entrants.iter_mut().rev()) } else { Box::new(entrants.iter_mut()) }
}

fn progress(round: usize, contestant: &str, route: Route, measured: &Measured) {
    let Measured { tally, cpu, allocations, .. } = measured;
    let micros = cpu.as_secs_f64() * 1e6 / tally.requests as f64;
    let (round, path, requests, errors) = (round + 1, route.path(), tally.requests, tally.errors);
    eprintln!(
        "round {round} {contestant:>16} {path:<6} {requests:>7} requests {errors} errors \
         {micros:6.2} µs {allocations:5.1} allocations"
    );
}
