//! Comparison of a run with predictions that need no network, and files to look at.
//!
//! In: the run's rows, and the network that is kept. Out: baselines with a warning where the network is no better, the validation
//! rows with their predictions, and a digest of the training rows.
//! Absent on purpose: training.

use std::collections::HashSet;
use std::path::Path;

use crate::cli::open_run::{TRAINING_ROWS, VALIDATION};
use crate::cli::settings::{RunConfig, ValidSource};
use crate::cli::tables::{
    CellStyle, FileDigest, PredictionColumns, PredictionWriter, ROWS, RowDigest, file_checksum,
};
#[cfg(feature = "pictures")]
use crate::cli::{pictures::TrainingRows, tables::sample_of};
#[cfg(feature = "pictures")]
use crate::data::LabelledRows;
use crate::data::{Dataset, RowChunk, Split, TargetKind, Targets};
use crate::device::DeviceKind;
use crate::error::Result;
use crate::graph::Reduction;
use crate::report::{Comparison, Comparisons, Figures, count};
use crate::train::{
    Baseline, Ensemble, EpochStats, Metric, Metrics, Predictions, Predictor, TrainOptions,
    TrainedModel, Trainer, Warning,
};
use ::csv::StringRecord;

/// Reason for which there is no linear model whose training or solution has failed.
const NO_END: &str = "it came to no finite result";
/// Name of the column with the numbers of rows.
const ROW: &str = "row";

/// Share of the validation rows from which rows that are training rows, too, are told.
const MANY_COPIES: f64 = 0.1;
/// Rows that differ are at least as many, where numbers tell rows apart.
const FEWEST_DIFFERENT: usize = 16;

/// Rows and baselines by which a network is judged, once it is trained.
pub(crate) struct Judge {
    /// On the validation rows, or without any on training rows.
    constant: Baseline,
    /// Rows and options, where a linear model is worth its time; else the reason why it is not.
    linear: Result<(Split, TrainOptions), &'static str>,
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

/// Warns of many rows that are held out and equal the training rows of this digest; `what_for` follows their number. Rows of few different
/// values are equal by chance.
pub(super) fn copies(digest: &RowDigest, held_out: &Dataset, what_for: &str) -> Option<Warning> {
    let overlap = digest.overlap(held_out);
    if overlap.share() < MANY_COPIES || !has_telling_numbers(held_out) {
        return None;
    }
    let problem = format!(
        "{} {what_for} are equal to training rows: if they are copies, figures on them are better than on new rows; take copies out of the \
         table, or keep them together with ‘group’",
        overlap.text()?
    );
    Some(Warning::Noted { problem })
}

/// Returns true if a feature has a different number in most rows that differ, so that equal rows are hardly equal by chance.
fn has_telling_numbers(data: &Dataset) -> bool {
    /// Most rows and inputs that are looked at.
    const ROWS: usize = 10_000;
    const INPUTS: usize = 100;
    let numbers: Vec<usize> = data.number_inputs().into_iter().take(INPUTS).collect();
    let rows = data.rows().min(ROWS);
    let bits = |value: f64| value.to_bits();
    let row = |row: usize| -> Vec<u64> { data.row(row).iter().map(bits).collect() };
    let different = (0..rows).map(row).collect::<HashSet<_>>().len();
    let most = |input: usize| data.column(input).take(rows).map(bits).collect::<HashSet<_>>().len();
    numbers.into_iter().any(|input| 2 * most(input) > different.max(FEWEST_DIFFERENT))
}

impl Judge {
    pub(crate) fn new(trainer: &Trainer, data: &Split, options: &TrainOptions) -> Self {
        let trained = trainer.trained();
        let linear = match Baseline::why_no_linear(&trained.model, data, &options.loss) {
            Some(why) => Err(why),
            None => Ok((data.clone(), options.clone())),
        };
        Self {
            constant: Baseline::constant(&trained, data),
            linear,
            valid: data.valid.clone(),
            digest: RowDigest::of(&data.train),
            #[cfg(feature = "pictures")]
            sample: None,
            lr: options.lr,
            means: options.reduction == Reduction::Mean,
        }
    }

    /// Warns of validation rows that are training rows, too: of any in a table of their own, and of many where one table is split.
    pub(crate) fn leak(&self, config: &RunConfig) -> Option<Warning> {
        let valid = self.valid.as_ref()?;
        let ValidSource::File(path) = &config.valid else {
            return copies(&self.digest, valid, "for validation");
        };
        let overlap = self.digest.overlap(valid);
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
            Ok((data, options)) => Baseline::linear(trained, data, options)?.ok_or(NO_END),
            Err(why) => Err(*why),
        };
        let Some(valid) = &kept.valid else {
            let (own, other) = (kept.train_loss, self.constant.metrics.loss);
            let level = self.means && is_level(own, other);
            let warning =
                level.then(|| no_better(&self.constant, ("training", own), (None, None), self.lr));
            return Ok(Verdict { warning, ..Verdict::default() });
        };
        let accuracy = valid.value(Metric::Accuracy);
        let confidence = || self.valid.as_ref().and_then(|valid| confidence(trained, valid));
        Ok(Verdict::of((&self.constant, linear), (valid.loss, accuracy), confidence, self.lr))
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

    /// Writes the validation rows with their predictions, and beside the digest of the training rows the checksum of that file.
    pub(crate) fn write_validation(&self, trained: &Ensemble, folder: &Path) -> Result<()> {
        let Some(valid) = &self.valid else { return Ok(()) };
        let path = folder.join(VALIDATION);
        write_predictions(trained, valid, &path)?;
        let file = FileDigest { rows: valid.rows() as u64, checksum: file_checksum(&path)? };
        self.digest.clone().with_validation(file).write(&folder.join(TRAINING_ROWS))
    }
}

impl Verdict {
    /// Compares a network's loss and accuracy on validation rows with those of baselines; of a linear model that is missing, the reason is
    /// given. `confidence` computes the mean probability of the likeliest class, which an advice needs, and `lr` is the learning rate that
    /// it names.
    fn of(
        (constant, linear): (&Baseline, Result<Baseline, &str>),
        (loss, accuracy): (f64, Option<f64>),
        confidence: impl Fn() -> Option<f64>,
        lr: f64,
    ) -> Self {
        let without_linear = linear.as_ref().err().map(ToString::to_string);
        let linear = linear.ok();
        let lines = std::iter::once(constant).chain(&linear).map(ToString::to_string).collect();
        let mut warning = None;
        // The simplest one that is as good is the one to name.
        for baseline in linear.iter().chain([constant]) {
            let more_often_right = accuracy > baseline.metrics.accuracy;
            // Probabilities that are worse than a line's may belong to better classes; worse than always the same are none.
            let matters = !more_often_right || std::ptr::eq(baseline, constant);
            if matters && is_level(loss, baseline.metrics.loss) {
                let sure = if more_often_right { confidence() } else { None };
                warning = Some(no_better(baseline, ("valid", loss), (accuracy, sure), lr));
            }
        }
        let compared = |baseline: &Baseline| Comparison {
            name: baseline.name.clone(),
            figures: Figures::new(None, Some(&baseline.metrics)),
        };
        let comparisons = Comparisons {
            constant: Some(compared(constant)),
            linear: linear.as_ref().map(compared),
            without_linear,
        };
        Self { lines, warning, comparisons }
    }

    /// Compares the networks of folds with baselines of the same folds, by the means of their figures.
    ///
    /// # Errors
    /// If the rows do not fit the networks' options.
    pub(super) fn of_folds(folds: &[JudgedFold<'_>]) -> Result<Self> {
        let (mut constants, mut linears) = (Vec::new(), Ok(Vec::new()));
        for JudgedFold { trained, split, options, .. } in folds {
            constants.push(Baseline::constant(trained, split));
            let Ok(found) = &mut linears else { continue };
            match Baseline::why_no_linear(&trained.model, split, &options.loss) {
                Some(why) => linears = Err(why),
                None => match Baseline::linear(trained, split, options)? {
                    Some(linear) => found.push(linear),
                    None => linears = Err(NO_END),
                },
            }
        }
        let mean = |values: Option<Vec<f64>>| {
            values.map(|all| all.iter().sum::<f64>() / all.len().max(1) as f64)
        };
        let loss = mean(folds.iter().map(|fold| fold.loss).collect());
        let accuracy = mean(folds.iter().map(|fold| fold.accuracy).collect());
        let lr = folds.first().map_or(f64::NAN, |fold| fold.options.lr);
        let linear = linears.map(|all| mean_baseline(&all));
        let confidence = || {
            let each =
                folds.iter().map(|fold| confidence(fold.trained, fold.split.valid.as_ref()?));
            mean(each.collect())
        };
        let (baselines, figures) =
            ((&mean_baseline(&constants), linear), (loss.unwrap_or(f64::NAN), accuracy));
        Ok(Self::of(baselines, figures, confidence, lr))
    }
}

/// A fold's network, its rows, and its figures on the rows that were held out.
pub(super) struct JudgedFold<'a> {
    pub(super) trained: &'a TrainedModel,
    pub(super) split: &'a Split,
    pub(super) options: &'a TrainOptions,
    pub(super) loss: Option<f64>,
    pub(super) accuracy: Option<f64>,
}

/// Returns the mean of the baselines of several folds, under a name that says so.
fn mean_baseline(folds: &[Baseline]) -> Baseline {
    let metrics: Vec<Metrics> = folds.iter().map(|it| it.metrics.clone()).collect();
    let first = folds.first().map_or("", |it| it.name.as_str());
    let name = match folds.iter().all(|it| it.name == first) {
        true => first,
        // Folds may differ in the class that they have most rows of.
        false if first.starts_with("always") => "always the most frequent",
        false => "a linear model",
    };
    let rows = metrics.iter().map(|it| it.rows).sum();
    Baseline {
        name: format!("{name}, mean of {} folds", count(folds.len() as u64)),
        metrics: Metrics { rows, ..mean_metrics(&metrics) },
    }
}

/// Returns the mean of the figures of several drawings or folds; without a value where one has none.
pub(super) fn mean_metrics(all: &[Metrics]) -> Metrics {
    let Some(first) = all.first() else { return Metrics::default() };
    let count = all.len() as f64;
    let mean = |of: &dyn Fn(&Metrics) -> Option<f64>| -> Option<f64> {
        let values: Option<Vec<f64>> = all.iter().map(of).collect();
        values.map(|values| values.iter().sum::<f64>() / count)
    };
    let asked = first.asked.iter().map(|(metric, _)| (*metric, mean(&|it| it.value(*metric))));
    Metrics {
        rows: first.rows,
        loss: mean(&|it| Some(it.loss)).unwrap_or(f64::NAN),
        accuracy: mean(&|it| it.accuracy),
        r2: mean(&|it| it.r2),
        mae: mean(&|it| it.mae),
        rmse: mean(&|it| it.rmse),
        asked: asked.collect(),
    }
}

/// Returns the mean probability that a network gives to the class, or to the value of a label, that it takes for the likeliest; `None`
/// for other targets, and for scores.
fn confidence(trained: &TrainedModel, rows: &Dataset) -> Option<f64> {
    if trained.outputs_are_scores() {
        return None;
    }
    let predictor = Predictor::new(trained.clone()).ok()?;
    let probabilities: Vec<f64> = match predictor.predict(rows.x()).ok()? {
        Predictions::Classes { best, probabilities } => {
            let classes = probabilities.len() / best.len().max(1);
            let all = probabilities.chunks_exact(classes.max(1));
            all.map(|row| row.iter().copied().fold(0.0, f64::max)).collect()
        }
        Predictions::Labels(told) => told.into_iter().map(|yes| yes.max(1.0 - yes)).collect(),
        Predictions::Numbers(_) => return None,
    };
    Some(probabilities.iter().sum::<f64>() / probabilities.len() as f64)
}

/// Warns of a network that is no better than a baseline.
fn no_better(
    baseline: &Baseline,
    (which, own): (&str, f64),
    (accuracy, confidence): (Option<f64>, Option<f64>),
    lr: f64,
) -> Warning {
    let other = baseline.metrics.loss;
    let figures = match (accuracy, baseline.metrics.accuracy) {
        (Some(own), Some(other)) => {
            format!(" (accuracy {:.2} % against {:.2} %)", 100.0 * own, 100.0 * other)
        }
        _ => String::new(),
    };
    let advice = if accuracy > baseline.metrics.accuracy {
        let often = "its classes are right more often, but its probabilities are";
        match confidence.zip(accuracy).is_some_and(|(sure, right)| sure < right) {
            true => format!(
                "{often} not sure enough yet: try more --epochs, or a higher --lr (it was {lr})"
            ),
            false => format!(
                "{often} far too sure: try a lower --lr, fewer --epochs, or cross-entropy(label-smoothing=0.1)"
            ),
        }
    } else if baseline.name.starts_with("always") {
        // Weights that moved too far come back to no more than a guess.
        format!(
            "the network has learnt nothing that helps: try a lower --lr (it was {}), more --epochs, or other columns",
            lr
        )
    } else {
        "try other layers, another --lr or more --epochs, or take the simpler model".to_string()
    };
    let problem = format!(
        "the network is no better than {}: {which} loss {} against {}{figures}; {advice}",
        baseline.name,
        Metric::Loss.shown(own),
        Metric::Loss.shown(other),
    );
    Warning::NoBetter { problem }
}

/// Returns true if a loss is no better than another one; a difference in the last digits is none.
fn is_level(own: f64, other: f64) -> bool {
    own >= other - 1e-3 * other.abs()
}

/// Writes rows as a table: their numbers in the table that they are of, features, targets, and predictions as `wgrad predict` gives
/// them.
fn write_predictions(trained: &Ensemble, rows: &Dataset, path: &Path) -> Result<()> {
    let schema = rows.schema();
    let told = PredictionColumns::of(trained.first());
    let weight = schema.weight.as_deref().filter(|_| rows.weights().is_some());
    let columns = schema.read_columns().into_iter().chain(schema.targets()).chain(weight);
    let columns: Vec<&str> = columns.collect();
    let number = free_column(ROW, &columns);
    let header = StringRecord::from_iter([number.as_str()].into_iter().chain(columns));
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

/// Returns the name of a column that is put beside those of a table, such as `row`: a longer one if one of these has it.
pub(super) fn free_column(wanted: &str, columns: &[&str]) -> String {
    let mut name = wanted.to_string();
    for number in 2_u64.. {
        if !columns.contains(&name.as_str()) {
            break;
        }
        name = format!("{wanted}_{number}");
    }
    name
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
    let mut record = StringRecord::from(vec![rows.row_number(row).to_string()]);
    record.extend(&cells);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::FeatureScaling;
    use crate::data::Preprocessing;
    use crate::graph::Loss;
    use crate::model::{Params, Sequential};

    /// A model of one feature and two classes, the second of which has this logit for 1 and the opposite for −1.
    fn trained(logit: f32, rows: &Dataset) -> TrainedModel {
        let model = Sequential::new().dense(2);
        let mut params = Params::zeros(model.layout(1).unwrap());
        params.set("0.weight", &[2, 1], &[0.0, logit]).unwrap();
        let preparation = Preprocessing::fit(rows, FeatureScaling::None);
        TrainedModel { model, params, preparation, criterion: Loss::CROSS_ENTROPY.into() }
    }

    #[test]
    fn probabilities_are_called_too_sure_only_where_they_are() {
        let x = [1.0, -1.0, 1.0, -1.0];
        let rows = Dataset::from_arrays(&x, 1, Targets::Classes(vec![1, 0, 1, 1])).unwrap();
        let baseline = |accuracy| Baseline {
            name: "always `1`".into(),
            metrics: Metrics { loss: 0.6, accuracy: Some(accuracy), ..Metrics::default() },
        };
        // Three quarters are right. A logit of 0.1 is a probability of 0.525, one of 9 is near 1.
        for (logit, sure, advice) in [
            (0.1, 0.524_979, "its probabilities are not sure enough yet: try more --epochs"),
            (9.0, 0.999_877, "its probabilities are far too sure: try a lower --lr"),
        ] {
            let confidence = confidence(&trained(logit, &rows), &rows);
            assert!((confidence.unwrap() - sure).abs() < 1e-5, "{confidence:?}");
            let figures = (Some(0.75), confidence);
            let Warning::NoBetter { problem } =
                no_better(&baseline(0.7), ("valid", 0.7), figures, 0.01)
            else {
                panic!("another warning")
            };
            assert!(problem.contains(advice), "{problem}");
        }
    }
}
