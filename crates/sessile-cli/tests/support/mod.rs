//! The real program under test, and a small client for it.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod http;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub(crate) use http::Client;

/// Longest wait for anything that should happen at once, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sessile");

/// A running `sessile demo`; killed when dropped.
pub(crate) struct Demo {
    pub(crate) port: u16,
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    log: PathBuf,
    _scratch: TempDir,
}

impl Demo {
    pub(crate) fn start(store: &str) -> Self {
        Self::start_with(&["--port", "0", "--store", store], "warn,sessile=info")
    }

    pub(crate) fn start_with(args: &[&str], rust_log: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let log = scratch.path().join("log");
        let mut process = Command::new(PROGRAM)
            .arg("demo")
            .args(args)
            .env("RUST_LOG", rust_log)
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            let read = output.read_line(&mut line).unwrap();
            assert!(read > 0, "the demo did not start: {}", fs::read_to_string(&log).unwrap());
            if let Some((_, rest)) = line.split_once("http://localhost:") {
                break rest.trim().trim_end_matches('/').parse().unwrap();
            }
        };
        Self { port, process, output, log, _scratch: scratch }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.port)
    }

    pub(crate) fn site(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// As `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends a signal by its name: `INT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.process.id())).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end; gives the exit status and what it printed since it was started.
    pub(crate) fn ended(&mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.process);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.output, &mut rest).unwrap();
        (status, rest)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _reaped_already = self.process.wait();
    }
}

pub(crate) fn wait(process: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < SOON, "it did not end");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a test on a fresh demo with each store.
pub(crate) fn each_store(test: impl Fn(&Demo)) {
    for store in ["memory:", "embedded:data"] {
        test(&Demo::start(store));
    }
}

/// The bytes of every file under a directory.
pub(crate) fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}

/// The ids of the devices on a page, this device's first.
pub(crate) fn devices(page: &str) -> Vec<String> {
    page.split("data-device=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}
