//! A part of a product, tile by tile: the sums of a tile stay in registers until they are complete.
//!
//! In: a part and scratch. Out: the part's result.
//! Absent on purpose: threads, intrinsics.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::activation;
use super::instructions::{Work, fused};
use super::task::{Epilogue, GemmTask, MatmulOperand};

/// Rows of a tile. Six rows of two vectors fill twelve of sixteen registers; two hold the right operand, one the left.
pub(super) const ROWS: usize = 6;

/// Blocks of rows of the left operand that are packed at once, so that whole cache lines are read.
pub(super) const BLOCKS: usize = 8;

/// Number of terms that are summed before they are added to the sum so far: long sums then have a smaller error.
pub(super) const TERMS: usize = 256;

/// Number of terms that are transposed at once.
const BLOCK: usize = 16;

/// Sums of a tile.
type Tile<const LANES: usize> = [[f32; LANES]; ROWS];

/// The tiles of a part.
pub(super) struct Tiles<'a, 's> {
    pub(super) part: GemmTask<'a>,
    /// Memory for the packed right operand, and behind it a few rows of the left one.
    pub(super) scratch: &'s mut [f32],
}

impl Work for Tiles<'_, '_> {
    type Out = ();

    /// Packs the part's columns of the right operand into panels of `LANES`, then visits the rows.
    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { mut part, scratch } = self;
        let (rows, columns) = part.out.dim();
        let k = part.k;
        let (packed, rest) = scratch.split_at_mut(columns.div_ceil(LANES) * k * LANES);
        let packed = packed.as_chunks_mut::<LANES>().0;
        // A panel has the terms in the order in which the tiles need them, so the inner loop reads memory in sequence.
        for (panel, packed) in packed.chunks_exact_mut(k).enumerate() {
            let (first, width) = (part.at.1 + panel * LANES, LANES.min(columns - panel * LANES));
            match part.right {
                MatmulOperand::Rows { values, stride } => {
                    copy(&values[first..], stride, width, packed)
                }
                MatmulOperand::Columns { values, stride } => {
                    transpose(&values[first * stride..], stride, width, packed);
                }
            }
        }
        // Rows of a left operand stored by rows are read in place: only one stored by columns is packed.
        let blocks = &mut rest.as_chunks_mut::<ROWS>().0[..BLOCKS * k];
        let mut tile = [[0.0; LANES]; ROWS];
        for (index, row) in (0..rows).step_by(ROWS).enumerate() {
            let (first, count) = (part.at.0 + row, ROWS.min(rows - row));
            if let (MatmulOperand::Columns { values, stride }, 0) = (part.left, index % BLOCKS) {
                copy_blocks(&values[first..], stride, rows - row, blocks);
            }
            let block = &blocks[index % BLOCKS * k..][..k];
            for (panel, packed) in packed.chunks_exact(k).enumerate() {
                if let MatmulOperand::Rows { values, stride } = part.left {
                    let values = &values[first * stride..];
                    // The number of rows is a constant of the function, so that the sums stay in registers.
                    match count {
                        1 => sum_rows::<FUSED, LANES, 1>(values, stride, packed, &mut tile),
                        2 => sum_rows::<FUSED, LANES, 2>(values, stride, packed, &mut tile),
                        3 => sum_rows::<FUSED, LANES, 3>(values, stride, packed, &mut tile),
                        4 => sum_rows::<FUSED, LANES, 4>(values, stride, packed, &mut tile),
                        5 => sum_rows::<FUSED, LANES, 5>(values, stride, packed, &mut tile),
                        _ => sum_rows::<FUSED, LANES, ROWS>(values, stride, packed, &mut tile),
                    }
                } else {
                    sum_block::<FUSED, LANES>(block, packed, &mut tile);
                }
                finish::<FUSED, LANES>(&mut part, (row, panel * LANES), count, &mut tile);
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
    // In blocks, so that the lines written by one lane are still in the cache for the next one.
    for (block, packed) in packed.chunks_mut(BLOCK).enumerate() {
        for lane in 0..width {
            let values = &values[lane * stride + block * BLOCK..];
            // Both loops do the same; the one of constant length is unrolled.
            if let (Some(packed), Some(values)) =
                (packed.first_chunk_mut::<BLOCK>(), values.first_chunk::<BLOCK>())
            {
                for (lanes, &value) in packed.iter_mut().zip(values) {
                    lanes[lane] = value;
                }
            } else {
                for (lanes, &value) in packed.iter_mut().zip(values) {
                    lanes[lane] = value;
                }
            }
        }
        for lanes in packed {
            lanes[width..].fill(0.0);
        }
    }
}

/// Sums the first `COUNT` rows of a tile, from rows of the left operand in place.
#[inline(always)]
fn sum_rows<const FUSED: bool, const LANES: usize, const COUNT: usize>(
    values: &[f32],
    stride: usize,
    packed: &[[f32; LANES]],
    tile: &mut Tile<LANES>,
) {
    let mut total = [[0.0; LANES]; COUNT];
    for (begin, packed) in (0..).step_by(TERMS).zip(packed.chunks(TERMS)) {
        let rows: [&[f32]; COUNT] =
            std::array::from_fn(|row| &values[row * stride + begin..][..packed.len()]);
        let mut sums = [[0.0; LANES]; COUNT];
        for term in 0..packed.len() {
            let right = packed[term];
            for row in 0..COUNT {
                let left = rows[row][term];
                for lane in 0..LANES {
                    sums[row][lane] = fused::<FUSED>(left, right[lane], sums[row][lane]);
                }
            }
        }
        add(&mut total, &sums);
    }
    tile[..COUNT].copy_from_slice(&total);
}

/// Sums a tile from packed rows of the left operand.
#[inline(always)]
fn sum_block<const FUSED: bool, const LANES: usize>(
    block: &[[f32; ROWS]],
    packed: &[[f32; LANES]],
    tile: &mut Tile<LANES>,
) {
    *tile = [[0.0; LANES]; ROWS];
    for (block, packed) in block.chunks(TERMS).zip(packed.chunks(TERMS)) {
        let mut sums = [[0.0; LANES]; ROWS];
        for (&left, &right) in block.iter().zip(packed) {
            for row in 0..ROWS {
                for lane in 0..LANES {
                    sums[row][lane] = fused::<FUSED>(left[row], right[lane], sums[row][lane]);
                }
            }
        }
        add(tile, &sums);
    }
}

/// Adds sums to the totals.
#[inline(always)]
fn add<const LANES: usize, const COUNT: usize>(
    total: &mut [[f32; LANES]; COUNT],
    sums: &[[f32; LANES]; COUNT],
) {
    for (total, sums) in total.iter_mut().zip(sums) {
        for (total, &sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
}

/// Applies the epilogue to a tile's sums, and stores them.
#[inline(always)]
fn finish<const FUSED: bool, const LANES: usize>(
    part: &mut GemmTask<'_>,
    at: (usize, usize),
    count: usize,
    tile: &mut Tile<LANES>,
) {
    match &mut part.finish {
        Epilogue::Store => {}
        Epilogue::Activate { bias, along_rows, act, saved } => {
            match *bias {
                // With the transposed result, the bias runs along the tile's rows.
                Some(bias) if *along_rows => {
                    for (row, &bias) in tile.iter_mut().zip(&bias[part.at.0 + at.0..]) {
                        row.iter_mut().for_each(|sum| *sum += bias);
                    }
                }
                Some(bias) => {
                    // Lanes beyond the bias belong to no column, so any number will do.
                    let bias = &bias[part.at.1 + at.1..];
                    let bias: [f32; LANES] =
                        std::array::from_fn(|lane| *bias.get(lane).unwrap_or(&0.0));
                    for row in tile.iter_mut() {
                        row.iter_mut().zip(&bias).for_each(|(sum, bias)| *sum += bias);
                    }
                }
                None => {}
            }
            // Saved before the activation overwrites the argument.
            if let Some(saved) = saved {
                store(saved, at, count, tile);
            }
            activation::values::<FUSED>(*act, tile.as_flattened_mut());
        }
        Epilogue::Gradient { act, saved } => {
            let mut slopes = [[0.0; LANES]; ROWS];
            load(saved, at, count, &mut slopes);
            activation::times_gradients::<FUSED>(
                *act,
                tile.as_flattened_mut(),
                slopes.as_flattened(),
            );
        }
    }
    store(&mut part.out, at, count, tile);
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

/// Loads a tile's first rows; the other elements stay unchanged.
#[inline(always)]
fn load<const LANES: usize>(
    from: &ArrayView2<'_, f32>,
    (row, column): (usize, usize),
    count: usize,
    tile: &mut Tile<LANES>,
) {
    for (i, tile) in tile.iter_mut().enumerate().take(count) {
        let Some(from) = from.row(row + i).to_slice() else { return };
        match from[column..].first_chunk::<LANES>() {
            Some(from) => *tile = *from,
            None => tile[..from.len() - column].copy_from_slice(&from[column..]),
        }
    }
}
