//! The measuring side's hold on a serving process.

use crate::contestants::Contestant;
use crate::route::get;
use crate::scratch;
use crate::serve::{COUNT, STOP_COUNTING};
use crate::stats::{self, Stats};
use crate::wire::Connection;
use anyhow::{Context, Result, ensure};
use std::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A contestant being served. Stopped, and its files removed, when dropped.
pub struct Server {
    child: Child,
    control: Connection,
    /// Where to send requests.
    pub address: SocketAddr,
    _scratch: TempDir,
}

impl Server {
    /// Starts a process and waits until it listens.
    pub async fn start(contestant: &Contestant) -> Result<Self> {
        let program = env::current_exe()?;
        let scratch = scratch::directory()?;
        let mut child = Command::new(&program)
            .args(["serve", contestant.name])
            .current_dir(&scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("{} did not start", contestant.name))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let control = Connection::open(address).await?;
        Ok(Self { child, control, address, _scratch: scratch })
    }

    /// What the process says of itself now.
    pub async fn stats(&mut self) -> Result<Stats> {
        self.ask(stats::PATH).await?.parse()
    }

    /// Switches counting of allocations on or off.
    pub async fn count_allocations(&mut self, on: bool) -> Result<()> {
        self.ask(if on { COUNT } else { STOP_COUNTING }).await?;
        Ok(())
    }

    async fn ask(&mut self, path: &str) -> Result<String> {
        let answer = self.control.exchange(&get(path, None)).await?;
        ensure!(answer.is_ok(), "{path} failed");
        Ok(answer.text()?.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left to be done about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
