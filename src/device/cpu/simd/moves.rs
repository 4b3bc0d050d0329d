//! Updates by expressions over the arenas, in parts that threads share.
//!
//! In: arenas, the table of factors, a pass's expressions. Out: changed arenas.
//!
//! The arenas are visited as matrices whose rows are the blocks that share factors.

use std::ops::Range;

use super::block_eval::{Block, BlockValues, Inputs};
use super::compile::{Compiled, Source, VariesAlong};
use super::instructions::SimdLevel;
use super::map::{one_of, shared};
use super::pool::{Pool, both};
use crate::device::cpu::update::{INVERSE, OVERFLOW, UpdateArgs};
use crate::expr::Program;
use crate::graph::UpdateInput;
use crate::plan::{BLOCK as FACTORED, FACTORS, Update};

impl Compiled {
    /// Prepares an update's expressions.
    pub(super) fn of_update(program: &Program, update: &Update) -> Self {
        let input = |index| match UpdateInput::of(index) {
            // Without a table every factor is 1, which need not be read for each row.
            UpdateInput::Clip | UpdateInput::Inverse => VariesAlong::One,
            UpdateInput::Rate | UpdateInput::Decay | UpdateInput::Trust | UpdateInput::Matrix
                if !update.table =>
            {
                VariesAlong::One
            }
            UpdateInput::Rate | UpdateInput::Decay | UpdateInput::Trust | UpdateInput::Matrix => {
                VariesAlong::Rows
            }
            _ => VariesAlong::Both,
        };
        Self::new(program, input, |_| VariesAlong::One)
    }
}

impl UpdateArgs<'_, f32> {
    /// Returns the arena of an input, if it has one.
    fn arena(&self, input: UpdateInput) -> Option<&[f32]> {
        match input {
            UpdateInput::Weight => Some(self.weight),
            UpdateInput::Gradient => Some(self.gradient),
            UpdateInput::State(state) => self.states.get(state).map(|state| &**state),
            UpdateInput::Gathered => Some(self.gathered),
            UpdateInput::Average => Some(self.average),
            _ => None,
        }
    }
}

impl Inputs for UpdateArgs<'_, f32> {
    fn one(&self, source: Source) -> f32 {
        match source {
            Source::Quantity(quantity) => one_of(quantity, &self.step),
            Source::Input(index) => match UpdateInput::of(index) {
                UpdateInput::Clip => self.table.first().copied().unwrap_or(1.0),
                UpdateInput::Inverse if self.update.scaled => self.scaling[INVERSE],
                _ => 1.0,
            },
            Source::Constant(value) => value,
            Source::Apply(_) => unreachable!("it is no input"),
        }
    }

    fn rows(&self, source: Source, first: usize, to: &mut [f32]) {
        let Source::Input(index) = source else { return };
        let factor = match UpdateInput::of(index) {
            UpdateInput::Rate => 0,
            UpdateInput::Decay => 1,
            UpdateInput::Trust => 2,
            _ => 3,
        };
        // The table's first row holds the clipping factor, so a block's row comes one later.
        for (row, to) in (1 + self.first + first..).zip(to) {
            *to = self.table.get(row * FACTORS + factor).copied().unwrap_or(1.0);
        }
    }

    fn columns(&self, _source: Source, _first: usize, _to: &mut [f32]) {}

    fn slice(&self, source: Source, block: Block) -> Option<&[f32]> {
        let Source::Input(index) = source else { return None };
        let start = block.row * FACTORED;
        self.arena(UpdateInput::of(index))?.get(start..start + block.len())
    }

    fn fill(&self, _source: Source, _block: Block, to: &mut [f32]) {
        // The update has no such arena.
        to.fill(0.0);
    }
}

/// A part of the arenas, updated by expressions.
#[derive(Debug)]
pub(super) struct UpdateTask<'a>(pub(super) UpdateArgs<'a, f32>);

impl UpdateTask<'_> {
    /// Divides the part among threads.
    pub(super) fn divide(self, instructions: SimdLevel, pool: &Pool) {
        let cost = self.0.weight.len() * self.0.compiled.program.cost();
        if pool.threads() == 1 || !shared(cost) || self.0.weight.len() < 2 * FACTORED {
            self.run(instructions);
            return;
        }
        let (one, other) = self.0.halves();
        let run = |part| move || UpdateTask(part).divide(instructions, pool);
        both(true, run(one), run(other));
    }

    /// Updates the part.
    fn run(self, instructions: SimdLevel) {
        let Self(mut arenas) = self;
        if arenas.update.scaled && arenas.scaling[OVERFLOW] != 0.0 {
            // Gradients that were accumulated before are dropped with the skipped update.
            arenas.gathered.fill(0.0);
            return;
        }
        let len = arenas.weight.len();
        let whole = len / FACTORED;
        go_through(&mut arenas, 0..whole, FACTORED, instructions);
        // The last block may be shorter, so it is a matrix of its own.
        if len > whole * FACTORED {
            go_through(&mut arenas, whole..whole + 1, len - whole * FACTORED, instructions);
        }
    }
}

/// Updates some rows, each of which shares factors.
fn go_through(
    arenas: &mut UpdateArgs<'_, f32>,
    rows: Range<usize>,
    columns: usize,
    instructions: SimdLevel,
) {
    let (update, compiled) = (arenas.update, &arenas.compiled.program);
    let region = ((rows.start, 0), (rows.len(), columns));
    let mut values = BlockValues::new(compiled, arenas, instructions, region, true);
    let group = values.group();
    for row in rows.clone().step_by(group) {
        let block = Block { row, rows: group.min(rows.end - row), column: 0, columns };
        // All results are computed before the first is written, since an expression may read what another one changes.
        values.run(arenas, block, None);
        let part = row * FACTORED..row * FACTORED + block.len();
        let mut results = (0..compiled.outputs.len()).map(|index| values.computed(index, block));
        // Between updates only the accumulated gradients change; they are the last result.
        if !arenas.step.apply {
            if let (true, Some(sum)) = (update.gathers, results.next_back()) {
                arenas.gathered[part].copy_from_slice(sum);
            }
            continue;
        }
        let mut put = |to: &mut [f32]| {
            if let Some(values) = results.next() {
                to[part.clone()].copy_from_slice(values);
            }
        };
        if update.writes_weight() {
            put(arenas.weight);
        }
        if update.writes_states() {
            let states = arenas.states.iter_mut().take(update.states.into());
            states.for_each(|state| put(state));
        }
        if update.averages {
            put(arenas.average);
        }
        // The update has used the accumulated gradients, so the next ones begin at 0.
        if update.gathers {
            arenas.gathered[part.clone()].fill(0.0);
        }
        if update.half {
            arenas.half[part.clone()].copy_from_slice(&arenas.weight[part]);
        }
    }
}
