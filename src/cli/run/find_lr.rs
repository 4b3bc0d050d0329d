//! `wgrad find-lr`: learning rates side by side for a few steps each, and the one to train with.
//!
//! In: a run's settings, a range of rates. Out: the loss that each rate comes to, and a suggestion with its reason.
//! Absent on purpose: schedules; each rate stays what it is.

use serde::Serialize;

use super::members::report_warnings;
use super::verbosity::Verbosity;
use crate::cli::Exit;
use crate::cli::args::FindLrArgs;
use crate::cli::output::{Output, failed};
#[cfg(feature = "pictures")]
use crate::cli::pictures::{check_picture, write_rates};
use crate::cli::settings::{RunConfig, run_config};
use crate::cli::tables::with_bar;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::model::Sequential;
use crate::report::{Console, JsonLines, count, pluralize};
use crate::shape::{number, short};
use crate::train::{
    DeviceKind, Member, OnNonFinite, ScheduleKind, TrainOptions, Warning, train_members,
};

/// Share of a trial's last steps over which its loss is the mean.
const LAST: f64 = 0.2;
/// Divisor of the rate of the least loss: what is best over a few steps is too high for many.
const BELOW_BEST: f64 = 3.0;
/// Least share of the first loss by which a rate has to lower it.
const LEARNS: f64 = 0.02;

/// Options of a training that a trial does without: its rate is constant, it ends after `--steps` steps, and nothing of it is kept.
const OF_WHOLE_RUNS: [&str; 15] = [
    "schedule",
    "warmup",
    "schedule-epochs",
    "epochs",
    "stop-patience",
    "stop-metric",
    "stop-delta",
    "keep",
    "keep-later",
    "clamp",
    "metrics",
    "on-nonfinite",
    "checkpoint-every",
    "checkpoint-minutes",
    "keep-checkpoints",
];

/// Learning rates that are tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RateRange {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) count: usize,
    /// Steps of training at each rate.
    pub(crate) steps: usize,
}

impl Default for RateRange {
    fn default() -> Self {
        Self { from: 1e-6, to: 1.0, count: 25, steps: 100 }
    }
}

/// Result of training at one rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct TriedRate {
    pub(crate) lr: f64,
    /// Mean loss of the last steps' batches; `null` if it became no finite number.
    pub(crate) loss: Option<f64>,
}

/// The rate to train with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FoundRate {
    pub(crate) lr: f64,
    pub(crate) reason: String,
    /// True if a rate at an end of the range was the best.
    pub(crate) at_end: bool,
}

#[derive(Serialize)]
struct RateLine<'a> {
    event: &'static str,
    #[serde(flatten)]
    rate: &'a TriedRate,
}

#[derive(Serialize)]
struct FoundLine<'a> {
    event: &'static str,
    #[serde(flatten)]
    found: &'a FoundRate,
}

impl RateRange {
    /// Checks the range.
    ///
    /// # Errors
    /// If it is empty, or a rate is not a finite number above 0.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |name: &str, problem: String| Err(Error::setting(name, problem));
        for (name, rate) in [("--from", self.from), ("--to", self.to)] {
            if !(rate.is_finite() && rate > 0.0) {
                let problem = format!("{}, but it must be a finite number above 0", short(rate));
                return refuse(name, problem);
            }
        }
        if self.from >= self.to {
            return refuse("--to", format!("{}, but it must be above --from", short(self.to)));
        }
        if self.count < 3 {
            return refuse("--rates", format!("{}, but there must be at least 3", self.count));
        }
        if self.steps < 10 {
            return refuse("--steps", format!("{}, but there must be at least 10", self.steps));
        }
        Ok(())
    }

    /// Returns the rates, equally far apart by their ratios, with two digits each.
    fn rates(&self) -> Vec<f64> {
        let ratio = (self.to / self.from).ln() / (self.count - 1) as f64;
        (0..self.count)
            .map(|place| self.from * (ratio * place as f64).exp())
            .map(|rate| format!("{rate:.1e}").parse().unwrap_or(rate))
            .collect()
    }
}

/// Trains at each rate from the same weights, on the same batches. Returns the loss of each.
pub(crate) fn try_rates(
    (model, data): (&Sequential, &Split),
    options: &TrainOptions,
    device: &DeviceKind,
    range: RateRange,
) -> Result<Vec<TriedRate>> {
    // The validation rows are not looked at: batches are the same for all rates, so their losses compare.
    let data = Split { train: data.train.clone(), valid: None };
    let member = |lr: f64| {
        let options = TrainOptions {
            lr,
            schedule: ScheduleKind::Constant,
            warmup: 0.0,
            stop_patience: None,
            keep: None,
            stop_metric: TrainOptions::default().stop_metric,
            metrics: Vec::new(),
            on_nonfinite: OnNonFinite::Stop,
            ..options.clone()
        };
        Member { model: model.clone(), data: data.clone(), options }
    };
    let rates = range.rates();
    let members: Vec<Member> = rates.iter().map(|&lr| member(lr)).collect();
    let last = ((range.steps as f64 * LAST).ceil() as usize).max(1);
    let losses = train_members(&members, device, |_, trainer| {
        let mut losses = Vec::with_capacity(range.steps);
        for _ in 0..range.steps {
            match trainer.step() {
                Ok(stats) => losses.push(stats.loss),
                Err(Error::Diverged { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let mean = losses[range.steps - last..].iter().sum::<f64>() / last as f64;
        Ok(Some(mean).filter(|mean| mean.is_finite()))
    })?;
    let tried = |(&lr, loss): (&f64, Result<Option<f64>>)| Ok(TriedRate { lr, loss: loss? });
    rates.iter().zip(losses).map(tried).collect()
}

/// Returns the rate to train with.
///
/// # Errors
/// If no rate lowers the loss.
pub(crate) fn found(tried: &[TriedRate], steps: usize) -> Result<FoundRate> {
    let finite = || tried.iter().filter_map(|it| Some((it.lr, it.loss?)));
    let best = finite().min_by(|a, b| a.1.total_cmp(&b.1));
    // The lowest rate has hardly moved, so its loss is that of the first weights.
    let (Some(best), Some(first)) = (best, finite().next()) else {
        let problem = "no rate gave a finite loss: look for extreme values in the table, or give a lower --from";
        return Err(Error::setting("lr", problem));
    };
    if best.1 > first.1 - LEARNS * first.1.abs() {
        let problem = format!(
            "no rate lowered the loss in {} steps: from {} to {} at best; try more --steps, other columns or another range",
            count(steps as u64),
            number(first.1),
            number(best.1)
        );
        return Err(Error::setting("lr", problem));
    }
    let lr: f64 = format!("{:.1e}", best.0 / BELOW_BEST).parse().unwrap_or(best.0 / BELOW_BEST);
    let at_end = Some(best.0) == tried.first().map(|it| it.lr)
        || Some(best.0) == tried.last().map(|it| it.lr);
    let reason = format!(
        "a third of {}, which came to the least loss in {} steps, {} from {}; over many steps the best rate is lower than over \
         few",
        short(best.0),
        count(steps as u64),
        number(best.1),
        number(first.1)
    );
    Ok(FoundRate { lr, reason, at_end })
}

/// Finds the rate of a run with `--lr auto`. Returns what is to be told of it.
pub(crate) fn auto_rate(
    network: (&Sequential, &Split),
    options: &TrainOptions,
    device: &DeviceKind,
) -> Result<FoundRate> {
    let range = RateRange::default();
    found(&try_rates(network, options, device, range)?, range.steps)
}

pub(crate) fn find_lr(args: &FindLrArgs) -> Result<Exit> {
    // A run with a given rate has the other settings of plain, unless a recipe is named: so has the search for it.
    let given = args.settings.0.clone();
    let named = given.text("recipe").is_some() || given.file().is_some();
    let config: RunConfig = run_config(&if named { given } else { given.with("recipe", "plain") })?;
    let range = RateRange { from: args.from, to: args.to, count: args.rates, steps: args.steps };
    range.check()?;
    #[cfg(feature = "pictures")]
    if let Some(path) = &args.picture {
        check_picture(path)?;
    }
    let origin = config.origin(true)?;
    let table =
        with_bar(args.quiet, &config.table, |progress| config.data(origin.as_ref(), progress))?;
    let data = &table.data;
    let (model, options) = (config.model(data)?, config.options(&data.train, origin.as_ref()));
    if config.weights(&model, &table, origin.as_ref())?.is_some() {
        let problem = "rates are tried from random weights; leave --init FILE out";
        return Err(config.locate(Error::setting("--init", problem)));
    }
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    table.format.iter().for_each(|text| console.say("table", text));
    let talk = Verbosity::of_find_lr(args);
    let mut warnings = table.notes.clone();
    let unused = config.typed(&OF_WHOLE_RUNS);
    if !unused.is_empty() {
        let verb = if unused.len() == 1 { "changes" } else { "change" };
        let (names, steps) = (unused.join(", "), range.steps);
        let problem = format!(
            "{names} {verb} nothing: each rate stays as it is for {} steps (--steps)",
            count(steps as u64)
        );
        warnings.push(Warning::Noted { problem });
    }
    report_warnings(&mut console, talk, warnings)?;
    let rates = pluralize(range.count as u64, "rate");
    console.say(
        "rates",
        &format!(
            "{rates}, {} of {} each",
            pluralize(range.steps as u64, "step"),
            pluralize(options.batch_size as u64, "row")
        ),
    );
    let tried = try_rates((&model, data), &options, &config.device, range);
    let tried = tried.map_err(|error| config.locate(error))?;
    let found = found(&tried, range.steps);
    let mut out = Output::new();
    let mut json = args.json.then(|| JsonLines::new(Output::new()));
    for rate in &tried {
        match &mut json {
            Some(json) => json.line(&RateLine { event: "rate", rate }).map_err(failed)?,
            None => {
                let loss = rate.loss.map_or("not finite".to_string(), number);
                out.line(&format!("{:>10}  {loss:>12}", short(rate.lr)))?;
            }
        }
    }
    #[cfg(feature = "pictures")]
    if let Some(path) = &args.picture {
        let rates: Vec<(f64, f64)> =
            tried.iter().map(|it| (it.lr, it.loss.unwrap_or(f64::NAN))).collect();
        write_rates(path, &rates, found.as_ref().ok().map(|found| found.lr))?;
    }
    let found = found?;
    if found.at_end {
        console.warn("the best rate is at an end of the range: give another --from or --to");
    }
    match &mut json {
        Some(json) => json.line(&FoundLine { event: "found", found: &found }).map_err(failed)?,
        None => out.line(&format!("--lr {}: {}", short(found.lr), found.reason))?,
    }
    out.end()?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(losses: &[Option<f64>]) -> Vec<TriedRate> {
        let rate = |(place, loss): (usize, &Option<f64>)| TriedRate {
            lr: 10.0_f64.powi(place as i32 - 5),
            loss: *loss,
        };
        losses.iter().enumerate().map(rate).collect()
    }

    #[test]
    fn a_third_of_the_best_rate_is_found() {
        let losses = [Some(1.0), Some(0.9), Some(0.3), Some(0.1), Some(0.4), None];
        let got = found(&tried(&losses), 100).unwrap();
        assert_eq!((got.lr, got.at_end), (3.3e-3, false));
        assert!(got.reason.starts_with("a third of 0.01"), "{}", got.reason);
        let got = found(&tried(&[Some(1.0), Some(0.5)]), 100).unwrap();
        assert!(got.at_end);
    }

    #[test]
    fn without_a_rate_that_learns_there_is_none() {
        let said = found(&tried(&[Some(1.0), Some(0.999), None]), 50).unwrap_err().to_string();
        assert!(said.contains("no rate lowered the loss in 50 steps"), "{said}");
        let said = found(&tried(&[None, None]), 50).unwrap_err().to_string();
        assert!(said.contains("no rate gave a finite loss"), "{said}");
    }

    #[test]
    fn rates_are_equally_far_apart() {
        let range = RateRange { from: 1e-4, to: 1.0, count: 5, steps: 100 };
        assert_eq!(range.rates(), [1e-4, 1e-3, 1e-2, 1e-1, 1.0]);
        assert!(range.check().is_ok());
        let said = RateRange { to: 1e-5, ..range }.check().unwrap_err().to_string();
        assert!(said.starts_with("--to: 0.00001"), "{said}");
    }
}
