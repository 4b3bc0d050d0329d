//! Rows that are copied from tables or to them: `gather`, `lookup`, `lookup_grad`, `put_rows`.

use std::ops::Range;

use super::super::Real;
use super::super::kernels::{self, MatmulShape};
use super::{ArenaViews, Slots, StepWork, disjoint};
use crate::plan::StepParams;

#[derive(Debug)]
pub(super) enum Rows {
    Gather {
        ordered: bool,
        /// Rows and columns of the batch's features.
        sizes: (usize, usize),
        /// The tables of features and of targets, and the batch's rows of each.
        floats: [Range<usize>; 4],
        /// The order, and targets that are classes, of the table and of the batch.
        indices: [Range<usize>; 3],
    },
    Lookup {
        column: usize,
        sizes: (usize, usize),
        floats: [Range<usize>; 3],
    },
    LookupGrad {
        column: usize,
        sizes: (usize, usize),
        floats: [Range<usize>; 3],
    },
    Put {
        sizes: (usize, usize),
        floats: [Range<usize>; 2],
    },
}

pub(super) fn gather(slots: &Slots<'_>, ordered: bool) -> StepWork {
    StepWork::Rows(Rows::Gather {
        ordered,
        sizes: slots.matrix("x_out"),
        floats: slots.floats(["x", "y", "x_out", "y_out"]),
        indices: slots.indices(["order", "y", "y_out"]),
    })
}

pub(super) fn lookup(slots: &Slots<'_>, column: u32) -> StepWork {
    let (sizes, floats) = (slots.matrix("out"), slots.floats(["table", "x", "out"]));
    StepWork::Rows(Rows::Lookup { column: column as usize, sizes, floats })
}

pub(super) fn lookup_grad(slots: &Slots<'_>, column: u32) -> StepWork {
    let (sizes, floats) = (slots.matrix("out"), slots.floats(["x", "d_y", "out"]));
    StepWork::Rows(Rows::LookupGrad { column: column as usize, sizes, floats })
}

pub(super) fn put_rows(slots: &Slots<'_>) -> StepWork {
    StepWork::Rows(Rows::Put { sizes: slots.matrix("out"), floats: slots.floats(["x", "out"]) })
}

impl Rows {
    /// Returns the sizes of the result, with the cost of an element.
    pub(super) fn sizes(&self) -> MatmulShape {
        let (Self::Gather { sizes, .. }
        | Self::Lookup { sizes, .. }
        | Self::LookupGrad { sizes, .. }
        | Self::Put { sizes, .. }) = self;
        MatmulShape { m: sizes.0, n: sizes.1, k: 4 }
    }

    pub(super) fn run<T: Real>(&self, arenas: &mut ArenaViews<'_, T>, step: &StepParams) {
        match self {
            Self::Gather { ordered, sizes: (rows, columns), floats, indices } => {
                let [x, y, x_out, y_out] = disjoint(arenas.floats, floats);
                let [order, classes, classes_out] = disjoint(arenas.indices, indices);
                let order = ordered.then_some(&*order);
                kernels::gather(x, order, x_out, *columns, step);
                // Targets are classes or numbers; the other range is empty.
                if !classes_out.is_empty() {
                    kernels::gather(classes, order, classes_out, 1, step);
                } else if !y_out.is_empty() {
                    let columns = y_out.len() / rows;
                    kernels::gather(y, order, y_out, columns, step);
                }
            }
            Self::Lookup { column, sizes: (rows, _), floats } => {
                let [table, x, out] = disjoint(arenas.floats, floats);
                kernels::lookup(table, x, *column, out, *rows);
            }
            Self::LookupGrad { column, sizes: (rows, _), floats } => {
                let [x, d_y, out] = disjoint(arenas.floats, floats);
                kernels::lookup_grad(x, d_y, *column, (out, *rows), step);
            }
            Self::Put { sizes: (_, columns), floats } => {
                let [x, out] = disjoint(arenas.floats, floats);
                kernels::put_rows(x, out, *columns, step);
            }
        }
    }
}
