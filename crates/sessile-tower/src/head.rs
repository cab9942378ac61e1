//! What a session adds to a response's head.

use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, Entry, SET_COOKIE, VARY},
};
use sessile_core::Head;

pub(crate) fn apply(head: Head, headers: &mut HeaderMap) {
    if head.vary_cookie {
        vary_cookie(headers);
    }
    // The text is made of checked attributes and base64url: it is always a header value.
    let Some(Ok(mut cookie)) = head.set_cookie.map(HeaderValue::try_from) else { return };
    cookie.set_sensitive(true);
    remove_twin(&cookie, headers);
    headers.append(SET_COOKIE, cookie);
    if !has_private_policy(headers) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn vary_cookie(headers: &mut HeaderMap) {
    match headers.entry(VARY) {
        Entry::Vacant(vacant) => {
            vacant.insert(HeaderValue::from_static("Cookie"));
        }
        Entry::Occupied(mut occupied) => {
            if !occupied.iter().any(|value| names(value, "cookie") || names(value, "*")) {
                occupied.append(HeaderValue::from_static("Cookie"));
            }
        }
    }
}

/// A response must not set one cookie twice (RFC 6265bis §4.1.1): the session's own wins.
fn remove_twin(ours: &HeaderValue, headers: &mut HeaderMap) {
    let name = |value: &HeaderValue| {
        let end = value.as_bytes().iter().position(|&byte| byte == b'=');
        end.map(|end| value.as_bytes()[..end].trim_ascii().to_vec())
    };
    let Entry::Occupied(occupied) = headers.entry(SET_COOKIE) else { return };
    if !occupied.iter().any(|other| name(other) == name(ours)) {
        return;
    }
    let (_, others) = occupied.remove_entry_mult();
    let kept: Vec<_> = others.filter(|other| name(other) != name(ours)).collect();
    for other in kept {
        headers.append(SET_COOKIE, other);
    }
}

/// Whether the application already keeps shared caches away.
fn has_private_policy(headers: &HeaderMap) -> bool {
    headers.get_all(CACHE_CONTROL).iter().any(|value| names(value, "private") || names(value, "no-store"))
}

/// Whether a comma-separated list holds `name`, whatever its case.
fn names(list: &HeaderValue, name: &str) -> bool {
    list.as_bytes()
        .split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}
