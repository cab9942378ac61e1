//! Paging: every limit gives the same sessions, each once, whatever is written between pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    fixture::{Fixture, MINUTE, begin, data, id, killed, record, record_of},
    report::{Flaw, Outcome, ensure, same},
    run::Gate,
};
use crate::{
    clock::Timestamp,
    filter::{Filter, State},
    record::Record,
    store::{BoxFuture, Expect, Put, Store},
    token::SessionId,
};

const LIMITS: [usize; 6] = [1, 2, 7, 23, 100, usize::MAX];

pub(super) async fn every_limit_gives_the_same_sessions(kit: &Fixture<'_>) -> Outcome {
    let population = kit
        .populate(23, |number| Record {
            user: (number % 3 > 0).then(|| format!("user {}", number % 3)),
            groups: if number % 2 == 0 { vec!["even".into()] } else { vec![] },
            ..record(kit.now)
        })
        .await?;
    for limit in LIMITS {
        for filter in [Filter::all(), Filter::user("user 1"), Filter::group("even"), Filter::user("nobody")] {
            kit.lists(&population, &filter, limit, kit.now).await?;
            kit.lists(&population, &filter.state(State::Any), limit, kit.now).await?;
        }
    }
    Ok(())
}

pub(super) async fn every_limit_gives_the_same_users(kit: &Fixture<'_>) -> Outcome {
    let user = |number| (number > 0).then(|| format!("user {}", number % 11));
    let population = kit.populate(23, |number| Record { user: user(number), ..record(kit.now) }).await?;
    for limit in LIMITS {
        kit.lists_users(&population, limit, kit.now).await?;
    }
    Ok(())
}

/// Few match among many: pages may be short or empty, but they end.
pub(super) async fn rare_matches_are_found(kit: &Fixture<'_>) -> Outcome {
    let population = kit
        .populate(60, |number| Record {
            device: Some(if number % 20 == 7 { "Lynx" } else { "Firefox" }.into()),
            ..record_of("ferris", kit.now)
        })
        .await?;
    for limit in [1, 2, 7] {
        kit.lists(&population, &Filter::all().device("lynx"), limit, kit.now).await?;
        kit.lists(&population, &Filter::user("ferris").device("lynx"), limit, kit.now).await?;
        kit.lists(&population, &Filter::all().device("links"), limit, kit.now).await?;
    }
    Ok(())
}

/// Between pages others are ended, begun, touched and changed; those that match throughout come
/// exactly once.
pub(super) async fn a_scan_stands_writes_between_pages(kit: &Fixture<'_>) -> Outcome {
    for limit in [1, 2, 7] {
        for filter in [Filter::user("stays"), Filter::group("g"), Filter::all().state(State::Any)] {
            let base = limit * 1_000;
            let mut steady = BTreeSet::new();
            let mut passing = Vec::new();
            for number in base..base + 30 {
                let record = Record { groups: vec!["g".into()], ..record_of("stays", kit.now) };
                kit.begin(&id(number), &record).await?;
                if (number - base) % 3 == 0 {
                    passing.push(number);
                } else {
                    steady.insert(id(number));
                }
            }
            let (mut seen, mut after, mut page) = (BTreeMap::new(), None, 0);
            loop {
                let answer = kit.store.scan(&filter, after.as_ref(), limit, kit.now).await?;
                ensure(
                    answer.items.len() <= limit,
                    format_args!("a page of at most {limit} sessions has {}", answer.items.len()),
                )?;
                for info in answer.items {
                    *seen.entry(info.id).or_insert(0) += 1;
                }
                let Some(next) = answer.next else { break };
                after = Some(next);
                page += 1;
                disturb(kit, base, page, &mut passing).await?;
            }
            for steady in steady {
                let times = seen.get(&steady).copied().unwrap_or_default();
                let what = format!(
                    "{filter:?} in pages of {limit}, with writes between them: times that it lists \
                     {steady:?}, which matches throughout"
                );
                same(what, 1, times)?;
            }
            kit.store.end_all(&Filter::all(), &killed(kit.now)).await?;
            kit.sweep_out(1_000, kit.now + 48 * 60 * MINUTE).await?;
        }
    }
    Ok(())
}

/// Ends one of the `passing`, begins another, touches and changes one that stays.
async fn disturb(kit: &Fixture<'_>, base: usize, page: usize, passing: &mut Vec<usize>) -> Outcome {
    if let Some(number) = passing.pop() {
        kit.store.end(&id(number), &killed(kit.now)).await?;
    }
    if page < 40 {
        let record = Record { groups: vec!["g".into()], ..record_of("stays", kit.now) };
        kit.begin(&id(base + 100 + page), &record).await?;
    }
    // Of every three sessions, the second is touched and the third changed.
    let number = base + page % 10 * 3;
    kit.store.touch(&id(number + 1), kit.now + MINUTE).await?;
    let mut loaded = kit.load(&id(number + 2)).await?;
    let record = Arc::make_mut(&mut loaded.record);
    record.data = data(&[("n", page.to_string().as_bytes())]);
    record.groups.push(format!("group {page}"));
    kit.change(&id(number + 2), &loaded.record, loaded.version, kit.now).await.map(drop)
}

pub(super) async fn users_stand_writes_between_pages(kit: &Fixture<'_>) -> Outcome {
    for number in 0..20 {
        kit.begin(&id(number), &record_of(&format!("user {number}"), kit.now)).await?;
    }
    let (mut seen, mut after, mut page) = (BTreeMap::new(), None, 0);
    loop {
        let answer = kit.store.users(after.as_ref(), 3, kit.now).await?;
        ensure(
            answer.items.len() <= 3,
            format_args!("a page of at most 3 users has {}", answer.items.len()),
        )?;
        for user in answer.items {
            *seen.entry(user.user).or_insert(0) += 1;
        }
        let Some(next) = answer.next else { break };
        after = Some(next);
        page += 1;
        if page < 20 {
            // Users with even numbers stay; those with odd ones leave, new ones come.
            kit.store.end(&id(page * 2 - 1), &killed(kit.now)).await?;
            kit.begin(&id(100 + page), &record_of(&format!("user {page} the second"), kit.now)).await?;
            kit.begin(&id(200 + page), &record_of("user 0", kit.now)).await?;
        }
    }
    for number in (0..20).step_by(2) {
        let user = format!("user {number}");
        let times = seen.get(&user).copied().unwrap_or_default();
        let what = format_args!(
            "users in pages of 3, with writes between them: times that {user:?} is listed, who is there \
             throughout"
        );
        same(what, 1, times)?;
    }
    Ok(())
}

/// The same with writers that don't wait for a page's end: page after page, everybody starts at once.
pub(super) async fn a_scan_stands_writes_in_parallel(kit: &Fixture<'_>) -> Outcome {
    let steady = kit.populate(20, |_| record_of("stays", kit.now)).await?;
    let gate = Gate::new(WRITERS + 1);
    let mut tasks: Vec<BoxFuture<'static, Outcome>> = Vec::new();
    for writer in 0..WRITERS {
        tasks.push(Box::pin(write(kit.store.clone(), kit.now, writer, gate.clone())));
    }
    tasks.push(Box::pin(read(kit.store.clone(), kit.now, steady.into_keys().collect(), gate)));
    kit.together(tasks).await.map(drop)
}

const WRITERS: usize = 3;
/// Pages that are read while others write.
const PAGES: usize = 60;

/// Begins, touches, changes and ends sessions.
async fn write(store: Arc<dyn Store>, now: Timestamp, writer: usize, gate: Arc<Gate>) -> Outcome {
    for page in 0..PAGES {
        gate.pass().await;
        let passing = |page| id(1_000 + writer * 1_000 + page);
        begin(&store, &passing(page), &record_of("stays", now)).await?;
        store.touch(&id((writer + page) % 20), now + MINUTE).await?;
        let Some(mut loaded) = store.load(&id(writer)).await? else {
            return Err(Flaw::new("a live session went missing"));
        };
        Arc::make_mut(&mut loaded.record).data = data(&[("n", page.to_string().as_bytes())]);
        let answer = store.put(&id(writer), &loaded.record, Expect::Version(loaded.version), now).await?;
        let stored = matches!(answer, Put::Stored(_));
        ensure(stored, format_args!("put by the only writer: expected Stored, got {answer:?}"))?;
        if page % 4 > 0 {
            store.end(&passing(page - 1), &killed(now)).await?;
        }
    }
    Ok(())
}

/// Scans again and again, a page at a time.
async fn read(store: Arc<dyn Store>, now: Timestamp, steady: Vec<SessionId>, gate: Arc<Gate>) -> Outcome {
    let (mut seen, mut after) = (BTreeMap::new(), None);
    for _ in 0..PAGES {
        gate.pass().await;
        let page = store.scan(&Filter::user("stays"), after.as_ref(), 3, now).await?;
        page.items.iter().for_each(|info| *seen.entry(info.id).or_insert(0) += 1);
        after = page.next;
        if after.is_some() {
            continue;
        }
        for id in &steady {
            let times = seen.get(id).copied().unwrap_or_default();
            same("times that a scan lists a session while others are written", 1, times)?;
        }
        seen.clear();
    }
    Ok(())
}
