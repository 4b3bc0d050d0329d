//! A device driven by hand through the trait alone, as the trainer does it but without the trainer.

use wgrad::device::{Device, Values};
use wgrad::graph::{Optimizer, OptimizerSchedule, UpdateContext};
use wgrad::plan::{Phase, StepParams, TrainPlan};

/// Loads a training plan and gives it its table, the rows in their order, and the weights' arena.
pub fn load(device: &mut dyn Device, plan: &TrainPlan, x: &[f32], y: Values<'_>, params: &[f32]) {
    device.load(plan).unwrap();
    device.write(plan.ports.train_x, 0, Values::F32(x)).unwrap();
    device.write(plan.ports.train_y, 0, y).unwrap();
    device.write(plan.ports.params, 0, Values::F32(params)).unwrap();
    let rows = plan.slot(plan.ports.order).len();
    let order: Vec<u32> = (0..u32::try_from(rows).unwrap()).collect();
    device.write(plan.ports.order, 0, Values::U32(&order)).unwrap();
}

/// The numbers of steps `first..first + count` of a run, counted from 0, that goes over the rows again and
/// again; the last batch of each pass has what is left.
pub fn step_rows(
    plan: &TrainPlan,
    optimizer: &Optimizer,
    first: usize,
    count: usize,
    lr: impl Fn(usize) -> f64,
) -> Vec<StepParams> {
    let rows = plan.slot(plan.ports.order).len();
    let steps_per_epoch = rows.div_ceil(plan.batch);
    let narrow = |value: usize| u32::try_from(value).unwrap();
    let mut pace = OptimizerSchedule::new(optimizer.clone(), None);
    let mut next =
        |step: usize| pace.next(UpdateContext { lr: lr(step), decay: 1.0, epoch: 0, last: false });
    // Some optimizers' numbers depend on all moves before.
    (0..first).for_each(|step| {
        next(step);
    });
    (first..first + count)
        .map(|step| {
            let start = step % steps_per_epoch * plan.batch;
            StepParams {
                first: narrow(start),
                rows: narrow(plan.batch.min(rows - start)),
                log: narrow(step - first),
                scalars: next(step),
                ..StepParams::default()
            }
        })
        .collect()
}

/// Runs these steps, as many at once as the device asks for. Out: their losses.
pub fn run(device: &mut dyn Device, phase: Phase, rows: &[StepParams]) -> Vec<f32> {
    device.write_steps(phase, rows).unwrap();
    let (mut from, to) = (0, u32::try_from(rows.len()).unwrap());
    while from < to {
        let end = to.min(from + device.steps_per_submission(phase).max(1));
        device.run(phase, from..end).unwrap();
        from = end;
    }
    device.take_losses(true).unwrap()
}
