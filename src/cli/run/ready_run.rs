//! Rows, layers and options of a run, before it has a device.
//!
//! In: a run's settings, a table that was read. Out: a [`ReadyRun`].
//! Absent on purpose: folders, and what is told of a run.

use super::find_lr::auto_rate;
use super::time_budget::{epochs_in_time, tell};
use crate::cli::settings::{PreparedTable, RunConfig, check_precision};
use crate::data::{Dataset, Preprocessing, Split};
use crate::device::DeviceKind;
use crate::error::Result;
use crate::model::{Params, Sequential};
use crate::ranks::Ranks;
use crate::report::Console;
use crate::shape::short;
use crate::train::{Member, TrainOptions, Trainer, Warning};

/// Rows, layers and options of a run, ready for a [`Trainer`].
#[derive(Clone, Debug)]
pub struct ReadyRun {
    /// Rows to train on, and rows to validate by.
    pub data: Split,
    /// The layers.
    pub model: Sequential,
    /// The weights of `init`, if it names a file.
    pub weights: Option<Params>,
    /// Options of training.
    pub options: TrainOptions,
    /// The device.
    pub device: DeviceKind,
    /// Number of networks of an ensemble; 1 for a single network.
    pub members: u32,
    /// Remarks on rows and settings.
    pub warnings: Vec<Warning>,
}

impl ReadyRun {
    /// Makes layers and options for a table. `origin` is the scaling of the weights that the run begins with, if these are of a file.
    /// A run that goes on does not begin with them.
    pub(in crate::cli) fn new(
        config: &RunConfig,
        table: PreparedTable,
        origin: Option<&Preprocessing>,
        (begins, quiet): (bool, bool),
    ) -> Result<Self> {
        let data = &table.data;
        let known = table.preparation.clone();
        let (model, mut options) =
            (config.model(data)?, config.options(&data.train, origin.filter(|_| known.is_none())));
        options.preparation = known.or(options.preparation);
        let found = found_rate(config, (&model, data), &mut options, quiet)?;
        let planned = epochs_in_time(config, (&model, data), &options, config.members)?;
        if let Some((epochs, text)) = planned {
            options.epochs = epochs;
            tell(&text, quiet);
        }
        let weights = if begins { config.weights(&model, &table, origin)? } else { None };
        let overlapping = config.check_groups(&model, data)?;
        let (weights, told) = weights.unzip();
        let mut warnings = table.notes;
        warnings.extend(told.into_iter().flatten());
        warnings.extend(found);
        warnings.extend(overlapping);
        let (device, members) = (config.device.clone(), config.members);
        Ok(Self { data: table.data, model, weights, options, device, members, warnings })
    }

    /// Opens the device, and makes the trainer of a single network.
    ///
    /// # Errors
    /// As [`Trainer::new`], and if the device lacks what the options ask for.
    pub fn trainer(&self) -> Result<Trainer> {
        self.trainer_of(None)
    }

    /// Opens the device, and makes the trainer of a single network: of a rank, if there are several.
    pub(super) fn trainer_of(&self, ranks: Option<&Ranks>) -> Result<Trainer> {
        let Self { model, data, options, device, .. } = self;
        let mut trainer = match ranks {
            Some(ranks) => Trainer::of_rank(model, data, options, device, ranks.clone())?,
            None => Trainer::new(model, data, options, device)?,
        };
        self.begin(&mut trainer)?;
        Ok(trainer)
    }

    /// Begins with the run's first weights, in a trainer of the run or of one of its members.
    ///
    /// # Errors
    /// If the device lacks what the options ask for, or it failed.
    pub fn begin(&self, trainer: &mut Trainer) -> Result<()> {
        check_precision(self.options.precision, &trainer.info().device)?;
        self.weights.as_ref().map_or(Ok(()), |weights| trainer.set_params(weights))
    }

    /// Returns the members of the ensemble, which differ in their seeds, as those of `wgrad train --members` do.
    pub fn ensemble(&self) -> Vec<Member> {
        let member = |member| {
            let seed = self.options.seed.of_member(member);
            let options = TrainOptions { seed, ..self.options.clone() };
            Member { model: self.model.clone(), data: self.data.clone(), options }
        };
        (0..self.members).map(member).collect()
    }
}

/// Finds the learning rate of a run with `--lr auto`, and puts it into the options. Returns what is to be told of it.
pub(super) fn found_rate(
    config: &RunConfig,
    network: (&Sequential, &Split),
    options: &mut TrainOptions,
    quiet: bool,
) -> Result<Option<Warning>> {
    if !config.lr_is_auto {
        return Ok(None);
    }
    let found =
        auto_rate(network, options, &config.device).map_err(|error| config.locate(error))?;
    options.lr = found.lr;
    if !quiet {
        Console::stderr().say("lr", &format!("{}: {}", short(found.lr), found.reason));
    }
    let problem = "‘lr’ auto: the best rate is at an end of the range; `wgrad find-lr` with --from and --to shows more";
    Ok(found.at_end.then(|| Warning::Noted { problem: problem.to_string() }))
}

/// A warning, if the number to predict is always the same.
pub(in crate::cli) fn constant_target(train: &Dataset) -> Option<Warning> {
    let (y, columns) = train.y().columns()?;
    let constant = |column: &usize| {
        let mut values = y[*column..].iter().step_by(columns);
        values.next().is_some_and(|first| values.all(|other| other == first))
    };
    let column = (0..columns).find(constant)?;
    let (name, value) = (train.schema().targets()[column].to_string(), short(y[column]));
    Some(Warning::ConstantTarget { column: name, value })
}
