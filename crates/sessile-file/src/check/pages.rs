//! Reads pages of the file, in the file's order and many at a time: a cold disk likes that.

use std::{fs::File, io};

use super::Finding;

/// Most bytes read at once.
const RUN: usize = 1 << 20;
/// Pages between two wanted ones that are read along rather than skipped.
const GAP: u64 = 8;

/// The file as pages.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    file: &'a File,
    page_size: usize,
    /// Whole pages that the file has.
    count: u64,
}

impl<'a> Pages<'a> {
    pub(super) fn new(file: &'a File, page_size: usize) -> Result<Self, Finding> {
        let count = file.metadata()?.len() / page_size as u64;
        Ok(Self { file, page_size, count })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Calls `visit` with each wanted item and its page. `wanted` is sorted by page.
    pub(super) fn each<T>(
        &self,
        wanted: &[T],
        page_of: impl Fn(&T) -> u64,
        mut visit: impl FnMut(&T, &[u8]) -> Result<(), Finding>,
    ) -> Result<(), Finding> {
        let mut buffer = Vec::new();
        let mut rest = wanted;
        while let Some(first) = rest.first().map(&page_of) {
            let most = (RUN / self.page_size) as u64;
            let mut last = first;
            let mut run = 0;
            for page in rest.iter().map(&page_of) {
                if page > last + GAP || page - first >= most {
                    break;
                }
                last = page;
                run += 1;
            }
            self.read(first, last - first + 1, &mut buffer)?;
            let (now, later) = rest.split_at(run);
            for item in now {
                // Both fit: the buffer was sized by the same numbers.
                let start = (page_of(item) - first) as usize * self.page_size;
                let page = buffer.get(start..start + self.page_size).unwrap_or_default();
                visit(item, page)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Reads `count` pages from `first` on.
    pub(super) fn read(&self, first: u64, count: u64, buffer: &mut Vec<u8>) -> Result<(), Finding> {
        if first.checked_add(count).is_none_or(|end| end > self.count) {
            return Err(Finding::damage("the file is cut short"));
        }
        // Fits: the file has as many bytes, and an overflow value is never longer than 4 GiB.
        buffer.resize(count as usize * self.page_size, 0);
        read_at(self.file, buffer, first * self.page_size as u64)?;
        Ok(())
    }
}

/// Fills `buffer` from `offset` on.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset);
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < buffer.len() {
            let offset = offset + done as u64;
            match std::os::windows::fs::FileExt::seek_read(file, &mut buffer[done..], offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }
}
