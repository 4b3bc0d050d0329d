//! Where the time of a workload's steps and epochs goes: the report of `wgrad bench --profile`.
//!
//! In: a workload and a device. Out: a [`Profile`] of a step's kernels, and the [`EpochUse`] of whole epochs.

use std::time::Duration;

use super::workload::{CHECKED, time};
use super::{Event, TrainOptions, Trainer, Workload};
use crate::data::{Dataset, Targets};
use crate::device::{Device, Usage};
use crate::error::Result;
use crate::host::Instant;
use crate::plan::{Phase, Plan, SlotSpec, Step, TrainPlan};
use crate::random::{Purpose, Seed};
use crate::shape::narrow;

/// By what kernels were timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The device's own: timestamps around each kernel as steps run.
    Device,
    /// The host's: each kernel repeated alone, so that it finds its data in the caches.
    Host,
    /// The host's, over many steps: one kernel does all of a step.
    Steps,
}

/// Costs of a step's kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// By what they were timed.
    pub clock: Clock,
    /// Each kernel of a step, in order.
    pub kernels: Vec<KernelCost>,
    /// Median seconds of a step as training runs it, by the host's clock.
    pub step_seconds: f64,
}

/// Cost of one kernel of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCost {
    /// The kernel with its fusions.
    pub kernel: String,
    /// Sizes of what it writes first.
    pub sizes: Vec<usize>,
    /// Median seconds.
    pub seconds: f64,
    /// Floating-point operations, for products; 0 for the others.
    pub operations: f64,
    /// Bytes that it reads and writes, each counted once.
    pub bytes: u64,
}

/// Use of host and device over some epochs, validation and the ends of epochs included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochUse {
    /// Epochs measured.
    pub epochs: u32,
    /// Training steps in them.
    pub steps: u64,
    /// Times that the device counted.
    pub usage: Usage,
}

/// Epochs that are measured, between two that are not.
const EPOCHS: u32 = 3;
/// Steps of an epoch, at least and at most: those of a table of 10,000 rows and of the 60,000 of MNIST, a fifth of
/// them for validation and 128 a batch.
const STEPS: (f64, f64) = (63.0, 375.0);

impl Workload {
    /// Times each kernel of a step, for about `budget` in all. Unless the device has a clock of its own, each kernel is
    /// repeated alone.
    ///
    /// # Errors
    /// If the device failed or is too small.
    pub fn profile(&self, device: &mut dyn Device, budget: Duration) -> Result<Profile> {
        let plan = self.plan()?;
        self.begin(device, &plan)?;
        let step_seconds = self.repeated(device, budget / 2)?;
        if let Some(form) = device.whole_steps() {
            let kernels = vec![self.whole(&plan, form, step_seconds)];
            return Ok(Profile { clock: Clock::Steps, kernels, step_seconds });
        }
        let (clock, seconds) = match self.by_timestamps(device, &plan, budget / 2)? {
            Some(seconds) => (Clock::Device, seconds),
            None => (Clock::Host, self.by_repetition(device, &plan, budget / 2)?),
        };
        let steps = plan.steps(Phase::Train);
        let kernels = steps.iter().zip(seconds).map(|(step, s)| cost(&plan, step, s)).collect();
        Ok(Profile { clock, kernels, step_seconds })
    }

    /// All of a step as one kernel.
    fn whole(&self, plan: &TrainPlan, form: &str, seconds: f64) -> KernelCost {
        let (operations, ports) = (self.operations(), &plan.ports);
        let changed = std::iter::once(&ports.params).chain(&ports.states);
        let changed = changed.map(|&slot| plan.slot(slot).len());
        // Weights and optimizer state are read and written, rows of the table read.
        let rows = self.batch * self.widths[0];
        let bytes = 4 * (2 * changed.sum::<usize>() + rows) as u64;
        KernelCost { kernel: form.to_string(), sizes: vec![], seconds, operations, bytes }
    }

    /// Returns the median seconds of the loaded plan, repeated for about `budget`.
    fn repeated(&self, device: &mut dyn Device, budget: Duration) -> Result<f64> {
        let block = self.block(device)?;
        let (mut times, begun) = (Vec::new(), Instant::now());
        while times.len() < 3 || begun.elapsed() < budget {
            times.push(time(device, block)? / f64::from(block));
        }
        Ok(median(times))
    }

    fn by_timestamps(
        &self,
        device: &mut dyn Device,
        plan: &Plan,
        budget: Duration,
    ) -> Result<Option<Vec<f64>>> {
        let mut times = vec![Vec::new(); plan.steps(Phase::Train).len()];
        let (first, begun) = (narrow(CHECKED), Instant::now());
        while times.iter().any(|times| times.len() < 3) || begun.elapsed() < budget {
            let steps_per_submission = device.steps_per_submission(Phase::Train).clamp(1, 64);
            let timed = device.time_steps(Phase::Train, first..first + steps_per_submission)?;
            let Some(timed) = timed else { return Ok(None) };
            for step in timed {
                times.iter_mut().zip(step).for_each(|(times, seconds)| times.push(seconds));
            }
        }
        let seconds: Vec<f64> = times.into_iter().map(median).collect();
        // A clock that stands still measures nothing.
        Ok(Some(seconds).filter(|seconds| seconds.iter().any(|&s| s > 0.0)))
    }

    fn by_repetition(
        &self,
        device: &mut dyn Device,
        plan: &TrainPlan,
        budget: Duration,
    ) -> Result<Vec<f64>> {
        let steps = plan.steps(Phase::Train).len();
        let alone = |index| {
            self.begin(device, &plan.alone(index))?;
            self.repeated(device, budget / narrow(steps))
        };
        (0..steps).map(alone).collect()
    }

    /// Trains a few epochs on random rows, as [`Trainer`] does it, on a table that takes a second or two an epoch but
    /// has no fewer rows than a small and no more than a common one. `None` where the device counts nothing, or the
    /// workload has more targets than a table has, or more classes than such a table.
    ///
    /// # Errors
    /// If the device failed or is too small.
    pub fn epochs(&self, device: Box<dyn Device>, step_seconds: f64) -> Result<Option<EpochUse>> {
        let (columns, outputs) = self.ends();
        if !self.loss.classes() && outputs > 1 {
            return Ok(None);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let steps = (2.0 / step_seconds).clamp(STEPS.0, STEPS.1) as usize;
        let rows = steps * self.batch * 5 / 4;
        // Each class needs rows for training and for validation.
        if self.loss.classes() && rows < 10 * outputs {
            return Ok(None);
        }
        let mut random = Seed(1).stream(Purpose::Synthetic);
        #[expect(clippy::cast_possible_truncation, reason = "tables hold f32")]
        let mut uniform = |len: usize| -> Vec<f32> {
            (0..len).map(|_| random.uniform(-1.0, 1.0) as f32).collect()
        };
        let x = uniform(rows * columns);
        let y = if self.loss.classes() {
            Targets::Classes((0..rows).map(|row| narrow(row * 7 % outputs)).collect())
        } else {
            Targets::Numbers(uniform(rows).into_iter().map(f64::from).collect())
        };
        let data = Dataset::from_arrays(&x, columns, y)?.split(0.2, Seed(1))?;
        // One epoch before and one after, so that the counted work begins and ends at the same point of an epoch.
        let options = TrainOptions { epochs: EPOCHS + 2, checkpoint_every: 0, ..self.options()? };
        let mut trainer = Trainer::with_device(&self.model(), &data, &options, device)?;
        let (steps, mut ended, mut usage) = (trainer.info().steps_per_epoch as u64, 0, None);
        let mut fit = trainer.fit();
        fit.take_usage();
        while ended <= EPOCHS {
            let Some(event) = fit.next() else { break };
            if let Event::Epoch(_) = event? {
                ended += 1;
                // The first epoch tells the device how long steps take; the others count.
                if ended == 1 || ended == EPOCHS + 1 {
                    usage = fit.take_usage();
                }
            }
        }
        Ok(usage.map(|usage| EpochUse { epochs: EPOCHS, steps: steps * u64::from(EPOCHS), usage }))
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn cost(plan: &Plan, step: &Step, seconds: f64) -> KernelCost {
    let slots = step.reads.iter().chain(&step.writes).map(|&slot| plan.slot(slot));
    let out = plan.slot(step.writes[0]);
    let (rows, columns) = step.reads.first().map_or((0, 0), |&it| plan.slot(it).matrix());
    // Of a product's first factor, the dimension that its result does not have is the one summed over.
    let summed = if step.kernel.name() == "matmul_tn" { rows } else { columns };
    KernelCost {
        kernel: step.kernel.to_string(),
        sizes: out.sizes.clone(),
        seconds,
        operations: if step.kernel.is_product() { 2.0 * (out.len() * summed) as f64 } else { 0.0 },
        bytes: slots.map(SlotSpec::bytes).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::CpuDevice;

    #[test]
    fn each_kernel_has_its_cost() {
        let tiny = Workload::by_name("tiny").unwrap();
        let found = tiny.profile(&mut CpuDevice::<f32>::new(), Duration::ZERO).unwrap();
        assert_eq!(found.clock, Clock::Host);
        assert_eq!(found.kernels.len(), tiny.plan().unwrap().steps(Phase::Train).len());
        assert!(found.step_seconds > 0.0 && found.kernels.iter().all(|cost| cost.seconds > 0.0));
        let operations: f64 = found.kernels.iter().map(|cost| cost.operations).sum();
        assert_eq!(operations, tiny.operations());
    }

    #[test]
    fn a_device_that_counts_nothing_has_no_epochs_to_tell_of() {
        let tiny = Workload::by_name("tiny").unwrap();
        let device = Box::new(CpuDevice::<f32>::new());
        assert_eq!(tiny.epochs(device, 1.0).unwrap(), None);
    }
}
