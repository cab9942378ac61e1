//! Several processes on one database.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod remote;
mod support;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use remote::Alternating;
use sessile_core::{Error, Filter, Store, testing::Kit};
use sessile_file::Embedded;
use support::*;

const INCREMENTS: u64 = 500;

#[test]
fn two_processes_lose_no_increment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = Embedded::open(&path).unwrap();
    begin(&store, id(1), &record(None));
    let mut children: Vec<_> = (0..2).map(|_| start_child(&["increment", path.to_str().unwrap()])).collect();
    for _ in 0..INCREMENTS {
        increment(&store, &id(1));
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let found = block_on(store.load(&id(1))).unwrap().unwrap();
    assert_eq!(number(&found.record), 3 * INCREMENTS);
    assert!(block_on(store.verify()).unwrap().is_clean());
}

#[test]
fn a_second_process_sees_and_ends_what_the_first_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = Embedded::open(&path).unwrap();
    for number in 0..50 {
        begin(&store, id(number), &record(Some("ferris")));
    }
    let mut operator = start_child(&["operate", path.to_str().unwrap()]);
    let lines = BufReader::new(operator.stdout.take().unwrap()).lines();
    let said: Vec<_> = lines.map(Result::unwrap).filter(|line| line.starts_with("saw")).collect();
    assert!(operator.wait().unwrap().success());
    assert_eq!(said, ["saw 50"]);
    assert_eq!(block_on(store.count(&Filter::user("ferris"), start())).unwrap(), 0);
    assert_eq!(block_on(store.load(&id(7))).unwrap().unwrap().record.ended, Some(killed(start())));
}

#[test]
fn the_kit_passes_across_two_processes() {
    let dir = tempfile::tempdir().unwrap();
    let remote = Arc::new(remote::Remote::start());
    let count = AtomicUsize::new(0);
    let open = || {
        let path = dir.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        std::future::ready(Alternating::open(&path, &remote))
    };
    if let Err(broken) = block_on(Kit::new().sequences(40).run(open)) {
        panic!("{broken}");
    }
}

#[test]
fn the_kit_passes_while_another_process_works_in_the_same_databases() {
    let dir = tempfile::tempdir().unwrap();
    let remote = Arc::new(remote::Remote::start());
    let count = AtomicUsize::new(0);
    let open = || {
        let path = dir.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        let opened = Embedded::open(&path).inspect(|_| remote.disturb(&path));
        std::future::ready(opened)
    };
    if let Err(broken) = block_on(Kit::new().sequences(10).run(open)) {
        panic!("{broken}");
    }
}

#[test]
fn child() {
    let Some(task) = task() else { return };
    match task[0].as_str() {
        "increment" => {
            let store = Embedded::open(&task[1]).unwrap();
            for _ in 0..INCREMENTS {
                increment(&store, &id(1));
            }
        }
        "operate" => {
            let store = Embedded::open(&task[1]).unwrap();
            let page = block_on(store.scan(&Filter::user("ferris"), None, 100, start())).unwrap();
            println!("\nsaw {}", page.items.len());
            let ended = block_on(store.end_all(&Filter::user("ferris"), &killed(start()))).unwrap();
            assert_eq!(ended, 50);
        }
        _ => remote::serve(),
    }
}

/// Databases that a child has open, by path.
type Open = HashMap<String, Embedded>;

/// Opens each path once.
fn opened<'a>(open: &'a mut Open, path: &str) -> Result<&'a Embedded, Error> {
    if !open.contains_key(path) {
        // Earlier ones aren't used any more.
        open.clear();
        open.insert(path.to_owned(), Embedded::open(path)?);
    }
    Ok(&open[path])
}
