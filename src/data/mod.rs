//! From files and arrays to a [`Dataset`].
//!
//! In: tables as text or arrays, slices. Out: finite inputs row by row, as exact as the table has them, made of numbers, texts, dates and
//! gaps; targets, what scaling was done to both, and the order in which an epoch visits the rows.
//! Absent on purpose: models, devices, and any guess that a user cannot see; whatever a table
//! leaves unclear is an error that names the line and the column.

mod archive;
mod arrange;
mod arrays;
mod batches;
mod byte_stream;
mod cell;
mod column;
mod column_cells;
mod column_copies;
mod column_notes;
#[cfg(feature = "parquet")]
mod columnar;
mod csv;
mod date;
mod duplicates;
mod encode;
mod external_sort;
mod features;
mod folds;
mod header;
mod inspect;
mod kinds;
mod name_list;
mod normal;
mod number_builder;
mod numbers;
mod open;
mod positive;
mod preprocess;
mod quick_number;
mod remarks;
mod row_cells;
mod row_places;
mod scaling;
mod schema;
#[cfg(feature = "cli")]
mod shared_table;
mod sheet_rows;
mod split;
mod stored_numbers;
pub mod synth;
mod table;
mod table_cache;
mod table_file;
mod table_in_memory;
mod table_options;
mod target;
mod targets;
#[cfg(any(feature = "parquet", feature = "xlsx"))]
mod text_cells;
mod text_forms;
mod text_table;
#[cfg(feature = "xlsx")]
mod xlsx;

#[cfg(feature = "cli")]
pub(crate) use self::archive::is_workbook;
pub use self::arrange::Arranged;
pub use self::batches::{Batches, epoch_order, steps_per_epoch};
pub use self::cell::GAP_MARKS;
pub use self::column::{Column, ColumnEncoding, PooledTexts};
#[cfg(feature = "onnx")]
pub(crate) use self::column::{date_places, spelled_texts};
#[cfg(feature = "cli")]
pub(crate) use self::csv::column_names_as;
pub use self::csv::{
    DecimalMark, FeatureReader, LabelledRows, LoadedTable, PartReader, RowChunk, TableFormat,
    column_names,
};
pub use self::date::DatePart;
pub(crate) use self::external_sort::{SharedTempFile, Sorter};
pub use self::features::Features;
pub use self::folds::Folds;
pub(crate) use self::header::{list, option_value};
#[cfg(feature = "cli")]
pub(crate) use self::inspect::inspect_noted;
pub use self::inspect::{ColumnReport, inspect, inspect_with};
pub use self::name_list::{column_and_rule, parts_of};
#[cfg(feature = "onnx")]
pub(crate) use self::normal::{CENTRAL, CENTRE, SHARE_BELOW, TAIL, WIDEST_Z};
pub use self::numbers::{NumberBlock, Numbers};
#[cfg(feature = "cli")]
pub(crate) use self::open::is_lasting;
pub use self::positive::Positive;
pub use self::preprocess::Preprocessing;
pub use self::remarks::Remarks;
pub use self::row_cells::{OddCell, Oddities};
pub(crate) use self::scaling::OF_CONSTANT;
#[cfg(feature = "onnx")]
pub(crate) use self::scaling::{CLIP, LARGE, MOST_RANK};
pub use self::scaling::{FeatureScaling, ScalingCurves, ScalingRules};
pub use self::schema::{BinaryColumn, DuplicateColumn, Schema, Target, TargetKind};
#[cfg(feature = "cli")]
pub(crate) use self::shared_table::{SharedPlace, SharedTable};
pub use self::split::{RowPart, Split, SplitColumns};
#[cfg(not(target_family = "wasm"))]
pub(crate) use self::stored_numbers::LoadedNumbers;
pub(crate) use self::stored_numbers::ReadBuffer;
pub use self::stored_numbers::StoredSlice;
pub use self::table::Dataset;
#[cfg(feature = "cli")]
pub(crate) use self::table_cache::{CachedTable, cached_tables, clear_cached_tables};
pub use self::table_in_memory::TableInMemory;
pub use self::table_options::{ColumnRule, DateRule, GapRule, ReadProgress, TableOptions};
pub use self::targets::Targets;
