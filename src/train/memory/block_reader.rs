//! Rows for a device that does not hold the table: a thread reads ahead, block after block.
//!
//! In: the table, the options' seed. Out: blocks of rows, scaled, in the very order that a table on the device is
//! visited in: each epoch's permutation of all rows.
//! Absent on purpose: devices; `block_upload.rs` writes the blocks.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use crate::data::{Batches, Dataset, Preprocessing, Targets, epoch_order};
use crate::device::Values;
use crate::error::{Error, Result};
use crate::shape::narrow;
use crate::train::TrainOptions;
use crate::train::memory::memory_planner::{ON_THEIR_WAY, row_bytes};

/// Blocks that the host holds: one waits to be written while the thread fills the other.
const AHEAD: usize = 2;

/// The table that the thread reads from.
#[derive(Clone, Debug)]
pub(in crate::train) struct StreamedTable {
    pub(in crate::train) data: Dataset,
    /// Weights of its rows as steps take them; empty where all count the same.
    pub(in crate::train) weights: Arc<Vec<f32>>,
    pub(in crate::train) preparation: Preprocessing,
    /// Rows of a block; the last one of an epoch may have fewer.
    pub(in crate::train) block_rows: usize,
    /// The batches that blocks hold.
    pub(in crate::train) batches: Batches,
}

/// Some rows, one after the other.
#[derive(Debug, Default)]
pub(in crate::train) struct RowBlock {
    pub(in crate::train) x: Vec<f32>,
    /// Targets: one of the two is empty.
    classes: Vec<u32>,
    numbers: Vec<f32>,
    /// Empty where all rows count the same.
    pub(in crate::train) weights: Vec<f32>,
}

impl RowBlock {
    /// The rows' targets.
    pub(in crate::train) fn y(&self) -> Values<'_> {
        if self.numbers.is_empty() {
            Values::U32(&self.classes)
        } else {
            Values::F32(&self.numbers)
        }
    }
}

/// The blocks of a run, in order. Dropping it ends the thread.
#[derive(Debug)]
pub(in crate::train) struct Reader {
    /// `None` once the thread was told to end.
    ends: Option<(Receiver<RowBlock>, Sender<RowBlock>)>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts to read the blocks of a run's epochs, without those before the first: so many epochs, and of the next one
    /// so many blocks.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(in crate::train) fn start(
        table: StreamedTable,
        options: &TrainOptions,
        first: (u32, usize),
    ) -> Result<Self> {
        let (filled, blocks) = channel();
        let (back, empty) = channel();
        for _ in 0..AHEAD {
            // The other end is in this function, so it arrives.
            let _ = back.send(RowBlock::default());
        }
        let (epochs, seed, shuffle) = (options.epochs, options.seed, options.shuffle);
        let rows = narrow(table.data.rows());
        let read = move || {
            for epoch in first.0..epochs {
                let order = epoch_order(rows, epoch, seed, shuffle);
                let skipped = if epoch == first.0 { first.1 } else { 0 };
                for block in skipped..table.blocks() {
                    let rows = &order[table.rows_of(block)];
                    // Whoever is not there any more needs no blocks.
                    let Ok(mut block) = empty.recv() else { return };
                    table.fill(rows, &mut block);
                    if filled.send(block).is_err() {
                        return;
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("wgrad rows".to_string()).spawn(read);
        let thread = thread.map_err(|error| {
            failed(format!("the system gives no thread to read rows ahead: {error}"))
        })?;
        Ok(Self { ends: Some((blocks, back)), thread: Some(thread) })
    }

    /// The next block: waited for, or `None` if it is not ready.
    ///
    /// # Errors
    /// If the thread ended before the run.
    pub(in crate::train) fn next(&self, wait: bool) -> Result<Option<RowBlock>> {
        let ended = || failed("the thread that reads rows ahead has ended early".to_string());
        let (blocks, _) = self.ends.as_ref().ok_or_else(ended)?;
        if wait {
            return blocks.recv().map(Some).map_err(|_| ended());
        }
        match blocks.try_recv() {
            Ok(block) => Ok(Some(block)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(ended()),
        }
    }

    /// Gives a block back, to be filled again.
    pub(in crate::train) fn give_back(&self, block: RowBlock) {
        if let Some((_, back)) = &self.ends {
            // After the last block the thread is gone.
            let _ = back.send(block);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ends = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was told on stderr.
            let _ = thread.join();
        }
    }
}

impl StreamedTable {
    /// Bytes of the blocks that may be on their way to the device.
    pub(in crate::train) fn bytes_on_their_way(&self) -> u64 {
        (ON_THEIR_WAY * self.block_rows * row_bytes(&self.data)) as u64
    }

    /// Number of batches in a block.
    pub(in crate::train) fn block_steps(&self) -> usize {
        self.block_rows / self.batches.batch()
    }

    /// Number of blocks in an epoch.
    pub(in crate::train) fn blocks(&self) -> usize {
        self.batches.steps().div_ceil(self.block_steps())
    }

    /// Places of a block's rows in the epoch's order.
    fn rows_of(&self, block: usize) -> Range<usize> {
        let first = block * self.block_steps();
        self.batches.range(first..(first + self.block_steps()).min(self.batches.steps()))
    }

    /// Puts rows of the table into a block, whose memory is used again.
    pub(in crate::train) fn fill(&self, rows: &[u32], block: &mut RowBlock) {
        block.x.clear();
        block.classes.clear();
        block.numbers.clear();
        block.weights.clear();
        for &row in rows {
            self.preparation.extend_features(self.data.row(row as usize), &mut block.x);
        }
        match self.data.y() {
            Targets::Classes(y) => block.classes.extend(rows.iter().map(|&row| y[row as usize])),
            Targets::Numbers(_) | Targets::Columns(..) => {
                let (y, columns) = self.data.y().columns().unwrap_or_default();
                for &row in rows {
                    let targets = &y[row as usize * columns..][..columns];
                    block.numbers.extend(self.preparation.scaled_targets(targets));
                }
            }
        }
        if !self.weights.is_empty() {
            block.weights.extend(rows.iter().map(|&row| self.weights[row as usize]));
        }
    }
}

fn failed(problem: String) -> Error {
    Error::Device { adapter: "host".to_string(), problem }
}
