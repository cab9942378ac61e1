//! Reading the `Cookie` header and writing `Set-Cookie`, after RFC 6265bis.

use std::time::Duration;

use crate::{error::Error, sessions::config, token::Token};

/// The tokens that a request presents; more than these are not looked at.
pub(crate) type Tokens = [Option<Token>; 3];

/// Browsers keep no cookie longer than 400 days (RFC 6265bis §5.5).
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Name and attributes of the session cookie. `HttpOnly` is always set.
///
/// Default: `__Host-id`, `Secure`, `SameSite=Lax`, `Path=/`, no `Domain`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cookie {
    /// Its name. Default `__Host-id`: browsers then insist on `Secure`, `Path=/` and no `Domain`.
    pub name: String,
    /// Hosts that get it: none given means the very host that set it.
    pub domain: Option<String>,
    /// Paths that get it. Default `/`.
    pub path: String,
    /// Whether other sites' requests carry it. Default [`SameSite::Lax`].
    pub same_site: SameSite,
    secure: bool,
}

/// Whether requests that other sites cause carry the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// Only top-level navigation with a safe method.
    Lax,
    /// Always. Only with `Secure`.
    None,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "__Host-id".into(),
            domain: None,
            path: "/".into(),
            same_site: SameSite::Lax,
            secure: true,
        }
    }
}

impl Cookie {
    /// Sets the [`name`](Self::name).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the [`domain`](Self::domain); the name can't begin with `__Host-` then.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sets the [`path`](Self::path); unless it is `/`, the name can't begin with `__Host-`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets [`same_site`](Self::same_site).
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    pub(crate) fn insecure_for_localhost(mut self) -> Self {
        self.secure = false;
        self.name = "id".into();
        self
    }

    /// Refuses what RFC 6265bis makes a browser drop.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let token_char = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        let value_char = |c: u8| c.is_ascii_graphic() && c != b';';
        let lower = self.name.to_ascii_lowercase();
        let host_prefix = lower.starts_with("__host-");
        let complaint = if self.name.is_empty() || !self.name.bytes().all(token_char) {
            "the cookie's name may hold only letters, digits and !#$%&'*+-.^_`|~"
        } else if self.name.len() > 256 {
            "the cookie's name is longer than 256 characters"
        } else if !self.path.starts_with('/') || !self.path.bytes().all(value_char) {
            "the cookie's path must begin with '/' and hold neither spaces nor ';'"
        } else if self
            .domain
            .as_ref()
            .is_some_and(|domain| domain.is_empty() || !domain.bytes().all(value_char))
        {
            "the cookie's domain must not be empty nor hold spaces or ';'"
        } else if host_prefix && (!self.secure || self.domain.is_some() || self.path != "/") {
            "a cookie named __Host-… must be Secure, have Path=/ and no Domain; rename it or drop those"
        } else if lower.starts_with("__secure-") && !self.secure {
            "a cookie named __Secure-… must be Secure; rename it"
        } else if self.same_site == SameSite::None && !self.secure {
            "SameSite=None needs Secure"
        } else {
            return Ok(());
        };
        Err(config(complaint))
    }

    /// The tokens that a request presents under this cookie's name, each once. Looks at the first
    /// `limit` bytes only; what isn't a token is passed over.
    pub(crate) fn tokens<'a>(&self, headers: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Tokens {
        let mut tokens = Tokens::default();
        let mut left = limit;
        for header in headers {
            let looked_at = &header[..header.len().min(left)];
            left -= looked_at.len();
            for pair in looked_at.split(|&byte| byte == b';') {
                let Some(token) = self.value(pair).and_then(Token::parse) else { continue };
                if tokens.iter().flatten().any(|known| known.hash() == token.hash()) {
                    continue;
                }
                if let Some(free) = tokens.iter_mut().find(|place| place.is_none()) {
                    *free = Some(token);
                }
            }
        }
        tokens
    }

    /// The value in `name=value`, if the name is ours: prefixes match case-sensitively.
    fn value<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let value =
            pair.trim_ascii_start().strip_prefix(self.name.as_bytes())?.strip_prefix(b"=")?.trim_ascii();
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(unquoted.unwrap_or(value))
    }

    /// `Set-Cookie` for a token; with `max_age` the cookie outlives the browser window.
    pub(crate) fn set(&self, token: &Token, max_age: Option<Duration>) -> String {
        let mut text = String::with_capacity(160);
        text.push_str(&self.name);
        text.push('=');
        token.reveal_in(&mut text);
        if let Some(age) = max_age {
            text.push_str("; Max-Age=");
            text.push_str(&age.min(LONGEST).as_secs().to_string());
        }
        self.attributes(&mut text);
        text
    }

    /// `Set-Cookie` that removes the cookie: same scope, same attributes.
    pub(crate) fn clear(&self) -> String {
        let mut text = format!("{}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT", self.name);
        self.attributes(&mut text);
        text
    }

    fn attributes(&self, text: &mut String) {
        text.push_str("; Path=");
        text.push_str(&self.path);
        if let Some(domain) = &self.domain {
            text.push_str("; Domain=");
            text.push_str(domain);
        }
        text.push_str(if self.secure { "; Secure; HttpOnly; SameSite=" } else { "; HttpOnly; SameSite=" });
        text.push_str(match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(headers: &[&str]) -> Vec<String> {
        let headers = headers.iter().map(|header| header.as_bytes());
        Cookie::default().tokens(headers, 4096).iter().flatten().map(Token::reveal).collect()
    }

    #[test]
    fn our_cookie_is_found_wherever_it_stands() {
        let (a, b) = (Token::generate().unwrap().reveal(), Token::generate().unwrap().reveal());
        for header in [
            format!("__Host-id={a}"),
            format!("x=1;__Host-id={a} ; y"),
            format!("__Host-id=\"{a}\""),
            format!("__Host-id=junk; __Host-id={a}; __Host-id={a}"),
        ] {
            assert_eq!(tokens(&[&header]), std::slice::from_ref(&a), "{header}");
        }
        let split = [&*format!("__Host-id={a}"), "other=1", &*format!("__Host-id={b}")];
        assert_eq!(tokens(&split), [a.clone(), b]);
        for header in [
            format!("__host-id={a}"),
            format!("__Host-id2={a}"),
            format!("x__Host-id={a}"),
            format!("{}; __Host-id={a}", "y".repeat(5000)),
            format!("__Host-id={a}x"),
            format!("__Host-id {a}"),
        ] {
            assert!(tokens(&[&header]).is_empty(), "{header}");
        }
    }

    #[test]
    fn unsafe_or_impossible_cookies_are_refused() {
        let base = Cookie::default;
        for wrong in [
            base().domain("example.org"),
            base().path("/app"),
            base().name("__host-x").path("/app"),
            base().name(""),
            base().name("a b"),
            base().name("a").path("x"),
            base().name("a").path("/;Secure"),
            base().name("a").domain(""),
            base().insecure_for_localhost().name("__Secure-a"),
            base().insecure_for_localhost().name("__Host-a"),
            base().insecure_for_localhost().same_site(SameSite::None),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        base().check().unwrap();
        base().name("sid").domain("example.org").same_site(SameSite::None).check().unwrap();
        base().insecure_for_localhost().check().unwrap();
    }

    #[test]
    fn attributes_are_the_same_when_set_and_when_cleared() {
        let token = Token::generate().unwrap();
        let scope = "; Path=/; Secure; HttpOnly; SameSite=Lax";
        let cookie = Cookie::default();
        assert_eq!(cookie.set(&token, None), format!("__Host-id={}{scope}", token.reveal()));
        assert!(cookie.set(&token, Some(Duration::MAX)).contains("; Max-Age=34560000; "));
        assert!(cookie.clear().starts_with("__Host-id=; Max-Age=0; ") && cookie.clear().ends_with(scope));
    }
}
