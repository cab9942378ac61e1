//! A store with one bug is caught by the kit, whichever bug it is, and the message names the promise
//! that broke.
#![cfg(feature = "testing")]

mod buggy;
mod toy;

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use buggy::{Bug, Buggy};
use sessile_core::testing::{self, Broken, Clause, Kit, Promise};
use toy::Toy;

use Clause::{
    AnswersAreNotErrors, AnyTextIsData, CallersClock, CompareAndSet, DeadStaysDead, IndexesAgree,
    TouchIsMonotonic, WholeOrNotAtAll,
};
use Promise::{
    CancelSafe, EndedMeansEnded, IndexesDontRot, NeverFillsWithTheDead, NoLostUpdate, NoResurrection,
    OutageIsContained, Portable, TwoClocks,
};

/// Every bug, the check that is made for it, and what its message must name.
const BUGS: &[(Bug, &str, Clause, Promise)] = &[
    (Bug::PutOverwritesBlindly, "cas::a_wrong_version_is_a_conflict", CompareAndSet, NoLostUpdate),
    (Bug::PutCreatesTheMissing, "cas::a_missing_session_is_gone", CompareAndSet, NoLostUpdate),
    (Bug::PutIsNotAtomic, "cas::one_of_parallel_puts_wins", CompareAndSet, NoLostUpdate),
    (Bug::PutIsNotAtomic, "cas::every_increment_counts", CompareAndSet, NoLostUpdate),
    (Bug::BeginOverwritesTheLiving, "cas::a_session_begins_once", CompareAndSet, NoLostUpdate),
    (Bug::BeginOverwritesTombstones, "cas::a_session_begins_on_no_grave", CompareAndSet, NoResurrection),
    (Bug::BeginIsNotAtomic, "cas::one_of_parallel_beginnings_wins", CompareAndSet, NoLostUpdate),
    (Bug::VersionsRepeat, "cas::versions_never_repeat", CompareAndSet, NoLostUpdate),
    (Bug::PutRevivesTheEnded, "death::nothing_writes_to_an_ended_session", DeadStaysDead, NoResurrection),
    (Bug::PutRevivesTheEnded, "death::nothing_writes_to_a_swept_session", DeadStaysDead, NoResurrection),
    (Bug::PutRevivesTheExpired, "death::nothing_writes_to_an_expired_session", DeadStaysDead, NoResurrection),
    (
        Bug::PutOnTheDeadIsAConflict,
        "death::nothing_writes_to_an_ended_session",
        DeadStaysDead,
        NoResurrection,
    ),
    (Bug::PutChecksLifeTooEarly, "death::nothing_survives_a_race_with_an_end", DeadStaysDead, NoResurrection),
    (Bug::TouchRevivesTheEnded, "death::nothing_writes_to_an_ended_session", DeadStaysDead, NoResurrection),
    (
        Bug::TouchRevivesTheExpired,
        "death::nothing_writes_to_an_expired_session",
        DeadStaysDead,
        NoResurrection,
    ),
    (Bug::TouchCreates, "death::missing_sessions_cannot_be_touched_or_ended", DeadStaysDead, NoResurrection),
    (Bug::ExpiryIsInclusive, "death::life_ends_at_expiry_to_the_millisecond", DeadStaysDead, NoResurrection),
    (Bug::TombstonesAreImportedAlive, "death::a_tombstone_can_be_imported", DeadStaysDead, NoResurrection),
    (Bug::LastEndWins, "death::nothing_writes_to_an_ended_session", DeadStaysDead, NoResurrection),
    (Bug::EndKeepsData, "death::a_tombstone_says_who_when_and_why", DeadStaysDead, EndedMeansEnded),
    (Bug::EndLosesTheActor, "death::a_tombstone_says_who_when_and_why", DeadStaysDead, EndedMeansEnded),
    (Bug::EndIsNotAtomic, "death::one_of_parallel_ends_wins", DeadStaysDead, EndedMeansEnded),
    (Bug::EndBuriesTheExpired, "death::nothing_writes_to_an_expired_session", DeadStaysDead, NoResurrection),
    (Bug::EndKeepsNoTombstone, "death::a_tombstone_says_who_when_and_why", DeadStaysDead, EndedMeansEnded),
    (
        Bug::EndListsWithoutRetention,
        "death::without_retention_nothing_is_listed",
        DeadStaysDead,
        EndedMeansEnded,
    ),
    (Bug::EndAllIgnoresExcept, "death::end_all_ends_what_matches", DeadStaysDead, EndedMeansEnded),
    (Bug::EndAllCountsTheDead, "death::end_all_ends_what_matches", DeadStaysDead, EndedMeansEnded),
    (Bug::PutHasAClock, "clock::a_life_goes_by_the_callers_clock", CallersClock, TwoClocks),
    (Bug::TouchHasAClock, "clock::a_life_goes_by_the_callers_clock", CallersClock, TwoClocks),
    (Bug::ScanHasAClock, "clock::a_life_goes_by_the_callers_clock", CallersClock, TwoClocks),
    (Bug::SweepHasAClock, "clock::a_sweep_goes_by_the_callers_clock", CallersClock, TwoClocks),
    (Bug::ALookKills, "clock::a_look_from_the_future_kills_nobody", CallersClock, TwoClocks),
    (Bug::NeverOverflows, "hostile::never_is_never", CallersClock, TwoClocks),
    (Bug::TouchGoesBack, "touch::a_touch_moves_seen_forward_only", TouchIsMonotonic, TwoClocks),
    (Bug::TouchGoesBack, "touch::the_latest_of_parallel_touches_stays", TouchIsMonotonic, TwoClocks),
    (Bug::TouchChangesTheVersion, "touch::a_touch_leaves_the_version", TouchIsMonotonic, TwoClocks),
    (Bug::TouchWritesDataBack, "touch::touches_and_puts_spare_each_other", TouchIsMonotonic, NoLostUpdate),
    (Bug::TouchIsNotAtomic, "touch::the_latest_of_parallel_touches_stays", TouchIsMonotonic, TwoClocks),
    (
        Bug::TouchPassesTheDeadline,
        "touch::touches_keep_a_session_until_its_deadline",
        TouchIsMonotonic,
        TwoClocks,
    ),
    (Bug::TouchIsNotListed, "touch::lists_see_touches", TouchIsMonotonic, TwoClocks),
    (Bug::PutMovesSeenBack, "touch::a_put_never_moves_seen_back", TouchIsMonotonic, TwoClocks),
    (Bug::OldUserStaysListed, "index::a_put_moves_its_session_in_the_indexes", IndexesAgree, IndexesDontRot),
    (Bug::NewUserIsNotListed, "index::a_put_moves_its_session_in_the_indexes", IndexesAgree, IndexesDontRot),
    (Bug::NewUserIsNotListed, "model::random_operations_agree", IndexesAgree, IndexesDontRot),
    (Bug::ScanListsTheExpired, "index::the_dead_leave_in_time", IndexesAgree, IndexesDontRot),
    (Bug::CountCountsTheDead, "index::every_filter_gives_what_matches", IndexesAgree, IndexesDontRot),
    (Bug::UsersCountTheDead, "index::the_dead_leave_in_time", IndexesAgree, IndexesDontRot),
    (Bug::DeviceIsCaseSensitive, "index::every_filter_gives_what_matches", IndexesAgree, IndexesDontRot),
    (Bug::EmptyStoreNeedsSweeping, "index::an_empty_store_lists_nothing", IndexesAgree, IndexesDontRot),
    (Bug::PagesAreOffsets, "paging::a_scan_stands_writes_between_pages", IndexesAgree, IndexesDontRot),
    (Bug::PagesAreOffsets, "paging::a_scan_stands_writes_in_parallel", IndexesAgree, IndexesDontRot),
    (Bug::PagesGoBySeen, "paging::a_scan_stands_writes_between_pages", IndexesAgree, IndexesDontRot),
    (Bug::PagesIgnoreTheLimit, "paging::every_limit_gives_the_same_sessions", IndexesAgree, IndexesDontRot),
    (Bug::PagesEndWhenEmpty, "paging::rare_matches_are_found", IndexesAgree, IndexesDontRot),
    (Bug::PagesNeverEnd, "paging::every_limit_gives_the_same_sessions", IndexesAgree, IndexesDontRot),
    (Bug::UserPagesAreOffsets, "paging::users_stand_writes_between_pages", IndexesAgree, IndexesDontRot),
    (Bug::SweepIgnoresTheLimit, "sweep::a_sweep_keeps_to_its_limit", DeadStaysDead, NeverFillsWithTheDead),
    (
        Bug::SweepKeepsNoTombstone,
        "sweep::the_expired_become_tombstones",
        DeadStaysDead,
        NeverFillsWithTheDead,
    ),
    (Bug::SweepKeepsTombstones, "sweep::old_tombstones_are_removed", DeadStaysDead, NeverFillsWithTheDead),
    (Bug::SweepKeepsTombstones, "index::a_sweep_clears_the_indexes", IndexesAgree, IndexesDontRot),
    (
        Bug::SweepBuriesWhatIsDueForRemoval,
        "sweep::without_retention_nothing_remains",
        DeadStaysDead,
        NeverFillsWithTheDead,
    ),
    (
        Bug::SweepWritesItsOwnTime,
        "sweep::the_expired_become_tombstones",
        DeadStaysDead,
        NeverFillsWithTheDead,
    ),
    (Bug::SweepTakesTheTouched, "sweep::the_living_are_left_alone", DeadStaysDead, TwoClocks),
    (Bug::SweepForgetsTheTouched, "sweep::the_living_are_left_alone", DeadStaysDead, TwoClocks),
    (
        Bug::SweepForgetsTheShortened,
        "sweep::a_shorter_life_is_swept_in_time",
        DeadStaysDead,
        NeverFillsWithTheDead,
    ),
    (Bug::SweepIsNotAtomic, "sweep::a_sweep_and_a_touch_agree", DeadStaysDead, TwoClocks),
    (Bug::SweepSaysNoMore, "sweep::a_sweep_keeps_to_its_limit", DeadStaysDead, NeverFillsWithTheDead),
    (Bug::SweepSaysMore, "sweep::the_expired_become_tombstones", DeadStaysDead, NeverFillsWithTheDead),
    (Bug::SweepersCountTwice, "sweep::several_sweepers_share_the_work", DeadStaysDead, NeverFillsWithTheDead),
    (Bug::DroppedPutIsHalfDone, "cancel::a_dropped_put_is_whole_or_nothing", WholeOrNotAtAll, CancelSafe),
    (Bug::DroppedTouchIsHalfDone, "cancel::a_dropped_touch_is_whole_or_nothing", WholeOrNotAtAll, CancelSafe),
    (Bug::DroppedEndIsHalfDone, "cancel::a_dropped_end_is_whole_or_nothing", WholeOrNotAtAll, CancelSafe),
    (
        Bug::DroppedEndAllIsHalfDone,
        "cancel::a_dropped_end_all_is_whole_for_each",
        WholeOrNotAtAll,
        CancelSafe,
    ),
    (Bug::DroppedSweepIsHalfDone, "cancel::a_dropped_sweep_is_whole_for_each", WholeOrNotAtAll, CancelSafe),
    (Bug::DroppedPutKeepsItsLock, "cancel::a_dropped_put_is_whole_or_nothing", WholeOrNotAtAll, CancelSafe),
    (Bug::DroppedPutKeepsItsLock, "cancel::a_crowd_survives_dropped_calls", WholeOrNotAtAll, CancelSafe),
    (Bug::DroppedLoadKeepsItsLock, "cancel::dropped_reads_leave_nothing_behind", WholeOrNotAtAll, CancelSafe),
    (Bug::UsersIgnoreCase, "hostile::users_are_kept_apart", AnyTextIsData, IndexesDontRot),
    (Bug::UsersEndAtNul, "hostile::users_are_kept_apart", AnyTextIsData, IndexesDontRot),
    (Bug::UsersAreTrimmed, "hostile::users_are_kept_apart", AnyTextIsData, IndexesDontRot),
    (Bug::UsersAreCut, "hostile::users_are_kept_apart", AnyTextIsData, IndexesDontRot),
    (Bug::GroupsAreCut, "hostile::groups_are_kept_apart", AnyTextIsData, IndexesDontRot),
    (Bug::GroupsAreJoined, "hostile::many_groups_are_kept", AnyTextIsData, IndexesDontRot),
    (Bug::DevicesAreCut, "hostile::devices_are_searched_as_text", AnyTextIsData, IndexesDontRot),
    (Bug::DevicesAreGlobs, "hostile::devices_are_searched_as_text", AnyTextIsData, IndexesDontRot),
    (Bug::ActorsAreTrimmed, "hostile::any_actor_comes_back", AnyTextIsData, Portable),
    (Bug::DataIsText, "hostile::any_data_comes_back", AnyTextIsData, Portable),
    (Bug::IdsEndAtNul, "hostile::any_bytes_are_an_id", AnyTextIsData, IndexesDontRot),
    (Bug::TimesAreSeconds, "hostile::every_field_comes_back", AnyTextIsData, Portable),
    (Bug::MissingIsAnError, "cas::a_missing_session_is_gone", AnswersAreNotErrors, OutageIsContained),
    (Bug::TouchPanics, "death::missing_sessions_cannot_be_touched_or_ended", DeadStaysDead, NoResurrection),
    (Bug::UsersHang, "paging::every_limit_gives_the_same_users", IndexesAgree, IndexesDontRot),
];

fn run(kit: &Kit, bug: Bug) -> Result<testing::Passed, Broken> {
    testing::block_on(kit.run(|| async { Ok(Buggy::new(bug)) }))
}

fn kit() -> Kit {
    Kit::new().sequences(20).patience(Duration::from_millis(500))
}

#[test]
fn each_bug_is_caught_by_name() {
    let missed = Mutex::new(Vec::new());
    let caught = |(bug, check, clause, promise): &(Bug, &str, Clause, Promise)| {
        // A race needs luck to go wrong, more so on a busy machine: some tries.
        let Some(broken) = (0..5).find_map(|_| run(&kit().only(*check), *bug).err()) else {
            return missed.lock().unwrap().push(format!("{bug:?} passes {check}"));
        };
        let failure = &broken.failures()[0];
        let message = broken.to_string();
        let named = format!("✗ {check}\n  breaks contract {clause}; promise {promise}\n");
        if (failure.clause(), failure.promise()) != (*clause, *promise) || !message.contains(&named) {
            missed.lock().unwrap().push(format!("{bug:?}: {message}"));
        }
    };
    let (half, rest) = BUGS.split_at(BUGS.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| half.iter().for_each(caught));
        rest.iter().for_each(caught);
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{} missed\n{}", missed.len(), missed.join("\n"));
}

/// A check that no bug fails proves nothing.
#[test]
fn each_check_catches_a_bug() {
    let checks = testing::block_on(kit().sequences(1).run(|| async { Ok(Toy::default()) })).unwrap().checks;
    let tried: BTreeSet<_> = BUGS.iter().map(|(_, check, ..)| *check).collect();
    let idle: Vec<_> = checks.into_iter().filter(|check| !tried.contains(check)).collect();
    assert!(idle.is_empty(), "checks that no bug is made for: {idle:?}");
}

/// All that is wrong is told at once, and the story of the random operations is short.
#[test]
fn a_report_is_complete_and_short() {
    let broken = run(&kit(), Bug::TouchGoesBack).unwrap_err();
    let checks: Vec<_> = broken.failures().iter().map(testing::Failure::check).collect();
    assert!(checks.len() > 2, "{checks:?}");
    assert_eq!(format!("{broken:?}"), broken.to_string());

    let random = run(&kit().only("model::"), Bug::TouchGoesBack).unwrap_err();
    let story = random.failures()[0].detail();
    let (_, history) = story.split_once("after\n").unwrap();
    assert!(history.lines().count() <= 4, "{story}");
    assert!(story.contains("seed 1"), "{story}");
}
