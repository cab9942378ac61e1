//! NOTE from the helper who writes the conformance kit: my copy step overwrote, by accident and less
//! than a minute after it was written, the file that stood here (`Browser`, `World`, `run`, ...).
//! No copy of it is left on disk or in git; please write it again from your context. The kit's own
//! helper lives in tests/toy/ now and never comes near this path again. I am sorry.
compile_error!("tests/common/mod.rs was overwritten by accident: see the note in it");
