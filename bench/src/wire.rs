//! Just enough HTTP/1.1 to load a server that we know: one request at a time on a kept-open
//! connection, answers with a Content-Length, no allocation in the loop.

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to a server.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and waits for the whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let body = loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server closed the connection");
            if let Some(body) = complete(&self.buffer)? {
                break body;
            }
        };
        let (head, body) = self.buffer.split_at(body);
        Ok(Response { head, body })
    }
}

/// A whole answer.
pub struct Response<'a> {
    head: &'a [u8],
    /// What follows the head.
    pub body: &'a [u8],
}

impl Response<'_> {
    /// Whether the status is 200.
    pub fn is_ok(&self) -> bool {
        self.head.starts_with(b"HTTP/1.1 200 ")
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(self.body).context("the body is not text")
    }

    /// The cookies that this answer sets, as the next request has to send them.
    pub fn cookies(&self) -> Result<String> {
        let head = std::str::from_utf8(self.head).context("the head is not text")?;
        let pairs: Vec<&str> = head
            .lines()
            .filter_map(|line| line.strip_prefix("set-cookie: "))
            .filter_map(|cookie| cookie.split(';').next())
            .collect();
        Ok(pairs.join("; "))
    }
}

/// Where the body begins, once all of it has been received.
///
/// Names are compared in lower case only, which is how hyper writes them.
fn complete(received: &[u8]) -> Result<Option<usize>> {
    let Some(end) = memmem::find(received, b"\r\n\r\n") else {
        return Ok(None);
    };
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let at = memmem::find(&received[..end], LENGTH).context("an answer without a length")?;
    let length = received[at + LENGTH.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    let body = end + 4;
    Ok((received.len() >= body + length).then_some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nset-cookie: a=1; Path=/\r\ncontent-length: 12\r\n\
                            set-cookie: b=2\r\n\r\nhello, world";

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        for end in 0..ANSWER.len() {
            assert_eq!(complete(&ANSWER[..end]).ok().flatten(), None);
        }
        let body = complete(ANSWER).unwrap().unwrap();
        assert_eq!(&ANSWER[body..], b"hello, world");
    }

    #[test]
    fn an_answer_is_taken_apart() {
        let (head, body) = ANSWER.split_at(complete(ANSWER).unwrap().unwrap());
        let response = Response { head, body };
        assert!(response.is_ok());
        assert_eq!(response.text().unwrap(), "hello, world");
        assert_eq!(response.cookies().unwrap(), "a=1; b=2");
    }
}
