//! [`Checkpoint`]: everything that a run's later steps depend on, in the host's memory.
//!
//! In: a trainer between two steps. Out: plain data, from which a trainer for the same run continues with the same bits.
//! Absent on purpose: files, which `export` has; the table, which is identified by its checksum.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::run_settings::RunSettings;
use super::state::{HeldCheckpoints, RunState, RunningState};
use crate::checksum::Checksum;
use crate::data::{BinaryColumn, Dataset, Numbers, Schema, Split, TargetKind, Targets};
use crate::device::{DeviceInfo, Values};
use crate::error::{Error, Result};
use crate::graph::OptimizerHostState;
use crate::model::{Params, Sequential};
use crate::plan::Slot;
use crate::train::param_io::lasting;
use crate::train::run::early_stopping::EarlyStoppingState;
use crate::train::run::loss_average::PendingUpdate;
use crate::train::schedule::PlateauReduction;
use crate::train::{EpochStats, TrainOptions, Trainer, Warning};

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
    device: String,
    /// Variants of kernels, which determine the order of additions.
    #[serde(rename = "variants")]
    variants: Vec<String>,
    #[serde(rename = "rows")]
    rows: usize,
    #[serde(rename = "batch")]
    batch: usize,
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
    fn is_sound(&self, steps: usize) -> bool {
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
        (device, variants): (&DeviceInfo, Vec<String>),
        data: &Split,
        batch: usize,
    ) -> Self {
        Self {
            settings: RunSettings::of(options),
            device: device.to_string(),
            variants,
            rows: data.train.rows(),
            batch,
            data: data_checksum(data),
        }
    }

    /// Refuses a checkpoint of another run.
    fn check(&self, old: &Self) -> Result<()> {
        if (self.data, self.rows) != (old.data, old.rows) {
            let problem = format!(
                "the tables are not those that the checkpoint's run was trained and validated on ({} training rows, then {}); go \
                 on with those, or begin a new run from its weights with ‘init’",
                self.rows, old.rows
            );
            return Err(Error::setting("checkpoint", problem));
        }
        // Step positions mean other rows if batches have another size.
        if self.batch != old.batch {
            let problem =
                format!("its steps are of {} rows, but these of {}", old.batch, self.batch);
            return Err(Error::setting("checkpoint", problem));
        }
        Ok(())
    }

    /// Lists the differences that change the bits of the resumed run.
    fn differences(&self, old: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        // Variants of different devices cannot be compared, so one line on the device is enough.
        if self.device != old.device {
            differences.push(format!("the device is {}, and was {}", self.device, old.device));
        } else if self.variants != old.variants {
            let text = "the device takes other forms of its kernels than it did, and has not those of then";
            differences.push(text.to_string());
        }
        differences.extend(self.settings.differences(&old.settings));
        differences
    }
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
    }
}

/// Returns the names of columns and classes and the kind of target, in the words that checksums have had from the
/// beginning: the words stay, whatever types and fields are called.
fn schema_text(schema: &Schema) -> String {
    let Schema { features, target, kind, weight, columns, missing, duplicates: _, decimal: _ } =
        schema;
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
fn data_checksum(data: &Split) -> u64 {
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

impl Trainer {
    /// Returns the run as it was at the end of the last epoch that [`TrainOptions::checkpoint_every`] selects, or as it was
    /// resumed; `None` before that. [`crate::train::Fit::checkpoint`] returns the present step's.
    pub fn checkpoint(&self) -> Option<&Arc<Checkpoint>> {
        self.checkpoints.newest.as_ref()
    }

    /// Returns the run as it was at the end of the epoch reported last, if that epoch is the best so far, and the best one
    /// is kept. Every epoch is considered, unless checkpoints are switched off. `None` after other epochs.
    pub fn best_checkpoint(&self) -> Option<&Arc<Checkpoint>> {
        self.checkpoints.best.as_ref()
    }

    /// Makes the next [`Self::fit`] continue from the checkpoint. On the same device and driver, with the same options, the
    /// results are those of a run that was never stopped, bit for bit; a warning reports differences.
    ///
    /// # Errors
    /// If the checkpoint is of another model, other tables, another optimizer or more epochs.
    pub fn resume(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let Checkpoint { about, slots, kept } = &checkpoint;
        let refuse = |problem: String| Err(Error::setting("checkpoint", problem));
        // Everything is checked before anything changes, so that a refused checkpoint leaves the trainer as it was.
        if about.model != self.model || kept.layout() != self.kept.0.layout() {
            return refuse("it is of a network with other layers".to_string());
        }
        self.origin.check(&about.origin)?;
        // Names and lengths of the slots: the optimizer, averages and precision show in them.
        let wanted: Vec<(&str, usize)> =
            lasting(&self.plan).into_iter().map(|slot| self.name_and_len(slot)).collect();
        let there: Vec<(&str, usize)> =
            slots.iter().map(|(name, values)| (name.as_str(), values.len())).collect();
        if wanted != there {
            return refuse(format!(
                "it holds {}, but this run needs {}: optimizer, averages, accumulation and precision have to be the same",
                listed(&there),
                listed(&wanted)
            ));
        }
        let (epochs, done) = (self.options.epochs, about.place.epoch);
        // An epoch that has begun counts, since it will be finished.
        let unfinished = done + u32::from(about.place.step > 0);
        if unfinished > epochs {
            let problem = format!("{epochs}, but epoch {unfinished} has begun; give at least that");
            return Err(Error::setting("epochs", problem));
        }
        if !about.place.is_sound(self.info.steps_per_epoch) {
            return refuse(
                "it speaks of more steps than an epoch has, or than were done".to_string(),
            );
        }
        // Before the comparison, so that variants the device can still take are no difference.
        self.take_variants(&about.origin)?;
        let mut differences = self.origin.differences(&about.origin);
        let version = env!("CARGO_PKG_VERSION");
        if about.version != version {
            differences.push(format!("wgrad is {version}, and was {}", about.version));
        }
        // Other bits are no reason to refuse: the user may want a new device or another setting.
        if !differences.is_empty() {
            self.warnings.push(Warning::OtherBits { differences });
        }
        self.kept = (kept.clone(), about.kept.clone());
        let checkpoint = Arc::new(checkpoint);
        self.checkpoints =
            HeldCheckpoints { newest: Some(Arc::clone(&checkpoint)), ..HeldCheckpoints::default() };
        self.state = RunState::Resuming(checkpoint);
        Ok(())
    }

    fn name_and_len(&self, slot: Slot) -> (&str, usize) {
        let spec = self.plan.slot(slot);
        (&spec.name, spec.len())
    }

    /// Makes the device take the variants of its kernels that the earlier run took, if it would choose others now.
    fn take_variants(&mut self, old: &RunFingerprint) -> Result<()> {
        if self.origin.device != old.device || self.origin.variants == old.variants {
            return Ok(());
        }
        self.device.take_variants(&old.variants);
        self.load_again()?;
        let variants = self.device.variants();
        (self.info.variants, self.origin.variants) = (variants.clone(), variants);
        Ok(())
    }

    /// Reads the present values of all slots that outlive a step; waits for the device.
    pub(in crate::train) fn capture(&mut self) -> Result<DeviceState> {
        let mut values = Vec::new();
        for slot in lasting(&self.plan) {
            let (name, len) = self.name_and_len(slot);
            values.push((name.to_string(), self.device.read(slot, len)?));
        }
        Ok(values)
    }

    /// Makes a checkpoint of captured values and of the weights that are kept now.
    pub(in crate::train) fn checkpoint_of(
        &self,
        slots: DeviceState,
        place: RunPosition,
    ) -> Checkpoint {
        let about = CheckpointHeader {
            version: env!("CARGO_PKG_VERSION").to_string(),
            model: self.model.clone(),
            columns: self.info.features,
            origin: self.origin.clone(),
            place,
            kept: self.kept.1.clone(),
        };
        Checkpoint { about, slots, kept: self.kept.0.clone() }
    }

    /// Writes captured values to the slots that outlive a step.
    pub(in crate::train) fn bring_back(&mut self, values: &DeviceState) -> Result<()> {
        for (slot, (_, values)) in lasting(&self.plan).into_iter().zip(values) {
            self.device.write(slot, 0, Values::F32(values))?;
        }
        Ok(())
    }

    /// Writes a checkpoint's values to the device, and restores the kept weights.
    pub(in crate::train) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        // Losses of steps that are now undone must not be mistaken for later ones.
        self.device.take_losses(true)?;
        self.bring_back(&checkpoint.slots)?;
        self.state = RunState::Running(RunningState::default());
        self.kept = (checkpoint.kept.clone(), checkpoint.about.kept.clone());
        let present = self.params()?;
        self.state.running().present = Some(present);
        Ok(())
    }
}

fn listed(slots: &[(&str, usize)]) -> String {
    let texts: Vec<String> = slots.iter().map(|(name, len)| format!("{name} [{len}]")).collect();
    texts.join(", ")
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
