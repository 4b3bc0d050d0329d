//! Out-of-fold predictions: of each row, by the network of the fold that held it out.
//!
//! In: the networks of all folds and their rows. Out: a table of predictions with the actual values, and figures of all rows at
//! once.
//! Absent on purpose: training.

use std::path::Path;

use ::csv::StringRecord;

use super::parts::TrainedPart;
use super::verdict::{free_column, push_targets};
use crate::cli::open_run::OUT_OF_FOLD;
use crate::cli::settings::FoldedTable;
use crate::cli::tables::{CellStyle, PredictionColumns, PredictionWriter, ROWS};
use crate::data::{Dataset, RowChunk};
use crate::device::DeviceKind;
use crate::error::{Error, Result};
use crate::report::{count, pluralize};
use crate::train::{Metrics, OutputTable, Predictor, TrainOptions};

/// Predictions of all rows by networks that did not train on them, for each drawing of folds.
pub(super) struct OutOfFold<'a> {
    table: &'a FoldedTable,
    /// Raw outputs in terms of the first fold's network, for each drawing.
    drawings: Vec<OutputTable>,
    /// Figures of each drawing.
    pub(super) metrics: Vec<Metrics>,
}

impl<'a> OutOfFold<'a> {
    /// Predicts the rows of each fold.
    pub(super) fn new(
        trained: &'a [TrainedPart],
        table: &'a FoldedTable,
        options: &TrainOptions,
    ) -> Result<Self> {
        let (first, data) = (&trained[0].trained, &table.data);
        let (mut drawings, mut metrics) = (Vec::new(), Vec::new());
        let mut networks = trained.iter().zip(&table.splits);
        for folds in &table.folds {
            let mut outputs = OutputTable::new(first, data.rows());
            for fold in 0..folds.count() {
                let (part, split) = networks.next().expect("each fold has a network");
                let Some(valid) = &split.valid else { continue };
                let rows = folds.rows(fold);
                if rows.len() != valid.rows() {
                    let problem = format!(
                        "fold {fold} has {}, of which {} can be predicted",
                        pluralize(rows.len() as u64, "row"),
                        count(valid.rows() as u64)
                    );
                    return Err(Error::table(data.source(), problem));
                }
                let network = part.trained.clone();
                let predictor = Predictor::on_device(network, &DeviceKind::Cpu, Some(ROWS))?;
                outputs.put(&predictor, valid, &rows)?;
            }
            metrics.push(outputs.metrics((data.y(), data.weights()), options));
            drawings.push(outputs);
        }
        Ok(Self { table, drawings, metrics })
    }

    /// Writes the predictions: a line for each row, and for each drawing of folds again.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let Some(first) = self.drawings.first() else { return Ok(()) };
        let data = &self.table.data;
        let told = PredictionColumns::of(first.network());
        let several = self.drawings.len() > 1;
        let repeat = several.then_some("repeat");
        let places = ["row"].into_iter().chain(repeat).chain(["fold"]);
        let weight = data.schema().weight.as_deref().filter(|_| data.weights().is_some());
        let own: Vec<&str> = data.schema().targets().into_iter().chain(weight).collect();
        let free = |name| free_column(name, &own);
        let header = places.map(free).chain(own.iter().map(ToString::to_string));
        let header = StringRecord::from_iter(header);
        let (names, _) = told.header(&header);
        let path = folder.join(OUT_OF_FOLD);
        let mut sink = PredictionWriter::open(Some(&path), false, &names, CellStyle::default())?;
        let mut written = 0;
        for (repeat, (folds, outputs)) in self.table.folds.iter().zip(&self.drawings).enumerate() {
            let repeat = several.then_some(repeat);
            for begin in (0..data.rows()).step_by(ROWS) {
                let rows = begin..data.rows().min(begin + ROWS);
                let record = |row| place_record(data, row, (repeat, folds.of_rows()[row]));
                let records = rows.clone().map(record).collect();
                let chunk = RowChunk { records, ..RowChunk::default() };
                sink.write(&chunk, &outputs.predictions(rows.clone()).into(), &told, written)?;
                written += rows.len() as u64;
            }
        }
        sink.finish()
    }
}

/// Returns the number of a row from 1, its fold, its actual values, and its weight if rows have one.
fn place_record(data: &Dataset, row: usize, (repeat, fold): (Option<usize>, u32)) -> StringRecord {
    let mut record = StringRecord::from(vec![data.row_number(row).to_string()]);
    if let Some(repeat) = repeat {
        record.push_field(&repeat.to_string());
    }
    record.push_field(&fold.to_string());
    push_targets(&mut record, data, row);
    if let (Some(_), Some(weights)) = (&data.schema().weight, data.weights()) {
        record.push_field(&weights[row].to_string());
    }
    record
}
