//! The site put together.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn,
    routing::{get, post},
};
use sessile::{Sessions, axum::SessionLayer};

use crate::demo::{assets, devices, guard::guard, lab, page, shop, sign_in, stored};

/// More than any form of the site sends.
const LONGEST_BODY: usize = 16 << 10;

/// What handlers share.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) sessions: Sessions,
    /// The site's address, for examples.
    pub(super) site: Arc<str>,
    /// The store's name, for people.
    pub(super) store: Arc<str>,
}

/// The whole site. `site` is its address and `store` the URL of the store behind `sessions`.
/// To be called inside of a runtime: the sweeper is spawned.
pub(super) fn router(sessions: Sessions, site: &str, store: &str) -> Router {
    let app = App { sessions: sessions.clone(), site: site.into(), store: store_name(store).into() };
    let site = Router::new()
        .route("/", get(shop::home))
        .route("/cart", get(shop::cart).post(shop::add))
        .route("/cart.txt", get(shop::count))
        .route("/cart/remove", post(shop::remove))
        .route("/cart/empty", post(shop::empty))
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/devices", get(devices::list))
        .route("/devices/others/end", post(devices::end_others))
        .route("/devices/{id}/end", post(devices::end_one))
        .route("/stored", get(stored::show))
        .route("/lab", get(lab::show))
        .merge(lab::routes())
        .merge(assets::routes())
        .fallback(page::not_found)
        .with_state(app.clone())
        .layer(SessionLayer::new(sessions).sweeping())
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn(guard));
    // The races drive the whole site as browsers do, so they stand outside of it.
    let races = lab::races(&app, &site).layer(from_fn(guard));
    site.merge(races)
}

/// A store's URL without what may be secret in it: user, password and options.
pub(super) fn store_name(url: &str) -> String {
    let address = url.split('?').next().unwrap_or(url);
    match address.split_once("://") {
        Some((scheme, place)) => {
            let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
            format!("{scheme}://{place}")
        }
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::store_name;

    #[test]
    fn a_stores_name_holds_no_password() {
        assert_eq!(store_name("embedded:./sessile-data?max_size=1"), "embedded:./sessile-data");
        assert_eq!(store_name("x://ann:p@ss@db:5432/a?password=p"), "x://db:5432/a");
    }
}
