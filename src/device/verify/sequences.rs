//! Compares whole training steps in one dispatch with the same steps one by one in f64.
//!
//! In: a GPU device with a variant of the fused step forced. Out: a [`Check`] for each network.

use super::{Check, compare};
use crate::device::cpu::CpuDevice;
use crate::device::gpu::{GpuDevice, Variant};
use crate::device::{Device, Values};
use crate::error::Result;
use crate::graph::{Loss, Optimizer, OptimizerSchedule, UpdateContext, inference, training};
use crate::model::{Activation, Init, Params, Sequential};
use crate::plan::{Phase, Plan, Sizes, StepParams, TrainPlan};
use crate::random::{Purpose, Seed};
use crate::shape::narrow;

/// A network, its training, and the number of steps.
struct NetworkCase {
    form: &'static str,
    widths: [usize; 3],
    act: Activation,
    outputs: usize,
    /// Rate of dropout after each hidden layer.
    dropout: f64,
    loss: Loss,
    optimizer: Optimizer,
    batch: usize,
    steps: usize,
}

/// Returns networks that reach every operation: widths near and beyond tiles, an activation whose argument is saved, both
/// losses, every update, partial batches, more steps than one dispatch runs.
fn networks() -> [NetworkCase; 7] {
    use Activation::{Gelu, Relu, Tanh};
    let with = |optimizer: Optimizer, settings: &[(&str, f64)]| {
        settings.iter().fold(optimizer, |it, &(name, value)| {
            it.with(name, value).expect("the optimizer has this setting")
        })
    };
    let sgd = |momentum, nesterov| {
        let settings = [("momentum", momentum), ("nesterov", nesterov), ("weight-decay", 0.01)];
        with(Optimizer::sgd(), &settings)
    };
    // An eps of this size keeps the update smooth in the gradient, so that rounding errors stay small.
    let settings = [("beta2", 0.99), ("eps", 1e-2), ("weight-decay", 0.01)];
    let adam = with(Optimizer::adam(), &settings);
    let adamw = with(Optimizer::adamw(), &settings);
    let network = |form, widths, act, outputs, loss, optimizer, batch, steps| NetworkCase {
        form,
        widths,
        act,
        outputs,
        dropout: 0.0,
        loss,
        optimizer,
        batch,
        steps,
    };
    [
        network("5-7-3-3 relu sgd", [5, 7, 3], Relu, 3, Loss::CROSS_ENTROPY, sgd(0.0, 0.0), 9, 70),
        network(
            "64-33-17-10 relu sgd",
            [64, 33, 17],
            Relu,
            10,
            Loss::CROSS_ENTROPY,
            sgd(0.9, 1.0),
            20,
            3,
        ),
        network("13-40-16-2 gelu adam", [13, 40, 16], Gelu, 2, Loss::Mse, adam.clone(), 33, 3),
        // More loop iterations than some drivers allow in a dispatch.
        network(
            "64-128-64-10 relu adamw",
            [64, 128, 64],
            Relu,
            10,
            Loss::CROSS_ENTROPY,
            adamw.clone(),
            32,
            40,
        ),
        network("1-16-31-1 tanh adamw", [1, 16, 31], Tanh, 1, Loss::Mse, adamw.clone(), 1, 3),
        // With dropout, one activation saves its result beside the dropped one, the other its argument.
        NetworkCase {
            dropout: 0.25,
            ..network(
                "9-18-20-2 relu dropout adamw",
                [9, 18, 20],
                Relu,
                2,
                Loss::Mse,
                adamw.clone(),
                21,
                5,
            )
        },
        NetworkCase {
            dropout: 0.25,
            ..network(
                "9-18-20-2 gelu dropout adam",
                [9, 18, 20],
                Gelu,
                2,
                Loss::Mse,
                adam.clone(),
                21,
                5,
            )
        },
    ]
}

/// Compares every network's weights, optimizer state and losses after its steps.
///
/// # Errors
/// If the device fails in another way than by wrong numbers.
pub(super) fn check_sequences(
    device: &mut GpuDevice,
    variant: &'static Variant,
    tell: &mut dyn FnMut(&Check),
) -> Result<()> {
    for network in networks() {
        let plan = network.plan()?;
        let mut reference = CpuDevice::<f64>::new();
        let want = network.run(&mut reference, &plan)?;
        let got = network.run(device, &plan)?;
        let mut check = Check {
            kernel: "sequence",
            form: format!("sequence {}", network.form),
            variant: variant.name,
            case: format!("batch {}, {} steps", network.batch, network.steps),
            worst: 0.0,
            failure: None,
        };
        // Without this test, a network that is refused would pass by its single kernels.
        if !device.variants().iter().any(|line| line.contains(variant.name)) {
            check.failure = Some("the steps did not run as a sequence".to_string());
        }
        // For sums of up to 64 terms of numbers around 1, and a few steps at a rate of 0.01 or less.
        let limits = (2e-7, 2e-6);
        let slots = std::iter::once(plan.ports.params).chain(plan.ports.states.clone());
        for slot in slots {
            let spec = plan.slot(slot);
            let got = device.read(slot, spec.len())?;
            compare(&mut check, &spec.name, &got, reference.values(slot)?, limits);
        }
        let want: Vec<f64> = want.into_iter().map(f64::from).collect();
        compare(&mut check, "losses", &got, &want, (1e-5, 1e-4));
        tell(&check);
    }
    Ok(())
}

impl NetworkCase {
    fn model(&self) -> Sequential {
        if self.dropout == 0.0 {
            return Sequential::mlp(&self.widths[1..], self.act, self.outputs, Init::Pytorch);
        }
        let hidden = |model: Sequential, &units: &usize| {
            model.dense(units).activation(self.act).dropout(self.dropout)
        };
        self.widths[1..].iter().fold(Sequential::new(), hidden).dense(self.outputs)
    }

    fn rows(&self) -> usize {
        3 * self.batch
    }

    fn plan(&self) -> Result<TrainPlan> {
        let (model, inputs) = (self.model(), self.widths[0]);
        let step = training(&model, inputs, self.loss.clone(), self.optimizer.clone())?;
        let (batch, train_rows) = (self.batch, self.rows());
        let sizes = Sizes { batch, train_rows, eval_batch: 0, eval_rows: 0 };
        Plan::training(&step, &inference(&model, inputs)?, sizes)
    }

    /// Loads the plan, trains, and returns the losses.
    fn run(&self, device: &mut dyn Device, plan: &TrainPlan) -> Result<Vec<f32>> {
        let ports = &plan.ports;
        let mut random = Seed(5).stream(Purpose::Synthetic);
        #[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
        let mut normal = |len: usize| (0..len).map(|_| random.normal() as f32).collect::<Vec<_>>();
        let rows = self.rows();
        device.load(plan)?;
        device.write(ports.train_x, 0, Values::F32(&normal(rows * self.widths[0])))?;
        if self.loss.classes() {
            let classes: Vec<u32> = (0..rows).map(|row| narrow(row * 7 % self.outputs)).collect();
            device.write(ports.train_y, 0, Values::U32(&classes))?;
        } else {
            device.write(ports.train_y, 0, Values::F32(&normal(rows * self.outputs)))?;
        }
        // A reversed order, so that a kernel that ignores the order is found.
        let order: Vec<u32> = (0..narrow(rows)).rev().collect();
        device.write(ports.order, 0, Values::U32(&order))?;
        let params = Params::init(&self.model(), self.widths[0], Seed(3))?;
        device.write(ports.params, 0, Values::F32(params.arena()))?;
        let mut schedule = OptimizerSchedule::new(self.optimizer.clone(), None);
        let steps: Vec<StepParams> = (0..self.steps)
            .map(|step| {
                let first = step % 3 * self.batch;
                // Every third batch is a partial one.
                let rows = if step % 3 == 2 { self.batch.div_ceil(2) } else { self.batch };
                let lr = 1e-2 / (step + 1) as f64;
                let (first, rows, log) = (narrow(first), narrow(rows), narrow(step));
                let update = UpdateContext { lr, decay: 0.5, epoch: 0, last: false };
                let scalars = schedule.next(update);
                StepParams { first, rows, log, scalars, ..StepParams::default() }
            })
            .collect();
        device.write_steps(Phase::Train, &steps)?;
        device.run(Phase::Train, 0..narrow(self.steps))?;
        device.take_losses(true)
    }
}
