//! Names of values: typed and declared once, or plain text.

use std::{fmt, marker::PhantomData};

/// The name and type of a value, said once.
///
/// ```
/// use sessile_core::Key;
///
/// const VISITS: Key<u64> = Key::new("visits");
/// ```
pub struct Key<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key of this name, for values of type `T`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.name)
    }
}

/// What names a value: a [`Key`] or any text.
pub trait Name {
    /// The name.
    fn name(&self) -> &str;
}

/// What names a value of type `T`: a [`Key<T>`], or any text for any type.
pub trait AsKey<T>: Name {}

impl<T> Name for Key<T> {
    fn name(&self) -> &str {
        self.name
    }
}

impl<T> AsKey<T> for Key<T> {}

impl Name for &str {
    fn name(&self) -> &str {
        self
    }
}

impl<T> AsKey<T> for &str {}

impl Name for String {
    fn name(&self) -> &str {
        self
    }
}

impl<T> AsKey<T> for String {}

impl Name for &String {
    fn name(&self) -> &str {
        self
    }
}

impl<T> AsKey<T> for &String {}
