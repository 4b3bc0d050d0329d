//! The end of `wgrad tune`: the networks that are best together.
//!
//! In: trials that are trained, the rows that they were validated on. Out: a model in the sweep's folder, its figures, and a report.
//! Absent on purpose: training, and the choice of settings.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::members::write_json;
use super::parts::TrainedPart;
use super::sweep_results::{Judged, TrialResult, TriedSettings, best_table};
use super::sweep_trials::{PreparedSweep, TrialRows};
use super::verbosity::Verbosity;
use super::verdict::Judge;
use crate::cli::next::show_after_run;
use crate::cli::open_run::{METRICS, TRAINING_ROWS, figures_of, is_figure};
use crate::cli::output::{Output, failed};
use crate::cli::tables::ROWS;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, read_ensemble, write_ensemble};
use crate::files::write_file;
use crate::report::{Console, Figures, JsonLines};
use crate::shape::number;
use crate::train::{Ensemble, Member, Metrics, Predictor, TrainedModel, Trainer, select_members};

/// Most networks of the ensemble: more of them make predictions slower, and hardly better.
const MOST_MEMBERS: usize = 8;

/// Record of `wgrad tune`, within that of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TuneRecord {
    /// True if the best network alone is kept.
    #[serde(default)]
    pub(super) one: bool,
    /// Seconds that the search may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<f64>,
    /// Seconds that it has taken so far.
    #[serde(default)]
    pub(super) used: f64,
    /// Seconds of the slowest bracket.
    #[serde(default)]
    pub(super) slowest: f64,
    /// Brackets that have ended.
    #[serde(default)]
    pub(super) brackets: usize,
}

impl TuneRecord {
    /// Returns true if there is no time for another bracket.
    pub(super) fn is_over(&self) -> bool {
        self.time.is_some_and(|time| self.used + self.slowest > time)
    }
}

/// End of a search, as `metrics.json` and the last event have it.
#[derive(Serialize)]
struct TuneOutcome<'a> {
    trials: usize,
    metric: String,
    best: &'a TrialResult,
    /// Numbers of the trials whose networks the model is the mean of, in the order in which they were taken.
    members: &'a [usize],
    /// The metric of the model on the validation rows.
    value: Option<f64>,
    /// Its other figures on them; with folds those of the best trial.
    #[serde(flatten)]
    figures: Map<String, Value>,
    /// Seconds of training of all trials together.
    seconds: f64,
    device: &'a str,
    interrupted: bool,
}

/// The last event.
#[derive(Serialize)]
struct TuneFinished<'a> {
    event: &'static str,
    run: String,
    #[serde(flatten)]
    outcome: &'a TuneOutcome<'a>,
}

/// Writes the model: the mean of the networks that are best together, or the best one alone.
pub(super) fn finish_tune(
    out: &Path,
    (prepared, ranked): (&PreparedSweep, &[&TrialResult]),
    judged: Judged,
    (tried, one, talk): (&TriedSettings<'_>, bool, Verbosity),
    console: &mut Console,
) -> Result<()> {
    let best = ranked[0];
    let mut members = vec![best.trial];
    let (figures, value);
    match &*prepared.rows[&best.trial] {
        // The networks of the folds are the best trial's ensemble.
        TrialRows::Folds(_) => {
            let folder = &prepared.trials[&best.trial].config.out;
            write_ensemble(&read_ensemble(folder.join(MODEL_FILE))?, out.join(MODEL_FILE))?;
            // By which `evaluate` knows the rows that the networks have seen.
            let digest = folder.join(TRAINING_ROWS);
            let bytes =
                std::fs::read(&digest).map_err(|source| Error::file("read", &digest, source))?;
            write_file(out.join(TRAINING_ROWS), &bytes)?;
            // Figures of all rows, each predicted by the network that did not see it.
            let own = figures_of(folder)?.unwrap_or_default().into_iter();
            figures = own.filter(|(name, _)| is_figure(name)).collect();
            value = best.value;
        }
        TrialRows::Split(split) => {
            let (places, networks) = candidates(prepared, ranked, one)?;
            let found = Selection { networks: &networks, split, prepared, best: best.trial };
            let (chosen, ensemble) = found.choose(judged)?;
            members = chosen.iter().map(|&place| places[place]).collect();
            let metrics = found.write(&ensemble, out)?;
            value = metrics.value(judged.metric);
            figures = flat(&Figures::new(None, Some(&metrics)));
        }
    }
    let outcome = TuneOutcome {
        trials: ranked.len(),
        metric: judged.metric.to_string(),
        best,
        members: &members,
        value,
        figures,
        seconds: ranked.iter().map(|it| it.seconds).sum(),
        device: &prepared.info.device.to_string(),
        interrupted: false,
    };
    write_json(&outcome, &out.join(METRICS))?;
    if talk.json {
        let run = out.display().to_string();
        let line = TuneFinished { event: "finished", run, outcome: &outcome };
        JsonLines::new(Output::new()).line(&line).map_err(failed)?;
    } else if !talk.quiet {
        let mut lines = Output::new();
        for line in best_table(ranked, tried, judged) {
            lines.line(&line)?;
        }
        lines.line(&told(out, &outcome))?;
        lines.end()?;
    }
    show_after_run(console, out, None);
    Ok(())
}

/// Returns figures as entries of `metrics.json`.
fn flat(figures: &Figures) -> Map<String, Value> {
    match serde_json::to_value(figures) {
        Ok(Value::Object(figures)) => figures,
        other => unreachable!("figures are names with numbers, and not {other:?}"),
    }
}

/// Says what the model is.
fn told(out: &Path, outcome: &TuneOutcome<'_>) -> String {
    let metric = &outcome.metric;
    let alone = outcome.best.value.map_or(String::new(), number);
    let place = out.display();
    match outcome.members {
        [one] => format!("{place}: the network of trial {one}, with {metric} {alone}"),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            let of_all = outcome.value.map_or(String::new(), number);
            format!(
                "{place}: the mean of trials {}, with {metric} {of_all}; the best one alone has {alone}",
                names.join(", ")
            )
        }
    }
}

/// Returns the trials whose networks may be members, the best first, and the networks: those that had all epochs, and the rows and the
/// form of columns of the best one.
fn candidates(
    prepared: &PreparedSweep,
    ranked: &[&TrialResult],
    one: bool,
) -> Result<(Vec<usize>, Vec<TrainedModel>)> {
    let best = ranked[0];
    let (mut places, mut networks) = (Vec::new(), Vec::new());
    for result in ranked {
        let same_rows = Arc::ptr_eq(&prepared.rows[&result.trial], &prepared.rows[&best.trial]);
        let whole =
            result.value.is_some() && result.round == best.round && result.problem.is_none();
        if !whole || !same_rows {
            continue;
        }
        networks.push(TrainedPart::read(&prepared.trials[&result.trial].config.out)?.trained);
        places.push(result.trial);
        if one {
            break;
        }
    }
    Ok((places, networks))
}

/// Networks, and the rows by which some of them are selected.
struct Selection<'a> {
    networks: &'a [TrainedModel],
    split: &'a Split,
    prepared: &'a PreparedSweep,
    /// The trial whose options figures are computed by.
    best: usize,
}

impl Selection<'_> {
    /// Returns the places of the networks that are best together, and their ensemble.
    fn choose(&self, judged: Judged) -> Result<(Vec<usize>, Ensemble)> {
        let config = &self.prepared.trials[&self.best].config;
        let valid = self.split.valid.as_ref().expect("a search without validation rows is refused");
        let options = config.options(&self.split.train, None);
        let under = ((judged.metric, &options), (&config.device, MOST_MEMBERS));
        let chosen = select_members(self.networks, valid, under.0, under.1)?;
        let mut places: Vec<usize> = chosen.iter().map(|it| it.place).collect();
        if places.is_empty() {
            // A metric may have a value in training and none here only by rounding; the best network is one all the same.
            places.push(0);
        }
        let members = places.iter().map(|&place| self.networks[place].clone()).collect();
        Ok((places, Ensemble::new(members)?))
    }

    /// Writes the model and the files that belong to it. Returns its figures on the validation rows.
    fn write(&self, ensemble: &Ensemble, out: &Path) -> Result<Metrics> {
        let config = &self.prepared.trials[&self.best].config;
        let parts = self.prepared.parts(self.best, config.told().epochs)?;
        let Member { model, options, .. } = &parts[0].member;
        let trainer = Trainer::new(model, self.split, options, &config.device)?;
        let judge = Judge::new(&trainer, self.split, options);
        write_ensemble(ensemble, out.join(MODEL_FILE))?;
        judge.write_digest(out)?;
        judge.write_validation(ensemble, out)?;
        let valid = self.split.valid.as_ref().expect("a search without validation rows is refused");
        let predictor = Predictor::on_device(ensemble, &config.device, Some(ROWS))?;
        predictor.evaluate_as(valid, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_over_before_a_bracket_that_would_end_too_late() {
        let tune =
            TuneRecord { time: Some(10.0), used: 6.0, slowest: 3.0, ..TuneRecord::default() };
        assert!(!tune.is_over());
        assert!(TuneRecord { slowest: 5.0, ..tune }.is_over());
        assert!(!TuneRecord { time: None, used: 1e9, ..tune }.is_over());
    }
}
