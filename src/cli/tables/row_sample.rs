//! Some rows of a table for pictures: all of a small one, evenly chosen ones of a large one.

#[cfg(feature = "pictures")]
use crate::data::Dataset;
use crate::data::{LabelledRows, Targets};
use crate::report::{count, pluralize};

/// Rows that are kept at most, and numbers in them.
const ROWS: usize = 10_000;
const NUMBERS: usize = 1 << 20;
/// Rows that are kept of however wide a table.
const LEAST: usize = 200;

fn most_rows(width: usize) -> usize {
    (NUMBERS / width.max(1)).clamp(LEAST, ROWS)
}

/// Chooses rows of a table that comes in parts, whose length is not known before.
#[derive(Debug, Default)]
pub(crate) struct RowSampler {
    kept: Option<LabelledRows>,
    /// Each row whose place is a multiple of this is kept.
    stride: u64,
    seen: u64,
}

impl RowSampler {
    /// Takes the next rows, and keeps some of them.
    pub(crate) fn take(&mut self, part: &LabelledRows) {
        self.stride = self.stride.max(1);
        let rows = part.y.len();
        let width = part.x.len() / rows.max(1);
        let chosen: Vec<u32> = (0..rows)
            .filter(|&row| (self.seen + row as u64).is_multiple_of(self.stride))
            .filter_map(|row| u32::try_from(row).ok())
            .collect();
        self.seen += rows as u64;
        let chosen = part.subset(&chosen);
        match &mut self.kept {
            None => self.kept = Some(chosen),
            Some(kept) => append(kept, chosen),
        }
        while let Some(kept) = self.kept.as_ref().filter(|it| it.y.len() > 2 * most_rows(width)) {
            let every_second: Vec<u32> =
                (0..kept.y.len()).step_by(2).filter_map(|row| u32::try_from(row).ok()).collect();
            self.kept = Some(kept.subset(&every_second));
            self.stride *= 2;
        }
    }

    /// Returns the rows, and says in words which they are; `None` without a row.
    pub(crate) fn finish(self, what: &str) -> Option<(LabelledRows, String)> {
        let kept = self.kept.filter(|kept| !kept.y.is_empty())?;
        let told = told(kept.y.len(), self.seen, what);
        Some((kept, told))
    }
}

fn told(kept: usize, all: u64, what: &str) -> String {
    match kept as u64 == all {
        true => pluralize(all, what),
        false => format!("{} of {}, evenly chosen", count(kept as u64), pluralize(all, what)),
    }
}

#[cfg(feature = "pictures")]
/// Returns some rows of a data set, evenly chosen, and says in words which they are.
pub(crate) fn sample_of(data: &Dataset, what: &str) -> (LabelledRows, String) {
    let (rows, most) = (data.rows(), most_rows(data.columns()));
    let told = told(rows.min(most), rows as u64, what);
    let part = |data: &Dataset| LabelledRows {
        x: data.x().to_vec(),
        y: data.y().clone(),
        weights: data.weights().map(<[f64]>::to_vec),
        lines: vec![0; data.rows()],
        odd: Vec::new(),
    };
    if rows <= most {
        return (part(data), told);
    }
    let chosen: Vec<u32> =
        (0..most).filter_map(|place| u32::try_from(place * rows / most).ok()).collect();
    (part(&data.subset(&chosen)), told)
}

fn append(to: &mut LabelledRows, part: LabelledRows) {
    to.x.extend(part.x);
    to.lines.extend(part.lines);
    if let (Some(all), Some(more)) = (&mut to.weights, part.weights) {
        all.extend(more);
    }
    match (&mut to.y, part.y) {
        (Targets::Classes(all), Targets::Classes(more)) => all.extend(more),
        (Targets::Numbers(all), Targets::Numbers(more))
        | (Targets::Columns(all, _), Targets::Columns(more, _)) => all.extend(more),
        // Parts of one table have one kind of targets.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(from: u32, rows: u32) -> LabelledRows {
        let y: Vec<f64> = (from..from + rows).map(f64::from).collect();
        LabelledRows {
            x: y.iter().flat_map(|&y| [y, -y]).collect(),
            weights: Some(y.clone()),
            lines: vec![0; y.len()],
            y: Targets::Numbers(y),
            odd: Vec::new(),
        }
    }

    #[test]
    fn rows_of_a_long_table_are_evenly_chosen() {
        let mut sampler = RowSampler::default();
        for first in (0..100_000).step_by(1000) {
            sampler.take(&part(first, 1000));
        }
        let (rows, told) = sampler.finish("row").unwrap();
        assert_eq!(rows.y.len(), 12_500);
        assert_eq!(told, "12,500 of 100,000 rows, evenly chosen");
        for (row, (x, y)) in rows.x.chunks(2).zip(rows.weights.unwrap()).enumerate() {
            let want = 8.0 * row as f64;
            assert_eq!((x[0], x[1], y), (want, -want, want));
        }
        let mut sampler = RowSampler::default();
        sampler.take(&part(0, 3));
        assert_eq!(sampler.finish("row").unwrap().1, "3 rows");
        assert!(RowSampler::default().finish("row").is_none());
    }
}
