//! Sorts numbers, however many there are.
//!
//! In: numbers in any order, each with a weight if not all weigh 1. Out: the same numbers, the largest first. A limited
//! number of them is in memory; if there are more, they are written as sorted runs to a temporary file, and merged at the
//! end, so that the order is exact.
//! Absent on purpose: the meaning of the numbers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::files::TempFile;

/// Bytes of a number in a file.
const BYTES: usize = 8;
/// Least number of values of a run that are read at once.
const LEAST: usize = 512;
/// Number of values that are written at once.
const BLOCK: usize = 8192;
/// Use of the temporary file, for messages.
const PURPOSE: &str = "the figures that need all rows in order";

/// A temporary file that several sorters may share. It is created when the first of them needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedTempFile(Arc<Mutex<Option<TempFile>>>);

/// Takes numbers, to return them in order.
#[derive(Debug)]
pub(crate) struct Sorter {
    /// Values in memory, as keys that grow as the numbers fall; each followed by the bits of its weight if
    /// [`Self::weighted`].
    keys: Vec<u64>,
    /// True if a weight other than 1 was given.
    weighted: bool,
    /// Largest number of keys and weights in memory.
    most: usize,
    /// The sorted runs in the file.
    runs: Vec<StoredRun>,
    scratch: SharedTempFile,
}

/// A sorted run in a file.
#[derive(Clone, Copy, Debug)]
struct StoredRun {
    place: u64,
    /// Number of values, weights included.
    length: usize,
    weighted: bool,
}

impl Sorter {
    /// Makes a sorter that holds at most `most` numbers in memory, or half as many with weights.
    pub(crate) fn new(most: usize, scratch: &SharedTempFile) -> Self {
        let (keys, runs) = (Vec::new(), Vec::new());
        Self { keys, weighted: false, most: most.max(1), runs, scratch: scratch.clone() }
    }

    /// Adds a number and its weight; -0 is taken as 0.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub(crate) fn push(&mut self, value: f64, weight: f64) -> Result<()> {
        // Without weights each number takes half the memory, so weights are stored from the first one that needs it.
        if !self.weighted && weight != 1.0 {
            self.weighted = true;
            let ones = 1_f64.to_bits();
            self.keys = self.keys.iter().flat_map(|&key| [key, ones]).collect();
        }
        // A full memory becomes a sorted run in the file.
        if !self.keys.is_empty() && self.keys.len() + width(self.weighted) > self.most {
            self.sort();
            let place = self.scratch.write(&self.keys)?;
            let (length, weighted) = (self.keys.len(), self.weighted);
            self.runs.push(StoredRun { place, length, weighted });
            self.keys.clear();
        }
        self.keys.push(key(value));
        if self.weighted {
            self.keys.push(weight.to_bits());
        }
        Ok(())
    }

    /// Sorts the keys in memory, each with its weight.
    fn sort(&mut self) {
        if self.weighted {
            self.keys.as_chunks_mut::<2>().0.sort_unstable();
        } else {
            self.keys.sort_unstable();
        }
    }

    /// Returns all numbers, the largest first.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(crate) fn descending(mut self) -> Result<Descending> {
        self.sort();
        // A multiple of two, so that a number and its weight are read together.
        let block = (self.most / self.runs.len().max(1)).max(LEAST) & !1;
        let runs = self.runs.into_iter().map(|StoredRun { place, length, weighted }| SortedRun {
            place,
            left: length,
            weighted,
            ..SortedRun::default()
        });
        // The numbers that are still in memory are one more run.
        let mut runs: Vec<SortedRun> = runs.collect();
        runs.push(SortedRun { keys: self.keys, weighted: self.weighted, ..SortedRun::default() });
        let mut all = Descending { runs, heads: BinaryHeap::new(), block, scratch: self.scratch };
        for run in 0..all.runs.len() {
            all.advance(run)?;
        }
        Ok(all)
    }
}

/// Numbers that are being returned.
#[derive(Debug)]
pub(crate) struct Descending {
    runs: Vec<SortedRun>,
    /// The next key of each run that has one, with the bits of its weight; the least key is on top.
    heads: BinaryHeap<Reverse<(u64, u64, usize)>>,
    block: usize,
    scratch: SharedTempFile,
}

/// A sorted run: some keys in memory, the rest in the file.
#[derive(Debug, Default)]
struct SortedRun {
    keys: Vec<u64>,
    /// True if a weight follows each key.
    weighted: bool,
    /// Number of keys and weights that were taken.
    taken: usize,
    place: u64,
    left: usize,
}

impl Descending {
    /// Returns the next number and its weight.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<(f64, f64)>> {
        // The least of all heads is the largest number left; its run then shows its next one.
        let Some(Reverse((key, weight, run))) = self.heads.pop() else { return Ok(None) };
        self.advance(run)?;
        Ok(Some((value(key), f64::from_bits(weight))))
    }

    /// Puts the next key of a run among the heads, after reading more of the run if needed.
    fn advance(&mut self, index: usize) -> Result<()> {
        let run = &mut self.runs[index];
        if run.taken == run.keys.len() && run.left > 0 {
            let mut bytes = vec![0; BYTES * run.left.min(self.block)];
            self.scratch.read(run.place, &mut bytes)?;
            run.place += bytes.len() as u64;
            run.left -= bytes.len() / BYTES;
            let (numbers, _) = bytes.as_chunks();
            run.keys = numbers.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect();
            run.taken = 0;
        }
        if let Some(&key) = run.keys.get(run.taken) {
            let weight = run.keys.get(run.taken + 1).filter(|_| run.weighted);
            let weight = weight.copied().unwrap_or(1_f64.to_bits());
            run.taken += width(run.weighted);
            self.heads.push(Reverse((key, weight, index)));
        }
        Ok(())
    }
}

/// Returns the number of values that a number takes, with its weight if it has one.
fn width(weighted: bool) -> usize {
    1 + usize::from(weighted)
}

/// Returns an integer that grows as the float falls: the order of `total_cmp`, reversed.
fn key(value: f64) -> u64 {
    // Adding 0 turns -0 into 0.
    let bits = (value + 0.0).to_bits();
    // Floats compare as integers do once the sign bit, or for negative ones all bits, are flipped.
    let rising = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    !rising
}

/// Returns the float of a key.
fn value(key: u64) -> f64 {
    let rising = !key;
    f64::from_bits(if rising >> 63 == 1 { rising & !(1 << 63) } else { !rising })
}

impl SharedTempFile {
    /// Appends keys. Returns where they begin.
    fn write(&self, keys: &[u64]) -> Result<u64> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            *file = Some(TempFile::create(PURPOSE)?);
        }
        let Some(file) = file.as_mut() else { return Ok(0) };
        let place = file.length();
        // In blocks, so that the bytes need little memory beside the keys.
        for keys in keys.chunks(BLOCK) {
            let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
            file.append(&bytes)?;
        }
        Ok(place)
    }

    /// Reads bytes from a place on.
    fn read(&self, place: u64, bytes: &mut [u8]) -> Result<()> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match file.as_ref() {
            Some(file) => file.read(place, bytes),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed};

    fn sorted(values: &[f64], most: usize) -> (Vec<f64>, usize) {
        let mut sorter = Sorter::new(most, &SharedTempFile::default());
        values.iter().for_each(|&value| sorter.push(value, 1.0).unwrap());
        let spilled = sorter.runs.len();
        let mut all = sorter.descending().unwrap();
        (std::iter::from_fn(|| all.next().unwrap()).map(|(value, _)| value).collect(), spilled)
    }

    #[test]
    fn numbers_come_in_order_from_memory_and_from_files() {
        let mut random = Seed(7).stream(Purpose::Split);
        let mut values: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        values.extend([f64::MAX, f64::INFINITY, 0.0, -0.0, f64::MIN_POSITIVE, -1e-310, -7.0, -7.0]);
        let mut want: Vec<f64> = values.iter().map(|value| value + 0.0).collect();
        want.sort_unstable_by(|a, b| b.total_cmp(a));
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for most in [1_000_000, 20_008, 20_007, 7_000, 1_999, 100] {
            let (got, spilled) = sorted(&values, most);
            assert_eq!(bits(&got), bits(&want), "{most}");
            assert_eq!(spilled, (values.len() - 1) / most);
        }
        assert!(sorted(&[], 10).0.is_empty());
    }

    #[test]
    fn weights_stay_with_their_numbers() {
        let mut random = Seed(8).stream(Purpose::Split);
        // Few different numbers, so that many are equal; the first weights are 1, as if there were none.
        let pairs: Vec<(f64, f64)> = (0..5_000)
            .map(|i| {
                let value = (random.normal() * 20.0).round();
                (value, if i < 2_000 { 1.0 } else { random.normal().abs() + 0.01 })
            })
            .collect();
        let mut want: Vec<(u64, u64)> =
            pairs.iter().map(|(value, weight)| (key(*value), weight.to_bits())).collect();
        want.sort_unstable();
        for most in [1_000_000, 10_000, 9_999, 700, 101, 2, 1] {
            let mut sorter = Sorter::new(most, &SharedTempFile::default());
            pairs.iter().for_each(|&(value, weight)| sorter.push(value, weight).unwrap());
            let mut all = sorter.descending().unwrap();
            let got: Vec<(u64, u64)> = std::iter::from_fn(|| all.next().unwrap())
                .map(|(value, weight)| (key(value), weight.to_bits()))
                .collect();
            assert!(got == want, "{most}");
        }
    }

    #[test]
    fn sorters_share_a_file_that_is_nameless() {
        let scratch = SharedTempFile::default();
        let mut sorters = [Sorter::new(3, &scratch), Sorter::new(2, &scratch)];
        for i in 0..10 {
            sorters[0].push(f64::from(i), 1.0).unwrap();
            sorters[1].push(f64::from(-i), 1.0).unwrap();
        }
        let path = scratch.0.lock().unwrap().as_ref().unwrap().path().to_path_buf();
        assert_eq!(path.exists(), !cfg!(unix));
        let [falling, rising] = sorters.map(|sorter| {
            let mut all = sorter.descending().unwrap();
            std::iter::from_fn(|| all.next().unwrap()).map(|(value, _)| value).collect::<Vec<_>>()
        });
        assert_eq!(falling, (0..10).rev().map(f64::from).collect::<Vec<_>>());
        assert_eq!(rising, (0..10).map(|i| f64::from(-i)).collect::<Vec<_>>());
        drop(scratch);
        assert!(!path.exists());
    }
}
