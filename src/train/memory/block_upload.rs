//! Uploads blocks of rows to a device that has places for two: steps use one while the other is written.
//!
//! In: blocks from the reader, the step that comes next. Out: writes, and the number of steps that may follow.
//! Absent on purpose: the rows' order, which `block_reader.rs` has followed already.

use crate::data::Batches;
use crate::device::Device;
use crate::error::Result;
use crate::plan::TrainPlan;
use crate::ranks::Share;
use crate::train::TrainOptions;
use crate::train::memory::block_reader::{Reader, StreamedTable};
use crate::train::memory::memory_planner::BLOCKS;

/// The blocks of a run under way. They are counted over all epochs, and block `b` has the place `b % 2`.
pub(in crate::train) struct BlockUploader {
    reader: Reader,
    batches: Batches,
    /// Rows of each batch that the blocks have.
    share: Share,
    block_rows: usize,
    /// Number of batches in a block.
    block_steps: usize,
    /// Number of blocks in an epoch; the last one may be smaller.
    per_epoch: usize,
    /// Number of blocks in the run.
    all: usize,
    written: usize,
}

impl BlockUploader {
    /// Starts to read, from the block on that a step of an epoch needs.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(in crate::train) fn start(
        table: &StreamedTable,
        options: &TrainOptions,
        (epoch, step): (u32, usize),
    ) -> Result<Self> {
        let block_rows = table.block_rows;
        let (block_steps, per_epoch) = (table.block_steps(), table.blocks());
        let all = per_epoch.saturating_mul(options.epochs as usize);
        let skipped = step / block_steps;
        let reader = Reader::start(table.clone(), options, (epoch, skipped))?;
        let written = epoch as usize * per_epoch + skipped;
        let (batches, share) = (table.batches, table.share);
        Ok(Self { reader, batches, share, block_rows, block_steps, per_epoch, all, written })
    }

    /// Returns the place on the device of the first row of a step of an epoch.
    pub(in crate::train) fn first(&self, epoch: u32, step: usize) -> usize {
        // All batches of an epoch are of one size, but for the last two.
        let before = step % self.block_steps;
        let own = |step: usize| self.share.of(self.batches.rows(step));
        let rows = match before {
            0 => 0,
            _ => (before - 1) * self.share.of(self.batches.batch()) + own(step - 1),
        };
        self.block(epoch, step) % BLOCKS * self.block_rows + rows
    }

    /// Returns the place on the device of the first row of an epoch's last block.
    pub(in crate::train) fn last(&self, epoch: u32) -> usize {
        self.block(epoch, self.batches.steps() - 1) % BLOCKS * self.block_rows
    }

    /// Returns the number of the block that holds a step of an epoch, counted over all epochs.
    fn block(&self, epoch: u32, step: usize) -> usize {
        epoch as usize * self.per_epoch + step / self.block_steps
    }

    /// Writes the blocks that have a free place: the step's own, which is waited for, and the next one if it is ready.
    /// Steps that read the replaced block were submitted already, and the device works in order. Returns the largest number
    /// of steps of the epoch that find their rows now.
    ///
    /// # Errors
    /// If the device failed, or the reader ended.
    pub(in crate::train) fn bring(
        &mut self,
        device: &mut dyn Device,
        plan: &TrainPlan,
        (epoch, step): (u32, usize),
    ) -> Result<usize> {
        let present = self.block(epoch, step);
        while self.written < self.all.min(present + BLOCKS) {
            // Only the block of the step itself is worth waiting for.
            let Some(block) = self.reader.next(self.written == present)? else { break };
            block.write(device, plan, self.written % BLOCKS * self.block_rows)?;
            self.reader.give_back(block);
            self.written += 1;
        }
        let steps = self.block_steps;
        // Ranks do the same calls, so the number must not depend on how fast this one reads.
        if self.share != Share::WHOLE {
            return Ok(steps - step % steps);
        }
        // No more than the steps of one block, so that few blocks are on their way at once.
        Ok(steps.min((self.written - present) * steps - step % steps))
    }
}
