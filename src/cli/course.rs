//! How a run goes: its schedules, and when it stops early.
//!
//! In: settings as texts. Out: values, or which setting belongs to what.
//! Absent on purpose: ranges, which `TrainOptions::check` knows.

use super::given::Given;
use crate::error::{Error, Result};
use crate::train::{Keep, ScheduleKind, TrainOptions};

/// A schedule, constant if none is given.
pub(super) fn schedule(given: &Given, key: &str) -> Result<ScheduleKind> {
    let read = |text: &str| ScheduleKind::parse(&format!("--{key}"), text);
    Ok(given.read(key, read)?.unwrap_or_default())
}

/// Epochs of patience; `none` for no early stopping.
pub(super) fn patience(given: &Given) -> Result<Option<u32>> {
    if given.text("stop-patience").is_some_and(|text| text.trim().eq_ignore_ascii_case("none")) {
        return Ok(None);
    }
    given.plain("stop-patience", "a whole number of epochs above 0, or none")
}

/// Refuses settings of early stopping where nothing is watched.
pub(super) fn watched(given: &Given, options: &TrainOptions) -> Result<()> {
    let stops = options.stop_patience.is_some();
    let refuse = |key: &str, watched: bool, owner: &str| match given.text(key) {
        Some(_) if !watched => {
            let problem = format!("nothing is watched; it belongs to {owner}");
            Err(Error::setting(given.place(key), problem))
        }
        _ => Ok(()),
    };
    let watches = stops || options.keep != Some(Keep::Last);
    refuse("stop-metric", watches, "--stop-patience and --keep best")?;
    refuse("stop-delta", stops, "--stop-patience")
}
