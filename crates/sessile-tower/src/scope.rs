//! How a handler finds the exchange of its request, and the layer finds what the handler made.
//!
//! While the layer calls or polls what is inside of it, the request's [`Slot`] lies in a thread-local;
//! the first extractor puts the exchange there. So a request that never asks for its session costs
//! next to nothing, and its cookies aren't even looked at.

use std::{
    cell::{Cell, RefCell},
    hash::{BuildHasher, RandomState},
};

use http::{Extensions, HeaderMap, HeaderValue, header::COOKIE};
use sessile_core::{Error, ErrorKind, Exchange, Sessions};

thread_local! {
    static CURRENT: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

/// One request's place for its exchange.
pub(crate) struct Slot {
    sessions: Sessions,
    exchange: Option<Exchange>,
    request: Layered,
}

impl Slot {
    pub(crate) fn new(sessions: Sessions, request: Layered) -> Self {
        Self { sessions, exchange: None, request }
    }

    /// The exchange, if a handler asked for it.
    pub(crate) fn into_exchange(mut self) -> Option<Exchange> {
        self.exchange.take()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The request ended without a response: whoever still holds its session must know.
        if let Some(exchange) = self.exchange.take() {
            exchange.close();
        }
    }
}

/// Marks a request as one that came through the layer, and tells it from all others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layered(u64);

impl Layered {
    pub(crate) fn new() -> Self {
        thread_local! {
            // Threads count from random places, so that none meets another's numbers.
            static NEXT: Cell<u64> = Cell::new(RandomState::new().hash_one(()));
        }
        NEXT.with(|next| {
            next.set(next.get().wrapping_add(1));
            Self(next.get())
        })
    }
}

/// Does `work` for the request whose slot this is.
pub(crate) fn enter<T>(slot: &mut Option<Slot>, work: impl FnOnce() -> T) -> T {
    /// Puts both slots back where they were, even if `work` panics.
    struct Entered<'a> {
        slot: &'a mut Option<Slot>,
        outer: Option<Slot>,
    }

    impl Drop for Entered<'_> {
        fn drop(&mut self) {
            *self.slot = CURRENT.replace(self.outer.take());
        }
    }

    let outer = CURRENT.replace(slot.take());
    let _entered = Entered { slot, outer };
    work()
}

/// The [`Exchange`] of the request with these headers and extensions, for handlers without axum.
///
/// To be called in the request's own task, while the [`SessionLayer`](crate::SessionLayer)'s future
/// is polled, as in any handler or middleware; what it returns can be taken anywhere. How long it waits
/// for the store is yours to bound; the axum extractors keep `Policy::store_timeout`.
///
/// ```
/// use http::{Request, Response};
/// use sessile_tower::exchange;
///
/// async fn handler(request: Request<String>) -> Result<Response<String>, sessile_core::Error> {
///     let session = exchange(request.headers(), request.extensions())?.session().await?;
///     session.insert("seen", true)?;
///     Ok(Response::new(String::new()))
/// }
/// ```
///
/// # Errors
/// [`ErrorKind::Config`] if there is no layer around the handler, or it runs in a task of its own.
pub fn exchange(headers: &HeaderMap, extensions: &Extensions) -> Result<Exchange, Error> {
    let request = extensions.get::<Layered>().ok_or_else(|| {
        config(
            "no SessionLayer around this handler: add `.layer(SessionLayer::new(sessions))` after its route",
        )
    })?;
    CURRENT.with_borrow_mut(|slot| {
        let slot = slot.as_mut().filter(|slot| slot.request == *request).ok_or_else(|| {
            config("the session was asked for outside of its request's task: extract it before you spawn")
        })?;
        let begin = || slot.sessions.begin(headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes));
        Ok(slot.exchange.get_or_insert_with(begin).clone())
    })
}

#[cold]
fn config(detail: &str) -> Error {
    Error::new(ErrorKind::Config, "extract", detail)
}
