//! Chains of formulas, some rows at a time: what one formula has computed is still in the cache when the next one reads it.
//!
//! In: a chain. Out: the same results as those of whole matrices one after the other, bit by bit.

use super::SimdKernels;
use super::map::shared;
use super::pool::both;
use crate::device::cpu::chain::{ChainArgs, ChainResults};

/// Elements of a matrix that are visited at a time: the few matrices of a chain then stay in a core's own cache, and changing
/// from formula to formula costs little.
const ELEMENTS: usize = 8192;

/// Computes a chain whose rows are independent of one another, in parts that threads share.
pub(super) fn divide(
    kernels: &SimdKernels,
    chain: ChainArgs<'_, f32>,
    outs: ChainResults<'_, f32>,
) {
    let rows = chain.rows;
    if kernels.pool.threads() == 1 || !shared(rows * chain.row_cost()) || rows < 2 {
        return run(kernels, chain, outs);
    }
    let half = rows / 2;
    let (one, other) = chain.split(half, outs);
    both(
        true,
        || divide(kernels, chain.part(&(0..half)), one),
        || divide(kernels, chain.part(&(half..rows)), other),
    );
}

/// Computes a part of a chain, a block of rows at a time.
fn run(kernels: &SimdKernels, chain: ChainArgs<'_, f32>, mut outs: ChainResults<'_, f32>) {
    let columns = chain.links.first().map_or(1, |link| link.formula.columns);
    let block = (ELEMENTS / columns.max(1)).max(1);
    for first in (0..chain.rows).step_by(block) {
        let count = block.min(chain.rows - first);
        let (one, rest) = chain.split(count, outs);
        chain.part(&(first..first + count)).run(kernels, one);
        outs = rest;
    }
}

#[cfg(test)]
mod tests {
    use crate::device::cpu::CpuDevice;
    use crate::device::{Device, Values};
    use crate::graph::{Loss, Optimizer, inference, training};
    use crate::model::{Params, Sequential};
    use crate::plan::{Kernel, Phase, Plan, Sizes, Step, StepParams};
    use crate::random::Seed;

    /// Gradients and the loss after a step in which some rows do not count.
    fn run(plan: &Plan, (gradients, params): (crate::plan::Slot, &[f32]), rows: u32) -> Vec<f32> {
        let mut device = CpuDevice::<f32>::new();
        device.load(plan).unwrap();
        let slot = |name: &str| plan.slots().find(|(_, it)| it.name == name).unwrap().0;
        let len = |name: &str| plan.slot(slot(name)).len();
        let x: Vec<f32> = (0..len("train.x")).map(|i| (i as f32 * 0.37).sin()).collect();
        let order: Vec<u32> = (0..u32::try_from(len("order")).unwrap()).collect();
        let y: Vec<u32> = order.iter().map(|row| row % 3).collect();
        device.write(slot("train.x"), 0, Values::F32(&x)).unwrap();
        device.write(slot("train.y"), 0, Values::U32(&y)).unwrap();
        device.write(slot("order"), 0, Values::U32(&order)).unwrap();
        device.write(slot("params"), 0, Values::F32(params)).unwrap();
        let step = StepParams { rows, seed: 3, step: 2, ..StepParams::default() };
        device.write_steps(Phase::Train, &[step]).unwrap();
        device.run(Phase::Train, 0..1).unwrap();
        let mut all = device.read(gradients, plan.slot(gradients).len()).unwrap();
        all.extend(device.take_losses(true).unwrap());
        all
    }

    /// Returns the plan with each chain taken apart.
    fn apart(plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        let parts = |step: &Step| match step.kernel {
            Kernel::Chain(chain) => chain.parts(step),
            _ => vec![step.clone()],
        };
        plan.train = plan.train.iter().flat_map(parts).collect();
        plan
    }

    #[test]
    fn chains_give_the_bits_of_their_formulas_one_by_one() {
        // Matrices of one block and of several, whose last one is smaller, and rows wider than a block of the interpreter.
        for (batch, width) in [(5, 7), (90, 300), (700, 33), (3, 1)] {
            let layers = format!(
                "dense({width}), layer_norm, gelu, dropout(0.2), batch_norm, mish, rms_norm, \
                 dense({width}), softmax, layer_norm, dense(3)"
            );
            let model: Sequential = layers.parse().unwrap();
            let step = training(&model, 6, Loss::CROSS_ENTROPY, Optimizer::sgd()).unwrap();
            let sizes = Sizes { batch, train_rows: batch, eval_batch: 0, eval_rows: 0 };
            let plan = Plan::training(&step, &inference(&model, 6).unwrap(), sizes).unwrap();
            let (ports, apart) = (plan.ports.gradients, apart(&plan));
            assert!(apart.train.len() > plan.train.len() + 10, "chains were found");
            let params = Params::init(&model, 6, Seed(4)).unwrap();
            let rows = u32::try_from(batch).unwrap() - 1;
            let [one, other] =
                [&*plan, &apart].map(|plan| run(plan, (ports, params.arena()), rows));
            assert!(one.iter().all(|value| value.is_finite()));
            assert!(one.iter().any(|value| *value != 0.0));
            assert_eq!(one, other, "{batch} rows of {width}");
        }
    }
}
