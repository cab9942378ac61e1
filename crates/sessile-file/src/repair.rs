//! Mends what can be mended: drops damaged records, makes the indexes anew from the others.

use std::ops::Bound;

use sessile_core::{ErrorKind, SessionId};

use crate::{engine::Stored, envelope::Head, failure::Failure, index::Place, keys::id_of, ops::Writing};

/// Records that are held in memory at a time.
const STEP: usize = 1000;

/// Rebuilds all indexes in one transaction.
pub(crate) fn rebuild(writing: &mut Writing<'_, '_>) -> Result<(), Failure> {
    let tables = writing.engine.tables;
    for index in tables.indexes() {
        index.clear(writing.txn)?;
    }
    let mut after = None;
    loop {
        let step = read_some(writing, after)?;
        let Some((last, _)) = step.last() else { return Ok(()) };
        after = Some(*last);
        for (id, stored) in step {
            let Some(stored) = stored else {
                tables.records.delete(writing.txn, id.as_bytes())?;
                continue;
            };
            let record = &stored.record;
            let head = Head { version: stored.head.version, due: record.due(), seen: record.seen };
            writing.store(&id, None, Place { record, head })?;
        }
    }
}

/// The next records after `after`; `None` for damaged ones.
fn read_some(
    writing: &Writing<'_, '_>,
    after: Option<SessionId>,
) -> Result<Vec<(SessionId, Option<Stored>)>, Failure> {
    let first = after.as_ref().map_or(Bound::Unbounded, |id| Bound::Excluded(&id.as_bytes()[..]));
    let mut step = Vec::new();
    for entry in writing.engine.tables.records.range(writing.txn, &(first, Bound::Unbounded))?.take(STEP) {
        let (key, value) = entry?;
        let Some(id) = id_of(key) else { continue };
        match Stored::read(&id, value) {
            Ok(stored) => step.push((id, Some(stored))),
            Err(error) if error.kind() == ErrorKind::Corrupt => step.push((id, None)),
            // A newer version of Sessile can read it, and must do the repair.
            Err(error) => return Err(Failure::Abort(error)),
        }
    }
    Ok(step)
}
