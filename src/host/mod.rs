//! Clock, threads and waiting: the parts of the standard library that a browser has in another form, or lacks.
//!
//! In: nothing. Out: the host's clock, whether it starts threads, a way to wait.
//! Absent on purpose: the reason for waiting.

mod clock;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod helpers;
pub(crate) mod threads;
#[cfg(feature = "gpu")]
pub(crate) mod waiting;

pub(crate) use self::clock::Instant;
