//! What stands before every request and goes out with every answer.

use axum::{
    extract::{MatchedPath, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Refuses what another site has the visitor's browser do, and logs what became of the rest: the
/// route, never the address, which a client may have put anything in.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    if acts(&method, request.uri().path()) && !from_here(request.headers()) {
        tracing::warn!(%method, route, "refused: another site caused this request");
        let text = "Refused: another site caused this request. Use this site's own pages.\n";
        return harden((StatusCode::FORBIDDEN, text).into_response());
    }
    let response = next.run(request).await;
    tracing::debug!(%method, route, status = response.status().as_u16(), "answered");
    harden(response)
}

/// Whether the request may change something: every post, and the lab's routes, which are all GET.
fn acts(method: &Method, path: &str) -> bool {
    !method.is_safe() || path.starts_with("/lab/")
}

/// Whether this site's pages or the visitor's own hand caused the request, by what the browser
/// says. Who is no browser says nothing, carries no visitor's cookie unasked, and may pass.
fn from_here(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let named = origin.as_bytes().strip_prefix(b"http://");
    named.is_some_and(|named| host.is_some_and(|host| named.eq_ignore_ascii_case(host)))
}

fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_site_and_the_visitor_may_act() {
        for (fetch_site, origin, expected) in [
            (Some("same-origin"), None, true),
            (Some("none"), None, true),
            (Some("cross-site"), None, false),
            (Some("same-site"), None, false),
            (Some("cross-site"), Some("http://localhost:3000"), false),
            (None, Some("http://LOCALHOST:3000"), true),
            (None, Some("http://localhost:3001"), false),
            (None, Some("https://localhost:3000"), false),
            (None, Some("null"), false),
            (None, None, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost:3000"));
            if let Some(site) = fetch_site {
                headers.insert(FETCH_SITE, HeaderValue::from_static(site));
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(from_here(&headers), expected, "{fetch_site:?} {origin:?}");
        }
    }

    #[test]
    fn every_post_and_the_lab_act() {
        assert!(acts(&Method::POST, "/") && acts(&Method::GET, "/lab/new"));
        assert!(!acts(&Method::GET, "/") && !acts(&Method::GET, "/lab") && !acts(&Method::HEAD, "/cart"));
    }
}
