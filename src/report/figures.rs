//! Figures of an epoch and the outcome of a run, flat, as files and JSON Lines have them.

use std::path::Path;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::export::write_file;
use crate::train::{EpochStats, Metric, Metrics};

/// Losses and metrics under flat names. Those that do not apply are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Mean loss over an epoch's rows, as the weights changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_loss: Option<f64>,
    /// Loss over the validation rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_loss: Option<f64>,
    /// See [`Metrics::accuracy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_accuracy: Option<f64>,
    /// See [`Metrics::r2`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_r2: Option<f64>,
    /// See [`Metrics::mae`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_mae: Option<f64>,
    /// See [`Metrics::rmse`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_rmse: Option<f64>,
    /// See [`Metrics::asked`]; those that are defined.
    #[serde(flatten, serialize_with = "under_valid_names")]
    pub valid_asked: Vec<(Metric, f64)>,
}

fn under_valid_names<S: Serializer>(
    asked: &[(Metric, f64)],
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    to.collect_map(asked.iter().map(|(metric, value)| (format!("valid_{metric}"), value)))
}

impl Figures {
    /// The figures of training, and of validation if there was one.
    pub fn new(train_loss: Option<f64>, valid: Option<&Metrics>) -> Self {
        Self {
            train_loss,
            valid_loss: valid.map(|valid| valid.loss),
            valid_accuracy: valid.and_then(|valid| valid.accuracy),
            valid_r2: valid.and_then(|valid| valid.r2),
            valid_mae: valid.and_then(|valid| valid.mae),
            valid_rmse: valid.and_then(|valid| valid.rmse),
            valid_asked: valid.map(asked).unwrap_or_default(),
        }
    }

    /// The figures of an epoch.
    pub fn of(stats: &EpochStats) -> Self {
        Self::new(Some(stats.train_loss), stats.valid.as_ref())
    }
}

/// What was asked for and is defined.
fn asked(valid: &Metrics) -> Vec<(Metric, f64)> {
    valid.asked.iter().filter_map(|&(metric, value)| value.map(|value| (metric, value))).collect()
}

/// How a run ended: what `metrics.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The epoch whose weights were kept, from 1; with [`Self::interrupted`] the epochs that were finished.
    pub epoch: u32,
    /// Steps that made the weights.
    pub steps: u64,
    /// Figures of the weights that were kept.
    #[serde(flatten)]
    pub figures: Figures,
    /// The epoch after which the run stopped early, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_after: Option<u32>,
    /// Seconds of training.
    pub seconds: f64,
    /// Where it ran.
    pub device: String,
    /// Whether someone stopped it.
    pub interrupted: bool,
}

impl Outcome {
    /// Writes the outcome as a flat JSON object.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::file("write", path, error.into()))?;
        text.push('\n');
        write_file(path, text.as_bytes())
    }
}
