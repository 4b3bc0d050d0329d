//! [`Checkpoint`]: everything that a run's later steps depend on, in the host's memory.
//!
//! In: a trainer between two steps. Out: plain data, from which a trainer for the same run continues with the same bits.
//! Absent on purpose: files, which `export` has; the table, which is identified by its checksum.

use serde::{Deserialize, Serialize};

use super::run_settings::RunSettings;
use crate::checksum::Checksum;
use crate::data::{BinaryColumn, Dataset, Numbers, Schema, Split, TargetKind, Targets};
use crate::device::DeviceInfo;
use crate::error::{Error, Result};
use crate::graph::OptimizerHostState;
use crate::model::{Params, Sequential};
use crate::ranks::Ranks;
use crate::shape::{count, pluralize};
use crate::train::run::early_stopping::EarlyStoppingState;
use crate::train::run::loss_average::PendingUpdate;
use crate::train::schedule::PlateauReduction;
use crate::train::{EpochStats, TrainOptions};

/// Values of the plan's slots that outlive a step, with their names: weights, optimizer state, averages, the loss scale.
pub(crate) type DeviceState = Vec<(String, Vec<f32>)>;

/// A run between two of its steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub(crate) about: CheckpointHeader,
    pub(crate) slots: DeviceState,
    /// The weights that a save takes.
    pub(crate) kept: Params,
}

/// Everything in a checkpoint except tensors. Files hold each field under its `serde` name, which stays when a field is
/// renamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckpointHeader {
    /// Version of this crate that trained.
    #[serde(rename = "version")]
    pub(crate) version: String,
    #[serde(rename = "model")]
    pub(crate) model: Sequential,
    #[serde(rename = "columns")]
    pub(crate) columns: usize,
    #[serde(rename = "origin")]
    pub(crate) origin: RunFingerprint,
    #[serde(rename = "place")]
    pub(crate) place: RunPosition,
    /// Figures of the kept epoch.
    #[serde(rename = "kept")]
    pub(crate) kept: Option<EpochStats>,
}

/// Settings, device and data that determine the bits of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunFingerprint {
    /// The options, so that a message can name the differences.
    #[serde(rename = "settings")]
    settings: RunSettings,
    #[serde(rename = "device")]
    pub(super) device: String,
    /// Variants of kernels, which determine the order of additions.
    #[serde(rename = "variants")]
    pub(super) variants: Vec<String>,
    #[serde(rename = "rows")]
    rows: usize,
    #[serde(rename = "batch")]
    batch: usize,
    /// Number of ranks, which determines the order of additions, too.
    #[serde(rename = "ranks", default = "one")]
    ranks: usize,
    /// Checksum of the training and validation rows.
    #[serde(rename = "data")]
    data: u64,
}

/// Position of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunPosition {
    /// Number of epochs that have ended.
    #[serde(rename = "epoch")]
    pub(crate) epoch: u32,
    /// Number of steps of the next epoch that are done.
    #[serde(rename = "step")]
    pub(crate) step: usize,
    /// Sum of these steps' losses, each multiplied by the weight of its rows; and the sum of the weights.
    #[serde(rename = "loss_sum")]
    pub(crate) loss_sum: f64,
    #[serde(rename = "loss_weight")]
    pub(crate) loss_weight: f64,
    /// Where steps may be skipped: the losses of the update that the next step belongs to, and the number of skipped updates.
    #[serde(rename = "open", default)]
    pub(crate) open: PendingUpdate,
    #[serde(rename = "lost", default)]
    pub(crate) lost: u32,
    /// Reductions of the learning rate, the weight decay and dropout.
    #[serde(rename = "falls")]
    pub(crate) falls: [PlateauReduction; 3],
    /// Reduction of the label smoothing, which earlier checkpoints do not have.
    #[serde(rename = "smoothing_fall", default = "PlateauReduction::new")]
    pub(crate) smoothing_fall: PlateauReduction,
    #[serde(rename = "marks")]
    pub(crate) marks: EarlyStoppingState,
    /// Optimizer numbers at the beginning of the window of steps that holds the next step.
    #[serde(rename = "past")]
    pub(crate) past: OptimizerHostState,
    /// Number of steps that the loss scale had skipped at the last report.
    #[serde(rename = "skipped")]
    pub(crate) skipped: f32,
    /// Factor of the learning rate, below 1 after the run went back to a checkpoint.
    #[serde(rename = "slowed")]
    pub(crate) slowed: f64,
}

impl Checkpoint {
    /// Returns the number of epochs that have ended.
    pub fn epoch(&self) -> u32 {
        self.about.place.epoch
    }

    /// Returns the number of steps of the next epoch that are done.
    pub fn step(&self) -> usize {
        self.about.place.step
    }

    /// Returns the figures of the kept epoch; `None` before the first epoch has ended.
    pub fn kept(&self) -> Option<&EpochStats> {
        self.about.kept.as_ref()
    }
}

impl RunPosition {
    /// True if no count exceeds the steps that were done, in epochs of `steps` steps.
    pub(super) fn is_sound(&self, steps: usize) -> bool {
        let done = u64::from(self.epoch) * steps as u64 + self.step as u64;
        self.step < steps && self.marks.fits(self.epoch) && self.past.fits(done)
    }
}

impl std::fmt::Display for RunPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.epoch, self.step) {
            (0, 0) => f.write_str("the beginning"),
            (epoch, 0) => write!(f, "the end of epoch {epoch}"),
            (epoch, step) => write!(f, "step {step} of epoch {}", epoch + 1),
        }
    }
}

impl RunFingerprint {
    pub(in crate::train) fn of(
        options: &TrainOptions,
        (device, variants, ranks): (&DeviceInfo, Vec<String>, usize),
        (rows, data): (usize, u64),
        batch: usize,
    ) -> Self {
        Self {
            settings: RunSettings::of(options),
            device: device.to_string(),
            variants,
            rows,
            batch,
            ranks,
            data,
        }
    }

    /// Refuses a checkpoint of another run.
    pub(super) fn check(&self, old: &Self) -> Result<()> {
        if (self.data, self.rows) != (old.data, old.rows) {
            let counts = match self.rows == old.rows {
                true => String::new(),
                false => format!(
                    " ({} training rows then, {} now)",
                    count(old.rows as u64),
                    count(self.rows as u64)
                ),
            };
            let problem = format!(
                "the tables are not those that the checkpoint's run was trained and validated on{counts}; go on with those, or begin a \
                 new run from its weights with ‘init’"
            );
            return Err(Error::setting("checkpoint", problem));
        }
        // Step positions mean other rows if batches have another size.
        if self.batch != old.batch {
            let problem = format!(
                "its steps are of {}, but these of {}; give the same ‘batch_size’ and ‘device_memory’ as then",
                pluralize(old.batch as u64, "row"),
                count(self.batch as u64)
            );
            return Err(Error::setting("checkpoint", problem));
        }
        Ok(())
    }

    /// Refuses to train together with ranks that have other layers, rows or settings.
    pub(super) fn check_ranks(
        &self,
        model: &Sequential,
        ranks: &Ranks,
        block_rows: usize,
    ) -> Result<()> {
        let unread = |error: serde_json::Error| Error::shape("ranks", error.to_string());
        // They decide after how many steps the ranks exchange other messages.
        let blocks = ranks.gather_texts(&block_rows.to_string())?;
        if let Some(rank) = blocks.iter().position(|it| *it != blocks[0]) {
            let problem = format!(
                "rank 0 has room for blocks of {} rows, and rank {rank} for blocks of {}, but all have to be of one size; give a \
                 ‘device_memory’ and a ‘host_memory’ that all ranks have",
                blocks[0], blocks[rank]
            );
            return Err(Error::setting("ranks", problem));
        }
        let all = ranks.gather(&serde_json::to_vec(&(model, self)).map_err(unread)?)?;
        let Some(rank) = all.iter().position(|it| *it != all[0]) else { return Ok(()) };
        let read = |bytes: &[u8]| serde_json::from_slice::<(Sequential, Self)>(bytes);
        let (first, other) = (read(&all[0]).map_err(unread)?, read(&all[rank]).map_err(unread)?);
        let mut told = first.1.differences(&other.1);
        if first.0 != other.0 {
            told.push("other layers".to_string());
        }
        if (first.1.data, first.1.rows) != (other.1.data, other.1.rows) {
            told.push(format!("{} training rows, or others than {}", other.1.rows, first.1.rows));
        }
        let problem = format!(
            "rank {rank} has not the same layers, rows and settings as rank 0 ({}); start all with the same options, on the same table",
            told.join("; ")
        );
        Err(Error::setting("ranks", problem))
    }

    /// Lists the differences that change the bits of the resumed run.
    pub(super) fn differences(&self, old: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        // Variants of different devices cannot be compared, so one line on the device is enough.
        if self.device != old.device {
            differences.push(format!("the device is {}, and was {}", self.device, old.device));
        } else if self.variants != old.variants {
            let text = "the device takes other forms of its kernels than it did, and has not those of then";
            differences.push(text.to_string());
        }
        if self.ranks != old.ranks {
            let text = format!(
                "{} train together, and {} did: gradients are added in another order",
                ranks_text(self.ranks),
                ranks_text(old.ranks)
            );
            differences.push(text);
        }
        differences.extend(self.settings.differences(&old.settings));
        differences
    }
}

/// Number of ranks of a run before there were several.
fn one() -> usize {
    1
}

fn ranks_text(count: usize) -> String {
    if count == 1 { "one process".to_string() } else { format!("{count} ranks") }
}

/// Adds numbers to a checksum: numbers that single precision holds as such, so that a run of an earlier version recognises
/// its table.
fn sum_numbers(sum: &mut Checksum, numbers: Numbers<'_>) {
    match numbers {
        Numbers::Single(values) => sum.floats(values),
        Numbers::Double(values) => values.iter().for_each(|&value| {
            #[expect(clippy::cast_possible_truncation, reason = "compared with what it was")]
            let single = value as f32;
            sum.word(single.to_bits());
            // Only the digits that single precision lacks are added besides.
            if f64::from(single) != value {
                let bits = value.to_bits();
                sum.word((bits >> 32) as u32);
                sum.word(bits as u32);
            }
        }),
        Numbers::Stored(_) => numbers.blocks(1).for_each(|block| sum_numbers(sum, block.view())),
    }
}

/// Returns the names of columns and classes and the kind of target, in the words that checksums have had from the
/// beginning: the words stay, whatever types and fields are called.
fn schema_text(schema: &Schema) -> String {
    let Schema { features, target, kind, weight, columns, missing, .. } = schema;
    let kind = match kind {
        TargetKind::Classes(names) => format!("Classes({names:?})"),
        TargetKind::Number => "Number".to_string(),
        TargetKind::Numbers(names) => format!("Numbers({names:?})"),
        TargetKind::Labels(labels) => {
            let label = |BinaryColumn { column, values }: &BinaryColumn| {
                format!("Label {{ column: {column:?}, values: {values:?} }}")
            };
            let labels: Vec<String> = labels.iter().map(label).collect();
            format!("Labels([{}])", labels.join(", "))
        }
    };
    // Tables of numbers alone have the text of before there were kinds of columns.
    let kinds = match columns.is_empty() && missing.is_none() {
        true => String::new(),
        // Columns without rare texts have the text of before texts were pooled.
        false => {
            format!(", columns: {columns:?}, missing: {missing:?}").replace(", pooled: None", "")
        }
    };
    format!(
        "Schema {{ features: {features:?}, target: {target:?}, kind: {kind}, weight: {weight:?}{kinds} }}"
    )
}

/// Returns a checksum of all rows and their schema.
pub(super) fn data_checksum(data: &Split) -> u64 {
    let mut sum = Checksum::default();
    let mut take = |data: &Dataset| {
        sum.text(&schema_text(data.schema()));
        sum.length(data.rows());
        sum_numbers(&mut sum, data.x());
        match data.y() {
            Targets::Classes(classes) => classes.iter().for_each(|&class| sum.word(class)),
            Targets::Numbers(numbers) | Targets::Columns(numbers, _) => {
                sum_numbers(&mut sum, numbers.into());
            }
        }
        data.weights().into_iter().for_each(|weights| sum_numbers(&mut sum, weights.into()));
    };
    take(&data.train);
    data.valid.iter().for_each(take);
    sum.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;

    /// Numbers that earlier versions computed, so that their checkpoints know their tables.
    #[test]
    fn checksums_of_tables_are_those_of_earlier_versions() {
        let x: Vec<f32> = (0..24).map(|i| (i * 7 % 10) as f32).collect();
        let of = |targets| Dataset::from_arrays(&x, 2, targets).unwrap();
        let bits: Vec<f64> = (0..24).map(|i| f64::from(i % 3 / 2)).collect();
        let numbers = of(Targets::Columns(bits.clone(), 2));
        let one = of(Targets::Numbers(bits[..12].to_vec()));
        let classes = of(Targets::Classes((0..12).map(|i| i % 3).collect()));
        let weighted = classes.clone().with_weights((1..13).map(f64::from).collect()).unwrap();
        let labels = numbers.clone().as_labels().unwrap();
        let sums = [numbers, one, classes, weighted, labels]
            .map(|data| data_checksum(&data.split(0.25, Seed(1)).unwrap()));
        assert_eq!(
            sums,
            [
                3_445_310_479_835_826_055,
                5_321_245_241_853_790_421,
                18_308_325_669_044_031_619,
                2_676_092_154_181_098_913,
                15_138_651_196_282_537_847
            ]
        );
    }
}
