//! Comparison of a run with predictions that need no network, and files to look at.
//!
//! In: the run's rows, and the network that is kept. Out: baselines with a warning where the network is no better, the validation
//! rows with their predictions, and a digest of the training rows.
//! Absent on purpose: training.

use std::path::Path;

use crate::cli::open_run::{TRAINING_ROWS, VALIDATION};
use crate::cli::settings::{RunConfig, ValidSource};
use crate::cli::tables::{
    CellStyle, Overlap, PredictionColumns, PredictionWriter, ROWS, RowDigest,
};
#[cfg(feature = "pictures")]
use crate::cli::{pictures::TrainingRows, tables::sample_of};
#[cfg(feature = "pictures")]
use crate::data::LabelledRows;
use crate::data::{Dataset, RowChunk, Split, TargetKind, Targets};
use crate::device::DeviceKind;
use crate::error::Result;
use crate::graph::Reduction;
use crate::report::{Comparison, Comparisons, Figures};
use crate::shape::fixed;
use crate::train::{
    Baseline, Ensemble, EpochStats, Metric, Predictor, TrainOptions, TrainedModel, Trainer, Warning,
};
use ::csv::StringRecord;

/// Rows and baselines by which a network is judged, once it is trained.
pub(crate) struct Judge {
    /// On the validation rows, or without any on training rows.
    constant: Baseline,
    /// Rows and options, where a linear model is worth its time.
    linear: Option<(Split, TrainOptions)>,
    valid: Option<Dataset>,
    digest: RowDigest,
    /// Some training rows, and which they are, if a report is to show them.
    #[cfg(feature = "pictures")]
    sample: Option<(LabelledRows, String)>,
    /// The peak learning rate.
    lr: f64,
    /// True if losses are means, which may be compared whatever the number of rows.
    means: bool,
}

/// Result of comparing a network with baselines.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Figures of the baselines, to show.
    pub(crate) lines: Vec<String>,
    pub(crate) warning: Option<Warning>,
    pub(crate) comparisons: Comparisons,
}

impl Judge {
    pub(crate) fn new(trainer: &Trainer, data: &Split, options: &TrainOptions) -> Self {
        let trained = trainer.trained();
        let pays = Baseline::linear_pays(&trained.model, data, &options.loss);
        Self {
            constant: Baseline::constant(&trained, data),
            linear: pays.then(|| (data.clone(), options.clone())),
            valid: data.valid.clone(),
            digest: RowDigest::of(&data.train),
            #[cfg(feature = "pictures")]
            sample: None,
            lr: options.lr,
            means: options.reduction == Reduction::Mean,
        }
    }

    /// Warns of rows in a table of validation rows that are training rows, too.
    pub(crate) fn leak(&self, config: &RunConfig) -> Option<Warning> {
        let (ValidSource::File(path), Some(valid)) = (&config.valid, &self.valid) else {
            return None;
        };
        let mut overlap = Overlap::default();
        self.digest.look(valid.x(), valid.y(), &mut overlap);
        let problem = format!(
            "{} of {} are equal to training rows: figures on them are better than on new rows",
            overlap.text()?,
            path.display()
        );
        Some(Warning::Noted { problem })
    }

    /// Compares the kept epoch.
    pub(crate) fn compare(&self, trained: &TrainedModel, kept: &EpochStats) -> Result<Verdict> {
        let linear = match &self.linear {
            Some((data, options)) => Baseline::linear(trained, data, options)?,
            None => None,
        };
        let (mut lines, mut warning) = (Vec::new(), None);
        let constant = self.valid.is_some().then_some(&self.constant);
        for baseline in constant.into_iter().chain(&linear) {
            lines.push(baseline.to_string());
        }
        let Some(valid) = &kept.valid else {
            let (own, other) = (kept.train_loss, self.constant.metrics.loss);
            if self.means && is_level(own, other) {
                warning = Some(self.no_better(&self.constant, ("training", own), None));
            }
            return Ok(Verdict { lines, warning, comparisons: Comparisons::default() });
        };
        // The simplest one that is as good is the one to name.
        for baseline in linear.iter().chain(constant) {
            let accuracy = valid.value(Metric::Accuracy);
            let more_often_right = accuracy > baseline.metrics.accuracy;
            // Probabilities that are worse than a line's may belong to better classes; worse than always the same are none.
            let matters = !more_often_right || std::ptr::eq(baseline, &self.constant);
            if matters && is_level(valid.loss, baseline.metrics.loss) {
                warning = Some(self.no_better(baseline, ("valid", valid.loss), accuracy));
            }
        }
        let compared = |baseline: &Baseline| Comparison {
            name: baseline.name.clone(),
            figures: Figures::new(None, Some(&baseline.metrics)),
        };
        let constant = constant.map(compared);
        let comparisons = Comparisons { constant, linear: linear.as_ref().map(compared) };
        Ok(Verdict { lines, warning, comparisons })
    }

    fn no_better(
        &self,
        baseline: &Baseline,
        (which, own): (&str, f64),
        accuracy: Option<f64>,
    ) -> Warning {
        let other = baseline.metrics.loss;
        let figures = match (accuracy, baseline.metrics.accuracy) {
            (Some(own), Some(other)) => {
                format!(" (accuracy {:.2} % against {:.2} %)", 100.0 * own, 100.0 * other)
            }
            _ => String::new(),
        };
        let advice = if accuracy > baseline.metrics.accuracy {
            "its classes are right more often, but its probabilities are far too sure: try a lower --lr, fewer --epochs, or \
             cross-entropy(label-smoothing=0.1)"
                .to_string()
        } else if baseline.name.starts_with("always") {
            // Weights that moved too far come back to no more than a guess.
            format!(
                "the network has learnt nothing that helps: try a lower --lr (it was {}), more --epochs, or other columns",
                self.lr
            )
        } else {
            "try other layers, another --lr or more --epochs, or take the simpler model".to_string()
        };
        let problem = format!(
            "the network is no better than {}: {which} loss {} against {}{figures}; {advice}",
            baseline.name,
            fixed(own),
            fixed(other),
        );
        Warning::NoBetter { problem }
    }

    /// Keeps some training rows for a report.
    #[cfg(feature = "pictures")]
    pub(crate) fn with_sample(self, train: &Dataset) -> Self {
        Self { sample: Some(sample_of(train, "training row")), ..self }
    }

    /// Rows that a report shows.
    #[cfg(feature = "pictures")]
    pub(crate) fn rows_to_show(&self) -> TrainingRows<'_> {
        let valid = self.valid.as_ref().map(|valid| sample_of(valid, "validation row"));
        let train = self.sample.as_ref().map(|(rows, told)| (rows, told.as_str()));
        TrainingRows { valid, train }
    }

    /// Writes the digest of the training rows.
    pub(crate) fn write_digest(&self, folder: &Path) -> Result<()> {
        let path = folder.join(TRAINING_ROWS);
        if path.exists() { Ok(()) } else { self.digest.write(&path) }
    }

    /// Writes the validation rows with their predictions.
    pub(crate) fn write_validation(&self, trained: &Ensemble, folder: &Path) -> Result<()> {
        match &self.valid {
            Some(valid) => write_predictions(trained, valid, &folder.join(VALIDATION)),
            None => Ok(()),
        }
    }
}

/// Returns true if a loss is no better than another one; a difference in the last digits is none.
fn is_level(own: f64, other: f64) -> bool {
    own >= other - 1e-3 * other.abs()
}

/// Writes rows as a table: their place among the validation rows, features, targets, and predictions as `wgrad predict` gives
/// them.
fn write_predictions(trained: &Ensemble, rows: &Dataset, path: &Path) -> Result<()> {
    let schema = rows.schema();
    let told = PredictionColumns::of(trained.first());
    let weight = schema.weight.as_deref().filter(|_| rows.weights().is_some());
    let columns = schema.read_columns().into_iter().chain(schema.targets()).chain(weight);
    let header = StringRecord::from_iter(columns);
    let (names, _) = told.header(&header);
    let mut sink = PredictionWriter::open(Some(path), false, &names, CellStyle::default())?;
    let predictor = Predictor::on_device(trained.clone(), &DeviceKind::Cpu, Some(ROWS))?;
    let mut first = 0;
    while first < rows.rows() {
        let end = rows.rows().min(first + ROWS);
        let x = rows.x().range(first * rows.columns()..end * rows.columns());
        let predictions = predictor.predict(x)?;
        let records = (first..end).map(|row| record(rows, row)).collect();
        let chunk = RowChunk { records, ..RowChunk::default() };
        sink.write(&chunk, &predictions.into(), &told, first as u64)?;
        first = end;
    }
    sink.finish()
}

/// A row as texts.
fn record(rows: &Dataset, row: usize) -> StringRecord {
    let mut cells = rows.schema().cells_of(&rows.row(row).to_vec());
    // Inputs do not tell these cells.
    let odd = rows.odd_cells();
    let first = odd.partition_point(|cell| cell.row < row);
    for cell in odd[first..].iter().take_while(|cell| cell.row == row) {
        cells[cell.column] = cell.text.clone().unwrap_or_default();
    }
    let mut record = StringRecord::from(cells);
    push_targets(&mut record, rows, row);
    if let (Some(_), Some(weights)) = (&rows.schema().weight, rows.weights()) {
        record.push_field(&weights[row].to_string());
    }
    record
}

/// Appends the actual values of a row's targets.
pub(super) fn push_targets(record: &mut StringRecord, rows: &Dataset, row: usize) {
    match (&rows.schema().kind, rows.y()) {
        (TargetKind::Classes(names), Targets::Classes(y)) => {
            record.push_field(&names[y[row] as usize]);
        }
        (kind, y) => {
            let (y, columns) = y.columns().unwrap_or_default();
            for (column, value) in y[row * columns..][..columns].iter().enumerate() {
                match kind {
                    TargetKind::Labels(labels) => {
                        record.push_field(&labels[column].values[usize::from(*value > 0.0)]);
                    }
                    _ => record.push_field(&value.to_string()),
                }
            }
        }
    }
}
