//! Fixed training steps for comparing devices: what `wgrad bench` and `cargo bench` time.
//!
//! In: a workload and a device. Out: a [`Measurement`].
//! Absent on purpose: files, validation; the data lie on the device before the clock starts.

use std::borrow::Cow;
use std::time::Duration;

use crate::device::cpu::CpuDevice;
use crate::device::{Device, Values};
use crate::error::{Error, Result};
use crate::graph::{Loss, Optimizer, OptimizerSchedule, UpdateContext};
use crate::host::Instant;
use crate::model::{Activation, Init, Params, Sequential};
use crate::plan::{Phase, Plan, Precision, StepParams, TrainPlan, WINDOW};
use crate::random::{Purpose, Seed};
use crate::shape::narrow;

use super::TrainOptions;
use super::loss_scale::write_scaling;
use super::param_io::{lasting, read_params, write_params};

/// A network, its batch, and how it is trained. The activation is relu throughout.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its name in tables.
    pub name: Cow<'static, str>,
    /// Columns of the input, of each hidden layer, of the output.
    pub widths: Cow<'static, [usize]>,
    /// Rows of a batch.
    pub batch: usize,
    /// The loss.
    pub loss: Loss,
    /// The optimizer's name; its other settings are its defaults.
    pub optimizer: &'static str,
    /// The learning rate.
    pub lr: f64,
    /// True if only a hardware GPU does it in good time.
    pub hardware_only: bool,
    /// Storage type of the values between a step's kernels.
    pub precision: Precision,
}

/// The workloads, smallest first.
pub const WORKLOADS: [Workload; 4] = [
    Workload {
        name: Cow::Borrowed("tiny"),
        widths: Cow::Borrowed(&[8, 32, 32, 1]),
        batch: 64,
        loss: Loss::Mse,
        optimizer: "adam",
        lr: 1e-3,
        hardware_only: false,
        precision: Precision::F32,
    },
    Workload {
        name: Cow::Borrowed("mnist"),
        widths: Cow::Borrowed(&[784, 512, 512, 10]),
        batch: 128,
        loss: Loss::CROSS_ENTROPY,
        optimizer: "adam",
        lr: 1e-3,
        hardware_only: false,
        precision: Precision::F32,
    },
    Workload {
        name: Cow::Borrowed("wide"),
        widths: Cow::Borrowed(&[512, 1024, 1024, 512]),
        batch: 512,
        loss: Loss::Mse,
        optimizer: "sgd",
        lr: 1e-2,
        hardware_only: false,
        precision: Precision::F32,
    },
    Workload {
        name: Cow::Borrowed("large"),
        widths: Cow::Borrowed(&[4096, 4096, 4096, 4096]),
        batch: 4096,
        loss: Loss::Mse,
        optimizer: "adamw",
        lr: 1e-3,
        hardware_only: true,
        precision: Precision::F32,
    },
];

/// Batches of a workload's table.
const BATCHES: usize = 4;
/// Steps whose losses are compared with the f64 reference before anything is timed.
pub(super) const CHECKED: usize = 3;

/// Measurement of a workload on a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Median time of a step over blocks, each ended by a wait, in seconds.
    pub step_seconds: f64,
    /// The fastest and the slowest block's time of a step.
    pub spread: (f64, f64),
    /// Blocks timed.
    pub blocks: usize,
    /// Steps of a block.
    pub block_steps: u32,
    /// Seconds from loading the plan to the end of the first step.
    pub first_step_seconds: f64,
    /// Bytes on the device at most: the plan's buffers, which are all made before the first step, and what the device
    /// needs beside them.
    pub device_bytes: u64,
}

impl Workload {
    /// The workload of this name.
    ///
    /// # Errors
    /// If there is none; the message lists them.
    pub fn by_name(name: &str) -> Result<Self> {
        WORKLOADS.into_iter().find(|workload| workload.name == name).ok_or_else(|| {
            let known = WORKLOADS.map(|workload| workload.name).join(", ");
            Error::setting("workload", format!("unknown name \"{name}\"; known: {known}"))
        })
    }

    /// A network of other sizes with Adam: squared error for one output, else cross-entropy.
    ///
    /// # Errors
    /// If there are fewer than two widths, or one of them or the batch is 0.
    pub fn of_sizes(widths: &[usize], batch: usize) -> Result<Self> {
        if widths.len() < 2 || widths.contains(&0) {
            let problem =
                "a network has at least two widths above 0: inputs, hidden layers, outputs";
            return Err(Error::setting("network", problem));
        }
        if batch == 0 {
            return Err(Error::setting("batch_size", "0, but a batch has at least one row"));
        }
        let texts: Vec<String> = widths.iter().map(ToString::to_string).collect();
        Ok(Self {
            name: Cow::Owned(texts.join("-")),
            widths: Cow::Owned(widths.to_vec()),
            batch,
            loss: if widths.ends_with(&[1]) { Loss::Mse } else { Loss::CROSS_ENTROPY },
            optimizer: "adam",
            lr: 1e-3,
            hardware_only: false,
            precision: Precision::F32,
        })
    }

    /// Floating-point operations of a step's products: 2 · batch · Σ (in · out) · 3, less the first layer's input
    /// gradient, which nobody needs.
    pub fn operations(&self) -> f64 {
        let product = |pair: &[usize]| 2.0 * (self.batch * pair[0] * pair[1]) as f64;
        let all: f64 = self.widths.windows(2).map(product).sum();
        3.0 * all - self.widths.windows(2).next().map_or(0.0, product)
    }

    /// The network.
    pub fn model(&self) -> Sequential {
        let (_, outputs) = self.ends();
        let hidden = &self.widths[1..self.widths.len() - 1];
        Sequential::mlp(hidden, Activation::Relu, outputs, Init::Pytorch)
    }

    pub(super) fn ends(&self) -> (usize, usize) {
        (self.widths.first().copied().unwrap_or(1), self.widths.last().copied().unwrap_or(1))
    }

    pub(super) fn options(&self) -> Result<TrainOptions> {
        Ok(TrainOptions {
            loss: self.loss.clone(),
            optimizer: Optimizer::by_name(self.optimizer)?,
            lr: self.lr,
            batch_size: self.batch,
            precision: self.precision,
            ..TrainOptions::default()
        })
    }

    /// The plan of a step, as training would make it for a table of a few batches.
    ///
    /// # Errors
    /// Never for [`WORKLOADS`].
    pub fn plan(&self) -> Result<TrainPlan> {
        let (inputs, _) = self.ends();
        let step = crate::graph::training(
            &self.model(),
            inputs,
            self.loss.clone(),
            self.options()?.optimizer,
        )?;
        let inference = crate::graph::inference_under(&self.model(), inputs, &self.loss)?;
        let rows = self.batch * BATCHES;
        let sizes =
            crate::plan::Sizes { batch: self.batch, train_rows: rows, eval_batch: 0, eval_rows: 0 };
        Plan::training_in(self.precision, &step, &inference, sizes)
    }

    /// Loads plan, data and weights, and runs the first steps. Returns their losses, and the seconds to the first.
    ///
    /// # Errors
    /// If the device failed or is too small.
    pub fn begin(&self, device: &mut dyn Device, plan: &TrainPlan) -> Result<(Vec<f32>, f64)> {
        let (inputs, outputs) = self.ends();
        let rows = self.batch * BATCHES;
        // The numbers are made before the clock starts, since they are not the device's work.
        let mut random = Seed(1).stream(Purpose::Synthetic);
        #[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
        let mut normal = |len: usize| (0..len).map(|_| random.normal() as f32).collect::<Vec<_>>();
        let x = normal(rows * inputs);
        let numbers = if self.loss.classes() { Vec::new() } else { normal(rows * outputs) };
        let params = self.start()?;
        let begun = Instant::now();
        device.load(plan)?;
        device.write(plan.ports.train_x, 0, Values::F32(&x))?;
        let y = plan.ports.train_y;
        if self.loss.classes() {
            let classes: Vec<u32> = (0..rows).map(|row| narrow(row * 7 % outputs)).collect();
            device.write(y, 0, Values::U32(&classes))?;
        } else {
            device.write(y, 0, Values::F32(&numbers))?;
        }
        let order: Vec<u32> = (0..narrow(rows)).collect();
        device.write(plan.ports.order, 0, Values::U32(&order))?;
        write_params(device, plan, &params)?;
        write_scaling(device, plan)?;
        // Later steps have a rate of almost 0: repeated thousands of times, the real rate would lead to weights where
        // numbers are subnormal and slow.
        let optimizer = self.options()?.optimizer;
        let mut schedule = OptimizerSchedule::new(optimizer, None);
        let table: Vec<StepParams> = (0..WINDOW)
            .map(|step| {
                let lr = if step < CHECKED { self.lr } else { 1e-12 };
                let update = UpdateContext { lr, decay: 1.0, epoch: 0, last: false };
                StepParams {
                    first: narrow(step % BATCHES * self.batch),
                    rows: narrow(self.batch),
                    log: narrow(step),
                    scalars: schedule.next(update),
                    ..StepParams::default()
                }
            })
            .collect();
        device.write_steps(Phase::Train, &table)?;
        // The first step alone, since it includes work that later ones do not repeat.
        device.run(Phase::Train, 0..1)?;
        let mut losses = device.take_losses(true)?;
        let first = begun.elapsed().as_secs_f64();
        device.run(Phase::Train, 1..narrow(CHECKED))?;
        losses.extend(device.take_losses(true)?);
        Ok((losses, first))
    }

    /// Compares the first steps' losses and the weights after them with the f64 reference (those of a workload for hardware
    /// GPUs, which would take the reference minutes, only have to be finite), then times blocks of steps for about `budget`.
    /// After that the weights must be where they were, since the timed steps' rate is next to nothing, and the first steps, done
    /// again from the same start, must come out as before: a device that goes wrong after many steps is not timed.
    ///
    /// # Errors
    /// If losses or weights are wrong, or the device failed or is too small.
    pub fn measure(&self, device: &mut dyn Device, budget: Duration) -> Result<Measurement> {
        let plan = self.plan()?;
        let (losses, first_step_seconds) = self.begin(device, &plan)?;
        if losses.iter().any(|loss| !loss.is_finite()) {
            self.compare(device, "losses", &losses, &[])?;
        }
        let weights = self.weights(device, &plan)?;
        // The reference, or for want of one what the device itself has done.
        let want = if self.hardware_only {
            (losses, weights)
        } else {
            let mut reference = CpuDevice::<f64>::new();
            let (want, _) = self.begin(&mut reference, &plan)?;
            self.compare(device, "losses", &losses, &want)?;
            let want = (want, self.weights(&mut reference, &plan)?);
            self.compare_weights(device, &weights, &want.1)?;
            want
        };
        let block_steps = self.block(device)?;
        let mut times = Vec::new();
        let begun = Instant::now();
        while times.len() < 5 || (begun.elapsed() < budget && times.len() < 1000) {
            times.push(time(device, block_steps)? / f64::from(block_steps));
        }
        times.sort_by(f64::total_cmp);
        let after = self.weights(device, &plan)?;
        self.compare_weights(device, &after, &want.1)?;
        let again = self.first_steps_again(device, &plan)?;
        self.compare(device, "losses after the timed steps", &again, &want.0)?;
        let after = self.weights(device, &plan)?;
        self.compare_weights(device, &after, &want.1)?;
        Ok(Measurement {
            step_seconds: times[times.len() / 2],
            spread: (times[0], times[times.len() - 1]),
            blocks: times.len(),
            block_steps,
            first_step_seconds,
            device_bytes: device.bytes_for(&plan),
        })
    }

    /// Steps of a block: about 50 ms, so that the wait at its end does not count for much.
    pub(super) fn block(&self, device: &mut dyn Device) -> Result<u32> {
        let mut steps = 1;
        loop {
            let seconds = time(device, steps)?;
            if seconds > 0.05 || steps >= 1000 {
                return Ok(steps);
            }
            let more = (0.06 / seconds.max(1e-6) * f64::from(steps)).min(f64::from(steps) * 8.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let more = more.clamp(f64::from(steps) + 1.0, 1000.0) as u32;
            steps = more;
        }
    }

    /// The present weights, waited for.
    fn weights(&self, device: &mut dyn Device, plan: &TrainPlan) -> Result<Vec<f32>> {
        let params = self.start()?;
        Ok(read_params(device, plan, params.layout())?.arena().to_vec())
    }

    /// The weights that training starts from.
    fn start(&self) -> Result<Params> {
        Params::init(&self.model(), self.ends().0, Seed(3))
    }

    /// Does the first steps once more, from the weights and the optimizer's state of the beginning, on all that many steps have
    /// left on the device. Out: their losses.
    fn first_steps_again(&self, device: &mut dyn Device, plan: &TrainPlan) -> Result<Vec<f32>> {
        for slot in lasting(plan) {
            let zeros = vec![0.0; plan.slot(slot).len()];
            device.write(slot, 0, Values::F32(&zeros))?;
        }
        write_params(device, plan, &self.start()?)?;
        write_scaling(device, plan)?;
        device.run(Phase::Train, 0..narrow(CHECKED))?;
        device.take_losses(true)
    }

    /// Compares weights by how far the first steps have moved them. Where an optimizer divides by the size of a gradient that is
    /// next to nothing, one weight may move the other way; all together may not.
    fn compare_weights(&self, device: &dyn Device, got: &[f32], want: &[f32]) -> Result<()> {
        let params = self.start()?;
        let start = params.arena();
        let (mut worst, mut far, mut off, mut moved) = (0.0_f64, 0.0_f64, 0.0, 0.0);
        for ((&got, &want), &start) in got.iter().zip(want).zip(start) {
            let (error, step) = (f64::from(got - want), f64::from(want - start));
            // A maximum would pass over NaN.
            worst = if error.abs() <= worst { worst } else { error.abs() };
            far = far.max(step.abs());
            off += error * error;
            moved += step * step;
        }
        let share = if self.precision == Precision::F16 { 0.1 } else { 0.02 };
        let close = worst <= 2.1 * far && off.sqrt() <= share * moved.sqrt();
        if got.len() == want.len() && got.len() == start.len() && close {
            return Ok(());
        }
        let problem = format!(
            "{}: wrong weights, {worst:.1e} off where the steps move them by {far:.1e}; run `wgrad verify`",
            self.name
        );
        Err(Error::Device { adapter: device.info().name.clone(), problem })
    }

    pub(super) fn compare(
        &self,
        device: &dyn Device,
        what: &str,
        got: &[f32],
        want: &[f32],
    ) -> Result<()> {
        // Single precision with sums of up to 1024 terms, through updates; of half precision the reference rounds
        // likewise, but not always to the same of two neighbours, 2^-10 apart.
        let share = if self.precision == Precision::F16 { 2e-3 } else { 1e-4 };
        let close = |(got, want): (&f32, &f32)| (got - want).abs() <= share * want.abs();
        if got.len() == want.len() && got.iter().zip(want).all(close) {
            return Ok(());
        }
        let problem =
            format!("{}: wrong {what}, {got:?} instead of {want:?}; run `wgrad verify`", self.name);
        Err(Error::Device { adapter: device.info().name.clone(), problem })
    }
}

/// Seconds of so many steps and the wait at their end.
pub(super) fn time(device: &mut dyn Device, steps: u32) -> Result<f64> {
    let first = u32::try_from(CHECKED).unwrap_or(0);
    let begun = Instant::now();
    device.run(Phase::Train, first..first + steps)?;
    device.take_losses(true)?;
    Ok(begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::SETTINGS;

    #[test]
    fn operations_are_counted_as_stated() {
        // 2 · 64 · (8·32 + 32·32 + 32·1) · 3 less 2 · 64 · 8·32
        let tiny = Workload::by_name("tiny").unwrap();
        assert_eq!(tiny.operations(), 2.0 * 64.0 * (1312.0 * 3.0 - 256.0));
        assert!(
            Workload::by_name("huge").unwrap_err().to_string().contains("tiny, mnist, wide, large")
        );
    }

    #[test]
    fn the_smallest_is_measured_and_wrong_losses_are_seen() {
        let tiny = Workload::by_name("tiny").unwrap();
        let mut device = CpuDevice::<f32>::new();
        let found = tiny.measure(&mut device, Duration::from_millis(1)).unwrap();
        assert!(found.blocks >= 5 && found.step_seconds > 0.0 && found.device_bytes > 0);
        for precision in [Precision::F32, Precision::F16] {
            let tiny = Workload { precision, ..tiny.clone() };
            assert!(tiny.compare(&device, "losses", &[1.0], &[1.01]).is_err());
            assert!(tiny.compare(&device, "losses", &[f32::NAN], &[1.0]).is_err());
            assert!(tiny.compare(&device, "losses", &[1.0], &[1.0]).is_ok());
        }
    }

    /// Fault that a device shows once it has run so many steps.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Wrong {
        Nothing,
        /// Changes a weight.
        Weight,
        /// Has steps move weights twice as far as it is told.
        Rate,
        /// Tells losses that are none.
        Loss,
    }

    /// The CPU device, which goes wrong late.
    struct Late {
        device: CpuDevice<f32>,
        wrong: Wrong,
        steps: u32,
        plan: TrainPlan,
        table: Vec<StepParams>,
    }

    impl Late {
        // After the steps that are compared first, and before the last of the timed ones however slow the machine is.
        fn is_late(&self) -> bool {
            self.steps > 2 * narrow(CHECKED)
        }
    }

    impl Device for Late {
        fn info(&self) -> &crate::device::DeviceInfo {
            self.device.info()
        }

        fn load(&mut self, plan: &Plan) -> Result<()> {
            self.device.load(plan)
        }

        fn write(
            &mut self,
            slot: crate::plan::Slot,
            first: usize,
            values: Values<'_>,
        ) -> Result<()> {
            self.device.write(slot, first, values)
        }

        fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> Result<()> {
            self.table = rows.to_vec();
            self.device.write_steps(phase, rows)
        }

        fn steps_per_submission(&self, phase: Phase) -> u32 {
            self.device.steps_per_submission(phase)
        }

        fn run(&mut self, phase: Phase, steps: std::ops::Range<u32>) -> Result<()> {
            if self.is_late() && self.wrong == Wrong::Rate {
                let doubled = |row: &StepParams| {
                    let mut row = *row;
                    row.scalars[..SETTINGS].iter_mut().for_each(|it| *it *= 2.0);
                    row
                };
                let table: Vec<StepParams> = self.table.iter().map(doubled).collect();
                self.device.write_steps(phase, &table)?;
            }
            self.steps += steps.end - steps.start;
            self.device.run(phase, steps)?;
            if self.is_late() && self.wrong == Wrong::Weight {
                let slot = self.plan.ports.params;
                let weight = self.device.read(slot, 1)?[0];
                self.device.write(slot, 0, Values::F32(&[weight + 0.1]))?;
            }
            Ok(())
        }

        fn take_losses(&mut self, wait: bool) -> Result<Vec<f32>> {
            let losses = self.device.take_losses(wait)?;
            let wrong = self.is_late() && self.wrong == Wrong::Loss;
            Ok(if wrong { losses.into_iter().map(|loss| 1.01 * loss).collect() } else { losses })
        }

        fn read(&mut self, slot: crate::plan::Slot, len: usize) -> Result<Vec<f32>> {
            self.device.read(slot, len)
        }

        fn slot_limit(&self) -> Option<u64> {
            self.device.slot_limit()
        }

        fn bytes_for(&self, plan: &Plan) -> u64 {
            self.device.bytes_for(plan)
        }

        fn variants(&self) -> Vec<String> {
            self.device.variants()
        }
    }

    #[test]
    fn a_device_that_goes_wrong_late_is_not_timed() {
        let tiny = Workload::by_name("tiny").unwrap();
        for hardware_only in [false, true] {
            let tiny = Workload { hardware_only, ..tiny.clone() };
            for (wrong, want) in [
                (Wrong::Nothing, ""),
                (Wrong::Weight, "tiny: wrong weights"),
                (Wrong::Rate, "tiny: wrong losses after the timed steps"),
                (Wrong::Loss, "tiny: wrong losses after the timed steps"),
            ] {
                let (device, plan) = (CpuDevice::<f32>::new(), tiny.plan().unwrap());
                let mut device = Late { device, wrong, steps: 0, plan, table: Vec::new() };
                let outcome = tiny.measure(&mut device, Duration::from_millis(1));
                assert!(device.is_late());
                match outcome {
                    Ok(_) => assert_eq!(wrong, Wrong::Nothing),
                    Err(error) => {
                        let said = error.to_string();
                        assert!(
                            wrong != Wrong::Nothing && said.contains(want),
                            "{wrong:?}: {said}"
                        );
                    }
                }
            }
        }
    }
}
