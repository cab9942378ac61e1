//! A blocking HTTP client with a cookie jar of one cookie: one connection per request.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// A client with its own jar. A clone is a copy of the jar.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) port: u16,
    /// `name=value`
    pub(crate) cookie: Option<String>,
    pub(crate) agent: &'static str,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// The only `Set-Cookie`; panics if there are more.
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        let all = self.all("set-cookie");
        assert!(all.len() <= 1, "more than one Set-Cookie");
        all.first().copied()
    }
}

impl Client {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            cookie: None,
            agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        }
    }

    /// The token in the jar.
    pub(crate) fn token(&self) -> &str {
        self.cookie.as_ref().unwrap().split_once('=').unwrap().1
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "", &[])
    }

    pub(crate) fn text(&mut self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    pub(crate) fn post(&mut self, path: &str, form: &str) -> Answer {
        self.send("POST", path, form, &[])
    }

    pub(crate) fn sign_in(&mut self, name: &str) -> Answer {
        let answer = self.post("/sign-in", &format!("name={name}"));
        assert_eq!((answer.status, answer.header("location")), (303, "/"));
        answer
    }

    /// Whose pages the client sees.
    pub(crate) fn user(&mut self) -> Option<String> {
        let page = self.text("/cart");
        let (_, rest) = page.split_once("id=\"user\">")?;
        Some(rest.split('<').next().unwrap().to_owned())
    }

    pub(crate) fn cart(&mut self) -> u64 {
        self.text("/cart.txt").trim().parse().unwrap()
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_send(method, path, form, headers).unwrap()
    }

    pub(crate) fn try_send(
        &mut self,
        method: &str,
        path: &str,
        form: &str,
        headers: &[(&str, &str)],
    ) -> std::io::Result<Answer> {
        let mut all = vec![("User-Agent", self.agent)];
        all.extend(self.cookie.as_deref().map(|cookie| ("Cookie", cookie)));
        if !form.is_empty() {
            all.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        all.extend(headers);
        let answer = request(self.port, method, path, &all, form)?;
        if let Some(set) = answer.set_cookie() {
            let cookie = set.split(';').next().unwrap().to_owned();
            self.cookie = Some(cookie).filter(|cookie| !cookie.ends_with('='));
        }
        Ok(answer)
    }
}

/// One request on a connection of its own.
pub(crate) fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    read(&mut BufReader::new(stream))
}

fn read(stream: &mut impl BufRead) -> std::io::Result<Answer> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).ok_or(std::io::ErrorKind::UnexpectedEof)?.parse().unwrap();
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Answer { status, headers, text: String::from_utf8(body).unwrap() })
}
