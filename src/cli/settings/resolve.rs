//! From settings as given to a [`RunConfig`]: each option is read, defaults are filled in, and what excludes each other is refused.
//!
//! In: [`RawSettings`]. Out: [`RunConfig`].
//! Absent on purpose: single options, which `options.rs` declares; the table's contents.

use std::path::{Path, PathBuf};

use super::config::{InitFrom, RunConfig, ValidSource};
use super::network::OF_PLAIN;
use super::options::OPTIONS;
use super::paths::path_of;
use super::raw_settings::{RawSettings, TABLE};
use super::sources::{OF_OPTIMIZER, in_parentheses};
use crate::data::{ColumnRule, column_names, list};
use crate::device::Tune;
use crate::error::{Error, Result};
use crate::train::KeepWeights;

/// Reads settings, fills in defaults and checks everything that can be checked without the table.
pub(crate) fn resolve(raw: RawSettings) -> Result<RunConfig> {
    check_needed(&raw)?;
    let mut run = RunConfig { raw, ..RunConfig::default() };
    for row in OPTIONS {
        if let Some(setting) = run.raw.get(row.key).cloned() {
            (row.read)(&mut run, &setting).map_err(|error| setting.locate(error))?;
        }
    }
    fill_in(&mut run);
    run.options.check().map_err(|error| run.locate(error))?;
    check_together(&run)?;
    Ok(run)
}

/// Fills in defaults that follow from other settings.
fn fill_in(run: &mut RunConfig) {
    if !run.raw.has("lr") {
        run.options.lr = run.options.optimizer.default_lr();
    }
    if !run.raw.has("init") {
        run.start = InitFrom::Scheme(run.network.init());
    }
    if !run.raw.has("out") {
        run.out = default_out(&run.table);
    }
    run.options.groups = run.groups.iter().map(|(_, group)| group.clone()).collect();
}

/// Says that a setting of plain networks does not go with all layers, given at this place.
pub(crate) fn all_layers(place: &str) -> String {
    format!("{place} says what all layers are; write it there, or leave one of the two out")
}

/// Refuses settings that do not go together.
fn check_together(run: &RunConfig) -> Result<()> {
    let refuse = |key: &str, problem: String| Err(Error::setting(run.raw.place(key), problem));
    if let Some(key) = OF_PLAIN.iter().find(|key| run.raw.has(key) && run.raw.has("layers")) {
        // The file's name stands before the problem already.
        let alone = run.raw.are_of_one_source("layers", key) && !run.raw.is_of_this_run(key);
        let layers = if alone { "layers".to_string() } else { run.raw.place("layers") };
        return refuse(key, all_layers(&layers));
    }
    let stops = run.options.stop_patience.is_some();
    let watches = stops || run.options.keep != Some(KeepWeights::Last);
    for (key, watched, owner) in [
        ("stop-metric", watches, "--stop-patience and --keep best"),
        ("stop-delta", stops, "--stop-patience"),
        ("keep-later", watches, "--stop-patience and --keep best"),
    ] {
        if run.raw.has(key) && !watched {
            return refuse(key, format!("nothing is watched; it belongs to {owner}"));
        }
    }
    let optimizer = run.raw.text("optimizer").unwrap_or_default();
    let inside = in_parentheses(&optimizer);
    let twice = |key: &&&str| {
        inside.iter().any(|it| it == **key) && run.raw.are_of_one_source(key, "optimizer")
    };
    if let Some(key) = OF_OPTIMIZER.iter().find(twice) {
        return refuse(
            key,
            format!("optimizer = \"{optimizer}\" says it too; leave it out here or there"),
        );
    }
    check_columns(run)?;
    if run.members == 0 {
        return refuse("members", "0, but it must be above 0".to_string());
    }
    check_folds(run)?;
    check_split(run)?;
    check_effects(run)?;
    if run.valid_sheet.is_some() && !matches!(run.valid, ValidSource::File(_)) {
        let problem =
            "it names the sheet of --valid FILE, and no file is given; give one, or leave it out";
        return refuse("valid-sheet", problem.to_string());
    }
    if !run.init_strict && !matches!(run.start, InitFrom::File(_)) {
        let problem = "it says whether all weights of a file have to fit, and there is no file; give --init FILE.safetensors, or leave it out";
        return refuse("init-strict", problem.to_string());
    }
    Ok(())
}

/// Refuses columns that are to be features and are to be left out.
fn check_columns(run: &RunConfig) -> Result<()> {
    let Some(features) = &run.reading.features else { return Ok(()) };
    let ignored = run.reading.ignore.iter().map(|name| ("ignore", name));
    let by_rule = run.reading.columns.iter().filter(|(_, rule)| *rule == ColumnRule::Ignore);
    let left_out = ignored.chain(by_rule.map(|(name, _)| ("columns", name)));
    // Columns left out on the command line win over the features of a file.
    let wins = |key: &str| run.raw.is_of_this_run(key) && !run.raw.is_of_this_run("features");
    for (key, name) in left_out.filter(|(key, _)| !wins(key)) {
        if features.contains(name) {
            let problem = format!(
                "{} is one of --features as well, so that it is unclear if it is to be a feature; leave it out of one of the two",
                list(&[name])
            );
            return Err(Error::setting(run.raw.place(key), problem));
        }
    }
    Ok(())
}

/// Refuses settings that do not go with folds, or only with folds.
fn check_folds(run: &RunConfig) -> Result<()> {
    let refuse = |key: &str, problem: String| Err(Error::setting(run.raw.place(key), problem));
    if !run.raw.has("folds") {
        for key in ["folds-repeats", "fold", "refit"] {
            if run.raw.has(key) {
                return refuse(key, "it belongs to --folds, which is not given".to_string());
            }
        }
        return Ok(());
    }
    if run.folds < 2 {
        return refuse("folds", format!("{}, but there must be at least 2", run.folds));
    }
    if run.folds_repeats == 0 {
        return refuse("folds-repeats", "0, but it must be above 0".to_string());
    }
    let all = u64::from(run.folds) * u64::from(run.folds_repeats);
    if let Some(fold) = run.fold.filter(|fold| u64::from(*fold) >= all) {
        return refuse("fold", format!("{fold}, but the {all} folds have the numbers from 0 on"));
    }
    if run.fold.is_some() && run.refit {
        return refuse(
            "refit",
            "one fold alone has no mean of epochs; leave --fold out".to_string(),
        );
    }
    if run.members > 1 {
        let problem = "folds have a network each; give --folds without it, or --folds-repeats for several networks a fold";
        return refuse("members", problem.to_string());
    }
    for key in ["valid", "split-column"] {
        if run.raw.has(key) {
            let problem = "the folds are the validation rows; leave one of the two out";
            return refuse(key, problem.to_string());
        }
    }
    if matches!(run.start, InitFrom::File(_)) {
        let problem = "the scaling of the model that a file gives was measured on rows of every fold; begin with random weights, or \
                       leave --folds out";
        return refuse("init", problem.to_string());
    }
    Ok(())
}

/// Refuses settings that others leave without an effect.
fn check_effects(run: &RunConfig) -> Result<()> {
    let refuse = |key: &str, problem: &str| Err(Error::setting(run.raw.place(key), problem));
    // A file of a run has all settings, so only those that are typed count where another one is usual.
    let of_layers =
        ["activation", "norm", "dropout"].into_iter().find(|key| run.raw.is_of_this_run(key));
    if let Some(key) = of_layers.filter(|_| run.network.hidden.is_empty()) {
        return refuse(
            key,
            "it is for hidden layers, and --hidden none has none; leave one of the two out",
        );
    }
    if run.raw.is_of_this_run("keep-later")
        && run.valid == ValidSource::Share(0.0)
        && run.folds == 0
    {
        let problem = "with --valid 0 there are no validation rows by which epochs could be equally good; leave one of the two out";
        return refuse("keep-later", problem);
    }
    let writes = run.checkpoints.every > 0 || run.checkpoints.minutes > 0.0;
    if run.raw.is_of_this_run("keep-checkpoints") && !writes {
        let problem = "no checkpoints are written; give --checkpoint-every 1 or --checkpoint-minutes, or leave it out";
        return refuse("keep-checkpoints", problem);
    }
    if run.raw.is_of_this_run("tune-ms") && run.options.tuning.tune != Tune::Quick {
        let problem = "it says how long --tune quick may take, and --tune is another one; leave one of the two out";
        return refuse("tune-ms", problem);
    }
    Ok(())
}

/// Refuses two ways of choosing the validation rows.
fn check_split(run: &RunConfig) -> Result<()> {
    let refuse = |key: &str, problem: &str| Err(Error::setting(run.raw.place(key), problem));
    let (column, group) = (&run.reading.split_column, &run.reading.group);
    if column.is_some() && run.raw.has("valid") {
        let problem = "--split-column says which rows are for validation; leave one of the two out";
        return refuse("valid", problem);
    }
    if column.is_some() && group.is_some() {
        let problem = "--split-column says which rows are for validation; leave one of the two out";
        return refuse("group", problem);
    }
    if group.is_some() && !matches!(run.valid, ValidSource::Share(_)) {
        let problem = "groups are drawn at random, and --valid names other rows; give --valid a share, or leave --group out";
        return refuse("group", problem);
    }
    if group.is_some() && run.valid == ValidSource::Share(0.0) {
        let problem = "with --valid 0 no rows are held out, so that groups have nothing to say; leave one of the two out, and name the \
                       column in --ignore if it is no feature";
        return refuse("group", problem);
    }
    for (key, name) in [("group", group), ("split-column", column)] {
        if name.as_deref().is_some_and(str::is_empty) {
            return refuse(key, "empty; name a column, or leave the option out");
        }
    }
    Ok(())
}

/// Refuses settings without a table or a target.
fn check_needed(raw: &RawSettings) -> Result<()> {
    let missing = |key: &str, what: &str| Error::setting(key, format!("missing; {what}"));
    // A value of another kind is there, and wrong.
    for setting in [TABLE, "target"].into_iter().filter_map(|key| raw.get(key)) {
        setting.text()?;
    }
    let table = raw.text(TABLE).filter(|text| !text.is_empty());
    let table = table.ok_or_else(|| missing("TABLE", "name a CSV file"))?;
    let target = raw.text("target").filter(|text| !text.trim().is_empty());
    target.map(drop).ok_or_else(|| missing("--target", &which_target(&table)))
}

/// Says what to do without a target: names the columns there are, if the table can be read.
fn which_target(table: &str) -> String {
    let path = path_of(table);
    let columns = column_names(&path).ok().filter(|names| !names.is_empty());
    let there = columns.map(|names| format!(": {} has {}", path.display(), list(&names)));
    format!("name the column to predict{}", there.unwrap_or_default())
}

fn default_out(table: &Path) -> PathBuf {
    // Of a compressed table, the name of the table in it.
    let packed = table.extension().is_some_and(|it| ["gz", "zst"].iter().any(|end| it == *end));
    let table = if packed { table.with_extension("") } else { table.to_path_buf() };
    let name =
        table.file_stem().filter(|name| !["", ".", "..", "-"].iter().any(|dots| name == dots));
    Path::new("runs").join(name.unwrap_or("run".as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::arguments::Settings;
    use crate::cli::settings::network::{Network, Norm};
    use crate::cli::settings::sources::merge;
    use crate::data::FeatureScaling;
    use crate::device::DeviceKind;
    use crate::graph::{Average, Group, Optimizer};
    use crate::model::{Activation, Layer};
    use crate::train::TrainOptions;

    /// Settings with keys and values as they are typed.
    fn resolved(given: &[(&'static str, &str)]) -> Result<RunConfig> {
        let table = Settings::default().with("table", "data/iris.csv").with("target", "y");
        let settings = given.iter().fold(table, |all, (key, text)| all.with(key, *text));
        resolve(merge(&settings)?)
    }

    fn refused(given: &[(&'static str, &str)]) -> String {
        resolved(given).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let config = resolved(&[]).unwrap();
        assert_eq!(config.options, TrainOptions::default());
        let plain = Network {
            hidden: vec![128, 64],
            norm: Norm::None,
            activation: Layer::Activation(Activation::Relu),
            dropout: 0.0,
            layers: None,
        };
        assert_eq!((config.network, config.out), (plain, PathBuf::from("runs/iris")));
        assert_eq!((config.valid, config.device), (ValidSource::Share(0.2), DeviceKind::Auto));
    }

    #[test]
    fn groups_need_rows_to_hold_out() {
        let said = refused(&[("group", "g"), ("valid", "0")]);
        assert!(said.starts_with("--group: with --valid 0 no rows are held out"), "{said}");
        assert!(resolved(&[("group", "g"), ("valid", "0.1")]).is_ok());
    }

    #[test]
    fn columns_are_scaled_and_named_with_commas_in_quotes() {
        let run = resolved(&[
            ("columns", r#""a, b":log, c\,d:category, when:date(%d,%m %Y), e:robust"#),
            ("ignore", r#"id, "x, y""#),
            ("target-scale", "quantile"),
        ]);
        let run = run.unwrap();
        let scales = [("a, b", FeatureScaling::Log), ("e", FeatureScaling::Robust)];
        assert_eq!(run.options.column_scales, scales.map(|it| (it.0.to_string(), it.1)));
        let kinds: Vec<String> =
            run.reading.columns.iter().map(|(name, rule)| format!("{name}:{rule}")).collect();
        assert_eq!(kinds, ["a, b:number", "c,d:category", "when:date(%d,%m %Y)", "e:number"]);
        assert_eq!(run.reading.ignore, ["id", "x, y"]);
        assert_eq!(run.options.target_scale, Some(FeatureScaling::Quantile));
        let said = refused(&[("columns", "a:logs")]);
        assert!(said.contains("date(PARTS), ignore; and for numbers standard, robust"), "{said}");
        let said = refused(&[("columns", "income, net:log, b:category")]);
        assert!(said.ends_with(r#"the name stands in quotes: '"income, net":log'"#), "{said}");
        let said = refused(&[("columns", "a:log, b")]);
        assert!(said.ends_with("such as zip:category"), "{said}");
        let said = refused(&[("columns", "a:log, a:number")]);
        assert!(said.contains("`a` is named twice"), "{said}");
        let said = refused(&[("target-scale", "robust")]);
        assert_eq!(
            said,
            "--target-scale: unknown name \"robust\"; known: standard, quantile, log, none"
        );
    }

    #[test]
    fn run_folders_are_named_like_tables() {
        for (table, want) in [
            ("data/iris.csv", "runs/iris"),
            ("...csv", "runs/run"),
            ("a/..csv", "runs/run"),
            (".csv", "runs/.csv"),
            ("..", "runs/run"),
            ("a.b.csv", "runs/a.b"),
            ("a/iris.csv.gz", "runs/iris"),
            ("a.gz", "runs/a"),
        ] {
            assert_eq!(default_out(Path::new(table)), PathBuf::from(want), "{table}");
        }
    }

    #[test]
    fn settings_of_other_optimizers_are_refused() {
        let said = refused(&[("momentum", "0.9")]);
        let owners = "it belongs to sgd, rmsprop and muon";
        assert_eq!(said, format!("--momentum: the optimizer adamw has no such setting; {owners}"));
        let said = refused(&[("optimizer", "sgd"), ("eps", "1e-7")]);
        assert!(
            said.contains("--eps: the optimizer sgd") && said.contains("adam, adamw, rmsprop"),
            "{said}"
        );
        let config = resolved(&[("optimizer", "sgd"), ("momentum", "0.9"), ("nesterov", "true")]);
        let want = Optimizer::by_name("sgd(momentum=0.9, nesterov=true)").unwrap();
        assert_eq!(config.unwrap().options.optimizer, want);
    }

    #[test]
    fn what_surrounds_the_optimizer_is_read_or_refused() {
        let config = resolved(&[
            ("optimizer", "lion(beta2=0.9)"),
            ("weight-decay", "0.1"),
            ("clip-norm", "1"),
            ("accumulate", "4"),
            ("average", "swa(start=2)"),
            ("groups", "0.*: lr=0.5"),
            ("no-decay", "bias, norm"),
            ("freeze", "2.*"),
        ]);
        let options = config.unwrap().options;
        assert_eq!(options.optimizer.to_string(), "lion(beta2=0.9, weight-decay=0.1)");
        assert_eq!((options.lr, options.clip_norm, options.accumulate), (1e-4, Some(1.0), 4));
        assert_eq!(options.average, Some(Average::Swa { start: 2, each_step: false }));
        let groups: Vec<_> = options.groups.iter().map(Group::to_string).collect();
        assert_eq!(groups, ["0.*: lr=0.5", "bias: decay=0", "norm: decay=0", "2.*: frozen=true"]);
        for (said, want) in [
            (refused(&[("clip-norm", "0")]), "--clip-norm: 0, but it must be"),
            (refused(&[("clip-value", "x")]), "--clip-value: \"x\" is not a number"),
            (refused(&[("accumulate", "0")]), "--accumulate: 0, but it must be above 0"),
            (refused(&[("average", "mean")]), "--average: unknown name \"mean\""),
            (refused(&[("groups", "bias")]), "--groups: \"bias\" has no colon"),
            (refused(&[("optimizer", "sgd(nu=1)")]), "--optimizer: sgd has no setting \"nu\""),
        ] {
            assert!(said.starts_with(want), "{said}");
        }
    }

    #[test]
    fn impossible_values_name_their_option() {
        assert_eq!(refused(&[("lr", "-1")]), "--lr: -1, but it must be above 0");
        assert_eq!(refused(&[("lr", "fast")]), "--lr: \"fast\" is not a number, or auto");
        assert_eq!(refused(&[("epochs", "-3")]), "--epochs: \"-3\" is not a whole number above 0");
        assert_eq!(
            refused(&[("device-memory", "0")]),
            "--device-memory: 0, but it must be above 0"
        );
        assert_eq!(refused(&[("batch-size", "0")]), "--batch-size: 0, but it must be above 0");
        assert!(refused(&[("valid", "1")]).starts_with("--valid: 1, but a share must be"));
        assert!(refused(&[("init", "ones")]).contains("--init: unknown scheme \"ones\""));
        assert_eq!(
            refused(&[("tune", "slow")]),
            "--tune: unknown name \"slow\"; known: off, quick, full"
        );
        assert!(refused(&[("tune-ms", "-1")]).starts_with("--tune-ms: \"-1\" is not a whole"));
        assert!(refused(&[("seed", "-1")]).starts_with("--seed: \"-1\""));
        assert!(refused(&[("task", "cluster")]).contains("known: auto, classify, regress"));
        assert_eq!(refused(&[("lr", "inf")]), "--lr: inf, but it must be a finite number above 0");
        assert_eq!(
            refused(&[("warmup", "-1")]),
            "--warmup: -1, but it must be a finite number of 0 or more"
        );
        assert_eq!(
            refused(&[("keep", "last"), ("stop-metric", "accuracy")]),
            "--stop-metric: nothing is watched; it belongs to --stop-patience and --keep best"
        );
        assert_eq!(
            refused(&[("keep", "best"), ("stop-delta", "0.1")]),
            "--stop-delta: nothing is watched; it belongs to --stop-patience"
        );
        assert_eq!(
            refused(&[("stop-patience", "0")]),
            "--stop-patience: 0, but it must be above 0"
        );
        assert!(refused(&[("keep", "first")]).contains("known: best, last"));
        assert!(
            refused(&[("metrics", "f1_macro,f2")])
                .starts_with("--metrics: unknown name \"f2\"; known: loss, accuracy")
        );
        assert!(
            refused(&[("dropout-schedule", "cosine(1, 2)")])
                .starts_with("--dropout-schedule: 2 arguments are too many; cosine has end")
        );
        assert_eq!(refused(&[("beta1", "1")]), "--beta1: 1, but it must be at least 0 and below 1");
        assert_eq!(
            refused(&[("norm", "group")]),
            "--norm: unknown name \"group\"; known: none, batch, layer, rms"
        );
        assert!(refused(&[("dropout", "1")]).starts_with("--dropout: 1, but it must"));
        assert!(
            refused(&[("layers", "dense"), ("dropout", "0.1")])
                .starts_with("--dropout: --layers says what all layers are")
        );
        assert!(refused(&[("target", " ")]).starts_with("--target: missing"));
        let without =
            |settings: Settings| resolve(merge(&settings).unwrap()).unwrap_err().to_string();
        assert!(
            without(Settings::default().with("table", "a.csv")).starts_with("--target: missing")
        );
        assert!(without(Settings::default().with("target", "y")).starts_with("TABLE: missing"));
    }
}
