//! What each path costs in process, without HTTP: nanoseconds per call. First Sessile's lifecycle
//! alone, then every contestant's whole router.

use std::{hint::black_box, time::Instant};

use anyhow::{Context, Result};
use axum::{Router, body::Body, http::Request};
use sessile::{Exchange, Key, Sessions, store};
use tower::Service;

use crate::contestants::{Contestant, PAYLOAD, USER};

const N: Key<u64> = Key::new("n");

/// Rounds of which the median counts.
const ROUNDS: usize = 21;
const CALLS: usize = 10_000;

/// Measures every path on the store at `url`.
pub async fn run(url: &str) -> Result<()> {
    let sessions = Sessions::new(store::open(url).await?);
    let cookie = new(&sessions).await?;
    let request = || sessions.begin([cookie.as_bytes()]);

    println!("| path, {url} | ns |\n|---|---|");
    row("begin, no cookie", async || drop(black_box(sessions.begin([])))).await;
    row("begin, cookie not used", async || drop(black_box(request()))).await;
    row("begin, load", async || drop(black_box(request().session().await))).await;
    row("begin, load, get, finish", async || drop(black_box(read(request()).await))).await;
    row("begin, load, update, finish", async || drop(black_box(write(request()).await))).await;
    row("begin, three inserts, finish", async || drop(black_box(new(&sessions).await))).await;
    Ok(())
}

/// Measures each contestant's router on every route.
pub async fn routers(contestants: &[&Contestant]) -> Result<()> {
    println!("| router, ns | /none | /read | /write | /new |\n|---|---|---|---|---|");
    for contestant in contestants {
        let mut app = (contestant.app)().await?;
        let set = ask(&mut app, "/new", "").await?;
        let cookie = set.split(';').next().unwrap_or_default().to_owned();
        print!("| {} |", contestant.title);
        for path in ["/none", "/read", "/write"] {
            print!(
                " {} |",
                nanos(async || drop(black_box(ask(&mut app.clone(), path, &cookie).await))).await
            );
        }
        println!(" {} |", nanos(async || drop(black_box(ask(&mut app.clone(), "/new", "").await))).await);
    }
    Ok(())
}

/// One request; gives the cookie that its answer sets.
async fn ask(app: &mut Router, path: &str, cookie: &str) -> Result<String> {
    let request = Request::get(path).header("cookie", cookie).body(Body::empty())?;
    let response = app.call(request).await?;
    let set = response.headers().get("set-cookie").map(|value| value.to_str());
    Ok(set.transpose()?.unwrap_or_default().to_owned())
}

async fn read(exchange: Exchange) -> Result<Option<u64>> {
    let n = exchange.session().await?.get(N)?;
    exchange.finish().await?;
    Ok(n)
}

async fn write(exchange: Exchange) -> Result<u64> {
    let n = exchange.session().await?.update(N, |n| n.unwrap_or(0) + 1)?;
    exchange.finish().await?;
    Ok(n)
}

/// Begins a session and gives its cookie.
async fn new(sessions: &Sessions) -> Result<String> {
    let exchange = sessions.begin([]);
    let session = exchange.session().await?;
    session.insert("user", USER)?;
    session.insert(N, 0)?;
    session.insert("payload", PAYLOAD)?;
    let set = exchange.finish().await?.set_cookie.context("a new session has no cookie")?;
    Ok(set.split(';').next().unwrap_or_default().to_owned())
}

async fn row(path: &str, call: impl AsyncFn()) {
    println!("| {path} | {} |", nanos(call).await);
}

async fn nanos(call: impl AsyncFn()) -> u128 {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            call().await;
        }
        rounds.push(start.elapsed().as_nanos() / CALLS as u128);
    }
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}
