//! The places of a table's columns.
//!
//! In: a header, the target, options. Out: [`Layout`]: which columns are features, targets, weights and keys.
//! Absent on purpose: cells.

use std::collections::HashSet;
use std::path::Path;

use super::dialect::TableFormat;
use super::row_keys::RowKeys;
use super::rows::TableReader;
use crate::data::header::option_value;
use crate::data::kinds::DeclaredType;
use crate::data::schema::Target;
use crate::data::table_options::{ColumnRule, TableOptions};
use crate::data::{cell, header};
use crate::error::{Error, Result};

/// Places of the columns.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Names of all columns.
    pub(super) names: Vec<String>,
    pub(super) targets: Vec<usize>,
    pub(super) weight: Option<usize>,
    /// Columns that are read as features.
    pub(super) picks: Vec<usize>,
    /// Columns by which rows are split.
    pub(super) keys: RowKeys,
    /// Form of the text, as far as it is stated.
    pub(super) format: TableFormat,
}

impl Layout {
    /// Opens a table and finds its columns.
    pub(super) fn of(
        path: &Path,
        target: &Target,
        options: &TableOptions,
    ) -> Result<(Self, TableReader)> {
        let wanted = |names: &[&str]| header::has_targets(names, target.column());
        let mut table = TableReader::open(path, &options.format, wanted)?;
        let mut layout = Self::in_header(&table, target, options)?;
        // A second pass takes the first line as this one does; that of an array is always a header, which may not be stated.
        if !table.dialect().is_array || table.dialect().sheet.is_some() {
            layout.format.header = Some(table.dialect().header);
        }
        // Between commas, texts with commas in them are classes, unless someone says that they are numbers.
        let numbers = table.dialect().delimiter != b','
            || options.format.decimal.is_some()
            || matches!(target, Target::Number(_));
        let texts = layout.texts(options);
        table.read_numbers_in(|column| {
            !layout.keys.has(column)
                && !texts.contains(&column)
                && (numbers || !layout.targets.contains(&column))
        });
        Ok((layout, table))
    }

    /// Returns the columns that are asked to hold something else than numbers.
    pub(super) fn texts(&self, options: &TableOptions) -> HashSet<usize> {
        let rules = options.rules();
        let is_text = |name: &str| rules.get(name).is_some_and(|it| **it != ColumnRule::Number);
        (0..self.names.len()).filter(|&place| is_text(&self.names[place])).collect()
    }

    /// Takes all columns for features.
    pub(super) fn of_all(table: &TableReader, options: &TableOptions) -> Self {
        let names: Vec<String> = table.header.iter().map(|name| name.trim().to_owned()).collect();
        Self {
            targets: Vec::new(),
            weight: None,
            picks: (0..names.len()).collect(),
            names,
            keys: RowKeys::default(),
            format: options.format.clone(),
        }
    }

    fn in_header(table: &TableReader, target: &Target, options: &TableOptions) -> Result<Self> {
        let names = header::names(&table.header);
        let source = &table.source;
        let targets = header::find_targets(&names, target.column(), source)
            .map_err(|error| table.explain(error))?;
        let weight = options.weight.as_deref();
        let weight_place = weight
            .map(|name| header::find_target(&names, name, source))
            .transpose()
            .map_err(|error| table.explain(error))?;
        if let Some(name) = weight.filter(|_| weight_place.is_some_and(|it| targets.contains(&it)))
        {
            let problem = format!(
                "column {} cannot be both target and weight; name another column in ‘weight’, or leave it out",
                cell::shown(name)
            );
            return Err(Error::table(source, problem));
        }
        let used: Vec<usize> = targets.iter().copied().chain(weight_place).collect();
        let split_by = (options.group.as_deref(), options.split_column.as_deref());
        let keys = RowKeys::find(table, split_by, &used)?;
        let taken = |place: usize| used.contains(&place);
        // Only a column that is no feature anyway may be ignored without a contradiction.
        let of = |setting: &str, wanted: &[&str]| -> Result<Vec<usize>> {
            let places = header::find_named(&names, wanted)
                .map_err(|problem| Error::setting(setting, problem))?;
            let splits = |place: usize| setting != "ignore" && keys.has(place);
            match places.iter().find(|&&place| taken(place) || splits(place)) {
                Some(&place) => {
                    let name = cell::shown(names[place]);
                    let problem = format!(
                        "{name} is target or weight, or the rows are split by it, and so it is no feature; leave it out here"
                    );
                    Err(Error::setting(setting, problem))
                }
                None => Ok(places),
            }
        };
        // Sets, since a table may have very many columns.
        let set = |setting: &str, wanted: &[String]| -> Result<HashSet<usize>> {
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            Ok(of(setting, &wanted)?.into_iter().collect())
        };
        let ignored = set("ignore", &options.ignore)?;
        let only = options.features.as_ref().map(|it| set("features", it)).transpose()?;
        let ruled: Vec<&str> = options.columns.iter().map(|(name, _)| name.as_str()).collect();
        of("columns", &ruled)?;
        // Every other column is a feature, in the order of the file.
        let rules = options.rules();
        let is_feature = |place: &usize| {
            !taken(*place)
                && !keys.has(*place)
                && !ignored.contains(place)
                && only.as_ref().is_none_or(|only| only.contains(place))
                && rules.get(names[*place]) != Some(&&ColumnRule::Ignore)
        };
        let picks: Vec<usize> = (0..names.len()).filter(is_feature).collect();
        check_rules(&names, &picks, options)?;
        if picks.is_empty() {
            let problem = "no column is left for features, which takes at least one: leave one out of ‘ignore’, or name one in ‘features’";
            return Err(Error::table(source, problem));
        }
        let needed: Vec<usize> =
            targets.iter().copied().chain(weight_place).filter(|it| !picks.contains(it)).collect();
        table.check_cells(&needed)?;
        // Told before anything is read.
        let refused = picks.iter().find_map(|&place| match table.declared(place)? {
            DeclaredType::Refused(what) => Some((place, what)),
            _ => None,
        });
        if let Some((place, what)) = refused {
            let name = names[place];
            let problem = format!(
                "column {}: it holds {what}, which are no features; give ‘ignore’ {}",
                cell::shown(name),
                option_value(name, "")
            );
            return Err(Error::table(source, problem).at_column(name));
        }
        let names = names.into_iter().map(String::from).collect();
        let format = options.format.clone();
        Ok(Self { names, targets, weight: weight_place, picks, keys, format })
    }
}

/// Refuses a kind for a column that is no feature.
fn check_rules(names: &[&str], picks: &[usize], options: &TableOptions) -> Result<()> {
    let features: HashSet<&str> = picks.iter().map(|&place| names[place]).collect();
    let left_out = |(name, rule): &&(String, ColumnRule)| {
        *rule != ColumnRule::Ignore && !features.contains(name.as_str())
    };
    let Some((name, _)) = options.columns.iter().find(left_out) else { return Ok(()) };
    let problem = format!(
        "{} is no feature, since ‘features’ lacks it or ‘ignore’ has it; leave it out of ‘columns’",
        cell::shown(name)
    );
    Err(Error::setting("columns", problem))
}
