//! The home page and the cart.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    Form,
    extract::{State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use sessile::{Key, axum::Session};

use crate::demo::{
    app::App,
    page::{Frame, Result, render},
};

/// How many of each item, by the item's name.
const CART: Key<BTreeMap<String, u64>> = Key::new("shop-cart");

/// What can be bought: name in addresses, title, and a word about it.
const ITEMS: [(&str, &str, &str); 4] = [
    ("barnacle", "Barnacle", "Glues its head to a rock, for life."),
    ("coral", "Coral", "Builds its own house, and the street."),
    ("sponge", "Sponge", "Six hundred million years without a meeting."),
    ("mussel", "Mussel", "Holds on through every storm."),
];

struct Item {
    name: &'static str,
    title: &'static str,
    words: &'static str,
    count: u64,
}

fn items(cart: &BTreeMap<String, u64>) -> Vec<Item> {
    let count = |name: &str| cart.get(name).copied().unwrap_or(0);
    ITEMS.map(|(name, title, words)| Item { name, title, words, count: count(name) }).into()
}

/// How many things are in the cart.
pub(super) fn total(session: &Session) -> Result<u64> {
    Ok(session.get(CART)?.unwrap_or_default().values().sum())
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    items: Vec<Item>,
}

pub(super) async fn home(session: Session) -> Result {
    let items = items(&session.get(CART)?.unwrap_or_default());
    Ok(render(StatusCode::OK, &Home { frame: Frame::new(&session, "shop")?, items }))
}

#[derive(Template)]
#[template(path = "cart.html")]
struct Cart {
    frame: Frame,
    items: Vec<Item>,
    site: String,
}

pub(super) async fn cart(State(app): State<App>, session: Session) -> Result {
    let mut items = items(&session.get(CART)?.unwrap_or_default());
    items.retain(|item| item.count > 0);
    let page = Cart { frame: Frame::new(&session, "cart")?, items, site: app.site.to_string() };
    Ok(render(StatusCode::OK, &page))
}

pub(super) async fn count(session: Session) -> Result<String> {
    Ok(format!("{}\n", total(&session)?))
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Chosen {
    item: Option<String>,
}

/// Adds one. Without an item, as scripts post it, that is the first of the shop.
pub(super) async fn add(session: Session, form: Result<Form<Chosen>, FormRejection>) -> Result {
    let chosen = match form {
        Ok(Form(chosen)) => chosen,
        // A post without a body needn't say what kind of body it has.
        Err(FormRejection::InvalidFormContentType(_)) => Chosen::default(),
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let item = chosen.item.unwrap_or_else(|| ITEMS[0].0.to_owned());
    if !ITEMS.iter().any(|(name, ..)| *name == item) {
        return Ok(not_sold());
    }
    // Runs again on the fresh cart if another click was faster: every click counts.
    session.update(CART, move |cart| {
        let mut cart = cart.unwrap_or_default();
        *cart.entry(item.clone()).or_insert(0) += 1;
        cart
    })?;
    Ok(Redirect::to("/").into_response())
}

/// Takes one out.
pub(super) async fn remove(session: Session, Form(chosen): Form<Chosen>) -> Result {
    let Some(item) = chosen.item else { return Ok(not_sold()) };
    if session.has(CART) {
        session.update(CART, move |cart| {
            let mut cart = cart.unwrap_or_default();
            let left = cart.get(&item).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                cart.remove(&item);
            } else {
                cart.insert(item.clone(), left);
            }
            cart
        })?;
    }
    Ok(Redirect::to("/cart").into_response())
}

pub(super) async fn empty(session: Session) -> Redirect {
    session.remove(CART);
    Redirect::to("/cart")
}

fn not_sold() -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, "The shop has no such item.\n").into_response()
}
