//! What the embedded database promises beyond the contract: opening, sharing, bounds, secrets.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::Path};

use futures_util::future::join_all;
use heed::{CommitOrAbort, EnvOpenOptions, types::Bytes};
use sessile_core::{ErrorKind, Expect, Filter, Put, State, Store, Token};
use sessile_file::{Durability, Embedded};
use support::*;

fn database() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/sessions.db");
    (dir, path)
}

fn refused(path: &Path) -> (ErrorKind, String) {
    let error = Embedded::open(path).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "it says where: {error}");
    (error.kind(), error.to_string())
}

#[test]
fn sessions_are_there_after_reopening() {
    let (_dir, path) = database();
    let store = Embedded::open(&path).unwrap();
    let version = begin(&store, id(1), &record(Some("ferris")));
    let before = block_on(store.load(&id(1))).unwrap().unwrap();
    drop(store);
    let store = Embedded::open(&path).unwrap();
    let after = block_on(store.load(&id(1))).unwrap().unwrap();
    assert_eq!(after, before);
    assert_eq!(after.version, version);
    assert_eq!(block_on(store.count(&Filter::user("ferris"), start())).unwrap(), 1);
}

#[test]
fn the_last_handle_commits_what_is_queued() {
    let (_dir, path) = database();
    let store = Embedded::open(&path).unwrap();
    let record = record(None);
    for number in 0..50 {
        let id = id(number);
        let mut put = store.put(&id, &record, Expect::Absent, start());
        // Queued, and nobody waits for it: the future is dropped right after.
        let waker = std::task::Waker::noop();
        let _ = put.as_mut().poll(&mut std::task::Context::from_waker(waker));
    }
    drop(store);
    let store = Embedded::open(&path).unwrap();
    assert!(block_on(store.verify()).unwrap().is_clean());
}

#[test]
fn one_process_shares_one_environment() {
    let (dir, path) = database();
    let first = Embedded::options().durability(Durability::Relaxed).max_size(64 << 20).open(&path).unwrap();
    let second = Embedded::open(dir.path().join("deep/../deep/sessions.db")).unwrap();
    begin(&first, id(1), &record(None));
    assert!(block_on(second.load(&id(1))).unwrap().is_some());
    assert_eq!(first.commits(), second.commits());

    for options in
        [Embedded::options().durability(Durability::EveryCommit), Embedded::options().max_size(1 << 30)]
    {
        let error = options.open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("other options"), "{error}");
    }
    drop((first, second));
    Embedded::options().durability(Durability::EveryCommit).open(&path).unwrap();
}

#[test]
fn a_backup_is_a_database() {
    let (dir, path) = database();
    let store = Embedded::open(&path).unwrap();
    for number in 0..500 {
        begin(&store, id(number), &record(Some("ferris")));
    }
    block_on(store.end_all(&Filter::all().except(id(7)), &killed(start()))).unwrap();
    let copy = dir.path().join("copies/monday");
    block_on(store.backup(&copy)).unwrap();
    begin(&store, id(1000), &record(None));

    let error = block_on(store.backup(&copy)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let copied = Embedded::open(&copy).unwrap();
    assert_eq!(block_on(copied.count(&Filter::all(), start())).unwrap(), 1);
    assert_eq!(block_on(copied.count(&Filter::all().state(State::Any), start())).unwrap(), 500);
    assert_eq!(block_on(copied.load(&id(7))).unwrap(), block_on(store.load(&id(7))).unwrap());
    begin(&copied, id(1000), &record(None));
    assert!(block_on(copied.verify()).unwrap().is_clean());
}

#[test]
fn many_threads_open_and_close_one_database() {
    let (_dir, path) = database();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for round in 0..20 {
                    let store = Embedded::open(path).unwrap();
                    begin(&store, id(thread * 1000 + round), &record(None));
                }
            });
        }
    });
    let store = Embedded::open(&path).unwrap();
    assert_eq!(block_on(store.count(&Filter::all(), start())).unwrap(), 160);
}

#[test]
fn concurrent_writers_share_a_flush() {
    let (_dir, path) = database();
    let store = Embedded::open(&path).unwrap();
    let record = record(Some("ferris"));
    let before = store.commits();
    let ids: Vec<_> = (0..640).map(id).collect();
    for sixty_four in ids.chunks(64) {
        let puts = sixty_four.iter().map(|id| store.put(id, &record, Expect::Absent, start()));
        assert!(block_on(join_all(puts)).into_iter().all(|put| matches!(put, Ok(Put::Stored(_)))));
    }
    let commits = store.commits() - before;
    assert!(commits <= 160, "640 writes, 64 at a time, took {commits} commits");
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let (_dir, path) = database();
    let _store = Embedded::open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for file in fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn no_token_reaches_the_disk() {
    let (_dir, path) = database();
    let store = Embedded::open(&path).unwrap();
    let token = Token::generate().unwrap();
    let mut record = record(Some("ferris"));
    record.secret = token.hash();
    begin(&store, token.id(), &record);
    drop(store);
    let text = token.reveal();
    let bytes = fs::read(path.join("data.mdb")).unwrap();
    let secret = base64_decode(&text[22..]);
    assert!(!contains(&bytes, &secret) && !contains(&bytes, &text.as_bytes()[22..]));
    assert!(contains(&bytes, token.hash().as_bytes()), "this test can find what is there");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn base64_decode(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = text.bytes().map(|char| alphabet.iter().position(|known| *known == char).unwrap() as u32);
    let bits: Vec<_> = bits.collect();
    bits.chunks(4)
        .flat_map(|four| {
            let all = four.iter().fold(0, |all, six| all << 6 | six);
            all.to_be_bytes()[1..].to_vec()
        })
        .collect()
}

#[test]
fn a_full_database_refuses_sessions_but_lets_them_end() {
    let (_dir, path) = database();
    let store = Embedded::options().max_size(1 << 20).open(&path).unwrap();
    let mut large = record(Some("ferris"));
    large.data.set("filler", &[7; 20_000]);
    block_on(async {
        let mut count = 0;
        let error = loop {
            match store.put(&id(count), &large, Expect::Absent, start()).await {
                Ok(put) => assert!(matches!(put, Put::Stored(_))),
                Err(error) => break error,
            }
            count += 1;
            assert!(count < 1000);
        };
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.is_transient() && error.to_string().contains("max_size"), "{error}");
        assert!(count > 20, "{count} sessions of 20 kB filled 1 MiB");

        let found = store.load(&id(0)).await.unwrap().unwrap();
        let put = store.put(&id(0), &found.record, Expect::Version(found.version), start()).await.unwrap();
        assert!(matches!(put, Put::Stored(_)), "existing sessions go on");
        assert!(store.touch(&id(1), start() + HOUR / 2).await.unwrap());
        assert_eq!(store.end_all(&Filter::user("ferris"), &killed(start())).await.unwrap(), count);
        let put = store.put(&id(count), &large, Expect::Absent, start()).await.unwrap();
        assert!(matches!(put, Put::Stored(_)), "there is room again");
        assert!(store.verify().await.unwrap().is_clean());
    });
}

#[test]
fn a_wrong_place_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let (kind, text) = refused(&file);
    assert_eq!(kind, ErrorKind::Config);
    assert!(text.contains("not a directory"), "{text}");
    assert_eq!(refused(&file.join("below")).0, ErrorKind::Config);
    let error = Embedded::options().max_size(1000).open(dir.path().join("db")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn the_database_of_something_else_is_left_alone() {
    for (name, value) in [(Some("theirs"), "x"), (None, "x")] {
        let dir = tempfile::tempdir().unwrap();
        with_engine(dir.path(), name, b"key", value.as_bytes());
        let before = fs::read(dir.path().join("data.mdb")).unwrap();
        let (kind, text) = refused(dir.path());
        assert_eq!(kind, ErrorKind::Config);
        assert!(text.contains("not a Sessile database"), "{text}");
        assert_eq!(fs::read(dir.path().join("data.mdb")).unwrap(), before);
    }
}

#[test]
fn a_newer_format_is_left_alone() {
    let (_dir, path) = database();
    drop(Embedded::open(&path).unwrap());
    with_engine(&path, Some("sessile"), b"format", &2_u32.to_be_bytes());
    let (kind, text) = refused(&path);
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(text.contains("format 2") && text.contains("upgrade"), "{text}");
}

#[test]
fn a_lost_index_entry_is_found_and_mended() {
    let (_dir, path) = database();
    let store = Embedded::open(&path).unwrap();
    for number in 0..3000 {
        if number % 100 == 0 {
            begin(&store, id(number), &record(Some("ferris")));
        }
    }
    drop(store);
    with_engine(&path, Some("by_user"), &[7; 32], b"");
    let (kind, text) = refused(&path);
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(text.contains("by_user") && text.contains("repair"), "{text}");
    let report = Embedded::repair(&path).unwrap();
    assert_eq!((report.damaged, report.indexes), (0, vec!["by_user"]));
    let store = Embedded::open(&path).unwrap();
    assert_eq!(block_on(store.count(&Filter::user("ferris").state(State::Any), start())).unwrap(), 30);
}

/// Puts an entry into a table, made if it isn't there, by the engine alone.
fn with_engine(path: &Path, table: Option<&str>, key: &[u8], value: &[u8]) {
    // SAFETY: nobody else has this test's directory open.
    #[allow(unsafe_code)]
    let env = unsafe { EnvOpenOptions::new().map_size(1 << 26).max_dbs(9).open(path).unwrap() };
    let txn = env.write_txn().unwrap();
    env.create_databases_and_commit(txn, |opener, txn| {
        let table = opener.create_database::<Bytes, Bytes>(txn, table)?;
        table.put(txn, key, value)?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(()))
    })
    .unwrap();
}
