//! A part of a product, tile by tile: the sums of a tile stay in registers until they are complete.
//!
//! In: a part and scratch. Out: the part's result.
//! Absent on purpose: threads, intrinsics.

use std::ops::Range;

use ndarray::ArrayViewMut2;

use super::activation;
use super::instructions::{SimdLevel, Work, fused};
use super::task::{Epilogue, GemmTask, MatmulOperand};
use crate::model::Activation;

/// Rows of a tile. Six rows of two vectors fill twelve of sixteen registers; two hold the right operand, one the left.
pub(super) const ROWS: usize = 6;

/// Rows of a tile where there are 32 registers: half as many loads of the right operand for each sum.
const PAIR: usize = 2 * ROWS;

/// Columns of a tile of vectors of 512 bits, which come with 32 registers.
const WIDE: usize = 32;

/// Blocks of rows of the left operand that are packed at once, so that whole cache lines are read.
pub(super) const BLOCKS: usize = 8;

/// Number of terms that are summed before they are added to the sum so far: long sums then have a smaller error.
pub(super) const TERMS: usize = 256;

/// Lanes and terms that are transposed at once.
const SQUARE: usize = 8;

/// Sums of a tile.
type Tile<const LANES: usize> = [[f32; LANES]; PAIR];

/// Floats of an operand, from its first to its last term, up to which it stays in the fastest cache: it is then read in place.
const NEAR: usize = 1 << 12;
/// Blocks of rows up to which the right operand is read too seldom for packing to pay.
const FEW: usize = 2;

/// The tiles of a part.
pub(super) struct Tiles<'a, 's> {
    pub(super) part: GemmTask<'a>,
    /// The instructions that the tiles are computed with.
    pub(super) level: SimdLevel,
    /// Memory for the packed right operand, and behind it a few rows of the left one.
    pub(super) scratch: &'s mut [f32],
}

/// Terms of some rows or columns that are adjacent: those of a term lie together, `stride` from one term to the next.
#[derive(Clone, Copy)]
struct TermView<'a> {
    values: &'a [f32],
    stride: usize,
}

/// Rows of the left operand that a tile needs.
#[derive(Clone, Copy)]
enum LeftRows<'a> {
    /// Each row's terms are adjacent, `stride` from one row to the next.
    ByRow { values: &'a [f32], stride: usize },
    /// Each term's rows are adjacent.
    ByTerm(TermView<'a>),
    /// Packed blocks of [`ROWS`] rows, one behind the other, each with its rows of a term together.
    Packed { values: &'a [[f32; ROWS]] },
}

impl Work for Tiles<'_, '_> {
    type Out = ();

    /// Packs into panels of `LANES` what columns of the right operand are not read in place, then visits the rows.
    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { mut part, level, scratch } = self;
        let (rows, columns) = part.out.dim();
        let k = part.k;
        let panels = columns.div_ceil(LANES);
        // Weights that are packed before need no place here.
        let is_packed = matches!(part.right, MatmulOperand::Panels { .. });
        let place = if is_packed { 0 } else { panels * k * LANES };
        let (packed, rest) = scratch.split_at_mut(place);
        let in_place = part.panels_in_place(LANES);
        pack_panels::<LANES>((part.right, part.at.1..part.at.1 + columns), k, in_place, packed);
        let packs_left = part.packs_left();
        let blocks = &mut rest.as_chunks_mut::<ROWS>().0[..BLOCKS * k];
        let mut tile = [[0.0; LANES]; PAIR];
        let mut row = 0;
        while row < rows {
            let paired = LANES == WIDE && rows - row >= PAIR;
            let count = if paired { PAIR } else { ROWS.min(rows - row) };
            let first = part.at.0 + row;
            let left = match part.left {
                MatmulOperand::Rows { values, stride } => {
                    LeftRows::ByRow { values: &values[first * stride..], stride }
                }
                MatmulOperand::Columns { values, stride } if !packs_left => {
                    LeftRows::ByTerm(TermView { values: &values[first..], stride })
                }
                MatmulOperand::Columns { values, stride } => {
                    let block = row / ROWS % BLOCKS;
                    if block == 0 {
                        copy_blocks(&values[first..], stride, rows - row, blocks);
                    }
                    LeftRows::Packed { values: &blocks[block * k..] }
                }
                MatmulOperand::Panels { .. } => {
                    unreachable!("only right operands are packed before")
                }
            };
            for panel in 0..panels {
                let right = match part.right {
                    MatmulOperand::Rows { values, stride } if panel < in_place => {
                        TermView { values: &values[part.at.1 + panel * LANES..], stride }
                    }
                    // Parts begin at whole panels.
                    MatmulOperand::Panels { values } => {
                        let first = (part.at.1 / LANES + panel) * k * LANES;
                        TermView { values: &values[first..][..k * LANES], stride: LANES }
                    }
                    _ => {
                        let values = &packed[panel * k * LANES..][..k * LANES];
                        TermView { values, stride: LANES }
                    }
                };
                if paired {
                    sum::<FUSED, LANES, PAIR>(left, right, k, &mut tile);
                } else if count == ROWS {
                    sum::<FUSED, LANES, ROWS>(left, right, k, &mut tile);
                } else {
                    let sums = tile.as_flattened_mut();
                    level.run(PartialTile { left, right, k, count, sums });
                }
                finish::<FUSED, LANES>(&mut part, (row, panel * LANES), count, &mut tile);
            }
            row += count;
        }
    }
}

impl GemmTask<'_> {
    /// Returns how many of the right operand's panels are read where they lie: whole ones of a small operand, or of one that
    /// few rows are multiplied with.
    fn panels_in_place(&self, lanes: usize) -> usize {
        let (rows, columns) = self.out.dim();
        match self.right {
            MatmulOperand::Rows { stride, .. } if rows <= FEW * ROWS || self.k * stride <= NEAR => {
                columns / lanes
            }
            MatmulOperand::Panels { .. } => columns.div_ceil(lanes),
            _ => 0,
        }
    }

    /// Returns whether rows of the left operand are packed: of a large one that is stored by columns.
    pub(super) fn packs_left(&self) -> bool {
        matches!(self.left, MatmulOperand::Columns { stride, .. } if self.k * stride > NEAR)
    }
}

/// A right operand of `columns` columns to be packed as a whole, for products that are computed often with it.
pub(super) struct Packing<'a> {
    pub(super) right: MatmulOperand<'a>,
    pub(super) columns: usize,
    /// Number of terms of each sum.
    pub(super) k: usize,
}

impl Work for Packing<'_> {
    type Out = Vec<f32>;

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) -> Vec<f32> {
        let Self { right, columns, k } = self;
        let mut packed = vec![0.0; columns.div_ceil(LANES) * k * LANES];
        pack_panels::<LANES>((right, 0..columns), k, 0, &mut packed);
        packed
    }
}

/// Packs columns of the right operand from the panel `first` on. A panel has the terms in the order in which the
/// tiles need them, so the inner loop reads memory in sequence.
#[inline(always)]
fn pack_panels<const LANES: usize>(
    (right, columns): (MatmulOperand<'_>, Range<usize>),
    k: usize,
    first: usize,
    packed: &mut [f32],
) {
    let panels = packed.as_chunks_mut::<LANES>().0.chunks_exact_mut(k);
    for (panel, packed) in panels.enumerate().skip(first) {
        let (first, width) =
            (columns.start + panel * LANES, LANES.min(columns.len() - panel * LANES));
        match right {
            MatmulOperand::Panels { .. } => unreachable!("it is packed already"),
            MatmulOperand::Rows { values, stride } => {
                copy(&values[first..], stride, width, packed);
            }
            MatmulOperand::Columns { values, stride } => {
                transpose(&values[first * stride..], stride, width, packed);
            }
        }
    }
}

/// Packs up to [`BLOCKS`] blocks of rows that are adjacent in memory, `stride` from one term to the next; rows beyond
/// `count` keep their old values, and their sums are not stored.
#[inline(always)]
fn copy_blocks(values: &[f32], stride: usize, count: usize, blocks: &mut [[f32; ROWS]]) {
    let k = blocks.len() / BLOCKS;
    for (term, values) in values.chunks(stride).take(k).enumerate() {
        let values = &values[..count.min(BLOCKS * ROWS)];
        let (whole, rest) = values.as_chunks::<ROWS>();
        for (block, values) in whole.iter().enumerate() {
            blocks[block * k + term] = *values;
        }
        if !rest.is_empty() {
            blocks[whole.len() * k + term][..rest.len()].copy_from_slice(rest);
        }
    }
}

/// Packs lanes that are adjacent in memory, `stride` from one term to the next; lanes beyond `width` are zero.
#[inline(always)]
fn copy<const LANES: usize>(
    values: &[f32],
    stride: usize,
    width: usize,
    packed: &mut [[f32; LANES]],
) {
    for (lanes, values) in packed.iter_mut().zip(values.chunks(stride)) {
        // A whole vector is copied by its constant length, which lets the compiler use vectors.
        if let Some(values) = values.first_chunk::<LANES>().filter(|_| width == LANES) {
            *lanes = *values;
        } else {
            lanes[..width].copy_from_slice(&values[..width]);
            lanes[width..].fill(0.0);
        }
    }
}

/// Packs lanes that are `stride` apart, with adjacent terms; lanes beyond `width` are zero.
#[inline(always)]
fn transpose<const LANES: usize>(
    values: &[f32],
    stride: usize,
    width: usize,
    packed: &mut [[f32; LANES]],
) {
    // Square blocks stay in registers while rows become columns.
    let (blocks, rest) = packed.as_chunks_mut::<SQUARE>();
    for (block, packed) in blocks.iter_mut().enumerate() {
        let whole = width / SQUARE * SQUARE;
        for lane in (0..whole).step_by(SQUARE) {
            let square: [[f32; SQUARE]; SQUARE] = std::array::from_fn(|row| {
                let values = &values[(lane + row) * stride + block * SQUARE..];
                *values.first_chunk().expect("a lane has all terms of the block")
            });
            for (term, lanes) in packed.iter_mut().enumerate() {
                let column: [f32; SQUARE] = std::array::from_fn(|row| square[row][term]);
                lanes[lane..][..SQUARE].copy_from_slice(&column);
            }
        }
        let values = &values[block * SQUARE..];
        transpose_lanes(values, stride, whole..width, packed);
    }
    transpose_lanes(&values[blocks.len() * SQUARE..], stride, 0..width, rest);
}

/// Packs some lanes one by one, as many terms as `packed` has, and zeros behind the last one.
#[inline(always)]
fn transpose_lanes<const LANES: usize>(
    values: &[f32],
    stride: usize,
    lanes: Range<usize>,
    packed: &mut [[f32; LANES]],
) {
    for lane in lanes.clone() {
        for (packed, &value) in packed.iter_mut().zip(&values[lane * stride..]) {
            packed[lane] = value;
        }
    }
    for packed in packed {
        packed[lanes.end..].fill(0.0);
    }
}

/// The sums of a tile at the lower end of the result, which has fewer rows: compiled by itself, so that the loop over whole
/// tiles carries nothing of it.
struct PartialTile<'a> {
    left: LeftRows<'a>,
    right: TermView<'a>,
    k: usize,
    count: usize,
    sums: &'a mut [f32],
}

impl Work for PartialTile<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { left, right, k, count, sums } = self;
        let sums = sums.as_chunks_mut::<LANES>().0;
        // The number of rows is a constant of the function, so that the sums stay in registers.
        match count {
            1 => sum::<FUSED, LANES, 1>(left, right, k, sums),
            2 => sum::<FUSED, LANES, 2>(left, right, k, sums),
            3 => sum::<FUSED, LANES, 3>(left, right, k, sums),
            4 => sum::<FUSED, LANES, 4>(left, right, k, sums),
            _ => sum::<FUSED, LANES, 5>(left, right, k, sums),
        }
    }
}

/// Sums the first `COUNT` rows of a tile.
#[inline(always)]
fn sum<const FUSED: bool, const LANES: usize, const COUNT: usize>(
    left: LeftRows<'_>,
    right: TermView<'_>,
    k: usize,
    tile: &mut [[f32; LANES]],
) {
    let total = match left {
        LeftRows::ByRow { values, stride } => {
            sum_by_row::<FUSED, LANES, COUNT>((values, stride), right, k)
        }
        LeftRows::ByTerm(left) => sum_by_term::<FUSED, LANES, COUNT>(left, right, k),
        LeftRows::Packed { values } => sum_packed::<FUSED, LANES, COUNT>(values, right, k),
    };
    tile[..COUNT].copy_from_slice(&total);
}

/// Sums a tile whose left rows have adjacent terms, `stride` from one row to the next.
#[inline(always)]
fn sum_by_row<const FUSED: bool, const LANES: usize, const COUNT: usize>(
    (values, stride): (&[f32], usize),
    right: TermView<'_>,
    k: usize,
) -> [[f32; LANES]; COUNT] {
    let mut total = [[0.0; LANES]; COUNT];
    for begin in (0..k).step_by(TERMS) {
        let terms = TERMS.min(k - begin);
        // Slices of one length, so that no step of the loop checks it.
        let rows: [&[f32]; COUNT] =
            std::array::from_fn(|row| &values[row * stride + begin..][..terms]);
        let mut right_now = right.from(begin);
        let mut sums = [[0.0; LANES]; COUNT];
        #[expect(clippy::needless_range_loop, reason = "each row has its own slice")]
        for term in 0..terms - 1 {
            add_term::<FUSED, LANES, COUNT>(|row| rows[row][term], right_now, &mut sums);
            right_now = &right_now[right.stride..];
        }
        // Nothing lies behind the last term.
        add_term::<FUSED, LANES, COUNT>(|row| rows[row][terms - 1], right_now, &mut sums);
        add(&mut total, &sums);
    }
    total
}

/// Sums a tile whose left terms have adjacent rows.
#[inline(always)]
fn sum_by_term<const FUSED: bool, const LANES: usize, const COUNT: usize>(
    left: TermView<'_>,
    right: TermView<'_>,
    k: usize,
) -> [[f32; LANES]; COUNT] {
    let mut total = [[0.0; LANES]; COUNT];
    for begin in (0..k).step_by(TERMS) {
        let (mut left_now, mut right_now) = (left.from(begin), right.from(begin));
        let mut sums = [[0.0; LANES]; COUNT];
        for _ in 1..TERMS.min(k - begin) {
            let rows = first::<COUNT>(left_now);
            add_term::<FUSED, LANES, COUNT>(|row| rows[row], right_now, &mut sums);
            (left_now, right_now) = (&left_now[left.stride..], &right_now[right.stride..]);
        }
        let rows = first::<COUNT>(left_now);
        add_term::<FUSED, LANES, COUNT>(|row| rows[row], right_now, &mut sums);
        add(&mut total, &sums);
    }
    total
}

/// Sums a tile whose left rows are packed in blocks.
#[inline(always)]
fn sum_packed<const FUSED: bool, const LANES: usize, const COUNT: usize>(
    left: &[[f32; ROWS]],
    right: TermView<'_>,
    k: usize,
) -> [[f32; LANES]; COUNT] {
    let mut total = [[0.0; LANES]; COUNT];
    // The second block is not read by tiles of one.
    let (one, other) = (&left[..k], if COUNT > ROWS { &left[k..][..k] } else { &left[..k] });
    for begin in (0..k).step_by(TERMS) {
        let terms = TERMS.min(k - begin);
        let (one, other) = (&one[begin..][..terms], &other[begin..][..terms]);
        let mut right_now = right.from(begin);
        let mut sums = [[0.0; LANES]; COUNT];
        for term in 0..terms - 1 {
            let rows = (&one[term], &other[term]);
            let left = |row: usize| if row < ROWS { rows.0[row] } else { rows.1[row - ROWS] };
            add_term::<FUSED, LANES, COUNT>(left, right_now, &mut sums);
            right_now = &right_now[right.stride..];
        }
        let rows = (&one[terms - 1], &other[terms - 1]);
        let left = |row: usize| if row < ROWS { rows.0[row] } else { rows.1[row - ROWS] };
        add_term::<FUSED, LANES, COUNT>(left, right_now, &mut sums);
        add(&mut total, &sums);
    }
    total
}

impl<'a> TermView<'a> {
    /// Returns the numbers from a term on.
    #[inline(always)]
    fn from(self, term: usize) -> &'a [f32] {
        &self.values[term * self.stride..]
    }
}

/// Returns the first numbers of a term.
#[inline(always)]
fn first<const COUNT: usize>(values: &[f32]) -> &[f32; COUNT] {
    values.first_chunk().expect("a term has all rows and lanes of its tile")
}

/// Does the same for each row of a tile of `$count` rows, given with its number.
#[cfg(not(target_family = "wasm"))]
macro_rules! each_row {
    ($count:ident, $tile:ident, |$row:ident, $own:ident| $body:block) => {
        for ($row, $own) in $tile.iter_mut().enumerate() $body
    };
}

/// Does the same for each row of a tile of `$count` rows, given with its number: without a loop, since compilers leave loops of this
/// length as they are where they make small programs, and the sums in memory then.
#[cfg(target_family = "wasm")]
macro_rules! each_row {
    ($count:ident, $tile:ident, |$row:ident, $own:ident| $body:block) => {
        each_row!($count, $tile, |$row, $own| $body, 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    ($count:ident, $tile:ident, |$row:ident, $own:ident| $body:block, $($index:literal)*) => {
        $(if $index < $count {
            let ($row, $own) = ($index, &mut $tile[$index]);
            $body
        })*
    };
}

/// Adds one term to each sum.
#[inline(always)]
fn add_term<const FUSED: bool, const LANES: usize, const COUNT: usize>(
    left: impl Fn(usize) -> f32,
    right: &[f32],
    sums: &mut [[f32; LANES]; COUNT],
) {
    // A copy, without which the sums fall out of the registers.
    let right: [f32; LANES] = *first(right);
    each_row!(COUNT, sums, |row, sums| {
        let left = left(row);
        for lane in 0..LANES {
            sums[lane] = fused::<FUSED>(left, right[lane], sums[lane]);
        }
    });
}

/// Adds sums to the totals.
#[inline(always)]
fn add<const LANES: usize, const COUNT: usize>(
    total: &mut [[f32; LANES]; COUNT],
    sums: &[[f32; LANES]; COUNT],
) {
    each_row!(COUNT, total, |row, total| {
        for (total, &sum) in total.iter_mut().zip(&sums[row]) {
            *total += sum;
        }
    });
}

/// Applies the epilogue to a tile's sums, row by row, and stores them.
#[inline(always)]
fn finish<const FUSED: bool, const LANES: usize>(
    part: &mut GemmTask<'_>,
    (row, column): (usize, usize),
    count: usize,
    tile: &mut Tile<LANES>,
) {
    let GemmTask { at, out, finish, .. } = part;
    match finish {
        Epilogue::Store => {}
        Epilogue::Activate { bias, along_rows, act, saved } => {
            if let Some(bias) = *bias {
                // With the transposed result, the bias runs along the tile's rows.
                let begin = if *along_rows { at.0 + row } else { at.1 + column };
                add_bias(&bias[begin..], *along_rows, &mut tile[..count]);
            }
            // Saved before the activation overwrites the argument.
            if let Some(saved) = saved {
                store(saved, (row, column), count, tile);
            }
            if *act != Activation::Identity {
                for sums in &mut tile[..count] {
                    activation::values::<FUSED>(*act, sums);
                }
            }
        }
        Epilogue::Gradient { act, saved } => {
            for (index, sums) in tile.iter_mut().enumerate().take(count) {
                let Some(saved) = saved.row(row + index).to_slice() else { return };
                activation::times_gradients::<FUSED>(*act, sums, &lanes::<LANES>(&saved[column..]));
            }
        }
    }
    store(out, (row, column), count, tile);
}

/// Adds a bias, from its part that belongs to the tile on: along the tile's columns, or along its rows.
#[inline(always)]
fn add_bias<const LANES: usize>(bias: &[f32], along_rows: bool, tile: &mut [[f32; LANES]]) {
    if along_rows {
        for (row, &bias) in tile.iter_mut().zip(bias) {
            row.iter_mut().for_each(|sum| *sum += bias);
        }
    } else {
        let bias = lanes::<LANES>(bias);
        for row in tile {
            row.iter_mut().zip(&bias).for_each(|(sum, bias)| *sum += bias);
        }
    }
}

/// Returns the first `LANES` numbers; lanes beyond the last number belong to no column, so any number will do there.
#[inline(always)]
fn lanes<const LANES: usize>(values: &[f32]) -> [f32; LANES] {
    values.first_chunk().copied().unwrap_or_else(|| {
        let mut lanes = [0.0; LANES];
        lanes[..values.len()].copy_from_slice(values);
        lanes
    })
}

/// Stores a tile's first rows, by rows or by columns, whichever are adjacent in memory.
#[inline(always)]
fn store<const LANES: usize>(
    out: &mut ArrayViewMut2<'_, f32>,
    (row, column): (usize, usize),
    count: usize,
    tile: &Tile<LANES>,
) {
    let width = LANES.min(out.dim().1 - column);
    if out.strides()[1] == 1 {
        for (i, tile) in tile.iter().enumerate().take(count) {
            let Some(out) = out.row_mut(row + i).into_slice() else { return };
            match out[column..].first_chunk_mut::<LANES>() {
                Some(out) => *out = *tile,
                None => out[column..].copy_from_slice(&tile[..width]),
            }
        }
    } else {
        for j in 0..width {
            let Some(out) = out.column_mut(column + j).into_slice() else { return };
            for (out, tile) in out[row..][..count].iter_mut().zip(tile) {
                *out = tile[j];
            }
        }
    }
}
