//! Ranks: processes, or threads, that train one network together, each on its share of every batch.
//!
//! In: values of each rank. Out: their sums in the order of the ranks, so that every rank has the same bits.
//! Absent on purpose: what the values mean, devices, epochs.

#[cfg(feature = "mpi")]
mod mpi;
mod threads;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

#[cfg(feature = "mpi")]
pub use mpi::{abort, of_mpi};
pub use threads::thread_ranks;
#[cfg(all(test, feature = "cli"))]
pub(crate) use threads::thread_ranks_on;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The share of one rank among several: its number, and how many ranks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Number of the rank, from 0.
    pub rank: usize,
    /// Number of ranks.
    pub count: usize,
}

impl Share {
    /// The share of a run of one process: everything.
    pub const WHOLE: Self = Self { rank: 0, count: 1 };

    /// Returns the rank's places among `rows` places: those from rank · rows / count on.
    pub fn range(self, rows: usize) -> Range<usize> {
        self.rank * rows / self.count..(self.rank + 1) * rows / self.count
    }

    /// Returns the number of the rank's places among `rows` places.
    pub fn of(self, rows: usize) -> usize {
        self.range(rows).len()
    }

    /// Returns the largest number of places that any rank has among `rows` places.
    pub fn most(self, rows: usize) -> usize {
        rows.div_ceil(self.count)
    }
}

/// A sum that may still be under way.
#[derive(Debug)]
pub struct PendingSum(Receiver<Result<Vec<f32>>>);

impl PendingSum {
    /// Returns a sum that is known already.
    pub(crate) fn known(sum: Result<Vec<f32>>) -> Self {
        let (tell, told) = channel();
        // The other end is in this function, so the sum arrives.
        let _ = tell.send(sum);
        Self(told)
    }

    /// Waits for the sum.
    ///
    /// # Errors
    /// If a rank is gone.
    pub fn wait(self) -> Result<Vec<f32>> {
        self.0.recv().unwrap_or_else(|_| Err(failed("the exchange with the other ranks has ended")))
    }
}

/// The exchange of values between ranks. Every rank makes the same calls in the same order, with values of the same lengths.
pub trait Exchange: Send + Sync {
    /// Returns this rank's number and the number of ranks.
    fn share(&self) -> Share;

    /// Returns the bytes that each rank gives, in the order of the ranks.
    ///
    /// # Errors
    /// If a rank is gone.
    fn gather(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// Begins to add the values of all ranks, element by element, in the order of the ranks.
    fn begin_sum(&self, values: Vec<f32>) -> PendingSum;

    /// Returns for each rank the lowest rank that is on the same machine; the same list on all ranks. Where a transport does not know,
    /// each rank is on a machine of its own.
    fn machines(&self) -> Vec<usize> {
        (0..self.share().count).collect()
    }
}

/// One rank's side of the exchange with the others.
#[derive(Clone)]
pub struct Ranks {
    exchange: Arc<dyn Exchange>,
    /// True once this rank or another one has told of a failure.
    failed: Arc<AtomicBool>,
    /// The rank whose rows this one has; usually its own number.
    source: usize,
}

/// First byte of a message: a value, or the text of an error.
const VALUE: u8 = 0;
const FAILURE: u8 = 1;

impl Ranks {
    /// Returns one rank's side of an exchange.
    pub fn new(exchange: Arc<dyn Exchange>) -> Self {
        let source = exchange.share().rank;
        Self { exchange, failed: Arc::default(), source }
    }

    /// Says that this rank has the rows that another one has read and checked, and need not do so again.
    #[cfg(any(feature = "cli", test))]
    pub(crate) fn with_rows_of(self, source: usize) -> Self {
        Self { source, ..self }
    }

    /// Returns whether this rank has rows that another one has read and checked.
    pub(crate) fn has_rows_of_another(&self) -> bool {
        self.source != self.share().rank
    }

    /// Returns for each rank the lowest rank that is on the same machine.
    pub fn machines(&self) -> Vec<usize> {
        self.exchange.machines()
    }

    /// Returns a value that follows from the rows: the rank that has read them computes it, and those that have its rows are told.
    ///
    /// # Errors
    /// If the computation fails, or another rank has failed.
    pub(crate) fn of_rows<T: Serialize + DeserializeOwned>(
        &self,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let unread = |error: serde_json::Error| {
            failed(&format!("a message of rank {}: {error}", self.source))
        };
        if self.has_rows_of_another() {
            let all = self.gather(&[])?;
            return serde_json::from_slice(&all[self.source]).map_err(unread);
        }
        let value = compute()?;
        self.gather(&serde_json::to_vec(&value).map_err(unread)?)?;
        Ok(value)
    }

    /// Returns this rank's number and the number of ranks.
    pub fn share(&self) -> Share {
        self.exchange.share()
    }

    /// Begins to add the values of all ranks, element by element, in the order of the ranks.
    pub fn begin_sum(&self, values: Vec<f32>) -> PendingSum {
        self.exchange.begin_sum(values)
    }

    /// Returns the bytes that each rank gives, in the order of the ranks.
    ///
    /// # Errors
    /// If a rank is gone, or tells of a failure with [`Self::fail`].
    pub fn gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.exchanged(VALUE, mine)
    }

    /// Returns the text that each rank gives, in the order of the ranks.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn gather_texts(&self, mine: &str) -> Result<Vec<String>> {
        let all = self.gather(mine.as_bytes())?;
        Ok(all.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    }

    /// Tells the other ranks of a failure, where they wait for something else in [`Self::gather`]: they fail with the same
    /// text. Does nothing if a failure was told before.
    pub fn fail(&self, text: &str) {
        if !self.failed.load(Ordering::SeqCst) {
            // The failure itself is reported by whoever calls.
            let _ = self.exchanged(FAILURE, text.as_bytes());
        }
    }

    /// Returns whether this rank or another one has told of a failure.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    fn exchanged(&self, kind: u8, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        let message = [&[kind], mine].concat();
        let mut all = self.exchange.gather(message)?;
        let failure = all.iter().position(|message| message.first() == Some(&FAILURE));
        if let Some(rank) = failure {
            self.failed.store(true, Ordering::SeqCst);
            let text = String::from_utf8_lossy(&all[rank][1..]).into_owned();
            return Err(failed(&format!("rank {rank} of {}: {text}", all.len())));
        }
        all.iter_mut().for_each(|message| drop(message.drain(..1)));
        Ok(all)
    }
}

/// Adds vectors of the same length, the first one first.
fn summed(parts: impl IntoIterator<Item = Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    for part in parts {
        sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    sum
}

/// Returns an error of the exchange.
fn failed(problem: &str) -> Error {
    Error::Device { adapter: "ranks".to_string(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_rows_once_and_differ_by_at_most_one() {
        for rows in [0, 1, 2, 5, 64, 65, 1000] {
            for count in [1, 2, 3, 4, 7] {
                let ranges: Vec<_> =
                    (0..count).map(|rank| Share { rank, count }.range(rows)).collect();
                let all: Vec<usize> = ranges.iter().cloned().flatten().collect();
                assert_eq!(all, (0..rows).collect::<Vec<_>>());
                let most = Share { rank: 0, count }.most(rows);
                assert!(ranges.iter().all(|it| it.len() <= most && it.len() + 1 >= most));
            }
        }
    }

    #[test]
    fn sums_are_in_the_order_of_the_ranks() {
        // In another order the small number would not be lost.
        let values = [1e8_f32, 1.0, -1e8, 0.5];
        let threads: Vec<_> = thread_ranks(4)
            .into_iter()
            .map(|ranks| {
                std::thread::spawn(move || {
                    let mine = values[ranks.share().rank];
                    let sum = ranks.begin_sum(vec![mine, 2.0 * mine]).wait().unwrap();
                    let texts = ranks.gather_texts(&ranks.share().rank.to_string()).unwrap();
                    assert_eq!(texts, ["0", "1", "2", "3"]);
                    sum
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), [0.5, 1.0]);
        }
    }

    #[test]
    fn a_failure_of_one_rank_is_that_of_all() {
        let threads: Vec<_> = thread_ranks(3)
            .into_iter()
            .map(|ranks| {
                std::thread::spawn(move || {
                    if ranks.share().rank == 1 {
                        ranks.fail("no table");
                        assert!(ranks.has_failed());
                        // Told once; a second time nobody would listen.
                        ranks.fail("no table");
                        return;
                    }
                    let error = ranks.gather(b"ready").unwrap_err().to_string();
                    assert!(error.contains("rank 1 of 3: no table"), "{error}");
                    assert!(ranks.has_failed());
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn ranks_with_the_rows_of_another_take_its_values() {
        let threads: Vec<_> = thread_ranks(4)
            .into_iter()
            .map(|ranks| {
                std::thread::spawn(move || {
                    let rank = ranks.share().rank;
                    assert_eq!(ranks.machines(), [0; 4]);
                    let ranks = if rank == 3 { ranks } else { ranks.with_rows_of(rank / 2 * 2) };
                    assert_eq!(ranks.has_rows_of_another(), rank == 1);
                    // A number that no shorter text gives back.
                    let value = ranks.of_rows(|| Ok(0.1 + 0.2 + rank as f64)).unwrap();
                    assert_eq!(value, 0.1 + 0.2 + [0.0, 0.0, 2.0, 3.0][rank]);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn a_rank_that_is_gone_ends_the_others() {
        let mut ranks = thread_ranks(2);
        drop(ranks.pop());
        let first = ranks.pop().unwrap();
        assert!(first.gather(b"ready").unwrap_err().to_string().contains("is gone"));
        assert!(first.begin_sum(vec![1.0]).wait().is_err());
    }
}
