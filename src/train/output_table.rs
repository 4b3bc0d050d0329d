//! [`OutputTable`]: raw outputs of a table whose rows several networks predict.
//!
//! In: networks, and the rows that each predicts. Out: predictions and figures of all rows at once.
//! Absent on purpose: how rows are parted.

use super::TrainOptions;
use super::ensemble::{combined, is_scaled};
use super::metrics::Metrics;
use super::outputs::Predictions;
use super::predict::TrainedModel;
use super::predictor::Predictor;
use crate::data::{Dataset, Targets};
use crate::error::Result;

/// Raw outputs of a table's rows by several networks, each of which predicts some of the rows: in terms of one of them, so that
/// figures of all rows come from them at once.
#[derive(Clone, Debug)]
pub struct OutputTable {
    network: TrainedModel,
    width: usize,
    outputs: Vec<f32>,
}

impl OutputTable {
    /// Begins without predictions of `rows` rows; their outputs will be in terms of this network's scaling and loss.
    pub fn new(network: &TrainedModel, rows: usize) -> Self {
        let targets = network.preparation.schema.outputs();
        let width = network.criterion.loss.outputs_for(targets);
        Self { network: network.clone(), width, outputs: vec![f32::NAN; rows * width] }
    }

    /// Puts in the predictions of the rows of `data` by a network; `rows` are their places in the whole table.
    ///
    /// # Errors
    /// If the columns of `data` are not the network's, or the device failed.
    pub fn put(&mut self, predictor: &Predictor, data: &Dataset, rows: &[u32]) -> Result<()> {
        let mut outputs = predictor.outputs_for(data)?;
        // Other outputs mean the same whatever the scaling of the target, and stay as they are.
        if is_scaled(&self.network) {
            let members = std::slice::from_ref(predictor.trained());
            outputs = combined(&self.network, members, std::slice::from_ref(&outputs));
        }
        for (own, &row) in outputs.chunks_exact(self.width).zip(rows) {
            self.outputs[row as usize * self.width..][..self.width].copy_from_slice(own);
        }
        Ok(())
    }

    /// Returns the network in whose terms the outputs are.
    pub fn network(&self) -> &TrainedModel {
        &self.network
    }

    /// Returns the predictions of some rows.
    pub fn predictions(&self, rows: std::ops::Range<usize>) -> Predictions {
        let outputs = &self.outputs[rows.start * self.width..rows.end * self.width];
        Predictions::new(outputs, &self.network.preparation, &self.network.criterion.loss)
    }

    /// Returns the usual figures of all rows, and those that options ask for.
    pub fn metrics(&self, targets: (&Targets, Option<&[f64]>), options: &TrainOptions) -> Metrics {
        let TrainedModel { criterion, preparation, .. } = &self.network;
        let metrics = Metrics::under(criterion, &self.outputs, targets, preparation);
        let others = options.others();
        metrics.with(&others, &self.outputs, targets, (preparation, &criterion.loss))
    }
}
