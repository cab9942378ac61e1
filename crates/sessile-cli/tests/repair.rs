//! `sessile repair`, on a database with a damaged record.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::{fs, path::Path, process::Command};

use sessile::{Filter, Sessions, store};

fn repair(directory: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sessile")).arg("repair").arg(directory).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

async fn begin(sessions: &Sessions, mark: &str) {
    let exchange = sessions.begin([]);
    exchange.session().await.unwrap().insert("mark", mark).unwrap();
    exchange.finish().await.unwrap();
}

#[tokio::test]
async fn a_damaged_record_is_dropped_and_the_others_stay() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("sessions");
    let url = format!("embedded:{}", directory.display());
    {
        let sessions = Sessions::new(store::open(&url).await.unwrap());
        begin(&sessions, "stays-whole").await;
        begin(&sessions, "gets-damaged").await;
    }
    assert_eq!(repair(&directory), (true, "2 records, none damaged: nothing to repair\n".into()));

    let file = directory.join("data.mdb");
    let mut bytes = fs::read(&file).unwrap();
    let mark = b"gets-damaged";
    let places: Vec<_> = (0..bytes.len() - mark.len()).filter(|&at| bytes[at..].starts_with(mark)).collect();
    for at in places {
        bytes[at] = b'G';
    }
    fs::write(&file, bytes).unwrap();
    let refused = store::open(&url).await.unwrap_err().to_string();
    assert!(refused.contains("1 of 2 records") && refused.contains("sessile repair"), "{refused}");

    let (done, text) = repair(&directory);
    assert!(done && text.contains("1 records are whole, 1 were damaged"), "{text}");
    let sessions = Sessions::new(store::open(&url).await.unwrap());
    assert_eq!(sessions.count(&Filter::all()).await.unwrap(), 1);
}

#[test]
fn what_is_no_database_is_told() {
    let (done, text) = repair(Path::new("no/such/directory"));
    assert!(!done && text.contains("no directory"), "{text}");
}
