//! Walks a table's tree, level by level, and checks all that the engine relies on.

use std::rc::Rc;

use super::{
    Finding,
    layout::{METAS, Tree, TreePage, Value, overflow_pages},
    pages::Pages,
};

/// The pages that tables and the list of free pages were found to hold.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    pages: &'a Pages<'a>,
    last_page: u64,
    claimed: Vec<u64>,
    places: Vec<(usize, usize)>,
}

/// A page to visit, and between which keys its own must be.
struct Visit {
    page: u64,
    low: Option<Rc<[u8]>>,
    high: Option<Rc<[u8]>>,
}

/// A value on pages of its own.
struct Big {
    page: u64,
    len: usize,
    key: Box<[u8]>,
}

/// What a walk calls with each key, value, and whether the value describes a table.
pub(super) type Visitor<'v> = &'v mut dyn FnMut(&[u8], &[u8], bool) -> Result<(), Finding>;

impl<'a> Walker<'a> {
    pub(super) fn new(pages: &'a Pages<'a>, last_page: u64) -> Self {
        // One bit for each page that the file has: others can't be claimed.
        let words = usize::try_from(pages.count() / 64 + 1).unwrap_or(0);
        Self { pages, last_page, claimed: vec![0; words], places: Vec::new() }
    }

    /// Checks the tree and calls `visit` with all its entries, in no promised order.
    pub(super) fn walk(&mut self, tree: &Tree, visit: Visitor<'_>) -> Result<(), Finding> {
        let mut found =
            Tree { branch_pages: 0, leaf_pages: 0, overflow_pages: 0, entries: 0, ..tree.clone() };
        let mut level: Vec<Visit> =
            tree.root.map(|page| Visit { page, low: None, high: None }).into_iter().collect();
        let mut big = Vec::new();
        for height in (0..tree.depth).rev() {
            let mut below = Vec::new();
            level.sort_unstable_by_key(|visit| visit.page);
            for visit in &level {
                self.claim(visit.page, 1)?;
            }
            let mut places = std::mem::take(&mut self.places);
            let pages = self.pages;
            pages.each(
                &level,
                |visit| visit.page,
                |at, bytes| {
                    let page = TreePage::read(bytes, at.page, height == 0, &mut places)?;
                    if height == 0 {
                        found.leaf_pages += 1;
                        found.entries += page.len() as u64;
                        read_leaf(tree, &page, at, &mut big, &mut *visit)
                    } else {
                        found.branch_pages += 1;
                        read_branch(tree, &page, at, &mut below)
                    }
                },
            )?;
            self.places = places;
            level = below;
        }
        found.overflow_pages = self.read_big(big, visit)?;
        if found != *tree {
            return Err(Finding::damage("a table doesn't hold as much as it says"));
        }
        Ok(())
    }

    /// Reads the values that have pages of their own; returns how many pages those are.
    fn read_big(&mut self, mut big: Vec<Big>, visit: Visitor<'_>) -> Result<u64, Finding> {
        big.sort_unstable_by_key(|value| value.page);
        let mut sum = 0;
        let mut buffer = Vec::new();
        for value in big {
            self.pages.read(value.page, 1, &mut buffer)?;
            let count = overflow_pages(&buffer, value.page)?;
            self.claim(value.page, count)?;
            self.pages.read(value.page, count, &mut buffer)?;
            let bytes = buffer.get(super::layout::HEADER..).and_then(|bytes| bytes.get(..value.len));
            visit(&value.key, bytes.ok_or_else(|| Finding::damage("a value is cut short"))?, false)?;
            sum += count;
        }
        Ok(sum)
    }

    /// Notes that `count` pages from `first` on are in use; each may be used only once.
    pub(super) fn claim(&mut self, first: u64, count: u64) -> Result<(), Finding> {
        let end = first.saturating_add(count);
        if first < METAS || end - 1 > self.last_page {
            return Err(Finding::damage(format!("a page number, {first}, is out of range")));
        }
        if end > self.pages.count() {
            return Err(Finding::damage("the file is cut short"));
        }
        for page in first..end {
            // Fits: there is a word for each 64 pages of the file.
            let (word, bit) = ((page / 64) as usize, 1 << (page % 64));
            if self.claimed[word] & bit != 0 {
                return Err(Finding::damage(format!("page {page} is used twice")));
            }
            self.claimed[word] |= bit;
        }
        Ok(())
    }

    /// Notes that a page is free. Free pages may lie beyond the end of the file.
    pub(super) fn claim_free(&mut self, page: u64, beyond: &mut u64) -> Result<(), Finding> {
        if page < self.pages.count() {
            return self.claim(page, 1);
        }
        if page > self.last_page {
            return Err(Finding::damage(format!("a page number, {page}, is out of range")));
        }
        *beyond += 1;
        Ok(())
    }
}

fn read_leaf(
    tree: &Tree,
    page: &TreePage<'_>,
    at: &Visit,
    big: &mut Vec<Big>,
    visit: Visitor<'_>,
) -> Result<(), Finding> {
    let mut before = None;
    for index in 0..page.len() {
        let entry = page.entry(index)?;
        in_order(tree, at, before, entry.key)?;
        before = Some(entry.key);
        match entry.value {
            Value::Inline(value) => visit(entry.key, value, entry.is_table)?,
            Value::Overflow { page, len } => big.push(Big { page, len, key: entry.key.into() }),
        }
    }
    Ok(())
}

fn read_branch(tree: &Tree, page: &TreePage<'_>, at: &Visit, below: &mut Vec<Visit>) -> Result<(), Finding> {
    if page.len() < 2 && !tree.has_integer_keys() {
        return Err(Finding::damage("a page has one branch only"));
    }
    let mut low = at.low.clone();
    for index in 0..page.len() {
        let (_, child) = page.child(index)?;
        let high = match index + 1 < page.len() {
            true => {
                let (key, _) = page.child(index + 1)?;
                // The first key of a branch says nothing; the others part its children.
                in_order(tree, at, low.as_deref().filter(|_| index > 0), key)?;
                Some(Rc::from(key))
            }
            false => at.high.clone(),
        };
        below.push(Visit { page: child, low: low.take(), high: high.clone() });
        low = high;
    }
    Ok(())
}

/// Checks that `key` comes after `before` and lies within the page's bounds.
fn in_order(tree: &Tree, at: &Visit, before: Option<&[u8]>, key: &[u8]) -> Result<(), Finding> {
    let less = |a: &[u8], b: &[u8]| {
        if tree.has_integer_keys() { number(a) < number(b) } else { a < b }
    };
    let ordered = before.is_none_or(|before| less(before, key))
        && at.low.as_deref().is_none_or(|low| !less(key, low))
        && at.high.as_deref().is_none_or(|high| less(key, high));
    if !ordered || tree.has_integer_keys() && key.len() != super::layout::WORD {
        return Err(Finding::damage(format!("the keys of page {} are out of order", at.page)));
    }
    Ok(())
}

fn number(key: &[u8]) -> Option<usize> {
    key.first_chunk().map(|bytes| usize::from_ne_bytes(*bytes))
}
