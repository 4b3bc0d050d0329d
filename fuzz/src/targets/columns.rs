//! Parquet and Arrow files as tables: read as a whole, column by column, and in pieces, which has to give the same.

use super::{allowance, check_again, with_file};
use crate::memory::within;
use wgrad::data::{ScalingRules, TableOptions, column_names, inspect_with};
use wgrad::{Dataset, Target};

/// The first byte says which column is the target, what it is taken for, and how gaps are dealt with.
pub fn columns(data: &[u8]) {
    let Some((&how, file)) = data.split_first() else { return };
    let column = ["y", "city", "x", "f64"][usize::from(how % 4)].to_string();
    let mut options = TableOptions::default();
    if how & 16 != 0 {
        options.weight = Some("u8".into());
    }
    if how & 32 != 0 {
        options.group = Some("i16".into());
    }
    if how & 64 != 0 {
        options.missing = Some(vec!["a".into(), "0.5".into()]);
    }
    let target = match how & 12 {
        0 => Target::Number(column),
        4 => Target::Class(column),
        _ => Target::Auto(column),
    };
    with_file("columns", file, |path| {
        within(allowance(file), || {
            let _ = column_names(path);
        });
        let _ =
            within(2 * allowance(file), || inspect_with(path, &options, &ScalingRules::default()));
        let read = within(2 * allowance(file), || Dataset::load(path, &target, &options));
        let Ok(read) = read.and_then(|read| read.data.encoded()) else { return };
        check_again(path, &read, &options);
    });
}
