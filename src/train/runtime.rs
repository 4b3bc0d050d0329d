//! A trained network inside another program: asked by any number of threads at once, on the CPU.
//!
//! In: a [`TrainedModel`]. Out: predictions.
//! Absent on purpose: files, GPUs.

use std::sync::{Mutex, PoisonError};

use super::predict::{Predictions, TrainedModel, eval_plan, load, run_eval};
use crate::data::Numbers;
use crate::device::cpu::CpuDevice;
use crate::error::Result;
use crate::plan::EvalPlan;

/// Rows that are computed at once where there are many.
const MANY: usize = 256;
/// Up to so many rows take less time one by one than as part of a whole batch, whatever the network's size.
const FEW: usize = 10;

/// A trained network that threads share: [`Self::predict`] takes `&self`, and calls do not wait for one another.
///
/// ```no_run
/// use wgrad::{Runtime, read_model};
///
/// let runtime = Runtime::new(read_model("runs/iris/model.safetensors")?)?;
/// println!("columns: {}", runtime.trained().preparation.schema.features.join(", "));
/// println!("{:?}", runtime.predict(&[5.1, 3.5, 1.4, 0.2])?);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug)]
pub struct Runtime {
    trained: TrainedModel,
    one: Lane,
    many: Lane,
}

/// A plan, and devices with the weights that wait for rows: as many as there were calls at once.
#[derive(Debug)]
struct Lane {
    plan: EvalPlan,
    idle: Mutex<Vec<CpuDevice<f32>>>,
}

impl Runtime {
    /// Plans and loads a trained network, once for all calls.
    ///
    /// # Errors
    /// If its parts do not fit one another.
    pub fn new(trained: TrainedModel) -> Result<Self> {
        let (one, many) = (Lane::new(&trained, 1)?, Lane::new(&trained, MANY)?);
        one.put(one.take(&trained)?);
        Ok(Self { trained, one, many })
    }

    /// The network, its weights, and what is known of its columns.
    pub fn trained(&self) -> &TrainedModel {
        &self.trained
    }

    /// Predictions for rows as they stand in a table, `[rows, columns]`, in single or double precision: the same as a
    /// [`Predictor`](super::Predictor)'s on the CPU, within rounding.
    ///
    /// # Errors
    /// If the values are no whole number of rows, or one that must name a row of a table does not.
    pub fn predict<'a>(&self, x: impl Into<Numbers<'a>>) -> Result<Predictions> {
        let x = x.into();
        let few = self.trained.rows(x)? <= FEW;
        let lane = if few { &self.one } else { &self.many };
        let mut device = lane.take(&self.trained)?;
        let outputs = run_eval(
            &mut device,
            (&lane.plan, &lane.plan.ports),
            (x, &self.trained.preparation),
            false,
        )?;
        lane.put(device);
        Ok(Predictions::new(&outputs, &self.trained.preparation, self.trained.criterion.loss))
    }
}

impl Lane {
    fn new(trained: &TrainedModel, rows: usize) -> Result<Self> {
        Ok(Self { plan: eval_plan(trained, rows)?, idle: Mutex::new(vec![]) })
    }

    /// A device that nobody uses, or a new one.
    fn take(&self, trained: &TrainedModel) -> Result<CpuDevice<f32>> {
        // Whoever panicked with the lock held left whole devices behind.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(device) => Ok(device),
            None => {
                let mut device = CpuDevice::new();
                load(&mut device, &self.plan, &trained.params)?;
                Ok(device)
            }
        }
    }

    fn put(&self, device: CpuDevice<f32>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(device);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Predictor;
    use super::*;
    use crate::data::{Dataset, Preparation, Scale, Targets};
    use crate::device::DeviceKind;
    use crate::graph::Loss;
    use crate::model::{Params, Sequential};
    use crate::random::Seed;

    const ROWS: usize = 600;

    fn trained() -> (TrainedModel, Vec<f32>) {
        let x: Vec<f32> = (0..ROWS * 3).map(|i| ((i * 37 + 11) % 101) as f32 / 7.0).collect();
        let y = Targets::Classes((0..ROWS as u32).map(|row| row % 4).collect());
        let data = Dataset::from_arrays(&x, 3, y).unwrap();
        let model = Sequential::new().dense(9).tanh().dense(4);
        let params = Params::init(&model, 3, Seed(1)).unwrap();
        let preparation = Preparation::fit(&data, Scale::Standard);
        (TrainedModel { model, params, preparation, criterion: Loss::CrossEntropy.into() }, x)
    }

    fn probabilities(predictions: Predictions) -> Vec<f64> {
        match predictions {
            Predictions::Classes { probabilities, .. } => probabilities,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn many_threads_get_what_a_predictor_gives() {
        let (trained, x) = trained();
        let mut predictor = Predictor::new(&trained, &DeviceKind::Cpu, ROWS).unwrap();
        let want = probabilities(predictor.predict(&x).unwrap());
        let runtime = Runtime::new(trained).unwrap();
        let close = |got: &[f64], want: &[f64], what: &str| {
            assert_eq!(got.len(), want.len(), "{what}");
            let fits = got.iter().zip(want).all(|(got, want)| (got - want).abs() <= 1e-6);
            assert!(fits, "{what}");
        };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (runtime, x, want) = (&runtime, &x, &want);
                scope.spawn(move || {
                    for rows in [1, FEW, FEW + 1, MANY, ROWS - thread] {
                        let range = thread..thread + rows;
                        let got = runtime.predict(&x[range.start * 3..range.end * 3]).unwrap();
                        let want = &want[range.start * 4..range.end * 4];
                        close(&probabilities(got), want, &format!("thread {thread}, {rows} rows"));
                    }
                });
            }
        });
        // Devices are kept for later calls, and no more than there were calls at once.
        for lane in [&runtime.one, &runtime.many] {
            let kept = lane.idle.lock().unwrap().len();
            assert!((1..=8).contains(&kept), "{kept} devices");
        }
        assert!(
            runtime.predict(&x[..4]).unwrap_err().to_string().contains("4 values are no whole")
        );
        assert_eq!(probabilities(runtime.predict(&[0.0_f32; 0]).unwrap()), [0.0; 0]);
    }
}
