//! Output of a run for people and programs.
//!
//! In: [`Event`](crate::train::Event)s. Out: progress on stderr, JSON Lines, `history.csv`, `metrics.json`.
//! Absent on purpose: devices, exit codes, where a run folder is.

mod console;
mod figures;
mod history;
mod jsonl;
mod text;
mod vocabulary;

pub use console::Console;
pub use figures::{Comparison, Comparisons, Figures, Outcome};
pub use history::History;
pub use jsonl::JsonLines;
#[cfg(feature = "cli")]
pub(crate) use text::escape_json_controls;
pub use text::{count, duration, escape_controls, pluralize, positive, positive_by_column};
pub use vocabulary::{entries, vocabulary};
