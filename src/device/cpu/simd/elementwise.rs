//! Functions of one number over many, and multiplication by derivatives or masks, in parts that threads share.
//!
//! In: values, and their arguments. Out: new values in their place.
//! Absent on purpose: sums.

use std::sync::LazyLock;

use super::activation;
use super::block_eval::{BLOCK, Block, BlockValues, Inputs};
use super::compile::{Compiled, Source, VariesAlong};
use super::instructions::{SimdLevel, Work};
use super::interpreter::Times;
use super::map::{Masks, shared};
use super::pool::{Pool, both};
use crate::model::Activation;

/// Activations that have only an expression: their value, and their derivative.
static COMPILED: LazyLock<Vec<[Compiled; 2]>> = LazyLock::new(|| {
    let of = |program| Compiled::new(program, |_| VariesAlong::Both, |_| VariesAlong::One);
    Activation::ALL.map(|act| [act.value_program(), act.slope_program()].map(of)).to_vec()
});

/// The one input of a function.
struct FunctionInput<'a>(&'a [f32]);

impl Inputs for FunctionInput<'_> {
    fn one(&self, _source: Source) -> f32 {
        0.0
    }

    fn rows(&self, _source: Source, _first: usize, _to: &mut [f32]) {}

    fn columns(&self, _source: Source, _first: usize, _to: &mut [f32]) {}

    fn slice(&self, _source: Source, block: Block) -> Option<&[f32]> {
        Some(&self.0[block.column..][..block.columns])
    }

    fn fill(&self, _source: Source, _block: Block, _to: &mut [f32]) {}
}

/// Returns a run of numbers as one row.
fn row(len: usize) -> Block {
    Block { row: 0, rows: 1, column: 0, columns: len }
}

fn values_of(compiled: &Compiled, instructions: SimdLevel, len: usize) -> BlockValues<'_> {
    BlockValues::new(compiled, &FunctionInput(&[]), instructions, ((0, 0), (1, len)), false)
}

/// Applies act to each value.
pub(super) fn activate(act: Activation, values: &mut [f32], instructions: SimdLevel) {
    if activation::is_written_out(act) {
        instructions.run(ActivationSlices { act, values });
        return;
    }
    let mut program = values_of(&COMPILED[act as usize][0], instructions, values.len());
    // The argument is copied, since the result goes to the same place.
    let mut x = [0.0; BLOCK];
    for values in values.chunks_mut(BLOCK) {
        let x = &mut x[..values.len()];
        x.copy_from_slice(values);
        program.run(&FunctionInput(x), row(x.len()), Some(values));
    }
}

/// Multiplies each value by act' of the saved one.
pub(super) fn activation_backward(
    act: Activation,
    values: &mut [f32],
    saved: &[f32],
    instructions: SimdLevel,
) {
    if activation::is_written_out(act) {
        instructions.run(TimesWritten { act, values, saved });
        return;
    }
    let mut program = values_of(&COMPILED[act as usize][1], instructions, values.len());
    for (values, saved) in values.chunks_mut(BLOCK).zip(saved.chunks(BLOCK)) {
        let by = program.result(&FunctionInput(saved), row(saved.len()));
        instructions.run(Times { by, to: values });
    }
}

/// Returns the cost of an activation for one element, in the unit of formulas.
pub(super) fn cost(act: Activation) -> usize {
    match act {
        Activation::Identity | Activation::Relu | Activation::LeakyRelu => 3,
        _ if activation::is_written_out(act) => 12,
        _ => COMPILED[act as usize][1].cost(),
    }
}

struct ActivationSlices<'a> {
    act: Activation,
    values: &'a mut [f32],
}

impl Work for ActivationSlices<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        activation::values::<FUSED>(self.act, self.values);
    }
}

struct TimesWritten<'a> {
    act: Activation,
    values: &'a mut [f32],
    saved: &'a [f32],
}

impl Work for TimesWritten<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        activation::times_gradients::<FUSED>(self.act, self.values, self.saved);
    }
}

/// Multiplies each value by the dropout factor of its element; the first value is the element `first`.
pub(super) fn apply_dropout(
    (key, rate): (u32, f32),
    first: usize,
    values: &mut [f32],
    instructions: SimdLevel,
) {
    let mut masks = [0.0; BLOCK];
    for (index, values) in values.chunks_mut(BLOCK).enumerate() {
        let by = &mut masks[..values.len()];
        instructions.run(Masks { key, rate, first: first + index * BLOCK, to: by });
        instructions.run(Times { by, to: values });
    }
}

/// Runs work over parts of its output, each given with the index of its first element; parts begin at multiples of `unit`.
pub(super) fn in_parts(
    pool: &Pool,
    (cost, unit): (usize, usize),
    out: &mut [f32],
    work: &(impl Fn(usize, &mut [f32]) + Sync),
) {
    fn part(
        (cost, unit): (usize, usize),
        first: usize,
        out: &mut [f32],
        work: &(impl Fn(usize, &mut [f32]) + Sync),
    ) {
        if !shared(out.len() * cost) || out.len() < 2 * unit {
            return work(first, out);
        }
        let half = out.len() / unit / 2 * unit;
        let (one, other) = out.split_at_mut(half);
        both(
            true,
            || part((cost, unit), first, one, work),
            || part((cost, unit), first + half, other, work),
        );
    }
    if pool.threads() == 1 {
        return work(0, out);
    }
    part((cost, unit.max(1)), 0, out, work);
}
