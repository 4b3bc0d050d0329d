//! The network that a run has left, or that a model file holds.
//!
//! In: what was given as RUN. Out: an [`Ensemble`], of one network or several.
//! Absent on purpose: training.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::wording::quoted;
use crate::data::{Schema, list};
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, read_ensemble, read_model, read_preparation, read_weights};
use crate::report::Console;
use crate::train::{Ensemble, TrainedModel, Warning};

/// The figures of a run that has come to its end.
pub(super) const METRICS: &str = "metrics.json";
/// The settings of a run.
pub(super) const CONFIG: &str = "config.toml";
/// A line for each epoch.
pub(super) const HISTORY: &str = "history.csv";
/// The validation rows and their predictions.
pub(super) const VALIDATION: &str = "validation.csv";
/// The predictions of a cross-validation.
pub(super) const OUT_OF_FOLD: &str = "out_of_fold.csv";
/// Folder of the members of an ensemble in a run folder.
pub(super) const MEMBERS: &str = "members";
/// Folder of the folds in a run folder.
pub(super) const FOLDS: &str = "folds";
/// Folder of the network that is trained on all rows after folds.
pub(super) const REFIT: &str = "refit";
/// The results of a sweep's trials.
pub(super) const SWEEP_RESULTS: &str = "sweep.csv";
/// Folder of the trials in a sweep's folder.
pub(super) const TRIALS: &str = "trials";
/// The settings of a sweep.
pub(super) const SWEEP: &str = "sweep.toml";
/// The report of a run.
pub(super) const REPORT: &str = "report.html";
/// A digest of the training rows.
pub(super) const TRAINING_ROWS: &str = "training_rows.bin";

/// The model of a run folder, or of a model file; with the weights of another file, if one is given.
pub(super) fn open_run(
    run: &Path,
    weights: Option<&Path>,
    console: &mut Console,
) -> Result<Ensemble> {
    let ensemble = read_ensemble(model_path(run)?)?;
    if let Some(weights) = weights {
        let members = ensemble.members().len();
        if members > 1 {
            let problem = format!(
                "it gives the weights of one network, and {} is an ensemble of {members}; leave it out, or give one network as RUN",
                run.display()
            );
            return Err(Error::setting("--weights", problem));
        }
        return with_weights(ensemble.first().clone(), weights, console).map(Into::into);
    }
    if run.is_dir() && !run.join(METRICS).exists() {
        console.warn(&format!(
            "this run did not finish (no {METRICS}); its model is that of the last epoch saved"
        ));
    }
    Ok(ensemble)
}

/// Returns the text of a file of a run; `None` if the file is not there, or RUN is a model file alone.
pub(super) fn text_of(run: &Path, name: &str) -> Result<Option<String>> {
    let path = run.join(name);
    if !run.is_dir() || !path.exists() {
        return Ok(None);
    }
    std::fs::read_to_string(&path).map(Some).map_err(|source| Error::file("read", path, source))
}

/// Returns the content of `metrics.json`; `None` for a run that has not come to its end.
pub(super) fn figures_of(run: &Path) -> Result<Option<Map<String, Value>>> {
    let Some(text) = text_of(run, METRICS)? else { return Ok(None) };
    let damaged = |error| Error::model_file(run.join(METRICS), format!("damaged: {error}"));
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

/// Returns true for the name of a loss or a metric in `metrics.json`.
pub(super) fn is_figure(name: &str) -> bool {
    name == "train_loss" || name.starts_with("valid_")
}

/// Returns a network with the weights of another file.
fn with_weights(
    mut trained: TrainedModel,
    weights: &Path,
    console: &mut Console,
) -> Result<TrainedModel> {
    let Some(theirs) = read_preparation(weights)? else {
        read_weights(weights, &mut trained.params)?;
        let file = weights.display().to_string();
        console.warn(&Warning::ByPlace { file }.to_string());
        return Ok(trained);
    };
    // A model says itself which columns its weights are for, and how these are scaled.
    let own = &trained.preparation.schema;
    let mut differences = own.differences(&theirs.schema);
    differences.extend(other_texts(own, &theirs.schema));
    if !differences.is_empty() {
        let problem = format!(
            "a model of other columns or classes than the run's: {}; give the model itself as RUN",
            differences.join("; ")
        );
        return Err(Error::model_file(weights, problem));
    }
    let other = read_model(weights)?;
    if other.params.layout() != trained.params.layout() {
        // Names each tensor that does not fit.
        read_weights(weights, &mut trained.params)?;
    }
    if other.preparation.schema.features != trained.preparation.schema.features {
        console.warn(&format!(
            "the columns of {} stand in another order than the run's: an exported network takes them in that order",
            weights.display()
        ));
    }
    Ok(other)
}

/// Names the columns whose texts are not those of another model.
fn other_texts(own: &Schema, other: &Schema) -> Option<String> {
    let texts = |schema: &Schema, name: &str| -> Option<Vec<String>> {
        let column = schema.columns.iter().find(|column| column.name == name)?;
        Some(column.encoding.values().to_vec())
    };
    let differ = |name: &&String| {
        let theirs = texts(other, name);
        theirs.is_some() && theirs != texts(own, name)
    };
    let names: Vec<&String> =
        own.columns.iter().map(|column| &column.name).filter(differ).collect();
    (!names.is_empty()).then(|| format!("other texts in {}", list(&names)))
}

/// Returns the folder of a sweep's best trial, which alone has the predictions of its validation rows.
fn best_trial(sweep: &Path) -> Option<PathBuf> {
    let mut trials = std::fs::read_dir(sweep.join(TRIALS)).ok()?.flatten().map(|it| it.path());
    trials.find(|it| [VALIDATION, OUT_OF_FOLD].iter().any(|name| it.join(name).is_file()))
}

fn model_path(run: &Path) -> Result<PathBuf> {
    if !run.exists() {
        return Err(Error::model_file(
            run,
            "no such run; give the folder that `wgrad train` made, or a model.safetensors",
        ));
    }
    if !run.is_dir() {
        return Ok(run.to_path_buf());
    }
    let model = run.join(MODEL_FILE);
    if !model.exists() && run.join(SWEEP).is_file() {
        let trial = best_trial(run).unwrap_or_else(|| run.join(TRIALS).join("NUMBER"));
        let problem = format!(
            "a sweep, which has many models; give that of a trial, such as {}",
            quoted(&trial)
        );
        return Err(Error::model_file(run, problem));
    }
    if !model.exists() {
        let problem = format!(
            "no {MODEL_FILE} in this folder: it is no run, or one that finished no epoch; train again"
        );
        return Err(Error::model_file(run, problem));
    }
    Ok(model)
}
