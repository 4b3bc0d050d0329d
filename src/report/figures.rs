//! Figures of an epoch and the outcome of a run, flat, as files and JSON Lines have them.

use std::path::Path;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::text::positive_by_column;
use crate::data::Positive;
use crate::error::{Error, Result};
use crate::export::write_file;
use crate::train::{EpochStats, Metric, Metrics};

/// Losses and metrics under flat names: all that apply to the target, those without a value on these rows as `null`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Mean loss over an epoch's rows, as the weights changed.
    pub train_loss: Option<f64>,
    /// Figures of the validation rows, see [`Metrics::all`]; none without validation.
    pub valid: Vec<(Metric, Option<f64>)>,
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        if let Some(loss) = self.train_loss {
            map.serialize_entry("train_loss", &loss)?;
        }
        for (metric, value) in &self.valid {
            map.serialize_entry(&format!("valid_{metric}"), value)?;
        }
        map.end()
    }
}

impl Figures {
    /// The figures of training, and of validation if there was one.
    pub fn new(train_loss: Option<f64>, valid: Option<&Metrics>) -> Self {
        Self { train_loss, valid: valid.map(Metrics::all).unwrap_or_default() }
    }

    /// The figures of an epoch.
    pub fn of(stats: &EpochStats) -> Self {
        Self::new(Some(stats.train_loss), stats.valid.as_ref())
    }
}

/// A prediction without a network, and its figures on the validation rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Says how it predicts.
    pub name: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A prediction that a network is compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparisons {
    /// The same prediction for every row; `null` without validation rows.
    pub constant: Option<Comparison>,
    /// Logistic or linear regression.
    pub linear: Option<Comparison>,
    /// The reason why there is no linear model, where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_linear: Option<String>,
}

/// End of a run, as `metrics.json` holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The epoch whose weights were kept, from 1; with [`Self::interrupted`] the epochs that were finished.
    pub epoch: u32,
    /// Steps that made the weights.
    pub steps: u64,
    /// Figures of the weights that were kept.
    #[serde(flatten)]
    pub figures: Figures,
    /// The positive class of a target of two classes, and of each label, by column.
    #[serde(serialize_with = "positive_by_column")]
    pub positive: Vec<Positive>,
    /// The epoch after which the run stopped early, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_after: Option<u32>,
    /// Seconds of training.
    pub seconds: f64,
    /// Where it ran.
    pub device: String,
    /// Predictions that the network is compared with; none where someone stopped the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baselines: Option<Comparisons>,
    /// True if someone stopped the run.
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
