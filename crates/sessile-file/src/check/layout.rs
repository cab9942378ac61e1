//! The engine's file format (LMDB data version 1), read with every access checked.
//!
//! The engine itself trusts what it maps into memory: a damaged page number or offset would make
//! it read beyond the map. So this looks first, at the file and not at the map.
//!
//! Numbers are in the machine's order and word size, as the engine writes them.

use super::Finding;

/// A `size_t`, which page numbers and counts are.
pub(super) const WORD: usize = size_of::<usize>();
/// Page number, padding, flags, bounds.
pub(super) const HEADER: usize = WORD + 8;
/// Number of pages at the front that hold a header of the file each.
pub(super) const METAS: u64 = 2;
/// A table as the engine describes it.
const TABLE: usize = 8 + 5 * WORD;
/// Bytes of a header of the file, with the header of its page.
pub(super) const META: usize = HEADER + 8 + 2 * WORD + 2 * TABLE + 2 * WORD;

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
const NO_PAGE: u64 = usize::MAX as u64;
const NODE: usize = 8;
const MAX_KEY: usize = 511;
/// Levels of a tree that the engine can follow.
const MAX_DEPTH: u16 = 32;

/// More address space than any system gives.
const MAX_MAP: u64 = 1 << 47;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
const META_PAGE: u16 = 0x08;

const BIG: u16 = 0x01;
const SUBTABLE: u16 = 0x02;
/// Keys are numbers: the engine's own list of free pages.
const INTEGER_KEYS: u16 = 0x08;

/// One of the two headers of the file.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) page_size: usize,
    pub(super) map_size: u64,
    pub(super) free: Tree,
    pub(super) main: Tree,
    pub(super) last_page: u64,
    pub(super) txn: u64,
}

impl Meta {
    pub(super) fn read(page: &[u8]) -> Result<Self, Finding> {
        let mut fields = Fields(page.get(WORD + 2..).unwrap_or_default());
        let flags = fields.short()?;
        fields.skip(4)?;
        if flags != META_PAGE || fields.int()? != MAGIC {
            return Err(Finding::damage("its header is overwritten"));
        }
        if fields.int()? != VERSION {
            return Err(Finding::damage("its header names another version of the engine"));
        }
        fields.skip(WORD)?;
        let map_size = fields.word()?;
        let page_size = fields.clone().int()? as usize;
        if !page_size.is_power_of_two() || !(512..=0x8000).contains(&page_size) {
            return Err(Finding::damage("its header names an impossible page size"));
        }
        let (free, main) = (Tree::from(&mut fields)?, Tree::from(&mut fields)?);
        let (last_page, txn) = (fields.word()?, fields.word()?);
        if free.flags != INTEGER_KEYS
            || map_size > MAX_MAP
            || last_page < METAS - 1
            || last_page >= MAX_MAP / page_size as u64
        {
            return Err(Finding::damage("its header makes no sense"));
        }
        Ok(Self { page_size, map_size, free, main, last_page, txn })
    }
}

/// A table's root and what the engine has counted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) flags: u16,
    pub(super) depth: u16,
    pub(super) branch_pages: u64,
    pub(super) leaf_pages: u64,
    pub(super) overflow_pages: u64,
    pub(super) entries: u64,
    pub(super) root: Option<u64>,
}

impl Tree {
    pub(super) fn read(value: &[u8]) -> Result<Self, Finding> {
        if value.len() != TABLE {
            return Err(Finding::damage("a table's description has a wrong size"));
        }
        Self::from(&mut Fields(value))
    }

    fn from(fields: &mut Fields<'_>) -> Result<Self, Finding> {
        fields.skip(4)?;
        let tree = Self {
            flags: fields.short()?,
            depth: fields.short()?,
            branch_pages: fields.word()?,
            leaf_pages: fields.word()?,
            overflow_pages: fields.word()?,
            entries: fields.word()?,
            root: Some(fields.word()?).filter(|page| *page != NO_PAGE),
        };
        if tree.depth > MAX_DEPTH || (tree.root.is_none()) != (tree.depth == 0) {
            return Err(Finding::damage("a table's depth makes no sense"));
        }
        Ok(tree)
    }

    pub(super) fn has_integer_keys(&self) -> bool {
        self.flags == INTEGER_KEYS
    }
}

/// A page of a tree whose nodes all lie within it, side by side.
#[derive(Debug)]
pub(super) struct TreePage<'a> {
    bytes: &'a [u8],
    is_leaf: bool,
    nodes: usize,
}

/// An entry of a leaf.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Value<'a>,
    pub(super) is_table: bool,
}

/// Where an entry's value is.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Inline(&'a [u8]),
    /// On pages of its own, from this one.
    Overflow {
        page: u64,
        len: usize,
    },
}

impl<'a> TreePage<'a> {
    /// Checks the page's header and the places of its nodes. `places` is scratch space.
    pub(super) fn read(
        bytes: &'a [u8],
        number: u64,
        is_leaf: bool,
        places: &mut Vec<(usize, usize)>,
    ) -> Result<Self, Finding> {
        let (flags, lower, upper) = page_header(bytes, number)?;
        if flags != if is_leaf { LEAF } else { BRANCH } {
            return Err(Finding::damage(format!("page {number} is of a wrong kind")));
        }
        let outside = || Finding::damage(format!("page {number} has nodes outside of it"));
        let (lower, upper) = (usize::from(lower), usize::from(upper));
        if lower < HEADER || lower % 2 != 0 || upper < lower || upper > bytes.len() || lower == HEADER {
            return Err(outside());
        }
        let page = Self { bytes, is_leaf, nodes: (lower - HEADER) / 2 };
        places.clear();
        for index in 0..page.nodes {
            let start = page.start(index)?;
            let len = page.node_len(start)?;
            if start < upper || start % 2 != 0 || start + len > bytes.len() {
                return Err(outside());
            }
            places.push((start, len.next_multiple_of(2)));
        }
        places.sort_unstable();
        let mut end = upper;
        for (start, len) in places.iter() {
            if *start != end {
                return Err(outside());
            }
            end += len;
        }
        if end != bytes.len() { Err(outside()) } else { Ok(page) }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes
    }

    /// Key and child of the branch's node `index`.
    pub(super) fn child(&self, index: usize) -> Result<(&'a [u8], u64), Finding> {
        let (mut fields, key) = self.node(index)?;
        let (low, high, top) = (fields.short()?, fields.short()?, fields.short()?);
        let number = if cfg!(target_endian = "little") { (high, low) } else { (low, high) };
        let top = if WORD > 4 { u64::from(top) << 32 } else { 0 };
        Ok((key, top | u64::from(number.0) << 16 | u64::from(number.1)))
    }

    /// The leaf's entry `index`.
    pub(super) fn entry(&self, index: usize) -> Result<Entry<'a>, Finding> {
        let (fields, key) = self.node(index)?;
        let len = data_len(fields.clone())?;
        let flags = flags(fields)?;
        let start = self.start(index)? + NODE + key.len();
        let cut = || Finding::damage("a value is cut short");
        let value = match flags {
            BIG => Value::Overflow { page: Fields(self.bytes.get(start..).ok_or_else(cut)?).word()?, len },
            0 | SUBTABLE => Value::Inline(self.bytes.get(start..start + len).ok_or_else(cut)?),
            _ => return Err(Finding::damage("an entry is of an unknown kind")),
        };
        if key.is_empty() {
            return Err(Finding::damage("an entry has no key"));
        }
        Ok(Entry { key, value, is_table: flags == SUBTABLE })
    }

    fn node(&self, index: usize) -> Result<(Fields<'a>, &'a [u8]), Finding> {
        let start = self.start(index)?;
        let mut fields = Fields(self.bytes.get(start..).unwrap_or_default());
        let head = fields.clone();
        fields.skip(6)?;
        let key_len = usize::from(fields.short()?);
        let key = fields.0.get(..key_len).filter(|key| key.len() <= MAX_KEY);
        Ok((head, key.ok_or_else(|| Finding::damage("a key is cut short"))?))
    }

    fn start(&self, index: usize) -> Result<usize, Finding> {
        let mut fields = Fields(self.bytes.get(HEADER + 2 * index..).unwrap_or_default());
        fields.short().map(usize::from)
    }

    fn node_len(&self, start: usize) -> Result<usize, Finding> {
        let fields = Fields(self.bytes.get(start..).unwrap_or_default());
        let mut key = fields.clone();
        key.skip(6)?;
        let key = usize::from(key.short()?);
        let data = match self.is_leaf {
            false => 0,
            true if flags(fields.clone())? & BIG != 0 => WORD,
            true => data_len(fields)?,
        };
        Ok(NODE + key + data)
    }
}

/// Number of pages that the overflow page `number` stands at the front of.
pub(super) fn overflow_pages(bytes: &[u8], number: u64) -> Result<u64, Finding> {
    let (flags, ..) = page_header(bytes, number)?;
    let mut fields = Fields(bytes.get(WORD + 4..).unwrap_or_default());
    let pages = u64::from(fields.int()?);
    if flags != OVERFLOW || pages == 0 {
        return Err(Finding::damage(format!("page {number} is of a wrong kind")));
    }
    Ok(pages)
}

/// The page numbers in an entry of the list of free pages.
pub(super) fn free_pages(value: &[u8]) -> Result<impl Iterator<Item = u64>, Finding> {
    let mut fields = Fields(value);
    let count = fields.word()?;
    let numbers = fields.0.chunks_exact(WORD);
    if count > numbers.len() as u64 {
        return Err(Finding::damage("the list of free pages is cut short"));
    }
    // `count` fits, for it is not larger than a length.
    Ok(numbers.take(count as usize).map(|bytes| Fields(bytes).word().unwrap_or(0)))
}

/// Flags and bounds of the page `number`.
fn page_header(bytes: &[u8], number: u64) -> Result<(u16, u16, u16), Finding> {
    let mut fields = Fields(bytes);
    if fields.word()? != number {
        return Err(Finding::damage(format!("page {number} was overwritten")));
    }
    fields.skip(2)?;
    Ok((fields.short()?, fields.short()?, fields.short()?))
}

fn data_len(mut node: Fields<'_>) -> Result<usize, Finding> {
    let (first, second) = (usize::from(node.short()?), usize::from(node.short()?));
    Ok(if cfg!(target_endian = "little") { second << 16 | first } else { first << 16 | second })
}

fn flags(mut node: Fields<'_>) -> Result<u16, Finding> {
    node.skip(4)?;
    node.short()
}

/// Takes numbers from the front.
#[derive(Debug, Clone)]
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Finding> {
        let (taken, rest) =
            self.0.split_first_chunk().ok_or_else(|| Finding::damage("a page is cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn skip(&mut self, len: usize) -> Result<(), Finding> {
        self.0 = self.0.get(len..).ok_or_else(|| Finding::damage("a page is cut short"))?;
        Ok(())
    }

    fn short(&mut self) -> Result<u16, Finding> {
        self.take().map(u16::from_ne_bytes)
    }

    fn int(&mut self) -> Result<u32, Finding> {
        self.take().map(u32::from_ne_bytes)
    }

    fn word(&mut self) -> Result<u64, Finding> {
        self.take().map(|bytes| usize::from_ne_bytes(bytes) as u64)
    }
}
