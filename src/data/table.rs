//! The data set in memory: [`Dataset`], its [`Schema`], its [`Targets`].
//!
//! In: checked values from a reader, or slices of the caller's. Out: row-major features
//! `[rows, features]` and one target a row.
//! Absent on purpose: parsing (`csv.rs`), scaling (`prepare.rs`), random choices (`split.rs`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// More classes than this, and more than there are rows, is taken for a mistake: a class index
/// sets the size of the network's last layer.
const MANY_CLASSES: usize = 65_536;

/// What is to be predicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// One of these labels; their order is that of the network's outputs.
    Classes(Vec<String>),
    /// A number.
    Number,
}

/// The columns of a table and what is predicted from them. It outlives the table: a model keeps
/// it, so that later tables can be read the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Names of the feature columns, in the order of the network's inputs.
    pub features: Vec<String>,
    /// Name of the target column.
    pub target: String,
    /// How the target is read.
    pub kind: TargetKind,
}

/// A target column and how to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Classes for text and for few distinct whole numbers, otherwise a number.
    Auto(String),
    /// Every distinct value is a class.
    Class(String),
    /// Every cell must be a number.
    Number(String),
}

impl Target {
    /// The column's name.
    pub fn column(&self) -> &str {
        match self {
            Self::Auto(name) | Self::Class(name) | Self::Number(name) => name,
        }
    }
}

/// One target a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Indices into the labels of [`TargetKind::Classes`].
    Classes(Vec<u32>),
    /// Values of [`TargetKind::Number`].
    Numbers(Vec<f32>),
}

impl Targets {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(y) => y.len(),
            Self::Numbers(y) => y.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn subset(&self, rows: &[u32]) -> Self {
        match self {
            Self::Classes(y) => Self::Classes(rows.iter().map(|&i| y[i as usize]).collect()),
            Self::Numbers(y) => Self::Numbers(rows.iter().map(|&i| y[i as usize]).collect()),
        }
    }
}

/// Features and targets of a table, as read: nothing is scaled yet.
///
/// All features are finite, there is at least one column, and there are at most `u32::MAX` rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    pub(super) schema: Schema,
    /// `[rows, features]`, row-major; copies of a data set share it.
    pub(super) x: Arc<Vec<f32>>,
    pub(super) y: Targets,
    /// File name, or what stands for it in messages.
    pub(super) source: String,
    /// Line of the first row of each class; empty where there is no file, or for a number.
    pub(super) class_lines: Vec<u64>,
}

impl Dataset {
    /// Takes features `[rows, columns]`, row-major, and one target a row.
    ///
    /// Columns are named `x0`, `x1` …, the target `y`, and classes `"0"` to the largest index.
    ///
    /// # Errors
    ///
    /// When lengths do not fit, a value is not finite, or there is only one class.
    pub fn from_arrays(features: &[f32], columns: usize, targets: Targets) -> Result<Self> {
        let refuse = |problem: String| Err(Error::table("arrays", problem));
        if columns == 0 || targets.is_empty() {
            return refuse("at least one column and one row are needed".into());
        }
        let rows = targets.len();
        if u32::try_from(rows).is_err() {
            return refuse(format!("{rows} rows, but at most {} are possible", u32::MAX));
        }
        if rows.checked_mul(columns) != Some(features.len()) {
            return refuse(format!(
                "{} feature values, but {rows} targets and {columns} columns need {rows} x {columns}",
                features.len()
            ));
        }
        if let Some(i) = features.iter().position(|v| !v.is_finite()) {
            let (row, column, value) = (i / columns, i % columns, features[i]);
            return refuse(format!("row {row}, column x{column}: {value} is not a finite number"));
        }
        let kind = match &targets {
            Targets::Numbers(y) => {
                if let Some(row) = y.iter().position(|v| !v.is_finite()) {
                    return refuse(format!("row {row}: target {} is not a finite number", y[row]));
                }
                TargetKind::Number
            }
            Targets::Classes(y) => {
                let classes = y.iter().max().map_or(0, |&largest| largest as usize + 1);
                if classes > rows.max(MANY_CLASSES) {
                    return refuse(format!(
                        "class {} in {rows} rows; classes are indices that count from 0",
                        classes - 1
                    ));
                }
                if classes < 2 {
                    return refuse("all rows have class 0; at least two classes are needed".into());
                }
                TargetKind::Classes((0..classes).map(|class| class.to_string()).collect())
            }
        };
        let schema = Schema {
            features: (0..columns).map(|column| format!("x{column}")).collect(),
            target: "y".into(),
            kind,
        };
        Ok(Self {
            schema,
            x: Arc::new(features.to_vec()),
            y: targets,
            source: "arrays".into(),
            class_lines: Vec::new(),
        })
    }

    /// Names of the columns and kind of the target.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// File name, or what stands for it in messages.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.y.len()
    }

    /// Number of feature columns.
    pub fn columns(&self) -> usize {
        self.schema.features.len()
    }

    /// Number of classes; 0 where the target is a number.
    pub fn classes(&self) -> usize {
        match &self.schema.kind {
            TargetKind::Classes(labels) => labels.len(),
            TargetKind::Number => 0,
        }
    }

    /// Outputs that a network needs: one a class, or one for a number.
    pub fn outputs(&self) -> usize {
        self.classes().max(1)
    }

    /// Features `[rows, features]`, row-major.
    pub fn x(&self) -> &[f32] {
        &self.x
    }

    /// Targets, one a row.
    pub fn y(&self) -> &Targets {
        &self.y
    }

    /// Features of row `i`.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        let columns = self.columns();
        &self.x[i * columns..(i + 1) * columns]
    }

    /// The given rows, in the given order; a row may occur more than once. The schema stays, even
    /// where a class is left without a row.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn subset(&self, rows: &[u32]) -> Self {
        let mut x = Vec::with_capacity(rows.len() * self.columns());
        for &i in rows {
            x.extend_from_slice(self.row(i as usize));
        }
        Self {
            schema: self.schema.clone(),
            x: Arc::new(x),
            y: self.y.subset(rows),
            source: self.source.clone(),
            // The first row of a class here need not be the first of the whole.
            class_lines: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_become_named_columns() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let data = Dataset::from_arrays(&x, 2, Targets::Classes(vec![2, 0, 2])).unwrap();
        assert_eq!((data.rows(), data.columns(), data.classes(), data.outputs()), (3, 2, 3, 3));
        assert_eq!(data.schema().features, ["x0", "x1"]);
        assert_eq!(data.row(1), [3.0, 4.0]);
        let labels = ["0", "1", "2"].map(String::from).to_vec();
        assert_eq!(data.schema().kind, TargetKind::Classes(labels));

        let part = data.subset(&[2, 0]);
        assert_eq!(part.x(), [5.0, 6.0, 1.0, 2.0]);
        assert_eq!(part.y(), &Targets::Classes(vec![2, 2]));
        assert_eq!(part.schema(), data.schema());

        let number = Dataset::from_arrays(&x, 3, Targets::Numbers(vec![0.5, 0.5])).unwrap();
        assert_eq!((number.rows(), number.classes(), number.outputs()), (2, 0, 1));
    }

    #[test]
    fn unfit_arrays_are_refused() {
        let refused = |x: &[f32], columns, y| {
            Dataset::from_arrays(x, columns, y).expect_err("must be refused").to_string()
        };
        let two = || Targets::Numbers(vec![0.0, 1.0]);
        assert_eq!(
            refused(&[1.0; 5], 2, two()),
            "arrays: 5 feature values, but 2 targets and 2 columns need 2 x 2"
        );
        assert!(refused(&[1.0, f32::NAN], 1, two()).contains("row 1, column x0: NaN"));
        let endless = Targets::Numbers(vec![0.0, f32::INFINITY]);
        assert!(refused(&[1.0, 2.0], 1, endless).contains("row 1: target inf"));
        assert!(refused(&[], 0, two()).contains("at least one column"));
        assert!(refused(&[], 1, Targets::Numbers(vec![])).contains("one row"));
        assert!(refused(&[1.0, 2.0], 1, Targets::Classes(vec![0, 0])).contains("two classes"));
        let huge = Targets::Classes(vec![0, u32::MAX]);
        assert!(refused(&[1.0, 2.0], 1, huge).contains("class 4294967295 in 2 rows"));
    }

    #[test]
    fn schema_survives_json() {
        for kind in [TargetKind::Number, TargetKind::Classes(vec!["é".into(), "b\"".into()])] {
            let schema = Schema { features: vec!["a".into()], target: "t".into(), kind };
            let text = serde_json::to_string(&schema).unwrap();
            assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), schema, "{text}");
        }
    }
}
