//! Sessions as a stream, a page at a time.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use crate::{
    error::Error,
    filter::Filter,
    record::SessionInfo,
    sessions::Sessions,
    store::{BoxFuture, Cursor, Page},
};

/// Sessions asked for at once.
const PAGE: usize = 100;

/// The sessions that match a [`Filter`]: a [`Stream`], or call [`next`](Self::next).
///
/// Ends after the first error.
pub struct List {
    sessions: Sessions,
    filter: Filter,
    ready: VecDeque<SessionInfo>,
    next: Next,
}

enum Next {
    Ask(Option<Cursor>),
    Asked(BoxFuture<'static, Result<Page<SessionInfo>, Error>>),
    End,
}

impl List {
    pub(crate) fn new(sessions: Sessions, filter: Filter) -> Self {
        Self { sessions, filter, ready: VecDeque::new(), next: Next::Ask(None) }
    }

    /// The next session; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<SessionInfo, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for List {
    type Item = Result<SessionInfo, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(session) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(session)));
            }
            match &mut this.next {
                Next::End => return Poll::Ready(None),
                Next::Ask(after) => {
                    let (sessions, filter, after) =
                        (this.sessions.clone(), this.filter.clone(), after.take());
                    let page = async move { sessions.page(&filter, after.as_ref(), PAGE).await };
                    this.next = Next::Asked(Box::pin(page));
                }
                Next::Asked(page) => {
                    let page = ready!(page.as_mut().poll(cx));
                    this.next = Next::End;
                    match page {
                        Ok(page) => {
                            this.ready = page.items.into();
                            if page.next.is_some() {
                                this.next = Next::Ask(page.next);
                            }
                        }
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
            }
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("filter", &self.filter).finish_non_exhaustive()
    }
}
