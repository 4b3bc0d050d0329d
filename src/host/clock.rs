//! The clock by which runs are timed.

#[cfg(not(all(feature = "web", target_arch = "wasm32")))]
pub(crate) use std::time::Instant;
// The standard library's clock panics in a browser.
#[cfg(all(feature = "web", target_arch = "wasm32"))]
pub(crate) use web_time::Instant;
