//! A digest of a run's training rows, by which rows of another table are known again, and the checksum of its file of validation rows.
//!
//! In: rows as numbers. Out: whether a row was among them; whether a file is as the run wrote it.
//! Absent on purpose: the rows themselves; a digest of a large table keeps a sample.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::checksum::Checksum;
use crate::cli::open_run::TRAINING_ROWS;
use crate::data::{Dataset, LabelledRows, Numbers, Targets};
use crate::error::{Error, Result};
use crate::export::write_file;
use crate::report::{count, pluralize};

/// Rows that are kept at most: those of the smallest checksums, which are a fair sample of more.
const KEPT: usize = 1 << 16;
const MAGIC: &[u8; 8] = b"wgradro2";
/// Bytes of a file that are read at once: whole words, as [`Checksum::bytes`] asks for.
const BLOCK: u64 = 1 << 20;

/// Checksums of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowDigest {
    /// Number of rows in all.
    rows: u64,
    /// The run's file of validation rows, if it has one.
    pub(super) validation: Option<FileDigest>,
    /// The smallest checksums, in order.
    kept: Vec<u64>,
}

/// A table as a run wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileDigest {
    pub(crate) rows: u64,
    pub(crate) checksum: u64,
}

/// Rows of a table that were looked for in a digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Rows that could be in the digest.
    looked: u64,
    /// Rows that are.
    found: u64,
    /// All rows.
    rows: u64,
    /// True if the digest is a sample, so that numbers are estimates.
    sampled: bool,
}

impl RowDigest {
    pub(crate) fn of(data: &Dataset) -> Self {
        Self::of_all(&[data])
    }

    /// Of the rows of several tables with the same inputs.
    pub(crate) fn of_all(tables: &[&Dataset]) -> Self {
        let mut kept = Vec::new();
        for data in tables {
            for_each_row(data.x(), data.columns(), |row, x| {
                kept.push(checksum(x, data.y(), row));
                // The smallest are parted from the others now and then, which takes less than sorting all.
                if kept.len() == 4 * KEPT {
                    kept.select_nth_unstable(KEPT);
                    kept.truncate(KEPT);
                }
            });
        }
        kept.sort_unstable();
        kept.truncate(KEPT);
        Self { rows: tables.iter().map(|data| data.rows() as u64).sum(), validation: None, kept }
    }

    /// Adds the run's file of validation rows.
    pub(crate) fn with_validation(self, file: FileDigest) -> Self {
        Self { validation: Some(file), ..self }
    }

    /// Looks for rows `[rows, features]` with their targets.
    pub(crate) fn look(&self, x: Numbers<'_>, y: &Targets, overlap: &mut Overlap) {
        let columns = x.len() / y.len().max(1);
        // Of a sample, only rows below its largest checksum say anything.
        let sampled = (self.kept.len() as u64) < self.rows;
        overlap.sampled = sampled;
        let most = self.kept.last().copied().filter(|_| sampled).unwrap_or(u64::MAX);
        for_each_row(x, columns, |row, x| {
            let sum = checksum(x, y, row);
            overlap.rows += 1;
            if sum <= most {
                overlap.looked += 1;
                overlap.found += u64::from(self.kept.binary_search(&sum).is_ok());
            }
        });
    }

    /// Looks for the rows of a table with the same inputs.
    pub(crate) fn overlap(&self, data: &Dataset) -> Overlap {
        let mut overlap = Overlap::default();
        self.look(data.x(), data.y(), &mut overlap);
        overlap
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = MAGIC.to_vec();
        let validation = self.validation.map_or([0, 0], |file| [file.rows, file.checksum]);
        bytes.extend([self.rows].iter().chain(&validation).flat_map(|word| word.to_le_bytes()));
        self.kept.iter().for_each(|sum| bytes.extend(sum.to_le_bytes()));
        write_file(path, &bytes)
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::file("read", path, source))?;
        let damaged = || Error::model_file(path, "not a digest of rows, or damaged");
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (words, extra) = rest.as_chunks::<8>();
        let mut words = words.iter().map(|&word| u64::from_le_bytes(word));
        let mut next = || words.next().filter(|_| extra.is_empty()).ok_or_else(damaged);
        let rows = next()?;
        let file = FileDigest { rows: next()?, checksum: next()? };
        // A file of validation rows has one row at least.
        let validation = (file.rows > 0).then_some(file);
        Ok(Self { rows, validation, kept: words.collect() })
    }
}

impl Overlap {
    /// Returns the share of the rows that are in the digest, of those that could be.
    pub(crate) fn share(&self) -> f64 {
        self.found as f64 / self.looked.max(1) as f64
    }

    /// Number of rows that were in the digest, about, if any.
    pub(crate) fn rows(self) -> Option<u64> {
        if self.found == 0 {
            return None;
        }
        let share = u128::from(self.found) * u128::from(self.rows);
        u64::try_from(share.div_ceil(u128::from(self.looked))).ok()
    }

    /// Says how many of the rows were in the digest, if any.
    pub(crate) fn text(self) -> Option<String> {
        let about = if self.sampled { "about " } else { "" };
        Some(format!("{about}{} of {}", count(self.rows()?), pluralize(self.rows, "row")))
    }

    /// Warns of the rows that were in the digest of a run, if any.
    pub(crate) fn warning(self) -> Option<String> {
        let text = self.text()?;
        Some(format!(
            "{text} are equal to rows that this run was trained on: on new rows the figures will be worse"
        ))
    }
}

/// Visits the rows of features `[rows, columns]` with their places.
fn for_each_row(x: Numbers<'_>, columns: usize, mut visit: impl FnMut(usize, Numbers<'_>)) {
    let mut row = 0;
    for block in x.blocks(columns) {
        for values in block.view().chunks(columns) {
            visit(row, values);
            row += 1;
        }
    }
}

/// Returns a checksum of a row's features and its target.
fn checksum(x: Numbers<'_>, y: &Targets, row: usize) -> u64 {
    let mut sum = Checksum::default();
    let mut take = |value: f64| {
        // 0 and −0 are one number.
        let bits = if value == 0.0 { 0 } else { value.to_bits() };
        sum.word((bits >> 32) as u32);
        sum.word(bits as u32);
    };
    x.iter().for_each(&mut take);
    match y {
        Targets::Classes(classes) => take(classes[row].into()),
        Targets::Numbers(y) => take(y[row]),
        Targets::Columns(y, columns) => {
            y[row * columns..][..*columns].iter().for_each(|&value| take(value));
        }
    }
    // FNV's high bits hardly depend on the last words; what is sampled by size has to be mixed.
    let mut mixed = sum.value();
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

/// Returns the checksum of a file, and of its length.
///
/// # Errors
/// If the file cannot be read.
pub(in crate::cli) fn file_checksum(path: &Path) -> Result<u64> {
    let refuse = |source| Error::file("read", path, source);
    let mut file = File::open(path).map_err(refuse)?;
    let (mut sum, mut length, mut block) = (Checksum::default(), 0, Vec::new());
    loop {
        block.clear();
        (&mut file).take(BLOCK).read_to_end(&mut block).map_err(refuse)?;
        if block.is_empty() {
            break;
        }
        sum.bytes(&block);
        length += block.len();
    }
    sum.length(length);
    Ok(sum.value())
}

/// Returns the digest of the rows that a run was trained on, if its folder has one.
pub(crate) fn training_rows(run: &Path) -> Option<RowDigest> {
    let path = run.join(TRAINING_ROWS);
    // A missing or damaged digest is no reason to refuse an evaluation.
    path.is_file().then(|| RowDigest::read(&path).ok()).flatten()
}

/// Warns of rows that a run was trained on, if there are any.
pub(crate) fn told_training_rows(run: &Path, rows: &LabelledRows) -> Option<String> {
    let mut overlap = Overlap::default();
    training_rows(run)?.look((&rows.x).into(), &rows.y, &mut overlap);
    overlap.warning()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(rows: std::ops::Range<u32>) -> Dataset {
        let x: Vec<f64> = rows.clone().map(|i| f64::from(i) / 7.0).collect();
        Dataset::from_arrays(&x, 1, Targets::Numbers(x.clone())).unwrap()
    }

    fn overlap(digest: &RowDigest, data: &Dataset) -> Option<u64> {
        let mut overlap = Overlap::default();
        digest.look(data.x(), data.y(), &mut overlap);
        overlap.rows()
    }

    #[test]
    fn rows_are_known_again() {
        let digest = RowDigest::of(&data(0..100));
        assert_eq!(overlap(&digest, &data(90..130)), Some(10));
        assert_eq!(overlap(&digest, &data(100..130)), None);
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("rows");
        for validation in [None, Some(FileDigest { rows: 7, checksum: 99 })] {
            let digest = RowDigest { validation, ..digest.clone() };
            digest.write(&path).unwrap();
            assert_eq!(RowDigest::read(&path).unwrap(), digest);
        }
        for damaged in [&b"wgradro2123"[..], b"wgradro2\0\0\0\0\0\0\0\0", b"something"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(RowDigest::read(&path).is_err());
        }
    }

    #[test]
    fn a_sample_of_many_rows_tells_about_how_many() {
        let digest = RowDigest::of(&data(0..200_000));
        assert_eq!(digest.kept.len(), KEPT);
        let found = overlap(&digest, &data(150_000..250_000)).unwrap();
        assert!((48_000..52_000).contains(&found), "{found}");
        assert_eq!(overlap(&digest, &data(200_000..220_000)), None);
    }
}
