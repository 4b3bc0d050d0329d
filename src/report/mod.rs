//! Output of a run for people and programs.
//!
//! In: [`Event`](crate::train::Event)s, trained networks. Out: progress on stderr, JSON Lines, `history.csv`, `metrics.json`; pictures of
//! a run, and its report as a page.
//! Absent on purpose: devices, exit codes, where a run folder is.

#[cfg(feature = "pictures")]
mod column_summary;
mod columns_text;
mod console;
mod figures;
mod history;
mod history_table;
mod jsonl;
#[cfg(feature = "pictures")]
mod page;
#[cfg(feature = "pictures")]
mod run_pictures;
#[cfg(feature = "tensorboard")]
mod tensorboard;
mod text;
mod vocabulary;

#[cfg(feature = "pictures")]
pub use column_summary::{ColumnSummary, column_summaries};
pub use columns_text::{column_texts, target_texts};
pub use console::Console;
#[cfg(feature = "cli")]
pub(crate) use console::{leave_view, notify_view};
pub use figures::{Comparison, Comparisons, Figures, Outcome};
pub use history::History;
pub use history_table::HistoryTable;
pub use jsonl::JsonLines;
#[cfg(feature = "pictures")]
pub use page::{NetworkFigures, NextCommand, RunReport, SweepReport, TrialRow};
#[cfg(feature = "pictures")]
pub use run_pictures::{
    ColumnPictures, NetworkHistory, column_pictures, history_pictures, network_history_pictures,
    network_picture, prediction_pictures, scored_pictures,
};
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;
#[cfg(feature = "cli")]
pub(crate) use text::escape_json_controls;
pub use text::{count, duration, escape_controls, pluralize, positive, positive_by_column};
pub use vocabulary::{entries, vocabulary};
