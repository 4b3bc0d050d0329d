//! Updates by expressions over the arenas, in parts that threads share.
//!
//! In: arenas, the table of factors, a pass's expressions. Out: changed arenas.
//!
//! The arenas are gone through as matrices whose rows are the elements that share factors.

use std::ops::Range;

use super::blocks::{Block, Inputs, Values};
use super::compiled::{Compiled, Extent, Source};
use super::instructions::Instructions;
use super::map::{one_of, shared};
use super::pool::{Pool, both};
use crate::device::cpu::update::{INVERSE, OVERFLOW, Updated};
use crate::expr::Program;
use crate::graph::{Input, PassKind};
use crate::plan::{BLOCK as FACTORED, FACTORS, Update};

impl Compiled {
    /// An update's expressions made ready.
    pub(in crate::device::cpu) fn of_update(program: &Program, update: &Update) -> Self {
        let input = |index| match Input::of(index) {
            Input::Clip | Input::Inverse => Extent::One,
            Input::Rate | Input::Decay | Input::Trust | Input::Matrix if !update.table => {
                Extent::One
            }
            Input::Rate | Input::Decay | Input::Trust | Input::Matrix => Extent::Rows,
            _ => Extent::Both,
        };
        Self::new(program, input, |_| Extent::One)
    }
}

impl Updated<'_, f32> {
    /// What an input has in the arenas, if it is an arena.
    fn arena(&self, input: Input) -> Option<&[f32]> {
        match input {
            Input::Weight => Some(self.weight),
            Input::Gradient => Some(self.gradient),
            Input::State(state) => self.states.get(state).map(|state| &**state),
            Input::Gathered => Some(self.gathered),
            Input::Average => Some(self.average),
            _ => None,
        }
    }
}

impl Inputs for Updated<'_, f32> {
    fn one(&self, source: Source) -> f32 {
        match source {
            Source::Quantity(quantity) => one_of(quantity, &self.step),
            Source::Input(index) => match Input::of(index) {
                Input::Clip => self.table.first().copied().unwrap_or(1.0),
                Input::Inverse if self.update.scaled => self.scaling[INVERSE],
                _ => 1.0,
            },
            Source::Constant(value) => value,
            Source::Apply(_) => unreachable!("it is no input"),
        }
    }

    fn rows(&self, source: Source, first: usize, to: &mut [f32]) {
        let Source::Input(index) = source else { return };
        let factor = match Input::of(index) {
            Input::Rate => 0,
            Input::Decay => 1,
            Input::Trust => 2,
            _ => 3,
        };
        for (row, to) in (1 + self.first + first..).zip(to) {
            *to = self.table.get(row * FACTORS + factor).copied().unwrap_or(1.0);
        }
    }

    fn columns(&self, _source: Source, _first: usize, _to: &mut [f32]) {}

    fn slice(&self, source: Source, block: Block) -> Option<&[f32]> {
        let Source::Input(index) = source else { return None };
        let start = block.row * FACTORED;
        self.arena(Input::of(index))?.get(start..start + block.len())
    }

    fn fill(&self, _source: Source, _block: Block, to: &mut [f32]) {
        // An arena that there is none of.
        to.fill(0.0);
    }
}

/// A part of the arenas under an update by expressions.
#[derive(Debug)]
pub(super) struct Moves<'a>(pub(super) Updated<'a, f32>);

impl Moves<'_> {
    pub(super) fn divide(self, instructions: Instructions, pool: &Pool) {
        let cost = self.0.weight.len() * self.0.compiled.cost();
        if pool.threads() == 1 || !shared(cost) || self.0.weight.len() < 2 * FACTORED {
            self.run(instructions);
            return;
        }
        let (one, other) = self.0.halves();
        let run = |part| move || Moves(part).divide(instructions, pool);
        both(true, run(one), run(other));
    }

    fn run(self, instructions: Instructions) {
        let Self(mut arenas) = self;
        if arenas.update.scaled && arenas.scaling[OVERFLOW] != 0.0 {
            // What was gathered before goes with it.
            arenas.gathered.fill(0.0);
            return;
        }
        let len = arenas.weight.len();
        let whole = len / FACTORED;
        go_through(&mut arenas, 0..whole, FACTORED, instructions);
        if len > whole * FACTORED {
            go_through(&mut arenas, whole..whole + 1, len - whole * FACTORED, instructions);
        }
    }
}

/// Moves some rows, which are what shares factors.
fn go_through(
    arenas: &mut Updated<'_, f32>,
    rows: Range<usize>,
    columns: usize,
    instructions: Instructions,
) {
    let (update, compiled) = (arenas.update, arenas.compiled);
    let region = ((rows.start, 0), (rows.len(), columns));
    let mut values = Values::new(compiled, arenas, instructions, region, true);
    let group = values.group();
    for row in rows.clone().step_by(group) {
        let block = Block { row, rows: group.min(rows.end - row), column: 0, columns };
        values.run(arenas, block, None);
        let part = row * FACTORED..row * FACTORED + block.len();
        let mut results = (0..compiled.outputs.len()).map(|index| values.computed(index, block));
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
        if update.pass != PassKind::First {
            put(arenas.weight);
        }
        if update.pass != PassKind::Second {
            let states = arenas.states.iter_mut().take(update.states.into());
            states.for_each(|state| put(state));
        }
        if update.averages {
            put(arenas.average);
        }
        if update.gathers {
            arenas.gathered[part.clone()].fill(0.0);
        }
        if update.writes_half() {
            arenas.half[part.clone()].copy_from_slice(&arenas.weight[part]);
        }
    }
}
