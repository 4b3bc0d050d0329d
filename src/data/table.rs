//! The data set in memory: [`Dataset`], its [`Schema`], its [`Targets`].
//!
//! In: checked values from a reader, or slices of the caller's. Out: row-major features
//! `[rows, features]`, the targets of each row and, if rows count differently, its weight.
//! Absent on purpose: parsing (`csv.rs`), scaling (`preprocess.rs`), random choices (`split.rs`).

use std::collections::HashSet;
use std::sync::Arc;

use super::cell::shown;
use super::features::Features;
use super::kinds::RawColumns;
use super::numbers::{NumberVec, Numbers};
use super::row_cells::OddCell;
use super::row_places::RowPlaces;
use super::schema::{BinaryColumn, Schema, TargetKind};
use super::stored_numbers::host_memory;
use super::targets::Targets;
use crate::error::{Error, Result};
#[cfg(feature = "cli")]
use crate::files::temp_folder;
#[cfg(feature = "cli")]
use crate::shape::bytes_text;
use crate::shape::pluralize;

/// More classes than this, and more than there are rows, is taken for a mistake: a class index
/// sets the size of the network's last layer.
const MANY_CLASSES: usize = 65_536;

/// Features and targets of a table, as read: nothing is scaled yet.
///
/// All features are finite, except that in a table that was read, NaN stands for a gap until [`Self::split`] or [`Self::encoded`] turns its
/// columns into inputs. There is at least one column, and there are at most `u32::MAX` rows. Weights are finite and
/// above 0: rows of weight 0 are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    pub(super) schema: Schema,
    /// `[rows, features]`, row-major; copies of a data set share it.
    pub(super) x: Arc<NumberVec>,
    /// Bytes that the features may take in memory; beyond that they are in a temporary file. `None` for any number.
    pub(super) memory: Option<u64>,
    /// Copies of a data set share them, too.
    pub(super) y: Arc<Targets>,
    /// Weight of each row; `None` if all rows weigh the same.
    pub(super) weights: Option<Arc<Vec<f64>>>,
    /// Number of rows of weight 0, which are not among these rows.
    pub(super) left_out: usize,
    /// Places of the rows of the table that are in no data set of it, in order: those of weight 0, without a target, or with a gap where
    /// such rows are dropped.
    pub(super) skipped: Arc<Vec<u32>>,
    /// Places of these rows among those of the table that are not skipped. `None` unless these rows were held out.
    pub(super) places: Option<Arc<RowPlaces>>,
    /// Names of columns of numbers with more digits than f64 keeps.
    pub(super) inexact: Vec<String>,
    /// File name, or another name for the source in messages.
    pub(super) source: String,
    /// Line of the first row of each class; empty without a file, or for numbers.
    pub(super) class_lines: Vec<u64>,
    /// Columns as they were read, if they still have to become inputs.
    pub(super) raw: Option<Arc<RawColumns>>,
    /// Cells of these rows that the training rows had not the like of.
    pub(super) odd: Arc<Vec<OddCell>>,
    /// Remarks to be told of how the table was read.
    pub(super) notes: Arc<Vec<String>>,
}

impl Dataset {
    /// Returns whether two data sets share their rows: copies of one do, and parts of one table do not.
    pub(crate) fn same_rows(&self, other: &Self) -> bool {
        let weights = match (&self.weights, &other.weights) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        weights && Arc::ptr_eq(&self.x, &other.x) && Arc::ptr_eq(&self.y, &other.y)
    }

    /// Takes features `[rows, columns]`, row-major, in single or double precision, and the targets of each row.
    ///
    /// Columns are named `x0`, `x1` …, the target `y`, several targets `y0`, `y1` …, and classes `"0"` to the largest index, until
    /// [`Self::with_columns`], [`Self::with_targets`] and [`Self::with_classes`] say otherwise. Vectors and arrays of `u32` or
    /// `usize` are classes, those of floats numbers.
    ///
    /// ```
    /// use wgrad::Dataset;
    ///
    /// let data = Dataset::from_arrays(&[5.1, 1.4, 7.0, 4.7, 6.3, 6.0], 2, vec![0_u32, 1, 1])?
    ///     .with_columns(["sepal", "petal"])?
    ///     .with_targets(["species"])?
    ///     .with_classes(["setosa", "other"])?;
    /// assert_eq!((data.rows(), data.classes(), data.schema().target.as_str()), (3, 2, "species"));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When lengths do not fit, a value is not finite, or there is only one class.
    pub fn from_arrays<'a>(
        features: impl Into<Features<'a>>,
        columns: usize,
        targets: impl Into<Targets>,
    ) -> Result<Self> {
        let features = features.into();
        let refuse = |problem: String| Err(Error::table("arrays", problem));
        // An array knows its columns; a slice takes the caller's number.
        if features.columns().is_some_and(|there| there != columns) {
            let there = features.columns().unwrap_or_default();
            return refuse(format!("{columns} columns are said, but the array has {there}"));
        }
        let features = features.numbers();
        let targets: Targets = targets.into();
        if columns == 0 || targets.is_empty() {
            return refuse("at least one column and one row are needed".into());
        }
        // Checked before the rows are counted, which divides by the number of columns.
        if let Targets::Columns(y, columns) = &targets
            && (*columns == 0 || !y.len().is_multiple_of(*columns))
        {
            let problem = format!("{} target values are no rows of {columns} columns", y.len());
            return refuse(problem);
        }
        // The number of targets is the number of rows, so the features have to fit it.
        let rows = targets.len();
        if u32::try_from(rows).is_err() {
            return refuse(format!("{rows} rows, but at most {} are possible", u32::MAX));
        }
        check_lengths(features.len(), rows, columns)
            .map_err(|problem| Error::table("arrays", problem))?;
        // Found here with its row and column: later code relies on finite features.
        if let Some(i) = features.iter().position(|v| !v.is_finite()) {
            let (row, column, value) = (i / columns, i % columns, features.at(i));
            let problem = format!("row {row}, column x{column}: {value} is not a finite number");
            return refuse(problem).map_err(|it| it.at_row(row).at_column(&format!("x{column}")));
        }
        let (target, kind) = named_targets(&targets)?;
        let names = (0..columns).map(|column| format!("x{column}")).collect();
        let schema = Schema { features: names, target, kind, ..Schema::default() };
        Ok(Self::of_arrays(schema, features.into(), targets))
    }

    /// Takes an array of ndarray `[rows, columns]` and the targets of each row, as [`Self::from_arrays`] does.
    ///
    /// ```
    /// use ndarray::array;
    /// use wgrad::Dataset;
    ///
    /// let data = Dataset::from_ndarray(&array![[0.0, 1.0], [2.0, 3.0]], &array![0.5, 1.5])?;
    /// assert_eq!((data.rows(), data.columns()), (2, 2));
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Self::from_arrays`], and when the features are a slice, which has no columns.
    pub fn from_ndarray<'a>(
        features: impl Into<Features<'a>>,
        targets: impl Into<Targets>,
    ) -> Result<Self> {
        let features = features.into();
        let Some(columns) = features.columns() else {
            let problem = "a slice does not tell how many columns it has; use Dataset::from_arrays";
            return Err(Error::table("arrays", problem));
        };
        Self::from_arrays(features, columns, targets)
    }

    /// Takes rows with the columns, the target and the classes of another data set: features as [`Self::from_arrays`] takes them, and
    /// the targets of each row.
    ///
    /// # Errors
    ///
    /// When lengths do not fit, targets are of another kind, a value is not finite, or a class or label is none.
    pub fn from_arrays_like<'a>(
        features: impl Into<Features<'a>>,
        targets: impl Into<Targets>,
        schema: &Schema,
    ) -> Result<Self> {
        let features = features.into();
        let columns = schema.features.len();
        let refuse = |problem: String| Error::table("arrays", problem);
        if let Some(there) = features.columns().filter(|there| *there != columns) {
            return Err(refuse(format!("{there} columns, but there must be {columns}")));
        }
        let features = features.numbers();
        let targets: Targets = targets.into();
        let rows = targets.len();
        if rows == 0 {
            return Err(refuse("at least one row is needed".into()));
        }
        check_lengths(features.len(), rows, columns).map_err(refuse)?;
        if let Some(i) = features.iter().position(|v| !v.is_finite()) {
            let (row, name) = (i / columns, &schema.features[i % columns]);
            let problem = format!(
                "row {row}, column {}: {} is not a finite number",
                shown(name),
                features.at(i)
            );
            return Err(refuse(problem).at_row(row).at_column(name));
        }
        check_targets(&targets, schema)?;
        // Labels and several numbers are stored in one form, even if there is one column.
        let y = match (targets, &schema.kind) {
            (Targets::Numbers(y), TargetKind::Labels(_) | TargetKind::Numbers(_)) => {
                Targets::Columns(y, 1)
            }
            (Targets::Columns(y, 1), TargetKind::Number) => Targets::Numbers(y),
            (other, _) => other,
        };
        Ok(Self::of_arrays(schema.clone(), features.into(), y))
    }

    /// Makes the data set of checked arrays.
    fn of_arrays(schema: Schema, x: NumberVec, y: Targets) -> Self {
        Self {
            schema,
            x: Arc::new(x),
            memory: None,
            y: Arc::new(y),
            weights: None,
            left_out: 0,
            skipped: Arc::default(),
            places: None,
            inexact: Vec::new(),
            source: "arrays".into(),
            class_lines: Vec::new(),
            raw: None,
            odd: Arc::default(),
            notes: Arc::default(),
        }
    }

    /// Names the feature columns, in their order, so that a model of them reads tables with these columns.
    ///
    /// # Errors
    ///
    /// When there are more or fewer names than columns, or one is empty, or there twice.
    pub fn with_columns<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let names = names_of(names);
        self.check_names("columns", &names, self.columns())?;
        self.schema.features = names;
        Ok(self)
    }

    /// Names the target's column; of several, all of them, in their order.
    ///
    /// # Errors
    ///
    /// When there are more or fewer names than target columns, or one is empty, there twice, or a feature's.
    pub fn with_targets<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let names = names_of(names);
        self.check_names("target columns", &names, self.schema.targets().len())?;
        if let Some(name) = names.iter().find(|name| self.schema.features.contains(name)) {
            let problem = format!("the target {} has the name of a feature", shown(name));
            return Err(Error::table(&self.source, problem).at_column(name));
        }
        self.schema.target = names.join(",");
        match &mut self.schema.kind {
            TargetKind::Classes(_) | TargetKind::Number => {}
            TargetKind::Numbers(columns) => *columns = names,
            TargetKind::Labels(labels) => {
                labels.iter_mut().zip(names).for_each(|(label, name)| label.column = name);
            }
        }
        Ok(self)
    }

    /// Names the classes, in the order of their indices. There may be more names than indices in the rows: classes that no row
    /// has.
    ///
    /// # Errors
    ///
    /// When the target is no class, there are fewer names than classes, or one is empty, or there twice.
    pub fn with_classes<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let names = names_of(names);
        if self.classes() == 0 {
            return Err(Error::table(
                &self.source,
                "classes have names, but the target is no class",
            ));
        }
        self.check_names("classes", &names, self.classes().max(names.len()))?;
        self.schema.kind = TargetKind::Classes(names);
        Ok(self)
    }

    fn check_names(&self, what: &str, names: &[String], wanted: usize) -> Result<()> {
        let refuse = |problem: String| Err(Error::table(&self.source, problem));
        if names.len() != wanted {
            return refuse(format!("{} names for {wanted} {what}", names.len()));
        }
        if names.iter().any(String::is_empty) {
            return refuse(format!("an empty name for one of the {what}"));
        }
        // A set, since tables may have very many columns.
        let mut known = HashSet::with_capacity(names.len());
        match names.iter().find(|name| !known.insert(name.as_str())) {
            Some(name) => refuse(format!("{} is the name of two {what}", shown(name))),
            None => Ok(()),
        }
    }

    /// Returns the same rows with targets of 0 or 1 taken as no and yes.
    ///
    /// # Errors
    ///
    /// When the targets are classes, or a value is another number.
    pub fn as_labels(mut self) -> Result<Self> {
        let refuse = |problem: String| Err(Error::table(&self.source, problem));
        let Some((y, columns)) = self.y.columns() else {
            return refuse("the target is a class, not yes or no in each column".into());
        };
        if let Some(i) = y.iter().position(|&value| value != 0.0 && value != 1.0) {
            let (row, value) = (i / columns, y[i]);
            let problem = format!("row {row}: target {value}, but labels are 0 or 1");
            return refuse(problem).map_err(|it| it.at_row(row));
        }
        let label = |column: &&str| BinaryColumn {
            column: (*column).to_string(),
            values: ["0", "1"].map(String::from),
        };
        let labels = self.schema.targets().iter().map(label).collect();
        (self.y, self.schema.kind) =
            (Arc::new(Targets::Columns(y.to_vec(), columns)), TargetKind::Labels(labels));
        Ok(self)
    }

    /// Returns the same rows with weights: a weight of 2 is equal to having the row twice. Rows of weight 0 are left out,
    /// so that they change nothing anywhere.
    ///
    /// # Errors
    ///
    /// When there are more or fewer weights than rows, one is negative or not finite, or none is above 0.
    pub fn with_weights(mut self, weights: Vec<f64>) -> Result<Self> {
        let refuse = |problem: String| Err(Error::table(&self.source, problem));
        if weights.len() != self.rows() {
            return refuse(format!(
                "{} for {}",
                pluralize(weights.len() as u64, "weight"),
                pluralize(self.rows() as u64, "row")
            ));
        }
        if let Some(row) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            let weight = weights[row];
            let problem = format!("row {row}: a weight of {weight}, but it must be 0 or more");
            return refuse(problem).map_err(|it| it.at_row(row));
        }
        if weights.iter().all(|&weight| weight == 0.0) {
            return refuse(
                "all weights are 0, so that no row would count; give at least one above 0".into(),
            );
        }
        let counting: Vec<u32> =
            (0..).zip(&weights).filter(|(_, weight)| **weight > 0.0).map(|(row, _)| row).collect();
        let left_out = weights.len() - counting.len();
        self.left_out += left_out;
        if left_out > 0 {
            // Arrays, whose rows are all here until now; tables are read without such rows.
            let skipped = (0..).zip(&weights).filter(|(_, weight)| **weight == 0.0);
            self.skipped = Arc::new(skipped.map(|(row, _)| row).collect());
        }
        self.weights = Some(Arc::new(weights));
        Ok(if left_out == 0 { self } else { self.into_subset(&counting)? })
    }

    /// Returns the names of columns, targets among them, with numbers of more digits than f64 holds, such as whole numbers
    /// beyond 2^53.
    pub fn inexact(&self) -> &[String] {
        &self.inexact
    }

    /// Returns the number of rows of weight 0 that were left out of this data set, or of the one that it is a part of.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns the number of a row, from 1, in the table that it was read from. That is known of all rows together and of those that were
    /// held out; other parts are counted from 1 anew.
    #[cfg(feature = "cli")]
    pub(crate) fn row_number(&self, row: usize) -> u64 {
        let place = self.places.as_ref().map_or(row, |places| places.place(row));
        // Finds how many rows of the table were skipped before this one: before the skipped row `i`, there are `skipped[i] - i` others.
        let (mut low, mut high) = (0, self.skipped.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.skipped[middle] as usize - middle <= place {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (place + low) as u64 + 1
    }

    /// Returns the weight of each row, always above 0; `None` if all rows weigh the same.
    pub fn weights(&self) -> Option<&[f64]> {
        self.weights.as_deref().map(Vec::as_slice)
    }

    /// Returns the names of the columns and the kind of the target.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns what is to be told of how the table was read: columns and rows that were left out, marks that were taken for gaps.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the cells of these rows that the training rows had not the like of: gaps where they had none, and texts.
    pub fn odd_cells(&self) -> &[OddCell] {
        &self.odd
    }

    /// Returns the file name, or another name for the source in messages.
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

    /// Number of classes; 0 where the target is no class.
    pub fn classes(&self) -> usize {
        match &self.schema.kind {
            TargetKind::Classes(labels) => labels.len(),
            _ => 0,
        }
    }

    /// Returns the number of outputs that a network needs, if the loss asks for no other: one for each class or target column.
    pub fn outputs(&self) -> usize {
        self.schema.outputs()
    }

    /// Features `[rows, features]`, row-major.
    pub fn x(&self) -> Numbers<'_> {
        self.x.view()
    }

    /// Targets of each row.
    pub fn y(&self) -> &Targets {
        &self.y
    }

    /// Features of row `i`.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn row(&self, i: usize) -> Numbers<'_> {
        let columns = self.columns();
        self.x().range(i * columns..(i + 1) * columns)
    }

    /// Features of all rows in column `i`.
    pub fn column(&self, i: usize) -> impl Iterator<Item = f64> + Clone + use<'_> {
        self.x().every(i, self.columns())
    }

    /// Returns the given rows, in the given order; a row may occur more than once. The schema stays, even where a class is
    /// left without a row.
    ///
    /// # Panics
    ///
    /// When there is no such row, or the temporary file of a table that is [stored](Self::is_stored) cannot be written.
    pub fn subset(&self, rows: &[u32]) -> Self {
        self.try_subset(rows).unwrap_or_else(|error| panic!("the rows cannot be stored: {error}"))
    }

    /// Does the same as [`Self::subset`].
    ///
    /// # Errors
    ///
    /// When the temporary file of a stored table cannot be written.
    pub(super) fn try_subset(&self, rows: &[u32]) -> Result<Self> {
        Ok(self.with_rows(rows, self.x.gather(rows, self.columns(), self.memory)?))
    }

    /// Returns the given rows, which are in order, without a second copy of the features where no other data set shares them.
    ///
    /// # Errors
    ///
    /// As [`Self::try_subset`].
    pub(super) fn into_subset(mut self, rows: &[u32]) -> Result<Self> {
        let (columns, memory) = (self.columns(), self.memory);
        match Arc::try_unwrap(std::mem::take(&mut self.x)) {
            Ok(mut x) => {
                x.keep_rows(rows, columns, memory)?;
                Ok(self.with_rows(rows, x))
            }
            Err(shared) => Ok(self.with_rows(rows, shared.gather(rows, columns, memory)?)),
        }
    }

    /// Returns the data set of these rows, whose features are `x`.
    fn with_rows(&self, rows: &[u32], x: NumberVec) -> Self {
        Self {
            schema: self.schema.clone(),
            x: Arc::new(x),
            memory: self.memory,
            y: Arc::new(self.y.subset(rows)),
            weights: self
                .weights
                .as_ref()
                .map(|weights| Arc::new(rows.iter().map(|&i| weights[i as usize]).collect())),
            left_out: self.left_out,
            skipped: Arc::clone(&self.skipped),
            places: None,
            inexact: self.inexact.clone(),
            source: self.source.clone(),
            // The first row of a class in the subset need not be the first one in the file.
            class_lines: Vec::new(),
            raw: self.raw.clone(),
            odd: Arc::new(moved(&self.odd, rows)),
            notes: Arc::clone(&self.notes),
        }
    }

    /// Returns the bytes of memory that reading and training may take on the host, if that is limited.
    pub(crate) fn host_memory(&self) -> Option<u64> {
        host_memory(self.memory)
    }

    /// Says that the features are in a temporary file, if they are: how large they are, and where the file is.
    #[cfg(feature = "cli")]
    pub(crate) fn storage_note(&self) -> Option<String> {
        let memory = self.memory.filter(|_| self.is_stored())?;
        Some(format!(
            "the features take {}, more than the {} that one copy of a table may take in memory (a fifth of ‘host_memory’); they are \
             in a temporary file in {}",
            bytes_text(self.x.bytes()),
            bytes_text(memory),
            temp_folder().display()
        ))
    }

    /// Returns true if the features are in a temporary file, since they are larger than [`TableOptions::host_memory`](super::TableOptions)
    /// allows them to be in memory.
    pub fn is_stored(&self) -> bool {
        matches!(*self.x, NumberVec::Stored(_))
    }
}

/// Returns the odd cells of the given rows, which have other places then.
fn moved(odd: &[OddCell], rows: &[u32]) -> Vec<OddCell> {
    if odd.is_empty() {
        return Vec::new();
    }
    // Cells stand in the order of their rows.
    let of_row = |(place, &row): (usize, &u32)| {
        let first = odd.partition_point(|cell| cell.row < row as usize);
        let own = odd[first..].iter().take_while(move |cell| cell.row == row as usize);
        own.map(move |cell| OddCell { row: place, ..cell.clone() })
    };
    rows.iter().enumerate().flat_map(of_row).collect()
}

fn names_of<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

/// Returns the name and the kind of targets that an array gives: names are placeholders, which the caller may replace.
fn named_targets(targets: &Targets) -> Result<(String, TargetKind)> {
    let refuse = |problem: String| Error::table("arrays", problem);
    match targets {
        Targets::Columns(y, columns) => {
            if let Some(i) = y.iter().position(|v| !v.is_finite()) {
                let (row, column, value) = (i / columns, i % columns, y[i]);
                let problem =
                    format!("row {row}: target {value} in column y{column} is not a finite number");
                return Err(refuse(problem).at_row(row).at_column(&format!("y{column}")));
            }
            let names: Vec<String> = (0..*columns).map(|column| format!("y{column}")).collect();
            Ok((names.join(","), TargetKind::Numbers(names)))
        }
        Targets::Numbers(y) => {
            if let Some(row) = y.iter().position(|v| !v.is_finite()) {
                let problem = format!("row {row}: target {} is not a finite number", y[row]);
                return Err(refuse(problem).at_row(row).at_column("y"));
            }
            Ok(("y".into(), TargetKind::Number))
        }
        Targets::Classes(y) => {
            // The largest index decides: a class may have no row here.
            let classes = y.iter().max().map_or(0, |&largest| largest as usize + 1);
            // A huge index is more likely a mistake than a class, and would make a huge layer.
            if classes > y.len().max(MANY_CLASSES) {
                let (class, rows) = (classes - 1, y.len());
                return Err(refuse(format!(
                    "class {class} in {}; classes are indices that count from 0",
                    pluralize(rows as u64, "row")
                )));
            }
            if classes < 2 {
                let problem = "all rows have class 0; give rows of at least two classes";
                return Err(refuse(problem.into()));
            }
            let names = (0..classes).map(|class| class.to_string()).collect();
            Ok(("y".into(), TargetKind::Classes(names)))
        }
    }
}

/// Checks that targets are those of a schema.
fn check_targets(targets: &Targets, schema: &Schema) -> Result<()> {
    let refuse = |problem: String| Error::table("arrays", problem);
    // A message names the target's column as the schema does.
    let wanted = schema.targets();
    let wrong = |row: usize, column: usize, problem: String| {
        let name = wanted.get(column).copied().unwrap_or_default();
        refuse(format!("row {row}, target {}: {problem}", shown(name))).at_row(row).at_column(name)
    };
    // One check for each pair of kinds; all other pairs do not fit.
    let fits = match (&schema.kind, targets) {
        (TargetKind::Classes(names), Targets::Classes(y)) => {
            if let Some(row) = y.iter().position(|&class| class as usize >= names.len()) {
                let problem = format!("class {}, but there are {} classes", y[row], names.len());
                return Err(wrong(row, 0, problem));
            }
            true
        }
        (TargetKind::Classes(_), _) | (_, Targets::Classes(_)) => false,
        (kind, _) => {
            let (y, columns) = targets.columns().unwrap_or_default();
            let label = matches!(kind, TargetKind::Labels(_));
            // Labels arrive as numbers, of which only 0 and 1 are meant.
            let good = |v: f64| if label { v == 0.0 || v == 1.0 } else { v.is_finite() };
            if columns == wanted.len()
                && let Some(i) = y.iter().position(|&value| !good(value))
            {
                let must = if label { "labels are 0 or 1" } else { "it must be a finite number" };
                return Err(wrong(i / columns, i % columns, format!("{}, but {must}", y[i])));
            }
            columns == wanted.len() && y.len() == targets.len() * columns
        }
    };
    if fits {
        return Ok(());
    }
    let problem =
        "the targets are not of the kind, or not as many a row, as those of the other data set";
    Err(refuse(problem.into()))
}

/// Checks that there is a value for each row and column.
fn check_lengths(values: usize, rows: usize, columns: usize) -> Result<(), String> {
    if rows.checked_mul(columns) == Some(values) {
        return Ok(());
    }
    Err(format!(
        "{values} feature values, but {rows} targets and {columns} columns need {rows} x {columns}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_get_names_or_an_error_that_says_what_is_wrong() {
        let data = || Dataset::from_arrays(&[1.0, 2.0, 3.0, 4.0], 2, vec![0_u32, 1]).unwrap();
        let named = data().with_columns(["a", "b"]).unwrap().with_targets(["c"]).unwrap();
        let named = named.with_classes(["no", "yes", "never"]).unwrap();
        assert_eq!(named.schema().features, ["a", "b"]);
        assert_eq!((named.schema().target.as_str(), named.classes()), ("c", 3));
        let said = |data: Result<Dataset>| data.unwrap_err().to_string();
        for (data, want) in [
            (data().with_columns(["a"]), "arrays: 1 names for 2 columns"),
            (data().with_columns(["a", "a"]), "arrays: `a` is the name of two columns"),
            (data().with_columns(["a", ""]), "arrays: an empty name for one of the columns"),
            (data().with_targets(["x1"]), "arrays: the target `x1` has the name of a feature"),
            (data().with_targets(["c", "d"]), "arrays: 2 names for 1 target columns"),
            (data().with_classes(["no"]), "arrays: 1 names for 2 classes"),
            (
                Dataset::from_arrays(&[1.0], 1, vec![0.5]).unwrap().with_classes(["a", "b"]),
                "arrays: classes have names, but the target is no class",
            ),
        ] {
            assert_eq!(said(data), want);
        }
        let two = Dataset::from_arrays(&[1.0], 1, Targets::Columns(vec![0.0, 1.0], 2)).unwrap();
        let labels = two.as_labels().unwrap().with_targets(["up", "hot"]).unwrap();
        assert_eq!(labels.schema().targets(), ["up", "hot"]);
        assert_eq!(labels.schema().target, "up,hot");
    }

    #[test]
    fn errors_about_arrays_tell_row_and_column_as_numbers() {
        let bad = Dataset::from_arrays(&[1.0, 2.0, f64::NAN, 4.0], 2, vec![0_u32, 1]);
        let Err(Error::Table { at, .. }) = bad else { panic!("{bad:?}") };
        assert_eq!((at.file.as_deref(), at.line, at.row), (Some("arrays"), None, Some(1)));
        assert_eq!(at.column.as_deref(), Some("x0"));
    }

    #[test]
    fn arrays_become_named_columns() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let data = Dataset::from_arrays(&x, 2, Targets::Classes(vec![2, 0, 2])).unwrap();
        assert_eq!((data.rows(), data.columns(), data.classes(), data.outputs()), (3, 2, 3, 3));
        assert_eq!(data.schema().features, ["x0", "x1"]);
        assert_eq!(data.row(1).to_vec(), [3.0, 4.0]);
        let labels = ["0", "1", "2"].map(String::from).to_vec();
        assert_eq!(data.schema().kind, TargetKind::Classes(labels));

        let part = data.subset(&[2, 0]);
        assert_eq!(part.x().to_vec(), [5.0, 6.0, 1.0, 2.0]);
        assert_eq!(part.y(), &Targets::Classes(vec![2, 2]));
        assert_eq!(part.schema(), data.schema());

        let number = Dataset::from_arrays(&x, 3, Targets::Numbers(vec![0.5, 0.5])).unwrap();
        assert_eq!((number.rows(), number.classes(), number.outputs()), (2, 0, 1));
    }

    #[test]
    fn several_targets_and_weights_follow_their_rows() {
        let x = [1.0, 2.0, 3.0];
        let y = Targets::Columns(vec![1.0, 0.0, 0.0, 0.0, 1.0, 1.0], 2);
        let data = Dataset::from_arrays(&x, 1, y).unwrap().with_weights(vec![1.0, 0.0, 2.5]);
        let data = data.unwrap();
        assert_eq!((data.classes(), data.outputs()), (0, 2));
        assert_eq!(
            (data.schema().targets(), data.schema().target.as_str()),
            (vec!["y0", "y1"], "y0,y1")
        );
        // The second row weighs nothing.
        assert_eq!((data.rows(), data.left_out(), data.x().to_vec()), (2, 1, vec![1.0, 3.0]));
        let part = data.subset(&[1, 0]);
        assert_eq!(part.y(), &Targets::Columns(vec![1.0, 1.0, 1.0, 0.0], 2));
        assert_eq!(part.weights(), Some(&[2.5, 1.0][..]));
        let labels = data.as_labels().unwrap();
        assert!(matches!(&labels.schema().kind, TargetKind::Labels(labels) if labels.len() == 2));
        let said = |result: Result<Dataset>| result.unwrap_err().to_string();
        let numbers =
            || Dataset::from_arrays(&x, 1, Targets::Numbers(vec![0.0, 2.0, 1.0])).unwrap();
        assert!(said(numbers().as_labels()).contains("row 1: target 2, but labels are 0 or 1"));
        assert!(said(numbers().with_weights(vec![1.0])).contains("1 weight for 3 rows"));
        assert!(
            said(numbers().with_weights(vec![1.0, -1.0, 1.0])).contains("row 1: a weight of -1")
        );
        assert!(said(numbers().with_weights(vec![0.0; 3])).contains("no row would count"));
        let ragged = Targets::Columns(vec![0.0; 5], 2);
        assert!(
            said(Dataset::from_arrays(&x, 1, ragged)).contains("5 target values are no rows of 2")
        );
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
        let endless = Targets::Numbers(vec![0.0, f64::INFINITY]);
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
            let (features, target) = (vec!["a".into()], "t".into());
            let schema = Schema { features, target, kind, ..Schema::default() };
            let text = serde_json::to_string(&schema).unwrap();
            assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), schema, "{text}");
        }
    }
}
