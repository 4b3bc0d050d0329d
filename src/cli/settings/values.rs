//! Values of options that are more than a name or a number.
//!
//! In: a setting. Out: the value, or its problem.

use std::collections::HashSet;

use super::config::{InitFrom, RunConfig, TableCache, USUAL_SHARE, ValidSource};
use super::paths::path_of;
use super::raw_settings::{RawSetting, RawSettings, SettingSource, text_of};
use crate::data::{
    ColumnRule, DecimalMark, FeatureScaling, ScalingRules, TableFormat, TableOptions,
    column_and_rule, list, option_value, parts_of,
};
use crate::error::{Error, Result};
use crate::graph::Group;
use crate::train::ClassWeights;

/// Returns true for the word that stands for nothing.
pub(super) fn is_none(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("none")
}

/// Reads texts: a list, or a text with commas between them.
pub(super) fn column_list(it: &RawSetting) -> Result<Vec<String>> {
    let toml::Value::Array(items) = it.value() else { return it.names() };
    let texts: Option<Vec<String>> = items.iter().map(text_of).collect();
    texts.ok_or_else(|| it.wrong("a list of texts is needed"))
}

/// Kinds of columns, and how columns of numbers are scaled.
#[derive(Debug, Default)]
pub(super) struct ColumnRules {
    pub(super) kinds: Vec<(String, ColumnRule)>,
    pub(super) scales: Vec<(String, FeatureScaling)>,
}

/// Reads kinds of columns and their scaling: `zip:category, when:date(%d.%m.%Y), age:robust`, a list of such texts, or a table.
pub(super) fn column_rules(it: &RawSetting) -> Result<ColumnRules> {
    let mut named: Vec<(String, String)> = Vec::new();
    if let toml::Value::Table(table) = it.value() {
        for (name, rule) in table {
            let rule = rule.as_str().ok_or_else(|| it.wrong("a kind must be a text"))?;
            named.push((name.clone(), rule.to_owned()));
        }
    } else {
        let parts = match it.value() {
            toml::Value::Array(_) => column_list(it)?,
            _ => parts_of(&it.text()?, true),
        };
        for (place, part) in parts.iter().enumerate() {
            let Some((name, rule)) = column_and_rule(part) else {
                let mut problem = format!(
                    "\"{part}\" has no colon; write a column and its kind, such as zip:category"
                );
                // A name with a comma was parted there.
                if let Some((name, kind)) = parts.get(place + 1).and_then(|it| it.rsplit_once(':'))
                {
                    let whole =
                        option_value(&format!("{part}, {}", name.trim()), &format!(":{kind}"));
                    problem += &format!(
                        "; if it is part of a name with a comma, the name stands in quotes: {whole}"
                    );
                }
                return Err(it.wrong(problem));
            };
            named.push((name.to_string(), rule.to_string()));
        }
    }
    let mut rules = ColumnRules::default();
    let mut known = HashSet::with_capacity(named.len());
    for (name, text) in named {
        if !known.insert(name.clone()) {
            return Err(it.wrong(format!("{} is named twice", list(&[name]))));
        }
        // Only numbers are scaled.
        let kind = match text.parse::<FeatureScaling>() {
            Ok(method) => {
                rules.scales.push((name.clone(), method));
                ColumnRule::Number
            }
            Err(_) => text.parse().map_err(|error| it.locate(with_scales(error)))?,
        };
        rules.kinds.push((name, kind));
    }
    Ok(rules)
}

/// Adds the methods of scaling to the kinds that an error lists.
fn with_scales(error: Error) -> Error {
    match error {
        Error::Setting { name, problem } if problem.contains("known: ") => {
            let problem =
                format!("{problem}; and for numbers standard, robust, minmax, quantile, log, none");
            Error::Setting { name, problem }
        }
        other => other,
    }
}

/// Reads whether columns with the values of another one are left out.
pub(super) fn duplicates(it: &RawSetting) -> Result<bool> {
    match it.text()?.trim() {
        "drop" => Ok(true),
        "keep" => Ok(false),
        other => Err(it.wrong(format!("unknown name \"{other}\"; known: drop, keep"))),
    }
}

/// Reads how a target is scaled.
pub(super) fn target_scale(it: &RawSetting) -> Result<FeatureScaling> {
    let refuse = || {
        let known = "known: standard, quantile, log, none";
        it.wrong(format!("unknown name \"{}\"; {known}", it.text().unwrap_or_default()))
    };
    let method = it.text()?.parse().map_err(|_| refuse())?;
    if FeatureScaling::suits_target(method) { Ok(method) } else { Err(refuse()) }
}

/// Reads the number of checkpoints to keep, at least one.
pub(super) fn keep_checkpoints(it: &RawSetting) -> Result<u32> {
    match it.plain("a whole number above 0")? {
        0 => Err(it.wrong("0, but it must be above 0; --checkpoint-every 0 writes none")),
        count => Ok(count),
    }
}

/// Reads a number of minutes.
pub(super) fn minutes(it: &RawSetting) -> Result<f64> {
    let minutes = it.plain("a number of minutes")?;
    if (0.0..1e9).contains(&minutes) {
        Ok(minutes)
    } else {
        Err(it.wrong(format!("{minutes}, but it must be a finite number of 0 or more")))
    }
}

/// Gives the optimizer one of its settings, under the option's key.
pub(super) fn set_optimizer(run: &mut RunConfig, it: &RawSetting) -> Result<()> {
    let optimizer = &mut run.options.optimizer;
    optimizer.must_have(it.key())?;
    let value = if it.key() == "nesterov" {
        f64::from(u8::from(it.plain::<bool>("true or false")?))
    } else {
        it.plain("a number")?
    };
    optimizer.set(it.key(), value)
}

/// Reads weights of classes: a text, or a table with a number for each class.
pub(super) fn class_weights(it: &RawSetting) -> Result<ClassWeights> {
    let toml::Value::Table(table) = it.value() else { return it.parse() };
    let weight = |(name, weight): (&String, &toml::Value)| {
        #[expect(clippy::cast_precision_loss, reason = "a weight")]
        let weight = weight.as_float().or(weight.as_integer().map(|weight| weight as f64))?;
        Some((name.clone(), weight))
    };
    let weights: Option<Vec<_>> = table.iter().map(weight).collect();
    let weights = weights.filter(|weights| !weights.is_empty());
    ClassWeights::of(
        weights.ok_or_else(|| it.wrong("a table of classes must have a number for each"))?,
    )
}

/// Reads groups of parameters: a text, or a list of tables.
pub(super) fn groups(it: &RawSetting) -> Result<Vec<Group>> {
    match it.value() {
        toml::Value::Array(tables)
            if !tables.is_empty() && tables.iter().all(toml::Value::is_table) =>
        {
            tables.iter().filter_map(toml::Value::as_table).map(|table| group(it, table)).collect()
        }
        _ => it.read(|text| {
            text.split(';').filter(|part| !part.trim().is_empty()).map(str::parse).collect()
        }),
    }
}

/// Reads a table of `[[groups]]`.
fn group(it: &RawSetting, table: &toml::Table) -> Result<Group> {
    let matches = table.get("match").and_then(toml::Value::as_str).unwrap_or_default().trim();
    if matches.is_empty() {
        return Err(it.wrong("a table names no parameters; write them as match = \"0.*\""));
    }
    let mut group = Group { matches: matches.to_string(), lr: 1.0, decay: 1.0, frozen: false };
    for (key, value) in table.iter().filter(|(key, _)| *key != "match") {
        let text = text_of(value);
        let text = text
            .ok_or_else(|| it.wrong(format!("{matches}: {key} must be a number, true or false")))?;
        group.set(key, &text)?;
    }
    Ok(group)
}

/// Adds groups of parameters, those of `--groups` before the others.
pub(super) fn add_groups(run: &mut RunConfig, key: &'static str, groups: Vec<Group>) -> Result<()> {
    for group in groups {
        group.check()?;
        run.groups.push((key, group));
    }
    run.groups.sort_by_key(|(key, _)| *key != "groups");
    Ok(())
}

/// Reads the memory of a device: bytes, with or without a unit of 1024; `auto` for what the device allows.
pub(super) fn device_memory(text: &str) -> Result<Option<u64>> {
    bytes("--device-memory", text)
}

/// Reads the memory of the host, as [`device_memory`] does; `auto` for all that is free.
pub(super) fn host_memory(text: &str) -> Result<Option<u64>> {
    match bytes("--host-memory", text)? {
        Some(0) => Err(Error::setting(
            "--host-memory",
            "0, but it must be above 0; write a size such as 2GiB, or auto",
        )),
        bytes => Ok(bytes),
    }
}

/// Reads the folder of the cache of tables.
pub(super) fn table_cache(text: &str) -> Result<TableCache> {
    match text.trim() {
        "" => Err(Error::setting(
            "--table-cache",
            "an empty text is no folder; name one, or write none to keep no tables",
        )),
        text if is_none(text) => Ok(TableCache::Off),
        _ => Ok(TableCache::Folder(path_of(text))),
    }
}

fn bytes(option: &str, text: &str) -> Result<Option<u64>> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let units = [("", 0), ("b", 0), ("kib", 10), ("mib", 20), ("gib", 30), ("tib", 40)];
    let unit = unit.trim().to_ascii_lowercase();
    let scale = units.into_iter().find(|(name, _)| *name == unit).map(|(_, shift)| 1_u64 << shift);
    let bytes =
        number.parse().ok().zip(scale).map(|(number, scale): (f64, u64)| number * scale as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    match bytes {
        Some(bytes) if (0.0..9e18).contains(&bytes) => Ok(Some(bytes as u64)),
        _ => {
            let problem = format!(
                "\"{text}\" is not a size; write bytes, or sizes such as 512MiB or 1.5GiB, or auto"
            );
            Err(Error::setting(option, problem))
        }
    }
}

/// Reads the source of validation rows: a fraction of the rows, drawn or the last ones, or a table.
pub(super) fn valid(text: &str) -> Result<ValidSource> {
    let last = text.trim().strip_prefix("last");
    if let Some(share) = last.and_then(|rest| rest.strip_prefix(':')) {
        let wrong = || {
            let problem = format!(
                "\"{}\" is no share of the last rows; write last:0.2, with a number above 0 and below 1",
                text.trim()
            );
            Error::setting("--valid", problem)
        };
        let share: f64 = share.trim().parse().map_err(|_| wrong())?;
        return if share > 0.0 && share < 1.0 {
            Ok(ValidSource::Last(share))
        } else {
            Err(wrong())
        };
    }
    if last == Some("") {
        return Ok(ValidSource::Last(USUAL_SHARE));
    }
    match text.trim().parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(ValidSource::Share(share)),
        Ok(share) => {
            let share: f64 = share;
            Err(Error::setting(
                "--valid",
                format!("{share}, but a share must be at least 0 and below 1; or name a table"),
            ))
        }
        Err(_) if text.trim().is_empty() => {
            Err(Error::setting("--valid", "empty; give a share such as 0.2, or name a table"))
        }
        Err(_) => Ok(ValidSource::File(path_of(text))),
    }
}

/// Reads the sign between a table's cells; `None` if it is to be found.
pub(super) fn delimiter(text: &str) -> Result<Option<char>> {
    // A sign alone may be a space or a tab, which trimming would take away.
    let mut letters = text.chars();
    let name = text.trim().to_ascii_lowercase();
    match (letters.next(), letters.next()) {
        (Some(sign), None) if sign == '\t' || sign == ' ' => return Ok(Some(sign)),
        (Some(sign), None) if sign.is_ascii_punctuation() && !"\"'.+-_".contains(sign) => {
            return Ok(Some(sign));
        }
        _ => {}
    }
    match name.as_str() {
        "auto" => Ok(None),
        "comma" => Ok(Some(',')),
        "semicolon" => Ok(Some(';')),
        "tab" | "\\t" => Ok(Some('\t')),
        "bar" => Ok(Some('|')),
        "space" => Ok(Some(' ')),
        _ => {
            let problem = format!(
                "\"{}\" is no sign between cells; known: auto, comma, semicolon, tab, bar, space, or a sign such as ':'",
                text.escape_debug()
            );
            Err(Error::setting("--delimiter", problem))
        }
    }
}

/// Returns the text from which [`delimiter`] reads a sign.
pub(super) fn delimiter_text(sign: char) -> String {
    match sign {
        '\t' => "tab".into(),
        ' ' => "space".into(),
        sign => sign.to_string(),
    }
}

/// Reads the sign before decimals; `None` if it is to be found.
pub(super) fn decimal(text: &str) -> Result<Option<DecimalMark>> {
    match text.trim().to_ascii_lowercase().as_str() {
        "auto" => Ok(None),
        "point" | "." => Ok(Some(DecimalMark::Point)),
        "comma" | "," => Ok(Some(DecimalMark::Comma)),
        other => {
            let problem = format!("unknown name \"{other}\"; known: auto, point, comma");
            Err(Error::setting("--decimal", problem))
        }
    }
}

/// Reads whether a table has a header; `None` if that is to be found.
pub(super) fn header(text: &str) -> Result<Option<bool>> {
    match text.trim().to_ascii_lowercase().as_str() {
        "auto" => Ok(None),
        "yes" | "true" => Ok(Some(true)),
        "no" | "false" => Ok(Some(false)),
        other => {
            let problem = format!("unknown name \"{other}\"; known: auto, yes, no");
            Err(Error::setting("--header", problem))
        }
    }
}

/// Reads kinds of columns and their scaling, columns to ignore and marks of gaps as `inspect` is told of them.
pub(crate) fn column_options(texts: [Option<&str>; 3]) -> Result<(TableOptions, ScalingRules)> {
    let mut raw = RawSettings::default();
    for (key, text) in ["columns", "ignore", "missing"].into_iter().zip(texts) {
        text.into_iter().for_each(|text| raw.insert(key, text, SettingSource::CommandLine));
    }
    let rules = raw.get("columns").map(column_rules).transpose()?.unwrap_or_default();
    let options = TableOptions {
        columns: rules.kinds,
        ignore: raw.get("ignore").map(column_list).transpose()?.unwrap_or_default(),
        missing: raw.get("missing").map(column_list).transpose()?,
        ..TableOptions::default()
    };
    Ok((options, ScalingRules { columns: rules.scales, ..ScalingRules::default() }))
}

/// Form of a table as `predict` and `evaluate` are told of it.
pub(crate) fn table_format([sign, mark, names, sheet]: [Option<&str>; 4]) -> Result<TableFormat> {
    Ok(TableFormat {
        delimiter: sign.map(delimiter).transpose()?.flatten(),
        decimal: mark.map(decimal).transpose()?.flatten(),
        header: names.map(header).transpose()?.flatten(),
        target_file: None,
        sheet: sheet.map(String::from),
    })
}

/// Reads how weights start: a scheme, or a file of weights.
pub(super) fn start(text: &str) -> Result<InitFrom> {
    let path = path_of(text);
    let file =
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors"));
    if file { Ok(InitFrom::File(path)) } else { text.parse().map(InitFrom::Scheme) }
}

/// Reads a time such as `90s`, `10m`, `1.5h` or `90`, in seconds.
///
/// # Errors
/// If it is no such text.
pub(crate) fn seconds_of(text: &str) -> Result<f64> {
    let text = text.trim();
    let (digits, factor) = match text.char_indices().next_back() {
        Some((end, 's')) => (&text[..end], 1.0),
        Some((end, 'm')) => (&text[..end], 60.0),
        Some((end, 'h')) => (&text[..end], 3600.0),
        _ => (text, 1.0),
    };
    let seconds = digits.trim().parse::<f64>().ok().map(|count| count * factor);
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or_else(|| {
        Error::setting("time", format!("\"{text}\" is no time; give one such as 90s, 10m or 2h"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::arguments::Settings;
    use crate::cli::settings::resolve::resolve;
    use crate::cli::settings::sources::merge;

    #[test]
    fn times_are_read_with_their_units() {
        for (text, want) in
            [("90s", 90.0), ("90", 90.0), ("10m", 600.0), ("1.5h", 5400.0), (" 2 m ", 120.0)]
        {
            assert_eq!(seconds_of(text).unwrap(), want, "{text}");
        }
        for text in ["", "s", "0", "-3s", "ten", "3d", "infm", "nan"] {
            let said = seconds_of(text).unwrap_err().to_string();
            assert!(said.contains("such as 90s, 10m or 2h"), "{text}: {said}");
        }
    }

    #[test]
    fn sizes_have_units_of_1024_or_none() {
        for (text, want) in [
            ("1000000", Some(1_000_000)),
            ("512MiB", Some(512 << 20)),
            (" 1.5 gib ", Some(3 << 29)),
            ("64 KiB", Some(64 << 10)),
            ("7b", Some(7)),
            ("auto", None),
        ] {
            assert_eq!(device_memory(text).unwrap(), want, "{text}");
        }
        for bad in ["", "MiB", "12MB", "1.2.3GiB", "-1", "1e9", "99999999TiB", "all"] {
            let said = device_memory(bad).unwrap_err().to_string();
            assert!(said.starts_with("--device-memory: ") && said.contains("512MiB"), "{said}");
        }
    }

    fn options(file: &str) -> Result<RunConfig> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, format!("table = \"a.csv\"\ntarget = \"y\"\n{file}")).unwrap();
        resolve(merge(&Settings::default().with_file(path))?)
    }

    fn refused(file: &str) -> String {
        options(file).unwrap_err().to_string()
    }

    #[test]
    fn groups_are_tables_or_a_text() {
        let file =
            "[[groups]]\nmatch = \"0.*\"\nlr = 0.5\n[[groups]]\nmatch = \"bias\"\nfrozen = true\n";
        let run = options(file).unwrap();
        let text = options("groups = \"0.*: lr=0.5; bias: frozen=true\"\n").unwrap();
        assert_eq!(run.options.groups, text.options.groups);
        let names: Vec<_> = run.options.groups.iter().map(Group::to_string).collect();
        assert_eq!(names, ["0.*: lr=0.5", "bias: frozen=true"]);
        for (table, part) in [
            ("lr = 1", "names no parameters"),
            ("match = \"0.*\"\nrate = 1", "0.*: no setting \"rate\"; known: lr, decay, frozen"),
            ("match = \"0.*\"\nlr = \"fast\"", "0.*: lr: \"fast\" is not a number"),
            ("match = \"0.*\"\nlr = { a = 1 }", "0.*: lr must be a number"),
            ("match = \"0.*\"\nlr = -1", "0 or more"),
            ("match = \"a b\"", "names no parameters; write names such as"),
        ] {
            let said = refused(&format!("[[groups]]\n{table}\n"));
            assert!(said.contains("run.toml: groups: ") && said.contains(part), "{table}: {said}");
        }
    }

    #[test]
    fn weights_of_classes_are_a_table_or_a_text() {
        let table = options("[class-weights]\n\"a, b\" = 2\nc = 0.5\n").unwrap();
        let text = options("class-weights = '\"a, b\"=2,c=0.5'\n").unwrap();
        assert_eq!(table.options.class_weights, text.options.class_weights);
        for (file, part) in [
            ("[class-weights]\n", "a table of classes must have a number for each"),
            ("[class-weights]\na = \"x\"\n", "a table of classes must have a number for each"),
            ("[class-weights]\na = -1\n", "-1 for a, but a weight must be 0 or more"),
        ] {
            let said = refused(file);
            assert!(said.contains("run.toml: class-weights: ") && said.contains(part), "{said}");
        }
    }
}
