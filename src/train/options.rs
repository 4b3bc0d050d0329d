//! Options of a run, checked.

use std::str::FromStr;

use super::{ClassWeights, Metric, Schedule, ScheduleKind, Schedules};
use crate::data::{Dataset, FeatureScaling, Preprocessing, ScalingRules, TargetKind};
use crate::device::Tuning;
use crate::error::{Error, Result};
use crate::graph::{Average, Group, Loss, Objective, Optimizer, Reduction, UpdateTransforms};
use crate::plan::Precision;
use crate::random::Seed;
use crate::shape::short;

/// Which epoch's weights a run keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepWeights {
    /// The best by the metric that is watched.
    Best,
    /// The last.
    Last,
}

impl KeepWeights {
    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Last => "last",
        }
    }
}

impl FromStr for KeepWeights {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Best, Self::Last]
            .into_iter()
            .find(|keep| name.eq_ignore_ascii_case(keep.name()))
            .ok_or_else(|| {
                Error::setting("keep", format!("unknown name \"{name}\"; known: best, last"))
            })
    }
}

/// Action when a loss, a gradient or a weight is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNonFinite {
    /// End the run, and keep the last good epoch.
    #[default]
    Stop,
    /// Go back to the last checkpoint in memory, and halve the learning rate.
    Back,
    /// Leave the step out, with the whole move that it belongs to: the device sees to it that nothing changes.
    Skip,
}

impl OnNonFinite {
    const ALL: [Self; 3] = [Self::Stop, Self::Back, Self::Skip];

    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Back => "back",
            Self::Skip => "skip",
        }
    }
}

impl FromStr for OnNonFinite {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|it| name.eq_ignore_ascii_case(it.name())).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::setting("on_nonfinite", format!("unknown name \"{name}\"; known: {known}"))
        })
    }
}

/// Settings of a run, with defaults that suit most tables.
///
/// ```
/// use wgrad::prelude::*;
///
/// let options = TrainOptions {
///     optimizer: "adamw(weight-decay=0.05)".parse()?,
///     schedule: ScheduleKind::COSINE,
///     warmup: 1.0,
///     stop_patience: Some(10),
///     epochs: 100,
///     ..TrainOptions::default()
/// };
/// assert!(options.check().is_ok());
/// let wrong = TrainOptions { lr: -1.0, ..options };
/// assert!(wrong.check().unwrap_err().to_string().starts_with("lr: -1"));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// Loss to minimise.
    pub loss: Loss,
    /// How the losses of a batch's rows become one number.
    pub reduction: Reduction,
    /// How much each class counts, or the yes of each label.
    pub class_weights: ClassWeights,
    /// Optimizer of the weights.
    pub optimizer: Optimizer,
    /// The largest norm of all gradients together; `None` for any.
    pub clip_norm: Option<f64>,
    /// The largest size of an element of the gradients; `None` for any.
    pub clip_value: Option<f64>,
    /// Number of steps whose gradients are accumulated before one update: as one batch of all their rows.
    pub accumulate: u32,
    /// Parameters with a learning rate and weight decay of their own, or frozen ones.
    pub groups: Vec<Group>,
    /// Averaged weights, which validation and the saved model then take.
    pub average: Option<Average>,
    /// Peak learning rate.
    pub lr: f64,
    /// How the rate goes over the run.
    pub schedule: ScheduleKind,
    /// Epochs over which the rate rises at first; may be a fraction.
    pub warmup: f64,
    /// How the weight decay goes over the run, from the optimizer's own; without the warm-up.
    pub decay_schedule: ScheduleKind,
    /// How the dropout rates go over the run, from the layers' own; without the warm-up.
    pub dropout_schedule: ScheduleKind,
    /// How the label smoothing of cross-entropy goes over the run, from the loss's own; without the warm-up. Figures of the
    /// validation rows have the loss's own smoothing at all times, so that epochs compare.
    pub smoothing_schedule: ScheduleKind,
    /// Passes over the training rows.
    pub epochs: u32,
    /// Epochs without an improvement after which the run stops early; `None` to run all.
    pub stop_patience: Option<u32>,
    /// Metric of the validation rows that early stopping and the choice of the best epoch watch.
    pub stop_metric: Metric,
    /// How much better than the best a value must be to count as an improvement.
    pub stop_delta: f64,
    /// Which epoch's weights are kept; `None` for the best where there are validation rows, and else the last.
    pub keep: Option<KeepWeights>,
    /// Further metrics of the validation rows, computed each epoch.
    pub metrics: Vec<Metric>,
    /// Rows of a batch; more than there are makes one batch of all.
    pub batch_size: usize,
    /// True if rows come in a new order each epoch.
    pub shuffle: bool,
    /// How features, and the target of a regression, are scaled.
    pub scale: FeatureScaling,
    /// Columns of numbers that are scaled by a method of their own.
    pub column_scales: Vec<(String, FeatureScaling)>,
    /// How a numeric target is scaled: standard, quantile, log or none. Without a choice it is standard, or none if `scale` is.
    pub target_scale: Option<FeatureScaling>,
    /// True if inputs of 0 and 1, which stand for texts and gaps, are scaled as columns of numbers are.
    pub scale_texts: bool,
    /// True if predictions of numbers are kept within the range of the training rows' targets.
    pub clamp: bool,
    /// True if of epochs with equal values of the watched metric the last one is the best.
    pub keep_later: bool,
    /// True if an epoch leaves out the rows that make no whole batch.
    pub drop_last: bool,
    /// From which all random choices follow.
    pub seed: Seed,
    /// Storage type of the values between a step's kernels.
    pub precision: Precision,
    /// Choice of a GPU among the variants of its products.
    pub tuning: Tuning,
    /// Epochs after which the run's state is copied to the host, to continue from there: [`super::Checkpoint`]; 0 for never.
    pub checkpoint_every: u32,
    /// Action when a loss, a gradient or a weight is not finite.
    pub on_nonfinite: OnNonFinite,
    /// Bytes that the run may take on the device; `None` for what the device allows. A training table beyond that
    /// stays with the host and comes in blocks.
    pub device_memory: Option<u64>,
    /// Scaling that is already known, such as that of the model whose weights the run begins with; `None` to measure it on the
    /// training rows.
    pub preparation: Option<Preprocessing>,
    /// Epochs over which schedules that depend on the run's length go, after which they stay as they are; `None` for all.
    pub schedule_epochs: Option<u32>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            loss: Loss::CROSS_ENTROPY,
            reduction: Reduction::Mean,
            class_weights: ClassWeights::None,
            optimizer: Optimizer::default(),
            clip_norm: None,
            clip_value: None,
            accumulate: 1,
            groups: Vec::new(),
            average: None,
            lr: 1e-3,
            schedule: ScheduleKind::Constant,
            warmup: 0.0,
            decay_schedule: ScheduleKind::Constant,
            dropout_schedule: ScheduleKind::Constant,
            smoothing_schedule: ScheduleKind::Constant,
            epochs: 30,
            stop_patience: None,
            stop_metric: Metric::Loss,
            stop_delta: 0.0,
            keep: None,
            metrics: Vec::new(),
            batch_size: 32,
            shuffle: true,
            scale: FeatureScaling::Standard,
            column_scales: Vec::new(),
            target_scale: None,
            scale_texts: false,
            clamp: false,
            keep_later: false,
            drop_last: false,
            seed: Seed(0),
            precision: Precision::F32,
            tuning: Tuning::default(),
            checkpoint_every: 1,
            on_nonfinite: OnNonFinite::Stop,
            device_memory: None,
            preparation: None,
            schedule_epochs: None,
        }
    }
}

/// Returns the rows of a batch for a number of training rows, as `--batch-size auto` takes them: those of TabM in TabArena (Erickson et
/// al. 2025, arXiv:2506.16791, `_tabm_internal.py`).
pub fn usual_batch_size(rows: usize) -> usize {
    match rows {
        0..2_800 => 32,
        2_800..4_500 => 64,
        4_500..6_400 => 128,
        6_400..32_000 => 256,
        _ => 512,
    }
}

impl TrainOptions {
    /// Returns the rules by which features and target are scaled.
    pub fn scaling(&self) -> ScalingRules {
        ScalingRules {
            features: self.scale,
            columns: self.column_scales.clone(),
            target: self.target_scale,
            texts: self.scale_texts,
        }
    }

    /// Checks each setting by itself.
    ///
    /// # Errors
    /// If a setting is out of its range; the message names it.
    pub fn check(&self) -> Result<()> {
        // Parts check themselves; the checks below are of single numbers and of what goes together.
        self.optimizer.check()?;
        self.loss.check()?;
        self.scaling().check()?;
        self.moves().check(&self.optimizer)?;
        let positive = |name: &str, fits: bool, value: String| {
            if fits {
                Ok(())
            } else {
                Err(Error::setting(name, format!("{value}, but it must be above 0")))
            }
        };
        // NaN and infinity need their own message, since NaN is not below 0.
        if !self.lr.is_finite() {
            let problem = format!("{}, but it must be a finite number above 0", short(self.lr));
            return Err(Error::setting("lr", problem));
        }
        positive("lr", self.lr > 0.0, short(self.lr))?;
        positive("epochs", self.epochs > 0, self.epochs.to_string())?;
        let patience = self.stop_patience.unwrap_or(1);
        positive("stop_patience", patience > 0, patience.to_string())?;
        positive("batch_size", self.batch_size > 0, self.batch_size.to_string())?;
        positive("accumulate", self.accumulate > 0, self.accumulate.to_string())?;
        let memory = self.device_memory.unwrap_or(1);
        positive("device_memory", memory > 0, memory.to_string())?;
        // A combination: going back needs a checkpoint to go back to.
        if self.on_nonfinite == OnNonFinite::Back && self.checkpoint_every == 0 {
            let problem = "back needs checkpoints to go back to; give ‘checkpoint_every’ 1";
            return Err(Error::setting("on_nonfinite", problem));
        }
        if !(self.warmup >= 0.0 && self.warmup.is_finite()) {
            let problem =
                format!("{}, but it must be a finite number of 0 or more", short(self.warmup));
            return Err(Error::setting("warmup", problem));
        }
        // The warm-up must fit the schedule, which may have another length than the run.
        let scheduled = self.scheduled_epochs();
        positive("schedule_epochs", scheduled > 0, scheduled.to_string())?;
        if self.warmup > f64::from(scheduled) {
            let whose = if self.schedule_epochs.is_some() {
                "‘schedule_epochs’ is"
            } else {
                "the run has"
            };
            let problem = format!(
                "{} epochs, but {whose} {scheduled}; give at most that",
                short(self.warmup)
            );
            return Err(Error::setting("warmup", problem));
        }
        self.schedule.check("schedule")?;
        self.decay_schedule.check("decay_schedule")?;
        self.dropout_schedule.check("dropout_schedule")?;
        self.smoothing_schedule.check("smoothing_schedule")?;
        // This schedule has a warm-up of its own.
        if self.warmup > 0.0 && self.schedule == ScheduleKind::CosLog4 {
            let problem = "cos-log-4 rises from 0 by itself; leave out the warm-up";
            return Err(Error::setting("warmup", problem));
        }
        if !(self.stop_delta >= 0.0 && self.stop_delta.is_finite()) {
            let problem =
                format!("{}, but it must be a finite number of 0 or more", short(self.stop_delta));
            return Err(Error::setting("stop_delta", problem));
        }
        Ok(())
    }

    /// Returns the graph's objective: the loss, and whether rows or classes of this table have weights.
    pub fn objective(&self, train: &Dataset) -> Objective {
        let objective = Objective::from(self.loss.clone());
        Objective {
            reduction: self.reduction,
            weights: train.weights().is_some(),
            constants: objective.constants || self.class_weights != ClassWeights::None,
            ..objective
        }
    }

    /// Returns the transforms of gradients and weights around the optimizer.
    pub fn moves(&self) -> UpdateTransforms {
        UpdateTransforms {
            accumulate: self.accumulate > 1,
            clip_norm: self.clip_norm,
            clip_value: self.clip_value,
            groups: self.groups.clone(),
            average: self.average,
            skips: self.on_nonfinite == OnNonFinite::Skip,
        }
    }

    /// Returns the number of rows that an epoch visits, of so many in batches of a size.
    pub(super) fn visited_rows(&self, rows: usize, batch: usize) -> usize {
        let left = if self.drop_last { rows % batch.max(1) } else { 0 };
        // A table that is smaller than a batch is one batch.
        if left < rows { rows - left } else { rows }
    }

    /// Returns the updates in an epoch of `steps_per_epoch` steps; the last one may follow fewer steps than the others.
    pub fn updates_per_epoch(&self, steps_per_epoch: usize) -> usize {
        steps_per_epoch.div_ceil(self.accumulate.max(1) as usize)
    }

    /// Checks the watched metrics against the targets of training and of validation.
    ///
    /// # Errors
    /// If a metric is for other targets, there are no validation rows to compute it of, or one that is watched has no value on
    /// them; the message names the setting.
    pub fn check_metrics(&self, kind: &TargetKind, valid: Option<&Dataset>) -> Result<()> {
        let valid_rows = valid.map_or(0, Dataset::rows);
        let (classes, several) = match kind {
            TargetKind::Classes(names) => (names.len(), false),
            // A label is a choice between two classes.
            TargetKind::Labels(labels) => (2, labels.len() > 1),
            TargetKind::Number | TargetKind::Numbers(_) => (0, false),
        };
        let check = |metric: Metric, option: &str| {
            metric.check(option, classes)?;
            if several && metric.of_positive() {
                let problem = format!(
                    "{metric} is for one label, and the target has several; use {metric}_macro or {metric}_micro"
                );
                return Err(Error::setting(option, problem));
            }
            Ok(())
        };
        // Rows of weight 0 are left out of all figures, so nothing would remain.
        if let Some(weights) = valid.and_then(Dataset::weights)
            && weights.iter().all(|&weight| weight == 0.0)
        {
            let problem = "all validation rows have a weight of 0, so none of them counts; give a larger share or \
                           another table, or 0 for no validation";
            return Err(Error::setting("valid", problem));
        }
        let needs_rows = |option: &str, needed: bool, what: &str| {
            let problem =
                || format!("{what}, but there are no validation rows; give ‘valid’ 0.2 or a table");
            if needed && valid_rows == 0 { Err(Error::setting(option, problem())) } else { Ok(()) }
        };
        // Each setting is checked by itself, so that the message names the one at fault.
        for metric in &self.metrics {
            check(*metric, "metrics")?;
        }
        needs_rows("metrics", !self.metrics.is_empty(), "they are those of validation rows")?;
        for (option, schedule) in self.kinds() {
            if let ScheduleKind::Plateau(plateau) = schedule {
                check(plateau.metric, option)?;
                let needed = plateau.metric != Metric::Loss;
                needs_rows(option, needed, &format!("plateau watches {}", plateau.metric))?;
            }
        }
        check(self.stop_metric, "stop_metric")?;
        let watched = format!("{} of validation rows is watched", self.stop_metric);
        needs_rows("stop_patience", self.stop_patience.is_some(), &watched)?;
        needs_rows("keep", self.keeps() == KeepWeights::Best, &watched)?;
        needs_rows("stop_metric", self.stop_metric != Metric::Loss, &watched)?;
        // A metric may be undefined on these very rows, such as one with a single class.
        let Some(valid) = valid else { return Ok(()) };
        for (option, metric) in self.steering() {
            if let Some(why) = metric.undefined(valid, &self.loss) {
                let problem = format!(
                    "{metric} is to be watched on the validation rows, but {why}; watch another metric, such as {}, or \
                     validate on other rows with ‘valid’",
                    metric.instead()
                );
                return Err(Error::setting(option, problem));
            }
        }
        Ok(())
    }

    /// Returns the metrics that decide how the run continues, and the options that name them.
    pub(super) fn steering(&self) -> Vec<(&'static str, Metric)> {
        let watches = self.stop_patience.is_some() || self.keeps() == KeepWeights::Best;
        let stop = watches.then_some(("stop_metric", self.stop_metric));
        let plateaus = self.kinds().into_iter().filter_map(|(option, kind)| match kind {
            ScheduleKind::Plateau(plateau) => Some((option, plateau.metric)),
            _ => None,
        });
        stop.into_iter().chain(plateaus).collect()
    }

    /// Metrics that were merely asked for and have no value on the validation rows, each with the reason.
    pub(super) fn undefined(&self, valid: &Dataset) -> Vec<(Metric, String)> {
        let asked = self.metrics.iter();
        asked.filter_map(|&metric| Some((metric, metric.undefined(valid, &self.loss)?))).collect()
    }

    /// Which epoch's weights are kept.
    pub fn keeps(&self) -> KeepWeights {
        let usual =
            if self.stop_patience.is_some() { KeepWeights::Best } else { KeepWeights::Last };
        self.keep.unwrap_or(usual)
    }

    /// The same, with the best epoch kept where nothing else is said and there are validation rows.
    pub(super) fn with_keep(&self, valid_rows: usize) -> Self {
        let keep = if valid_rows > 0 { KeepWeights::Best } else { self.keeps() };
        Self { keep: self.keep.or(Some(keep)), ..self.clone() }
    }

    /// Epochs over which schedules go.
    pub fn scheduled_epochs(&self) -> u32 {
        self.schedule_epochs.unwrap_or(self.epochs)
    }

    /// Options whose schedules depend on how long the run is.
    pub fn length_dependent(&self) -> Vec<&'static str> {
        let depends = self.kinds().into_iter().filter(|(_, kind)| kind.depends_on_length());
        depends.map(|(option, _)| option).collect()
    }

    /// Schedules and the options that name them.
    pub(super) fn kinds(&self) -> [(&'static str, &ScheduleKind); 4] {
        [
            ("schedule", &self.schedule),
            ("decay_schedule", &self.decay_schedule),
            ("dropout_schedule", &self.dropout_schedule),
            ("smoothing_schedule", &self.smoothing_schedule),
        ]
    }

    /// Returns the further metrics of the validation rows: those that were asked for, then the one that is
    /// watched.
    pub(super) fn others(&self) -> Vec<Metric> {
        let steering = self.steering().into_iter().map(|(_, metric)| metric);
        let mut others: Vec<Metric> = Vec::new();
        for metric in self.metrics.iter().copied().chain(steering) {
            if !metric.usual() && !others.contains(&metric) {
                others.push(metric);
            }
        }
        others
    }

    /// Returns the learning rates of the updates in a run with this number of steps in an epoch.
    pub fn schedule(&self, steps_per_epoch: usize) -> Schedule {
        let steps_per_epoch = self.updates_per_epoch(steps_per_epoch);
        // Checked to be neither negative nor above the run's length.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the number of steps"
        )]
        let warmup = (self.warmup * steps_per_epoch as f64).round() as u64;
        let epochs = self.scheduled_epochs();
        Schedule::new(self.schedule.clone(), self.lr, warmup, epochs, steps_per_epoch)
    }

    /// Returns all schedules of a run with this number of steps in an epoch; times are counted in updates.
    pub fn schedules(&self, steps_per_epoch: usize) -> Schedules {
        let moves = self.updates_per_epoch(steps_per_epoch);
        let epochs = self.scheduled_epochs();
        let share = |kind: &ScheduleKind| Schedule::new(kind.clone(), 1.0, 0, epochs, moves);
        Schedules {
            lr: self.schedule(steps_per_epoch),
            decay: share(&self.decay_schedule),
            dropout: share(&self.dropout_schedule),
            smoothing: share(&self.smoothing_schedule),
        }
    }
}
