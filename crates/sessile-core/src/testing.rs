//! The conformance kit: one call runs the whole [contract](crate::Store#contract) against any store.
//!
//! ```
//! use sessile_core::{Memory, testing};
//!
//! // `open` gives a new, empty store each time it is called.
//! let open = || async { Ok(Memory::new()) };
//! testing::block_on(testing::conformance(open)).unwrap();
//! ```
//! A store that needs a runtime says how to run futures in parallel, on that runtime:
//!
//! ```no_run
//! # mod tokio { pub fn spawn(_: impl Future<Output = ()> + Send + 'static) {} }
//! # use std::sync::Arc;
//! # use sessile_core::{Error, Store, testing::Kit};
//! # async fn test(open: impl Fn() -> std::future::Ready<Result<Arc<dyn Store>, Error>> + Send + Sync) {
//! Kit::new().spawn(|future| drop(tokio::spawn(future))).run(open).await.unwrap();
//! # }
//! ```
//! Every check runs, even after others failed; a panic in the store is a failure like others. The
//! error names, for each failure, the check, the clause of the contract and the promise that broke,
//! what was expected and what came.
//!
//! What it costs: about a hundred and fifty stores are opened, one after the other, and 160,000 calls
//! made, most of them by the random operations; a store in memory takes a second. For stores that pay
//! for each call, [`Kit::sequences`] scales it down, to 25,000 calls at least.

mod cancel;
mod cas;
mod clock;
mod death;
mod fixture;
mod hostile;
mod index;
mod model;
mod paging;
mod report;
mod run;
mod sweep;
mod touch;

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    clock::{Clock, SystemClock, Timestamp},
    error::Error,
    store::{BoxFuture, Store},
};
use fixture::{Fixture, Opener, Rng};
use report::{Flaw, Outcome};
use run::Spawn;

pub use report::{Broken, Clause, Failure, Passed, Promise};
pub use run::block_on;

/// Runs the whole contract against the stores that `open` gives, each new and empty.
///
/// Parallel tasks get threads of their own; see [`Kit`] for that and other settings, and the
/// [module](self) for an example.
///
/// # Errors
/// [`Broken`] if the store broke its contract; it says all about it.
pub async fn conformance<S, F, Fut>(open: F) -> Result<Passed, Broken>
where
    S: Store,
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<S, Error>> + Send,
{
    Kit::new().run(open).await
}

/// The kit's settings. The defaults are right for a store in memory.
#[derive(Clone)]
pub struct Kit {
    spawn: Spawn,
    sequences: u32,
    seed: u64,
    patience: Duration,
    only: String,
}

impl Default for Kit {
    fn default() -> Self {
        Self {
            spawn: Arc::new(run::threads),
            sequences: 200,
            seed: 1,
            patience: Duration::from_secs(30),
            only: String::new(),
        }
    }
}

impl Kit {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How to set a future running beside others, for stores that need a runtime. Unless told,
    /// each gets a thread. It must not wait for the future: they meet while they run.
    #[must_use]
    pub fn spawn(mut self, spawn: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static) -> Self {
        self.spawn = Arc::new(spawn);
        self
    }

    /// How many sequences of 40 random operations to try: 200 unless told, about 700 calls each.
    #[must_use]
    pub fn sequences(mut self, sequences: u32) -> Self {
        self.sequences = sequences;
        self
    }

    /// Other random operations; the same seed gives the same ones.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long a call may wait for anything before the store counts as hanging: 30 s unless told.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs only the checks whose name contains `part`: `"sweep::"`, say, while working on that.
    #[must_use]
    pub fn only(mut self, part: impl Into<String>) -> Self {
        self.only = part.into();
        self
    }

    /// Runs the checks against the stores that `open` gives, each new and empty.
    ///
    /// # Errors
    /// [`Broken`] if the store broke its contract; it says all about it.
    pub async fn run<S, F, Fut>(&self, open: F) -> Result<Passed, Broken>
    where
        S: Store,
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Result<S, Error>> + Send,
    {
        let open = || -> BoxFuture<'_, _> {
            let opening = open();
            Box::pin(async move { opening.await.map(|store| Arc::new(store) as Arc<dyn Store>) })
        };
        let (mut passed, mut failures) = (Vec::new(), Vec::new());
        for check in CHECKS.iter().filter(|check| check.name.contains(&self.only)) {
            match self.check(check, &open).await {
                Ok(()) => passed.push(check.name),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() {
            return Ok(Passed { checks: passed });
        }
        Err(Broken { checks: passed.len() + failures.len(), failures })
    }

    /// Runs `check`, at several moments if it depends on time.
    async fn check<'a>(&'a self, check: &Check, open: &'a Opener<'a>) -> Result<(), Failure> {
        let moments = moments();
        let moments = if check.times == Times::Once { &moments[..1] } else { &moments };
        for (turn, (name, now)) in moments.iter().enumerate() {
            let outcome = self.attempt(check, open, *now, turn).await;
            let Err(mut flaw) = outcome else { continue };
            if moments.len() > 1 {
                flaw.detail = format!("with the caller's clock {name}: {}", flaw.detail);
            }
            let (clause, promise) = match () {
                () if flaw.is_error => (Clause::AnswersAreNotErrors, Promise::OutageIsContained),
                // What works at one time and not at another goes by a clock of its own.
                () if turn > 0 && check.times == Times::Each => (Clause::CallersClock, Promise::TwoClocks),
                () => (check.clause, check.promise),
            };
            return Err(Failure { check: check.name, clause, promise, detail: flaw.detail });
        }
        Ok(())
    }

    async fn attempt<'a>(
        &'a self,
        check: &Check,
        open: &'a Opener<'a>,
        now: Timestamp,
        turn: usize,
    ) -> Outcome {
        let attempt = async {
            let store = open().await.map_err(|error| Flaw {
                detail: format!("the store can't be opened: {error}: {error:?}"),
                is_error: true,
            })?;
            let sequences = self.sequences.div_ceil(MOMENTS as u32);
            let dice = Rng::new(self.seed.wrapping_add((turn as u64) << 32));
            let fixture = Fixture { store, now, sequences, seed: self.seed, dice, spawn: &self.spawn, open };
            (check.run)(&fixture).await
        };
        let guarded = async { run::catch_panics(attempt).await.and_then(|outcome| outcome) };
        run::watched(self.patience, guarded).await
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequences, seed, patience, only, .. } = self;
        write!(f, "Kit {{ sequences: {sequences}, seed: {seed}, patience: {patience:?}, only: {only:?} }}")
    }
}

const MOMENTS: usize = 4;

/// Where the caller's clock stands: first where the machine's does, then far from it.
fn moments() -> [(&'static str, Timestamp); MOMENTS] {
    [
        ("as the machine's", SystemClock.now()),
        ("in 1970", Timestamp::from_millis(3_600_000)),
        ("in 2001", Timestamp::from_millis(978_307_200_000)),
        ("in 2100", Timestamp::from_millis(4_102_444_800_000)),
    ]
}

struct Check {
    name: &'static str,
    clause: Clause,
    promise: Promise,
    times: Times,
    run: for<'a, 'b> fn(&'a Fixture<'b>) -> BoxFuture<'a, Outcome>,
}

/// How often a check runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    /// At one moment: time doesn't matter.
    Once,
    /// With the caller's clock at each of [`moments`].
    Each,
    /// The same, but with other random numbers each time.
    Spread,
}

macro_rules! checks {
    ($($group:ident: $clause:ident, $promise:ident { $($times:ident $check:ident,)* })*) => {
        &[$($(Check {
            name: concat!(stringify!($group), "::", stringify!($check)),
            clause: Clause::$clause,
            promise: Promise::$promise,
            times: Times::$times,
            run: |fixture| Box::pin($group::$check(fixture)),
        },)*)*]
    };
}

/// All checks, by the clause and the promise that they are about.
const CHECKS: &[Check] = checks! {
    cas: CompareAndSet, NoLostUpdate {
        Once a_session_begins_once,
        Once a_wrong_version_is_a_conflict,
        Once a_missing_session_is_gone,
        Once versions_never_repeat,
        Once one_of_parallel_puts_wins,
        Once one_of_parallel_beginnings_wins,
        Once every_increment_counts,
    }
    cas: CompareAndSet, NoResurrection {
        Each a_session_begins_on_no_grave,
    }
    death: DeadStaysDead, NoResurrection {
        Each nothing_writes_to_an_ended_session,
        Each nothing_writes_to_an_expired_session,
        Each nothing_writes_to_a_swept_session,
        Each life_ends_at_expiry_to_the_millisecond,
        Once missing_sessions_cannot_be_touched_or_ended,
        Once nothing_survives_a_race_with_an_end,
        Each a_tombstone_can_be_imported,
    }
    death: DeadStaysDead, EndedMeansEnded {
        Each a_tombstone_says_who_when_and_why,
        Each without_retention_nothing_is_listed,
        Each end_all_ends_what_matches,
        Once one_of_parallel_ends_wins,
    }
    clock: CallersClock, TwoClocks {
        Each a_life_goes_by_the_callers_clock,
        Each a_look_from_the_future_kills_nobody,
        Each a_sweep_goes_by_the_callers_clock,
    }
    touch: TouchIsMonotonic, TwoClocks {
        Each a_touch_moves_seen_forward_only,
        Once a_touch_leaves_the_version,
        Each a_put_never_moves_seen_back,
        Each touches_keep_a_session_until_its_deadline,
        Each lists_see_touches,
        Once the_latest_of_parallel_touches_stays,
    }
    touch: TouchIsMonotonic, NoLostUpdate {
        Once touches_and_puts_spare_each_other,
    }
    index: IndexesAgree, IndexesDontRot {
        Once an_empty_store_lists_nothing,
        Each every_filter_gives_what_matches,
        Once a_put_moves_its_session_in_the_indexes,
        Each the_dead_leave_in_time,
        Each a_sweep_clears_the_indexes,
    }
    model: IndexesAgree, IndexesDontRot {
        Spread random_operations_agree,
    }
    paging: IndexesAgree, IndexesDontRot {
        Once every_limit_gives_the_same_sessions,
        Once every_limit_gives_the_same_users,
        Once rare_matches_are_found,
        Once a_scan_stands_writes_between_pages,
        Once users_stand_writes_between_pages,
        Once a_scan_stands_writes_in_parallel,
    }
    sweep: DeadStaysDead, NeverFillsWithTheDead {
        Each the_expired_become_tombstones,
        Each old_tombstones_are_removed,
        Each without_retention_nothing_remains,
        Once a_sweep_keeps_to_its_limit,
        Each a_shorter_life_is_swept_in_time,
        Once several_sweepers_share_the_work,
    }
    sweep: DeadStaysDead, TwoClocks {
        Each the_living_are_left_alone,
        Once a_sweep_and_a_touch_agree,
    }
    cancel: WholeOrNotAtAll, CancelSafe {
        Once a_dropped_put_is_whole_or_nothing,
        Once a_dropped_touch_is_whole_or_nothing,
        Once a_dropped_end_is_whole_or_nothing,
        Once a_dropped_end_all_is_whole_for_each,
        Once a_dropped_sweep_is_whole_for_each,
        Once dropped_reads_leave_nothing_behind,
        Once a_crowd_survives_dropped_calls,
    }
    hostile: AnyTextIsData, IndexesDontRot {
        Once users_are_kept_apart,
        Once groups_are_kept_apart,
        Once many_groups_are_kept,
        Once devices_are_searched_as_text,
        Once any_bytes_are_an_id,
    }
    hostile: AnyTextIsData, Portable {
        Once any_data_comes_back,
        Once any_actor_comes_back,
        Each every_field_comes_back,
    }
    hostile: CallersClock, TwoClocks {
        Each never_is_never,
    }
};
