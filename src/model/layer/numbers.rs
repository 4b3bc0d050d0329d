//! Embeddings of numbers: each input column by itself becomes several.
//!
//! In: settings, and which columns are numbers. Out: sizes and parameters.
//! Absent on purpose: what they compute, which is built of graph operations in `graph/layers.rs`.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::ParamKind;
use super::parameters::{InitSource, Parameter};

/// Most numbers that an embedding of one column may give, so that sizes stay countable.
const MOST_OF_ONE: usize = 1 << 20;

/// An embedding of numbers: waves (pbld, pl, plr) or a line with bends (ple). With z = 2π `frequency` x of each column x by itself, it gives e = `weight` cos(z + `phase`) + `shift`
/// (pbld), or e = `weight_cos` cos z + `weight_sin` sin z + `shift` (pl), or the positive part of that (plr).
/// Piecewise-linear (ple, version B of the authors' package), e = `weight` p + `linear` x + `shift`, where part b of p rises from 0 to 1 as
/// x goes through bin b of the column: p_b = `slope_b` x + `offset_b`, kept within 0 and 1, but for the first bin not from below and for
/// the last one not from above. Bins lie between quantiles of the training rows; they are no parameters that learn, and `weight` starts at 0.
/// The result is all e, column by column, then for pbld all columns that come in, and else those that have no embedding.
///
/// Gorishniy et al. 2022, arXiv:2203.05556 (plr, ple); Holzmüller et al. 2024, arXiv:2407.04491 (pl, pbld).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberEmbedding {
    /// Which of them.
    pub kind: NumberEmbeddingKind,
    /// Number of frequencies of each column, or of its bins.
    pub frequencies: usize,
    /// Number of columns that each column becomes.
    pub outputs: usize,
    /// Standard deviation of the frequencies at the start, if there are any.
    pub sigma: f64,
    /// Columns that are numbers, from 0, rising; `None` for all that come in. In front of a network, training fills in
    /// those that are numbers, if the table has columns of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<usize>>,
}

/// Kind of an embedding of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberEmbeddingKind {
    /// Periodic with a phase, linear, and the numbers themselves behind ("dense")
    Pbld,
    /// Periodic and linear
    Pl,
    /// Periodic, linear, rectified
    Plr,
    /// Piecewise linear
    Ple,
}

impl NumberEmbeddingKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Pbld, Self::Pl, Self::Plr, Self::Ple];

    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pbld => "pbld",
            Self::Pl => "pl",
            Self::Plr => "plr",
            Self::Ple => "ple",
        }
    }

    /// Returns the embedding with the settings of RealMLP, or for ple of TabM in TabArena, of all columns.
    pub fn embedding(self) -> NumberEmbedding {
        let (frequencies, outputs) = match self {
            Self::Pbld => (16, 3),
            Self::Pl | Self::Plr => (8, 4),
            Self::Ple => (48, 16),
        };
        NumberEmbedding { kind: self, frequencies, outputs, sigma: 0.1, columns: None }
    }
}

impl NumberEmbedding {
    /// Returns the columns that are embedded, of so many.
    pub fn embedded(&self, inputs: usize) -> Vec<usize> {
        self.columns.clone().unwrap_or_else(|| (0..inputs).collect())
    }

    /// Returns the columns that go through as they are, of so many: all for pbld, and else those without an embedding.
    pub fn passed(&self, inputs: usize) -> Vec<usize> {
        let own = self.embedded(inputs);
        let stays = |column: &usize| {
            self.kind == NumberEmbeddingKind::Pbld || own.binary_search(column).is_err()
        };
        (0..inputs).filter(stays).collect()
    }

    /// Returns the number of columns that come out.
    pub(super) fn sizes(&self, inputs: usize) -> Result<usize, String> {
        let parts = if self.kind == NumberEmbeddingKind::Ple { "bins" } else { "frequencies" };
        for (what, value) in [(parts, self.frequencies), ("outputs", self.outputs)] {
            if value == 0 {
                return Err(format!("0 {what}, but at least 1 is needed"));
            }
        }
        if !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return Err(format!("sigma {}, but it must be a finite number above 0", self.sigma));
        }
        if self.frequencies.saturating_mul(self.outputs) > MOST_OF_ONE {
            return Err(format!(
                "{} {parts} and {} outputs of each column, but at most {MOST_OF_ONE} weights are possible; give fewer",
                self.frequencies, self.outputs
            ));
        }
        self.check_columns(inputs)?;
        let embedded = self.embedded(inputs).len().saturating_mul(self.outputs);
        Ok(embedded.saturating_add(self.passed(inputs).len()))
    }

    fn check_columns(&self, inputs: usize) -> Result<(), String> {
        let Some(columns) = &self.columns else { return Ok(()) };
        if columns.is_empty() {
            return Err("no column is a number; leave the layer out".into());
        }
        if let Some(pair) = columns.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!(
                "column {} stands before {}; write them in their order",
                pair[0], pair[1]
            ));
        }
        match columns.last() {
            Some(&last) if last >= inputs => {
                Err(format!("there is no column {last}; there are {inputs}, counted from 0"))
            }
            _ => Ok(()),
        }
    }

    /// Returns the parameters for so many columns that come in.
    pub(super) fn parameters(&self, inputs: usize) -> Vec<Parameter> {
        if self.kind == NumberEmbeddingKind::Ple {
            return self.piecewise_parameters(inputs);
        }
        let numbers = self.embedded(inputs).len();
        let (all, given) = (numbers * self.frequencies, numbers * self.outputs);
        let bias = self.kind == NumberEmbeddingKind::Pbld;
        // The linear map reads all waves of a column: cosines alone, or cosines and sines.
        let waves = if bias { self.frequencies } else { 2 * self.frequencies };
        let linear = || InitSource::Uniform(1.0 / (waves as f64).sqrt());
        let of = |name: &str, shape: Vec<usize>, start| {
            Parameter::new(name, shape, ParamKind::NumberEmbedding, start)
        };
        let mut parameters = vec![of("frequency", vec![all, 1], InitSource::Normal(self.sigma))];
        let matrix = vec![given, self.frequencies];
        if bias {
            parameters.push(of("phase", vec![all], InitSource::Uniform(std::f64::consts::PI)));
            parameters.push(of("weight", matrix, linear()));
        } else {
            parameters.push(of("weight_cos", matrix.clone(), linear()));
            parameters.push(of("weight_sin", matrix, linear()));
        }
        parameters.push(of("shift", vec![given], linear()));
        parameters
    }

    /// Returns the parameters of a piecewise-linear embedding. Without bins, which training measures, its parts are 0.
    fn piecewise_parameters(&self, inputs: usize) -> Vec<Parameter> {
        let numbers = self.embedded(inputs).len();
        let (all, given) = (numbers * self.frequencies, numbers * self.outputs);
        let of = |name: &str, shape: Vec<usize>, start| {
            Parameter::new(name, shape, ParamKind::NumberEmbedding, start)
        };
        let linear = || InitSource::Uniform(1.0 / (self.outputs as f64).sqrt());
        let constant = InitSource::Constant;
        vec![
            of("slope", vec![all, 1], constant(0.0)).kept(),
            of("offset", vec![all], constant(0.0)).kept(),
            of("low", vec![all], constant(0.0)).kept(),
            of("high", vec![all], constant(1.0)).kept(),
            of("weight", vec![given, self.frequencies], constant(0.0)),
            of("linear", vec![given, 1], linear()),
            of("shift", vec![given], linear()),
        ]
    }
}

/// Returns runs of neighbouring columns.
pub(crate) fn runs(columns: &[usize]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &column in columns {
        match runs.last_mut() {
            Some(run) if run.end == column => run.end += 1,
            _ => runs.push(column..column + 1),
        }
    }
    runs
}

/// Writes columns: `0-4 7`.
pub(super) fn columns_text(columns: &[usize]) -> String {
    let text = |run: &Range<usize>| match run.len() {
        1 => run.start.to_string(),
        _ => format!("{}-{}", run.start, run.end - 1),
    };
    runs(columns).iter().map(text).collect::<Vec<_>>().join(" ")
}

/// Reads columns as they are written.
pub(super) fn read_columns(text: &str) -> Result<Vec<usize>, String> {
    let wrong = |part: &str| {
        format!("\"{part}\" in columns is no column; write numbers from 0, such as 0-4 7")
    };
    let mut columns = Vec::new();
    for part in text.split_whitespace() {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) else {
            return Err(wrong(part));
        };
        if first > last || last - first >= MOST_OF_ONE {
            return Err(wrong(part));
        }
        columns.extend(first..=last);
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_written_as_runs_and_read_again() {
        for (columns, text) in
            [(vec![0, 1, 2, 7], "0-2 7"), (vec![3], "3"), (vec![1, 3, 4], "1 3-4")]
        {
            assert_eq!(columns_text(&columns), text);
            assert_eq!(read_columns(text).unwrap(), columns);
        }
        for wrong in ["a", "2-1", "-1", "1-", "0-99999999999"] {
            assert!(read_columns(wrong).unwrap_err().contains("is no column"), "{wrong}");
        }
    }

    #[test]
    fn sizes_follow_from_the_kind() {
        let pbld = NumberEmbeddingKind::Pbld.embedding();
        assert_eq!(pbld.sizes(5).unwrap(), 5 * 3 + 5);
        let two = Some(vec![1, 3]);
        assert_eq!(NumberEmbedding { columns: two.clone(), ..pbld }.sizes(5).unwrap(), 2 * 3 + 5);
        let plr = NumberEmbedding { columns: two, ..NumberEmbeddingKind::Plr.embedding() };
        assert_eq!((plr.sizes(5).unwrap(), plr.passed(5)), (2 * 4 + 3, vec![0, 2, 4]));
        let said = plr.sizes(3).unwrap_err();
        assert!(said.contains("there is no column 3; there are 3"), "{said}");
    }
}
