//! Compares whole training steps in one dispatch with the same steps one by one in f64.
//!
//! In: a GPU device with a variant of the fused step forced. Out: a [`Check`] for each network.

use super::{Check, compare};
use crate::device::cpu::CpuDevice;
use crate::device::gpu::{GpuDevice, Variant};
use crate::device::{Device, Values};
use crate::error::Result;
use crate::graph::{
    Average, Group, Loss, Objective, Optimizer, OptimizerSchedule, SHARE, UpdateContext,
    UpdateTransforms, inference_under, training,
};
use crate::model::{Activation, Init, Params, Sequential};
use crate::plan::{LossScaler, Phase, Plan, SCALARS, Sizes, StepParams, TrainPlan};
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
    /// All layers, in place of those of `widths`.
    layers: &'static str,
    moves: UpdateTransforms,
    /// True if rows have weights.
    weights: bool,
}

/// Networks of other layers, losses and optimizers: their layers, loss, optimizer and batch.
type Texts = (&'static str, &'static str, &'static str, usize);

const OTHERS: [Texts; 8] = [
    (
        "dense(12), batch_norm, relu, residual(dense(12), layer_norm, tanh), dense(3)",
        "cross-entropy(label-smoothing=0.1)",
        "adamw(eps=0.01)",
        9,
    ),
    (
        "embedding(1=4x3), dense(14), glu, rms_norm, dense(4), softmax",
        "huber",
        "rmsprop(centered=true, momentum=0.5, eps=0.1)",
        13,
    ),
    (
        "dense(10), prelu, dropout(0.2), dense(6), scale, dense(4)",
        "gaussian-nll",
        "lamb(eps=0.01)",
        11,
    ),
    ("dense(9), silu, dense(8), gelu, dense(3)", "focal", "radam(eps=0.01)", 20),
    ("dense(9), tanh, batch_norm, dense(3)", "hinge", "schedule-free(eps=0.01)", 8),
    ("dense(7), mish, dense(2)", "pinball(0.2, 0.8)", "sgd(momentum=0.9)", 16),
    ("dense(8), relu, dense(3), log_softmax", "mae", "adam(amsgrad=true, eps=0.01)", 10),
    ("fourier(4), dense(3)", "poisson-nll", "custom(v = 0.5 * v + g, w = w - lr * v)", 10),
];

/// Returns the networks of `OTHERS`, with all transforms of updates among them.
fn others() -> Result<Vec<NetworkCase>> {
    let plain = UpdateTransforms::default();
    let average = Some(Average::Ema { decay: 0.5, warmup: 0.0 });
    let moves = [
        UpdateTransforms { skips: true, average, ..plain.clone() },
        UpdateTransforms { clip_norm: Some(0.5), ..plain.clone() },
        UpdateTransforms { groups: vec![Group::without_decay("bias")], ..plain.clone() },
        UpdateTransforms { accumulate: true, clip_value: Some(0.1), average, ..plain.clone() },
    ];
    let moves = moves.into_iter().chain(std::iter::repeat(plain));
    let case = |(index, (text, moves)): (usize, (&Texts, UpdateTransforms))| {
        let &(layers, loss, optimizer, batch) = text;
        let loss: Loss = loss.parse()?;
        let outputs = layers.parse::<Sequential>()?.outputs(6)?;
        Ok(NetworkCase {
            form: layers,
            widths: [6, 0, 0],
            act: Activation::Identity,
            outputs: loss.targets_for(outputs).unwrap_or(outputs),
            dropout: 0.0,
            loss,
            optimizer: Optimizer::by_name(optimizer)?,
            batch,
            steps: 6,
            layers,
            moves,
            weights: index % 3 == 1,
        })
    };
    OTHERS.iter().zip(moves).enumerate().map(case).collect()
}

/// Returns networks of dense layers: widths near and beyond tiles, an activation whose argument is saved, both
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
        layers: "",
        moves: UpdateTransforms::default(),
        weights: false,
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

/// Returns the plans of all networks, with the layers or the name of each.
///
/// # Errors
/// If a text of this file is wrong.
pub fn whole_steps() -> Result<Vec<(&'static str, TrainPlan)>> {
    let all = networks().into_iter().chain(others()?);
    all.map(|it| Ok((it.form, it.plan()?))).collect()
}

/// Network that is compared where one has to do: its products have more results than the workgroup has lanes, and some are not whole
/// blocks.
const ONE: &str = "64-128-64-10 relu adamw";

/// Compares every network's weights, optimizer state and losses after its steps; of one network alone with `one`.
///
/// # Errors
/// If the device fails in another way than by wrong numbers.
pub(super) fn check_sequences(
    device: &mut GpuDevice,
    variant: &'static Variant,
    one: bool,
    tell: &mut dyn FnMut(&Check),
) -> Result<()> {
    let wanted = |network: &NetworkCase| !one || network.form == ONE;
    for network in networks().into_iter().chain(others()?).filter(wanted) {
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
        let others = plan.ports.states.iter().chain(&plan.ports.averaged);
        let slots = std::iter::once(plan.ports.params).chain(others.copied());
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
        if !self.layers.is_empty() {
            return self.layers.parse().expect("the layers were read before");
        }
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
        let objective = Objective { weights: self.weights, ..self.loss.clone().into() };
        let step = training(&model, inputs, objective, self.optimizer.clone())?;
        let step = step.with_moves(self.moves.clone())?;
        let (batch, train_rows) = (self.batch, self.rows());
        let sizes = Sizes { batch, train_rows, eval_batch: 0, eval_rows: 0 };
        Plan::training(&step, &inference_under(&model, inputs, &self.loss)?, sizes)
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
            // Some losses are for targets that are not negative.
            let targets: Vec<f32> = normal(rows * self.outputs).into_iter().map(f32::abs).collect();
            device.write(ports.train_y, 0, Values::F32(&targets))?;
        }
        if let Some(weights) = ports.train_weights {
            let weights_of: Vec<f32> = normal(rows).into_iter().map(f32::abs).collect();
            device.write(weights, 0, Values::F32(&weights_of))?;
        }
        if let Some(constants) = ports.constants {
            device.write(constants, 0, Values::F32(&[0.2, 0.8]))?;
        }
        if let Some(scaling) = ports.scaling {
            device.write(scaling, 0, Values::F32(&LossScaler::NONE.values()))?;
        }
        // A reversed order, so that a kernel that ignores the order is found.
        let order: Vec<u32> = (0..narrow(rows)).rev().collect();
        device.write(ports.order, 0, Values::U32(&order))?;
        let params = Params::init(&self.model(), self.widths[0], Seed(3))?;
        device.write(ports.params, 0, Values::F32(params.arena()))?;
        if let Some(averaged) = ports.averaged {
            device.write(averaged, 0, Values::F32(params.arena()))?;
        }
        let mut schedule = OptimizerSchedule::new(self.optimizer.clone(), self.moves.average);
        let steps: Vec<StepParams> = (0..self.steps)
            .map(|step| {
                let first = step % 3 * self.batch;
                // Every third batch is a partial one.
                let rows = if step % 3 == 2 { self.batch.div_ceil(2) } else { self.batch };
                let lr = 1e-2 / (step + 1) as f64;
                let (first, rows, log) = (narrow(first), narrow(rows), narrow(step));
                let update = UpdateContext { lr, decay: 0.5, epoch: 0, last: false };
                // Two steps' gradients are one update where they are accumulated.
                let apply = !self.moves.accumulate || step % 2 == 1;
                let mut scalars = if apply { schedule.next(update) } else { [0.0; SCALARS] };
                scalars[SHARE] = if self.moves.accumulate { 0.5 } else { 1.0 };
                let loss = [1.0 / (1.0 + 0.1 * step as f64), 0.9];
                StepParams { first, rows, log, apply, loss, scalars, ..StepParams::default() }
            })
            .collect();
        device.write_steps(Phase::Train, &steps)?;
        device.run(Phase::Train, 0..narrow(self.steps))?;
        device.take_losses(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceKind;
    use crate::device::gpu::SEQUENCE;

    #[test]
    fn whole_steps_equal_their_plans() {
        let Ok((mut device, _)) = GpuDevice::open(&DeviceKind::Software) else { return };
        for variant in SEQUENCE.variants.iter().filter(|it| device.can_run(it)).collect::<Vec<_>>()
        {
            device.force_variant(Some(variant.name));
            let (mut checked, mut wrong) = (0, vec![]);
            let mut tell = |check: &Check| {
                checked += 1;
                wrong.extend(check.failure.is_some().then(|| check.clone()));
            };
            check_sequences(&mut device, variant, false, &mut tell).unwrap();
            assert_eq!((checked, wrong), (networks().len() + OTHERS.len(), vec![]));
        }
    }
}
