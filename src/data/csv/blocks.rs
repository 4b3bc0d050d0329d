//! Blocks of whole rows, read by several threads at once.
//!
//! In: the bytes of a table behind its header. Out: blocks of lines in order, each with the number of lines before it, none of which ends within
//! quotes; what a function makes of each, in the same order for any number of threads.
//! Absent on purpose: cells.

use std::io::{Chain, Cursor, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::byte_source::ByteSource;
use super::bytes::{MOST_ROW, QuoteScan, count};
use crate::error::{Error, Result};
use crate::host::threads;

/// Number of bytes of a block, unless a row is longer: each finds its different texts anew, so blocks should not be short. Tests have few
/// rows, and should have several blocks all the same.
const BLOCK: usize = if SMALL { 1 << 8 } else { 1 << 21 };
/// Number of rows of a block, where rows are long: a block has a count of its own for each column. More bytes than these are too many.
const LEAST_ROWS: usize = if SMALL { 2 } else { 32 };
const LARGEST_BLOCK: usize = 16 * BLOCK;
/// Bytes of the first read, since most tables are short.
const FIRST: usize = if SMALL { 1 << 6 } else { 1 << 16 };
const SMALL: bool = cfg!(any(test, fuzzing));
/// Largest number of threads that read rows.
const MOST_THREADS: usize = 8;

/// Whole rows of a table, as bytes.
#[derive(Debug, Default)]
pub(super) struct TextBlock {
    pub(super) bytes: Vec<u8>,
    /// Number of lines of the file before these.
    pub(super) lines: u64,
}

/// Cuts bytes into blocks.
#[derive(Debug)]
pub(super) struct BlockCutter {
    /// Bytes that were read with the header already, and those behind them.
    pub(super) source: Chain<Cursor<Vec<u8>>, ByteSource>,
    pub(super) path: PathBuf,
    pub(super) delimiter: u8,
    pub(super) newline: u8,
    /// Number of lines before the next block.
    pub(super) lines: u64,
    /// Bytes behind the last block.
    pub(super) rest: Vec<u8>,
    /// Number of bytes of a block, once rows have shown how long they are.
    pub(super) size: Option<usize>,
    /// Counter of the bytes that were read.
    pub(super) read: Arc<AtomicU64>,
    pub(super) ended: bool,
}

impl BlockCutter {
    /// Returns the next block, if there are more rows. Of rows that no table may have the last block is made, whose reader tells what is
    /// wrong.
    pub(super) fn next(&mut self) -> Result<Option<TextBlock>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut quotes = QuoteScan::new(self.delimiter, self.newline);
        // Bytes whose quotes were followed, and the end of the last row among them.
        let (mut done, mut end) = (0, 0);
        while !self.ended {
            match quotes.follow(&bytes[done..]) {
                Ok(Some(place)) => end = done + place,
                Ok(None) => {}
                Err(()) => self.ended = true,
            }
            done = bytes.len();
            if end > 0 && done >= BLOCK && self.size.is_none() {
                let rows = count(&bytes[..end], self.newline).max(1);
                let wanted = LEAST_ROWS as u64 * (end as u64 / rows);
                let wanted = usize::try_from(wanted).unwrap_or(LARGEST_BLOCK);
                self.size = Some(wanted.clamp(BLOCK, LARGEST_BLOCK));
            }
            // A row that is too long is a mistake.
            self.ended |= end == 0 && done > MOST_ROW + BLOCK;
            let is_full = self.size.is_some_and(|size| done >= size);
            if self.ended || end > 0 && is_full {
                break;
            }
            self.ended = !self.read(&mut bytes)?;
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        if !self.ended {
            self.rest = bytes.split_off(end);
        }
        let lines = self.lines;
        self.lines += count(&bytes, self.newline);
        Ok(Some(TextBlock { bytes, lines }))
    }

    /// Appends more bytes. Returns false at the end.
    fn read(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        let begin = bytes.len();
        let size = self.size.unwrap_or(BLOCK);
        let wanted = if begin < FIRST { FIRST } else { size.saturating_sub(begin).max(FIRST) };
        let read = self.source.by_ref().take(wanted as u64).read_to_end(bytes);
        let read = read.map_err(|source| Error::file("read", &self.path, source))?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read > 0)
    }
}

/// A thread that reads rows, with the channel of its results: the last one is `None`.
struct RowThread<T> {
    results: Receiver<Result<Option<T>>>,
    thread: JoinHandle<()>,
}

/// Calls `work` for all blocks that `blocks` gives in several threads, and `take` for the results in the order of the blocks.
///
/// # Errors
///
/// The first one in the order of the blocks. The threads are left to themselves then, since one may wait for a pipe.
pub(super) fn each_block<B: Send + 'static, T: Send + 'static>(
    path: &Path,
    mut blocks: impl FnMut() -> Result<Option<B>> + Send + 'static,
    work: impl Fn(B) -> Result<T> + Send + Sync + 'static,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    if !threads::are_there() {
        while let Some(block) = blocks()? {
            take(work(block)?)?;
        }
        return Ok(());
    }
    let failed = |source| Error::file("start a thread for", path, source);
    let work = Arc::new(work);
    let (mut inputs, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..threads::count().clamp(1, MOST_THREADS) {
        let (to, from) = sync_channel::<Result<Option<B>>>(1);
        let (result, results) = sync_channel(1);
        let work = Arc::clone(&work);
        let read = move || read_rows(&from, &result, work.as_ref());
        let builder = Builder::new().name("wgrad reading rows".to_string());
        readers.push(RowThread { results, thread: builder.spawn(read).map_err(failed)? });
        inputs.push(to);
    }
    let cut = move || cut_blocks(blocks, &inputs);
    Builder::new().name("wgrad reading".to_string()).spawn(cut).map_err(failed)?;
    for at in 0.. {
        let place = at % readers.len();
        match readers[place].results.recv() {
            Ok(Ok(Some(rows))) => take(rows)?,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(error),
            // Only a thread that has panicked sends no end.
            Err(_) => {
                let ended = readers.swap_remove(place).thread.join();
                resume_unwind(ended.err().unwrap_or_else(|| Box::new("reading has ended early")));
            }
        }
    }
    Ok(())
}

/// Gives blocks to threads in turn, and the end to the one whose turn it is then.
fn cut_blocks<B>(
    mut blocks: impl FnMut() -> Result<Option<B>>,
    to: &[SyncSender<Result<Option<B>>>],
) {
    for at in 0.. {
        let next = blocks();
        let ended = !matches!(next, Ok(Some(_)));
        // Nobody waits for more once an error was told.
        if to[at % to.len()].send(next).is_err() || ended {
            return;
        }
    }
}

/// Reads rows of blocks until the last one.
fn read_rows<B, T>(
    blocks: &Receiver<Result<Option<B>>>,
    results: &SyncSender<Result<Option<T>>>,
    work: &impl Fn(B) -> Result<T>,
) {
    for block in blocks {
        let ended = !matches!(block, Ok(Some(_)));
        let result = block.and_then(|block| block.map(work).transpose());
        if results.send(result).is_err() || ended {
            return;
        }
    }
}
