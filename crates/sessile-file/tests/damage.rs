//! A damaged file: always the right answer or a clear error, never a crash, never a silent loss.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
};

use futures_util::future::join_all;
use sessile_core::{ErrorKind, Expect, Filter, Put, State, Store};
use sessile_file::Embedded;
use support::*;

const SESSIONS: u64 = 400;
/// Damages that one child tries; each is tried in a copy.
const PORTION: u64 = 100;
const PAGE: usize = 4096;

#[test]
fn cut_files() {
    try_all("cut", 150);
}

#[test]
fn flipped_bits() {
    try_all("flip", 500);
}

#[test]
fn flipped_bits_in_page_headers() {
    try_all("header", 400);
}

#[test]
fn zeroed_and_overwritten_pages() {
    try_all("page", 300);
}

#[test]
fn garbage() {
    try_all("garbage", 100);
}

/// Tries `count` damages, in children: a crash shows as a child that says less than it should.
fn try_all(kind: &str, count: u64) {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    make(&original);
    let (mut harmless, mut found) = (0, 0);
    for first in (0..count).step_by(PORTION as usize) {
        let last = (first + PORTION).min(count);
        let (first, last) = (first.to_string(), last.to_string());
        let mut child = start_child(&[kind, dir.path().to_str().unwrap(), &first, &last]);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut before = String::new();
        for line in lines {
            harmless += u64::from(line.ends_with(" harmless"));
            found += u64::from(line.ends_with(" found"));
            before = line;
        }
        let status = child.wait().unwrap();
        assert!(status.success(), "{kind} damage after `{before}`: {status}");
    }
    assert_eq!(harmless + found, count);
    assert!(found > 0, "no damage was found: is there any?");
}

#[test]
fn child() {
    let Some(task) = task() else { return };
    let dir = Path::new(&task[1]);
    let (first, last): (u64, u64) = (task[2].parse().unwrap(), task[3].parse().unwrap());
    let bytes = fs::read(dir.join("original/data.mdb")).unwrap();
    let expected = content(&Embedded::open(dir.join("original")).unwrap()).unwrap();
    for case in first..last {
        let damaged = damage(&task[0], case, &bytes);
        let copy = dir.join(format!("{}-{case}", task[0]));
        fs::create_dir(&copy).unwrap();
        fs::write(copy.join("data.mdb"), &damaged).unwrap();
        let verdict = judge(&copy, &expected).unwrap_or_else(|wrong| panic!("case {case}: {wrong}"));
        if verdict == "found" {
            assert_eq!(
                fs::read(copy.join("data.mdb")).unwrap(),
                damaged,
                "case {case}: the file was changed"
            );
        }
        fs::remove_dir_all(&copy).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{} {case} {verdict}", task[0]).unwrap();
        out.flush().unwrap();
    }
}

type Content = BTreeMap<u64, Vec<u8>>;

/// All records, by number.
fn content(store: &Embedded) -> Result<Content, sessile_core::Error> {
    block_on(async {
        let mut content = Content::new();
        for number in 0..SESSIONS {
            if let Some(found) = store.load(&id(number)).await? {
                content.insert(number, found.record.to_bytes());
            }
        }
        let any = Filter::all().state(State::Any);
        assert_eq!(store.count(&any, start()).await?, content.len() as u64);
        Ok(content)
    })
}

/// Opens what was damaged. It must be refused, or be as before.
fn judge(path: &Path, expected: &Content) -> Result<&'static str, String> {
    let store = match Embedded::open(path) {
        Err(error) => {
            let text = error.to_string();
            let kinds = [ErrorKind::Corrupt, ErrorKind::Config, ErrorKind::Unsupported];
            let clear = kinds.contains(&error.kind()) && text.contains(path.to_str().unwrap());
            return if clear { Ok("found") } else { Err(format!("an unclear error: {error:?}")) };
        }
        Ok(store) => store,
    };
    let found = content(&store).map_err(|error| format!("opened, but {error:?}"))?;
    if found != *expected {
        return Err(format!("{} records silently became {}", expected.len(), found.len()));
    }
    // What is harmless to read must be harmless to write.
    block_on(async {
        let late = record(Some("late"));
        let store = &store;
        let writes = (SESSIONS..SESSIONS + 20).map(|number| {
            let late = &late;
            async move {
                store.end(&id(number - SESSIONS), &killed(start())).await?;
                store.put(&id(number), late, Expect::Absent, start()).await
            }
        });
        for put in join_all(writes).await {
            assert!(matches!(put?, Put::Stored(_)));
        }
        assert!(store.verify().await?.is_clean());
        Ok(())
    })
    .map_err(|error: sessile_core::Error| format!("opened, but {error:?}"))?;
    Ok("harmless")
}

/// A database with all that one can hold: several levels, large values, tombstones, free pages.
fn make(path: &Path) {
    let store = Embedded::open(path).unwrap();
    block_on(async {
        for number in 0..SESSIONS {
            let user = format!("user{}", number % 90);
            let mut record = record((number % 4 > 0).then_some(user.as_str()));
            let size = if number.is_multiple_of(25) { 9000 } else { 100 };
            record.data.set("filler", &filler(number).repeat(size / 4));
            let put = store.put(&id(number), &record, Expect::Absent, start()).await.unwrap();
            assert!(matches!(put, Put::Stored(_)));
        }
        for number in (0..SESSIONS).step_by(7) {
            assert!(store.end(&id(number), &killed(start())).await.unwrap());
        }
    });
}

/// Bytes that only this session has.
fn filler(number: u64) -> [u8; 4] {
    [0xfe, number as u8, (number >> 8) as u8, 0xfd]
}

/// The bytes with a damage of `kind`; the same for the same `case`.
fn damage(kind: &str, case: u64, bytes: &[u8]) -> Vec<u8> {
    let mut random = Random(case);
    let mut damaged = bytes.to_vec();
    let len = bytes.len() as u64;
    let pages = len / PAGE as u64;
    let page = |number: u64| number as usize * PAGE..(number as usize + 1) * PAGE;
    match kind {
        "cut" => {
            let at = if case < pages { case * PAGE as u64 } else { random.below(len) };
            // An empty file is an empty database.
            damaged.truncate(at.max(1) as usize);
        }
        "flip" => damaged[random.below(len) as usize] ^= 1 << random.below(8),
        "header" => {
            let at = page(random.below(pages)).start
                + random.below(if case.is_multiple_of(2) { 24 } else { 160 }) as usize;
            damaged[at] =
                if case.is_multiple_of(3) { random.next() as u8 } else { damaged[at] ^ 1 << random.below(8) };
        }
        "page" => {
            let target = page(random.below(pages));
            match case % 4 {
                0 => damaged[target].fill(0),
                1 => damaged[target].fill(0xff),
                2 => damaged[target].iter_mut().for_each(|byte| *byte = random.next() as u8),
                _ => damaged.copy_within(page(random.below(pages)), target.start),
            }
        }
        _ => {
            damaged = (0..1 + random.below(40_000)).map(|_| random.next() as u8).collect();
            if case.is_multiple_of(2) && damaged.len() > 40 {
                // A header that looks right at first sight.
                damaged[..40].copy_from_slice(&bytes[..40]);
            }
        }
    }
    damaged
}

#[test]
fn a_damaged_record_is_refused_and_can_be_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    make(&path);
    let file = path.join("data.mdb");
    let mut bytes = fs::read(&file).unwrap();
    let needle = filler(33).repeat(10);
    let places: Vec<_> = (0..bytes.len() - 40).filter(|at| bytes[*at..at + 40] == needle).collect();
    for at in places {
        bytes[at] ^= 1;
    }
    fs::write(&file, &bytes).unwrap();
    let error = Embedded::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("1 of 400 records"), "{error}");

    let report = Embedded::repair(&path).unwrap();
    assert_eq!((report.damaged, report.intact, &report.examples[..]), (1, 399, &[id(33)][..]));
    let store = Embedded::open(&path).unwrap();
    assert!(block_on(store.verify()).unwrap().is_clean());
    assert_eq!(block_on(store.load(&id(33))).unwrap(), None);
    assert!(block_on(store.load(&id(34))).unwrap().is_some());
    assert_eq!(Embedded::repair(&path).unwrap().damaged, 0);
}
