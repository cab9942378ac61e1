//! What the kit says: which promise of a store broke, and how.

use std::{any::Any, error, fmt};

use crate::{error::Error, record::Record};

/// What a check found: nothing, or a [`Flaw`].
pub(super) type Outcome<T = ()> = Result<T, Flaw>;

/// Every check passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The checks, by name.
    pub checks: Vec<&'static str>,
}

/// The store broke its contract. `Debug` and `Display` both tell the whole story, so that
/// `unwrap` in a test shows it.
#[derive(Clone)]
pub struct Broken {
    pub(super) failures: Vec<Failure>,
    pub(super) checks: usize,
}

impl Broken {
    /// The checks that failed.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store broke its contract: {} of {} checks failed", self.failures.len(), self.checks)?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n\n{failure}"))
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for Broken {}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(super) check: &'static str,
    pub(super) clause: Clause,
    pub(super) promise: Promise,
    pub(super) detail: String,
}

impl Failure {
    /// The check's name: `"death::the_first_end_stays"`.
    #[must_use]
    pub fn check(&self) -> &'static str {
        self.check
    }

    /// Which clause of the [store's contract](crate::Store#contract) broke.
    #[must_use]
    pub fn clause(&self) -> Clause {
        self.clause
    }

    /// Which of Sessile's promises breaks with it.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// What was expected and what came.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, clause, promise, detail } = self;
        write!(f, "✗ {check}\n  breaks contract {clause}; promise {promise}\n  {detail}")
    }
}

macro_rules! numbered {
    ($(#[$doc:meta])* $kind:ident { $($(#[$of:meta])* $item:ident = $number:literal: $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $kind { $(#[doc = concat!("Number ", $number, ": ", $name, ".")] $item = $number,)* }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$item => concat!($number, ", ", $name),)* })
            }
        }
    };
}

numbered! {
    /// The clauses of the [store's contract](crate::Store#contract), numbered as there.
    Clause {
        CompareAndSet = 1: "compare and set",
        DeadStaysDead = 2: "dead stays dead",
        CallersClock = 3: "the clock is the caller's",
        TouchIsMonotonic = 4: "touch is monotonic",
        IndexesAgree = 5: "indexes agree with records",
        WholeOrNotAtAll = 6: "whole or not at all",
        AnyTextIsData = 7: "any text is data",
        AnswersAreNotErrors = 8: "expected answers aren't errors",
    }
}

numbered! {
    /// Those of Sessile's promises that a store can break, with their numbers.
    Promise {
        NoLostUpdate = 1: "no lost update",
        NoResurrection = 2: "no resurrection",
        EndedMeansEnded = 3: "ended means ended, with a reason",
        TwoClocks = 7: "two clocks",
        OutageIsContained = 11: "an outage is contained",
        IndexesDontRot = 12: "indexes don't rot",
        NeverFillsWithTheDead = 13: "the store never fills with the dead",
        CancelSafe = 14: "cancel-safe",
        Portable = 15: "portable",
    }
}

/// What a check found wrong, before it is known which promise it was about.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) detail: String,
    /// Whether a method answered with an error where the contract has a value.
    pub(super) is_error: bool,
}

impl Flaw {
    pub(super) fn new(detail: impl fmt::Display) -> Self {
        Self { detail: shortened(&detail.to_string()), is_error: false }
    }

    pub(super) fn panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::new(format_args!("the store panicked: {}", text.unwrap_or("no message")))
    }
}

impl From<Error> for Flaw {
    fn from(error: Error) -> Self {
        let detail = format!("a call failed with {:?}, {error}: {error:?}", error.kind());
        Self { is_error: true, ..Self::new(detail) }
    }
}

/// Hostile texts are up to 64 KiB long: cuts long runs of one character, and the middle of what is
/// too long even so.
fn shortened(text: &str) -> String {
    const RUN: usize = 40;
    const ENDS: usize = 3_000;
    let (mut short, mut last, mut run) = (String::new(), None, 0);
    for character in text.chars() {
        run = if last == Some(character) { run + 1 } else { 1 };
        last = Some(character);
        match run {
            ..RUN => short.push(character),
            RUN => short.push('…'),
            _ => {}
        }
    }
    let count = short.chars().count();
    if count <= 2 * ENDS {
        return short;
    }
    let head: String = short.chars().take(ENDS).collect();
    let tail: String = short.chars().skip(count - ENDS).collect();
    format!("{head} … {} characters … {tail}", count - 2 * ENDS)
}

/// That `came` is what was `expected`.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: impl fmt::Display, expected: T, came: T) -> Outcome {
    if expected == came {
        return Ok(());
    }
    Err(Flaw::new(format_args!("{what}: expected {expected:?}, got {came:?}")))
}

/// That `holds`.
pub(super) fn ensure(holds: bool, otherwise: impl fmt::Display) -> Outcome {
    if holds { Ok(()) } else { Err(Flaw::new(otherwise)) }
}

/// That a record came back as `expected`; names the fields that differ.
pub(super) fn same_record(what: impl fmt::Display, expected: &Record, came: Option<&Record>) -> Outcome {
    let Some(came) = came else {
        return Err(Flaw::new(format_args!("{what}: the record is missing")));
    };
    let mut differences = String::new();
    macro_rules! compare {
        ($($field:ident)*) => {$(
            if expected.$field != came.$field {
                let (expected, came) = (&expected.$field, &came.$field);
                differences += &format!("; {}: expected {expected:?}, got {came:?}", stringify!($field));
            }
        )*};
    }
    compare!(secret previous user groups created seen renewed lifetime persistent device ended data);
    ensure(differences.is_empty(), format_args!("{what}: the record isn't as expected{differences}"))
}
