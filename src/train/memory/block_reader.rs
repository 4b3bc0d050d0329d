//! Reads rows for a device that does not hold the table: a thread reads ahead, block after block.
//!
//! In: the table, the options' seed. Out: blocks of scaled rows, in the same order in which a table on the device is
//! visited: each epoch's permutation of all rows.
//! Absent on purpose: devices; `block_upload.rs` writes the blocks.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use crate::data::{Batches, Dataset, Preprocessing, ReadBuffer, Targets, epoch_order};
use crate::device::{Device, Values};
use crate::error::{Error, Result, caught};
use crate::plan::TrainPlan;
use crate::ranks::Share;
use crate::shape::narrow;
use crate::train::TrainOptions;
use crate::train::memory::memory_planner::{ON_THEIR_WAY, row_bytes};

/// Blocks that the host holds: one waits to be written while the thread fills the other.
const AHEAD: usize = 2;

/// Bytes in single precision between two rows of a file up to which both are read at once: a call of the system takes longer than they do.
const NEAR_BYTES: usize = if cfg!(test) { 64 } else { 4 << 10 };
/// Bytes in single precision of rows of a file that are read at once.
const AT_ONCE_BYTES: usize = if cfg!(test) { 256 } else { 256 << 10 };

/// The table that the thread reads from.
#[derive(Clone, Debug)]
pub(in crate::train) struct StreamedTable {
    pub(in crate::train) data: Dataset,
    /// Weights of its rows as steps take them; empty if all rows weigh the same.
    pub(in crate::train) weights: Arc<Vec<f32>>,
    pub(in crate::train) preparation: Preprocessing,
    /// Rows of a block; the last one of an epoch may have fewer.
    pub(in crate::train) block_rows: usize,
    /// Batches that the blocks consist of.
    pub(in crate::train) batches: Batches,
    /// Rows of each batch that the blocks have: those of one rank.
    pub(in crate::train) share: Share,
}

/// Some rows, one after the other.
#[derive(Debug, Default)]
pub(in crate::train) struct RowBlock {
    pub(in crate::train) x: Vec<f32>,
    /// Targets: one of the two vectors is empty.
    classes: Vec<u32>,
    numbers: Vec<f32>,
    /// Weights; empty if all rows weigh the same.
    pub(in crate::train) weights: Vec<f32>,
}

impl RowBlock {
    /// Writes the rows to the device's table, from row `first` on.
    ///
    /// # Errors
    /// If the device failed.
    pub(in crate::train) fn write(
        &self,
        device: &mut dyn Device,
        plan: &TrainPlan,
        first: usize,
    ) -> Result<()> {
        // A rank may have no rows of a small batch.
        if self.x.is_empty() {
            return Ok(());
        }
        let (x, y) = (plan.ports.train_x, plan.ports.train_y);
        let rows = plan.slot(x).matrix().0;
        device.write(x, first * (plan.slot(x).len() / rows), Values::F32(&self.x))?;
        device.write(y, first * (plan.slot(y).len() / rows), self.y())?;
        match plan.ports.train_weights {
            Some(weights) => device.write(weights, first, Values::F32(&self.weights)),
            None => Ok(()),
        }
    }

    /// Returns the rows' targets.
    fn y(&self) -> Values<'_> {
        if self.numbers.is_empty() {
            Values::U32(&self.classes)
        } else {
            Values::F32(&self.numbers)
        }
    }
}

/// The blocks of a run, in order. Dropping the reader ends the thread.
#[derive(Debug)]
pub(in crate::train) struct Reader {
    /// Ends of the two channels; `None` once the thread has to end.
    ends: Option<(Receiver<Result<RowBlock>>, Sender<RowBlock>)>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts to read the blocks of a run's epochs from a position on: a number of epochs, and a number of blocks of the
    /// next one, are skipped.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(in crate::train) fn start(
        table: StreamedTable,
        options: &TrainOptions,
        first: (u32, usize),
    ) -> Result<Self> {
        // Blocks circulate between two channels, so that their memory is allocated once.
        let (filled, blocks) = channel();
        let (back, empty) = channel();
        for _ in 0..AHEAD {
            // The other end is in this function, so the block arrives.
            let _ = back.send(RowBlock::default());
        }
        let (epochs, seed, shuffle) = (options.epochs, options.seed, options.shuffle);
        let rows = narrow(table.data.rows());
        let read = move || {
            for epoch in first.0..epochs {
                let order = epoch_order(rows, epoch, seed, shuffle);
                let skipped = if epoch == first.0 { first.1 } else { 0 };
                for block in skipped..table.blocks() {
                    let rows = table.rows_of(&order, block);
                    // The reader was dropped, so nobody needs blocks.
                    let Ok(mut block) = empty.recv() else { return };
                    let read = caught(|| {
                        table.fill(&rows, &mut block);
                        Ok(block)
                    });
                    let failed = read.is_err();
                    if filled.send(read).is_err() || failed {
                        return;
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("wgrad rows".to_string()).spawn(read);
        let thread = thread.map_err(|error| {
            failed(format!("the system gives no thread to read rows ahead: {error}; end other programs, or give more ‘device_memory’, so that the table \
                 does not stream"))
        })?;
        Ok(Self { ends: Some((blocks, back)), thread: Some(thread) })
    }

    /// Returns the next block: waits for it, or returns `None` if it is not ready.
    ///
    /// # Errors
    /// If the table cannot be read, or the thread ended before the run.
    pub(in crate::train) fn next(&self, wait: bool) -> Result<Option<RowBlock>> {
        let ended = || failed("the thread that reads rows ahead has ended early".to_string());
        let (blocks, _) = self.ends.as_ref().ok_or_else(ended)?;
        if wait {
            return blocks.recv().map_err(|_| ended())?.map(Some);
        }
        match blocks.try_recv() {
            Ok(block) => block.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(ended()),
        }
    }

    /// Returns a block to the thread, to be filled again.
    pub(in crate::train) fn give_back(&self, block: RowBlock) {
        if let Some((_, back)) = &self.ends {
            // After the last block the thread is gone, so a failed send is no error.
            let _ = back.send(block);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Dropping the channels first ends the thread's waiting for a block.
        self.ends = None;
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, that was reported on stderr.
            let _ = thread.join();
        }
    }
}

impl StreamedTable {
    /// Returns the bytes of the blocks that may be on their way to the device.
    pub(in crate::train) fn bytes_on_their_way(&self) -> u64 {
        (ON_THEIR_WAY * self.block_rows * row_bytes(&self.data)) as u64
    }

    /// Returns the number of batches in a block.
    pub(in crate::train) fn block_steps(&self) -> usize {
        self.block_rows / self.share.most(self.batches.batch())
    }

    /// Returns the number of blocks in an epoch.
    pub(in crate::train) fn blocks(&self) -> usize {
        self.batches.steps().div_ceil(self.block_steps())
    }

    /// Returns a block's rows, given the epoch's order of all rows.
    fn rows_of<'a>(&self, order: &'a [u32], block: usize) -> Cow<'a, [u32]> {
        let first = block * self.block_steps();
        let steps = first..(first + self.block_steps()).min(self.batches.steps());
        if self.share == Share::WHOLE {
            return Cow::Borrowed(&order[self.batches.range(steps)]);
        }
        steps.flat_map(|step| &order[self.rows_of_step(step)]).copied().collect()
    }

    /// Returns the places of a step's rows in the epoch's order: those of the rank.
    pub(in crate::train) fn rows_of_step(&self, step: usize) -> Range<usize> {
        let whole = self.batches.range(step..step + 1);
        let own = self.share.range(whole.len());
        whole.start + own.start..whole.start + own.end
    }

    /// Fills a block with rows of the table; the block's memory is used again.
    pub(in crate::train) fn fill(&self, rows: &[u32], block: &mut RowBlock) {
        block.x.clear();
        block.classes.clear();
        block.numbers.clear();
        block.weights.clear();
        if self.data.is_stored() {
            self.fill_stored(rows, &mut block.x);
        } else {
            let scaler = self.preparation.scaler();
            rows.iter().for_each(|&row| scaler.extend(self.data.row(row as usize), &mut block.x));
        }
        match self.data.y() {
            Targets::Classes(y) => block.classes.extend(rows.iter().map(|&row| y[row as usize])),
            Targets::Numbers(_) | Targets::Columns(..) => {
                let (y, columns) = self.data.y().columns().unwrap_or_default();
                let of_row = |&row: &u32| &y[row as usize * columns..][..columns];
                let targets: Vec<f64> = rows.iter().flat_map(of_row).copied().collect();
                block.numbers.extend(self.preparation.scaled_targets(&targets));
            }
        }
        if !self.weights.is_empty() {
            block.weights.extend(rows.iter().map(|&row| self.weights[row as usize]));
        }
    }
}

impl StreamedTable {
    /// Reads rows of a table in a file in the order in which they lie there, neighbours at once, and puts each in its place.
    fn fill_stored(&self, rows: &[u32], x: &mut Vec<f32>) {
        let columns = self.data.columns();
        let mut places: Vec<(u32, usize)> = rows.iter().copied().zip(0..).collect();
        places.sort_unstable();
        x.resize(rows.len() * columns, 0.0);
        let scaler = self.preparation.scaler();
        let (mut scaled, mut buffer) = (Vec::with_capacity(columns), ReadBuffer::default());
        let bytes = |rows: u32| rows as usize * columns * size_of::<f32>();
        let mut rest = &places[..];
        while let Some(&(first, _)) = rest.first() {
            let near = |pair: &[(u32, usize)]| {
                let (last, next) = (pair[0].0, pair[1].0);
                bytes(next - last) <= NEAR_BYTES && bytes(next - first) <= AT_ONCE_BYTES
            };
            let count = 1 + rest.windows(2).take_while(|pair| near(pair)).count();
            let (group, others) = rest.split_at(count);
            rest = others;
            let last = group[count - 1].0 as usize;
            let all = self.data.x().range(first as usize * columns..(last + 1) * columns);
            let all = all.in_memory(&mut buffer);
            for &(row, place) in group {
                scaled.clear();
                let at = (row - first) as usize * columns;
                scaler.extend(all.range(at..at + columns), &mut scaled);
                x[place * columns..][..columns].copy_from_slice(&scaled);
            }
        }
    }
}

fn failed(problem: String) -> Error {
    Error::Device { adapter: "host".to_string(), problem }
}
