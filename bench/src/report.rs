//! The tables of a comparison, in Markdown.

use crate::contestants::{BASELINE, YARDSTICK};
use crate::http::{Plan, Sample};
use crate::route::Route;
use crate::table;

/// Prints all tables. Returns whether every request succeeded.
pub fn print(plan: &Plan, samples: &[Sample]) -> bool {
    let report = Report { plan, samples };
    report.table("Server CPU, µs per request", |contestant, route| {
        let ratio = report.ratio(contestant, route, cpu_micros);
        let ratio = ratio.map_or_else(String::new, |ratio| format!("; ×{ratio:.2}"));
        report.with_added(contestant, route, cpu_micros, 2, &ratio)
    });
    report.table("Allocations per request", |contestant, route| {
        report.with_added(contestant, route, allocations, 1, "")
    });
    report.table("Requests per second", |contestant, route| {
        let rate = report.over_rounds(|round| report.value(contestant, route, round, per_second));
        format!("{rate:.0}", rate = rate.unwrap_or_default())
    });
    report.quality()
}

struct Report<'a> {
    plan: &'a Plan,
    samples: &'a [Sample],
}

/// A number that a sample gives.
type Metric = fn(&Sample) -> f64;

fn cpu_micros(sample: &Sample) -> f64 {
    sample.measured.cpu.as_secs_f64() * 1e6 / sample.measured.tally.requests as f64
}

fn allocations(sample: &Sample) -> f64 {
    sample.measured.allocations
}

fn per_second(sample: &Sample) -> f64 {
    sample.measured.tally.requests as f64 / sample.measured.elapsed.as_secs_f64()
}

fn waited_share(sample: &Sample) -> f64 {
    sample.measured.waited.as_secs_f64() / sample.measured.elapsed.as_secs_f64()
}

impl Report<'_> {
    /// A row for each contestant, a column for each route.
    fn table(&self, title: &str, cell: impl Fn(&str, Route) -> String) {
        let routes = &self.plan.routes;
        let mut columns = vec!["contestant"];
        columns.extend(routes.iter().map(|route| route.path()));
        let rows = self.plan.contestants.iter().map(|contestant| {
            let cells = routes.iter().map(|&route| cell(contestant.name, route));
            std::iter::once(contestant.title.to_owned()).chain(cells).collect()
        });
        table::print(title, &columns, rows);
    }

    /// `own (+added; extra)`, or only the first for the baseline.
    fn with_added(
        &self,
        contestant: &str,
        route: Route,
        metric: Metric,
        digits: usize,
        extra: &str,
    ) -> String {
        let own = self.over_rounds(|round| self.value(contestant, route, round, metric));
        let own = own.unwrap_or_default();
        if contestant == BASELINE {
            return format!("{own:.digits$}");
        }
        let added = self.over_rounds(|round| self.added(contestant, route, round, metric));
        format!("{own:.digits$} ({added:+.digits$}{extra})", added = added.unwrap_or_default())
    }

    /// What a contestant adds, as a multiple of what the yardstick adds.
    ///
    /// The ratio of the medians rather than the median of the ratios: a single round's overhead
    /// can be smaller than its noise, and dividing by it would say nothing.
    fn ratio(&self, contestant: &str, route: Route, metric: Metric) -> Option<f64> {
        let added = |contestant| self.over_rounds(|round| self.added(contestant, route, round, metric));
        Some(added(contestant)? / added(YARDSTICK)?)
    }

    /// What a contestant adds to the baseline of the same round.
    fn added(&self, contestant: &str, route: Route, round: usize, metric: Metric) -> Option<f64> {
        let baseline = self.value(BASELINE, route, round, metric)?;
        Some(self.value(contestant, route, round, metric)? - baseline)
    }

    fn value(&self, contestant: &str, route: Route, round: usize, metric: Metric) -> Option<f64> {
        let same = |s: &&Sample| s.contestant == contestant && s.route == route && s.round == round;
        self.samples.iter().find(same).map(metric)
    }

    fn over_rounds(&self, value: impl Fn(usize) -> Option<f64>) -> Option<f64> {
        median((0..self.plan.rounds).filter_map(value).collect())
    }

    /// Says how far the run can be trusted, and whether no request failed.
    fn quality(&self) -> bool {
        let mut spreads = Vec::new();
        for contestant in &self.plan.contestants {
            for &route in &self.plan.routes {
                let value = |round| self.value(contestant.name, route, round, cpu_micros);
                spreads.extend(spread((0..self.plan.rounds).filter_map(value).collect()));
            }
        }
        let worst = spreads.iter().copied().fold(0.0, f64::max) * 100.0;
        let spread = median(spreads).unwrap_or_default() * 100.0;
        let waited = median(self.samples.iter().map(waited_share).collect()).unwrap_or_default() * 100.0;
        let errors: u64 = self.samples.iter().map(|sample| sample.measured.tally.errors).sum();
        println!(
            "- CPU per request, upper over lower quartile of the rounds: {spread:.0}% apart, at worst {worst:.0}%."
        );
        println!("- The server waited for its core {waited:.1}% of the time.");
        println!("- Failed requests: {errors}.");
        errors == 0
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// How far apart the quartiles are, as a share of the lower one.
pub fn spread(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len() / 4)?, values.get(values.len() * 3 / 4)?);
    Some(high / low - 1.0)
}

#[cfg(test)]
mod tests {
    use super::{median, spread};

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn spreads() {
        assert_eq!(spread(vec![]), None);
        assert_eq!(spread(vec![9.0, 2.0, 3.0, 1.0]), Some(3.5));
    }
}
