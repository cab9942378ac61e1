//! Listening on this computer only, under both of its addresses: `localhost` may mean either.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};

use crate::failure::Failure;

/// How many free ports are tried if the one that IPv4 gave is taken on IPv6.
const TRIES: usize = 16;

/// One port on 127.0.0.1, and on ::1 where there is IPv6.
#[derive(Debug)]
pub(super) struct Loopback {
    v4: TcpListener,
    v6: Option<TcpListener>,
    port: u16,
}

impl Loopback {
    /// Takes `port`, or any free one for 0.
    pub(super) async fn bind(port: u16) -> Result<Self, Failure> {
        let mut tries = if port == 0 { TRIES } else { 1 };
        loop {
            tries -= 1;
            match Self::try_bind(port).await {
                Ok(loopback) => return Ok(loopback),
                Err(error) if error.kind() == ErrorKind::AddrInUse && tries > 0 => {}
                Err(error) => return Err(refused(port, &error)),
            }
        }
    }

    async fn try_bind(port: u16) -> io::Result<Self> {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = v4.local_addr()?.port();
        let v6 = match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            Ok(v6) => Some(v6),
            // Another server would answer for those whose `localhost` means ::1.
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "no IPv6 on this computer; serving on 127.0.0.1 only");
                None
            }
        };
        Ok(Self { v4, v6, port })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

#[cold]
fn refused(port: u16, error: &io::Error) -> Failure {
    Failure::new(match error.kind() {
        ErrorKind::AddrInUse => format!(
            "port {port} is in use by another program: choose another one with `--port {}`, \
             or any free one with `--port 0`",
            if port == u16::MAX { 3000 } else { port + 1 }
        ),
        ErrorKind::PermissionDenied => {
            format!("no permission to serve on port {port}: choose one from 1024 up, as `--port 3000`")
        }
        _ => format!("can't serve on 127.0.0.1, port {port}: {error}"),
    })
}

impl Listener for Loopback {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let accepted = match &self.v6 {
                None => self.v4.accept().await,
                Some(v6) => tokio::select! {
                    accepted = self.v4.accept() => accepted,
                    accepted = v6.accept() => accepted,
                },
            };
            match accepted {
                Ok((stream, address)) => {
                    // Only costs a little time if it fails.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "can't send small answers at once");
                    }
                    return (stream, address);
                }
                Err(error) => {
                    tracing::warn!(%error, "can't take a connection; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.v4.local_addr()
    }
}
