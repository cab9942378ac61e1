//! A store whose calls are done by turns in this process and in a child, on one database.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use sessile_core::{
    BoxFuture, Cursor, EndReason, Ended, Error, Expect, Filter, Owner, Page, Put, Record, SessionId,
    SessionInfo, State, Store, Swept, Timestamp, UserSessions, Version, Versioned,
};
use sessile_file::Embedded;

use super::support::{self, block_on};

/// A child that does calls.
#[derive(Debug)]
pub(crate) struct Remote {
    process: Mutex<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Remote {
    pub(crate) fn start() -> Self {
        let mut child = support::start_child(&["serve"]);
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim_end() != "ready" {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child died");
        }
        Self { process: Mutex::new((child, input, output)) }
    }

    /// Sends the words of a call, returns those of the answer.
    fn call(&self, path: &Path, words: &[String]) -> Vec<String> {
        let mut process = self.process.lock().unwrap();
        let line = format!("{} {}\n", path.display(), words.join(" "));
        process.1.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        assert_ne!(process.2.read_line(&mut answer).unwrap(), 0, "the child died");
        answer.split_whitespace().map(str::to_owned).collect()
    }

    /// Lets the child read and write in the database until it is told of another, without any
    /// effect that could be seen.
    pub(crate) fn disturb(&self, path: &Path) {
        self.call(path, &["disturb".to_owned()]);
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap();
        process.0.kill().unwrap();
        process.0.wait().unwrap();
    }
}

/// Does each call in the other process than the call before.
#[derive(Debug)]
pub(crate) struct Alternating {
    local: Embedded,
    remote: Arc<Remote>,
    calls: AtomicUsize,
}

impl Alternating {
    pub(crate) fn open(path: &Path, remote: &Arc<Remote>) -> Result<Self, Error> {
        let local = Embedded::open(path)?;
        Ok(Self { local, remote: Arc::clone(remote), calls: AtomicUsize::new(0) })
    }

    /// The answer of the child, if it is its turn.
    fn remote(&self, words: impl FnOnce() -> Vec<String>) -> Option<Vec<String>> {
        let turn = self.calls.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        turn.then(|| self.remote.call(self.local.path(), &words()))
    }
}

impl Store for Alternating {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        Box::pin(async move {
            let Some(answer) = self.remote(|| vec!["load".into(), hex(id.as_bytes())]) else {
                return self.local.load(id).await;
            };
            if answer[0] == "none" {
                return Ok(None);
            }
            let record = Record::from_bytes(&unhex(&answer[1]))?;
            Ok(Some(Versioned { record: record.into(), version: Version(number(&answer[0])) }))
        })
    }

    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        record: &'a Record,
        expect: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        Box::pin(async move {
            let words = || {
                let expect = match expect {
                    Expect::Absent => "absent".to_owned(),
                    Expect::Version(version) => version.0.to_string(),
                };
                vec!["put".into(), hex(id.as_bytes()), hex(&record.to_bytes()), expect, time(now)]
            };
            let Some(answer) = self.remote(words) else {
                return self.local.put(id, record, expect, now).await;
            };
            Ok(match answer[0].as_str() {
                "conflict" => Put::Conflict,
                "gone" => Put::Gone,
                version => Put::Stored(Version(number(version))),
            })
        })
    }

    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            match self.remote(|| vec!["touch".into(), hex(id.as_bytes()), time(now)]) {
                Some(answer) => Ok(answer[0] == "true"),
                None => self.local.touch(id, now).await,
            }
        })
    }

    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let words = || {
                let mut words = vec!["end".into(), hex(id.as_bytes())];
                words.extend(ended_words(ended));
                words
            };
            match self.remote(words) {
                Some(answer) => Ok(answer[0] == "true"),
                None => self.local.end(id, ended).await,
            }
        })
    }

    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        self.local.scan(filter, after, limit, now)
    }

    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let words = || {
                let mut words = vec!["count".into(), time(now)];
                words.extend(filter_words(filter));
                words
            };
            match self.remote(words) {
                Some(answer) => Ok(number(&answer[0])),
                None => self.local.count(filter, now).await,
            }
        })
    }

    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        self.local.users(after, limit, now)
    }

    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let words = || {
                let mut words = vec!["end_all".into()];
                words.extend(ended_words(ended));
                words.extend(filter_words(filter));
                words
            };
            match self.remote(words) {
                Some(answer) => Ok(number(&answer[0])),
                None => self.local.end_all(filter, ended).await,
            }
        })
    }

    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        Box::pin(async move {
            let Some(answer) = self.remote(|| vec!["sweep".into(), time(now), limit.to_string()]) else {
                return self.local.sweep(now, limit).await;
            };
            Ok(Swept { entombed: number(&answer[0]), removed: number(&answer[1]), more: answer[2] == "true" })
        })
    }
}

/// The child: does calls until its input ends.
pub(crate) fn serve() {
    println!("\nready");
    let mut open: super::Open = HashMap::new();
    let mut disturbing: Option<(Arc<AtomicBool>, thread::JoinHandle<()>)> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        if words[1] == "disturb" {
            if let Some((stop, thread)) = disturbing.take() {
                stop.store(true, Ordering::Relaxed);
                thread.join().unwrap();
            }
            let (store, stop) = (super::opened(&mut open, words[0]).unwrap().clone(), Arc::default());
            let stopped = Arc::clone(&stop);
            disturbing = Some((stop, thread::spawn(move || disturb(&store, &stopped))));
            println!("ok");
            continue;
        }
        let store = super::opened(&mut open, words[0]).unwrap();
        println!("{}", block_on(answer(store, &words[1..])).unwrap());
    }
}

fn disturb(store: &Embedded, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        assert!(block_on(store.verify()).unwrap().is_clean());
        let _ = block_on(store.scan(&Filter::all(), None, 10, Timestamp::default())).unwrap();
        block_on(store.sweep(Timestamp::default(), 10)).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
}

async fn answer(store: &Embedded, words: &[&str]) -> Result<String, Error> {
    let id = || SessionId::from_bytes(unhex(words[1]).try_into().unwrap());
    let moment = |at: usize| Timestamp::from_millis(number(words[at]));
    Ok(match words[0] {
        "load" => match store.load(&id()).await? {
            None => "none".into(),
            Some(found) => format!("{} {}", found.version.0, hex(&found.record.to_bytes())),
        },
        "put" => {
            let record = Record::from_bytes(&unhex(words[2]))?;
            let expect = match words[3] {
                "absent" => Expect::Absent,
                version => Expect::Version(Version(number(version))),
            };
            match store.put(&id(), &record, expect, moment(4)).await? {
                Put::Conflict => "conflict".into(),
                Put::Gone => "gone".into(),
                Put::Stored(version) => version.0.to_string(),
            }
        }
        "touch" => store.touch(&id(), moment(2)).await?.to_string(),
        "end" => store.end(&id(), &ended(&words[2..])).await?.to_string(),
        "count" => store.count(&filter(&words[2..]), moment(1)).await?.to_string(),
        "end_all" => store.end_all(&filter(&words[4..]), &ended(&words[1..])).await?.to_string(),
        _ => {
            let swept = store.sweep(moment(1), words[2].parse().unwrap()).await?;
            format!("{} {} {}", swept.entombed, swept.removed, swept.more)
        }
    })
}

fn ended_words(ended: &Ended) -> [String; 3] {
    [ended.reason.to_string(), time(ended.at), optional(ended.by.as_deref().map(|by| hex(by.as_bytes())))]
}

fn ended(words: &[&str]) -> Ended {
    let reason: EndReason = words[0].parse().unwrap();
    let by = given(words[2]).map(text);
    Ended { reason, at: Timestamp::from_millis(number(words[1])), by }
}

fn filter_words(filter: &Filter) -> Vec<String> {
    let owner = match &filter.owner {
        Owner::Anyone => "-".to_owned(),
        Owner::User(name) => format!("u{}", hex(name.as_bytes())),
        Owner::Group(name) => format!("g{}", hex(name.as_bytes())),
    };
    let range = |range: &std::ops::RangeInclusive<Timestamp>| {
        format!("{}:{}", range.start().as_millis(), range.end().as_millis())
    };
    vec![
        owner,
        format!("{:?}", filter.state),
        optional(filter.seen_within.map(|within| within.as_millis().to_string())),
        optional(filter.created.as_ref().map(range)),
        optional(filter.expires.as_ref().map(range)),
        optional(filter.device.as_deref().map(|device| hex(device.as_bytes()))),
        optional(filter.except.map(|id| hex(id.as_bytes()))),
    ]
}

fn filter(words: &[&str]) -> Filter {
    let mut filter = match words[0].split_at(1) {
        ("u", name) => Filter::user(text(name)),
        ("g", name) => Filter::group(text(name)),
        _ => Filter::all(),
    };
    filter.state = match words[1] {
        "Live" => State::Live,
        "Ended" => State::Ended,
        _ => State::Any,
    };
    let range = |word: &str| {
        let (first, last) = word.split_once(':').unwrap();
        Timestamp::from_millis(number(first))..=Timestamp::from_millis(number(last))
    };
    filter.seen_within =
        given(words[2]).map(|within| within.parse().map_or(Duration::MAX, Duration::from_millis));
    filter.created = given(words[3]).map(range);
    filter.expires = given(words[4]).map(range);
    filter.device = given(words[5]).map(text);
    filter.except = given(words[6]).map(|id| SessionId::from_bytes(unhex(id).try_into().unwrap()));
    filter
}

fn optional(word: Option<String>) -> String {
    word.map_or_else(|| "-".to_owned(), |word| format!("={word}"))
}

fn given(word: &str) -> Option<&str> {
    word.strip_prefix('=')
}

fn time(time: Timestamp) -> String {
    time.as_millis().to_string()
}

fn number(word: &str) -> u64 {
    word.parse().unwrap()
}

fn text(word: &str) -> String {
    String::from_utf8(unhex(word)).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
