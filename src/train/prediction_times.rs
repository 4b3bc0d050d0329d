//! Times of predictions by a [`Predictor`], as another program waits for them.
//!
//! In: a workload, a device, numbers of rows. Out: seconds of a call. Scaling, the network and probabilities are in them.
//! Absent on purpose: tables and files.

use std::time::Duration;

use super::{Predictions, Predictor, TrainedModel, Workload};
use crate::data::{Dataset, FeatureScaling, Preprocessing, Targets};
use crate::device::DeviceKind;
use crate::error::{Error, Result};
use crate::host::Instant;
use crate::model::Params;
use crate::random::{Purpose, Seed};
use crate::shape::narrow;

/// Rows of the table that the scaling is fitted to, and least rows that each class has there.
const FITTED: (usize, usize) = (256, 2);
/// Error within which predictions of a row in calls of different sizes are the same.
const CLOSE: f64 = 1e-4;

/// Time of a call that predicts some rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionTime {
    /// Rows of a call.
    pub rows: usize,
    /// Median seconds of a call.
    pub seconds: f64,
}

impl Workload {
    /// Times predictions of these numbers of rows, for about `budget` each. The first rows come out alike in every call, or the device is
    /// not timed.
    ///
    /// # Errors
    /// If the device failed, is too small, or gives a row other predictions among more rows.
    pub fn predictions(
        &self,
        kind: &DeviceKind,
        rows: &[usize],
        budget: Duration,
    ) -> Result<Vec<PredictionTime>> {
        let trained = self.untrained()?;
        let columns = self.widths[0];
        let mut random = Seed(2).stream(Purpose::Synthetic);
        let most = rows.iter().copied().max().unwrap_or(0);
        #[expect(clippy::cast_possible_truncation, reason = "features in single precision")]
        let x: Vec<f32> = (0..most * columns).map(|_| random.normal() as f32).collect();
        let mut first: Option<Predictions> = None;
        let mut times = Vec::new();
        for &rows in rows {
            let predictor = match kind {
                DeviceKind::Cpu => Predictor::new(trained.clone())?,
                kind => Predictor::new(trained.clone())?.on_for_rows(kind, rows)?,
            };
            let x = &x[..rows * columns];
            let got = predictor.predict(x)?;
            if first.as_ref().is_some_and(|first| !agree(first, &got)) {
                let problem = format!("a row has other predictions among {rows} rows than alone");
                return Err(Error::Device { adapter: predictor.device().name.clone(), problem });
            }
            first.get_or_insert(got);
            times.push(PredictionTime { rows, seconds: median_call(&predictor, x, budget)? });
        }
        Ok(times)
    }

    /// The network with the weights that training would start from, and a scaling of its features.
    fn untrained(&self) -> Result<TrainedModel> {
        let (columns, outputs) = (self.widths[0], self.widths[self.widths.len() - 1]);
        let rows = FITTED.0.max(FITTED.1 * outputs);
        let mut random = Seed(1).stream(Purpose::Synthetic);
        let x: Vec<f64> = (0..rows * columns).map(|_| random.normal()).collect();
        let targets = if self.loss.classes() {
            Targets::Classes((0..rows).map(|row| narrow(row % outputs)).collect())
        } else {
            Targets::Columns((0..rows * outputs).map(|_| random.normal()).collect(), outputs)
        };
        let data = Dataset::from_arrays(&x, columns, targets)?;
        let model = self.model();
        let params = Params::init(&model, columns, Seed(3))?;
        let preparation = Preprocessing::fit(&data, FeatureScaling::Standard);
        Ok(TrainedModel { model, params, preparation, criterion: self.loss.clone().into() })
    }
}

/// Returns whether the rows that both have are alike.
fn agree(one: &Predictions, other: &Predictions) -> bool {
    let pairs = one.values().iter().zip(other.values());
    pairs.into_iter().all(|(a, b)| (a - b).abs() <= CLOSE * a.abs().max(1.0))
}

fn median_call(predictor: &Predictor, x: &[f32], budget: Duration) -> Result<f64> {
    let mut times = Vec::new();
    let begun = Instant::now();
    while times.len() < 5 || begun.elapsed() < budget && times.len() < 100_000 {
        let call = Instant::now();
        predictor.predict(x)?;
        times.push(call.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_each_size_are_timed_and_compared() {
        for widths in [&[3, 8, 4][..], &[3, 8, 1]] {
            let workload = Workload::of_sizes(widths, 16).unwrap();
            let budget = Duration::from_millis(1);
            let times = workload.predictions(&DeviceKind::Cpu, &[1, 70], budget).unwrap();
            assert_eq!(times.iter().map(|time| time.rows).collect::<Vec<_>>(), [1, 70]);
            assert!(times.iter().all(|time| time.seconds > 0.0), "{times:?}");
        }
    }

    #[test]
    fn other_predictions_of_a_row_are_found() {
        let workload = Workload::of_sizes(&[3, 8, 4], 16).unwrap();
        let predictor = Predictor::new(workload.untrained().unwrap()).unwrap();
        let x = [0.3, -0.5, 0.7, 1.0, 2.0, 3.0_f32];
        let [one, both] = [&x[..3], &x].map(|x| predictor.predict(x).unwrap());
        assert!(agree(&one, &both));
        assert!(!agree(&predictor.predict(&x[3..]).unwrap(), &both));
    }
}
