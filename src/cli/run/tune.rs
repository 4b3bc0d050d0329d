//! `wgrad tune`: a sweep over settings that are known to matter, and the ensemble of the best networks.
//!
//! In: a table, options, a time. Out: the settings and ranges of a sweep, which then runs.
//! Absent on purpose: the training of trials, which is that of every sweep; the model that it leaves.

use std::path::Path;

use super::ranks::check_alone;
use super::sweep::{Search, Sweep, as_given, check_folder, check_layers, place_out, run};
use super::sweep_space::{SearchDimension, take_ranges};
use super::tune_end::TuneRecord;
use super::verbosity::Verbosity;
use crate::cli::args::TuneArgs;
use crate::cli::open_run::SWEEP;
use crate::cli::settings::{
    OF_OPTIMIZER, OF_PLAIN, Settings, TargetKinds, read_table, run_config_knowing, seconds_of,
    text_of,
};
use crate::cli::{Exit, Failure};
use crate::error::{Error, Result};
use crate::train::{Metric, Recipe};

/// Recipe around which settings are tried, unless another one is named.
const RECIPE: &str = "realmlp";
/// Number of trials, unless it is given or a time decides.
const TRIALS_OF_ALL: u32 = 27;
/// Most trials that a time can be enough for.
const MOST_TRIALS: u32 = 180;

pub(crate) fn tune(args: &TuneArgs) -> Result<Exit, Failure> {
    check_alone("a search for settings")?;
    let settings = &args.settings.0;
    let mut table = match settings.file() {
        Some(path) => read_table(path)?,
        None => toml::Table::new(),
    };
    table.remove("record");
    let shown = settings.file().map_or(String::new(), |path| path.display().to_string());
    let mut space = take_ranges(&mut table, &shown)?;
    let own_file = space.is_empty();
    if space.iter().any(|it| it.key == "epochs") {
        let problem =
            "the best trials go on for more epochs by themselves; give one number, or none";
        return Err(Error::setting(format!("{shown}: epochs"), problem).into());
    }
    for (key, text) in settings.texts() {
        space.retain(|it| it.key != key);
        table.insert(key.to_string(), text.into());
    }
    let typed: Vec<&str> = settings.texts().map(|it| it.0).collect();
    let file = settings.file().unwrap_or(Path::new(""));
    check_layers(&table, &space, (&typed, file))?;
    let time = take_time(&mut table)?;
    let trials = match (args.trials, time) {
        (Some(0), _) => {
            return Err(Error::setting("--trials", "0, but it must be above 0").into());
        }
        (Some(trials), _) => trials,
        (None, None) => TRIALS_OF_ALL,
        (None, Some(_)) => MOST_TRIALS,
    };
    table.entry("recipe").or_insert_with(|| RECIPE.into());
    let out = place_out(&mut table, "-tune");
    check_folder(&out, args.force)?;
    if table.get("table").and_then(toml::Value::as_str) == Some("-") {
        let problem =
            "standard input is read once, and a search reads its table several times; give a file";
        return Err(Error::setting("TABLE", problem).into());
    }
    let mut target_kinds = TargetKinds::default();
    let text = |key: &str| table.get(key).and_then(text_of).unwrap_or_default();
    // As typed, so that messages name the option or the file; a file with ranges is none of settings alone.
    let given = match own_file {
        true => settings
            .clone()
            .without(&["time-budget"])
            .with("recipe", text("recipe"))
            .with("out", text("out")),
        false => {
            // With a value of each range that decides which network a recipe makes.
            let own = space.iter().filter(|it| OF_PLAIN.contains(&it.key.as_str()));
            let mut table = table.clone();
            table.extend(own.map(|it| (it.key.clone(), it.range.first().into())));
            Settings::default().with_table(table, shown)
        }
    };
    let config = run_config_knowing(&given, &mut target_kinds)?;
    let taken = config.recipe().expect("a recipe is always named");
    let (recipe, kind) = (taken.recipe(), taken.kind());
    let mut ready = ready_space(recipe, kind, &mut table, &space)?;
    if config.told().stop_metric == Metric::Loss {
        // Values of different losses do not compare.
        ready.retain(|it| it.key != "loss");
    }
    let own = space.clone();
    space.extend(ready);
    if space.is_empty() {
        let problem = "nothing is left to try: each setting of its search is given; leave some out, or take `wgrad train`";
        return Err(Error::setting("--recipe", problem).into());
    }
    let tried: Vec<String> = own.into_iter().map(|it| it.key).collect();
    let tune = TuneRecord { one: args.one, time, ..TuneRecord::default() };
    let sweep = Sweep {
        trials,
        search: Search::Halving,
        settings: table,
        space,
        shard: None,
        tables: None,
        target_kinds,
        tune: Some(tune),
        incomparable: None,
    };
    let ended = run(sweep, &out, Verbosity::of_training(&args.output), true);
    // Without a file the record in the folder is the place of what nobody typed.
    let file = settings.file().unwrap_or(Path::new(SWEEP));
    let placed = |error| as_given(error, (&typed, &tried), file);
    ended.map_err(|failure| Failure { error: Box::new(placed(*failure.error)), ..failure })
}

/// Takes the time of a search out of its settings, in seconds.
fn take_time(settings: &mut toml::Table) -> Result<Option<f64>> {
    let Some(value) = settings.remove("time-budget") else { return Ok(None) };
    let seconds = seconds_of(&text_of(&value).unwrap_or_default());
    seconds.map(Some).map_err(|error| match error {
        Error::Setting { problem, .. } => Error::setting("--time-budget", problem),
        other => other,
    })
}

/// Returns the ranges of a recipe's search, but for settings that were given, and puts its other settings into the table.
fn ready_space(
    recipe: Recipe,
    kind: &str,
    table: &mut toml::Table,
    own: &[SearchDimension],
) -> Result<Vec<SearchDimension>> {
    let shown = format!("search of {}", recipe.name);
    let wrong = |error: toml::de::Error| Error::setting(&shown, error.to_string());
    let mut file: toml::Table = recipe.space.parse().map_err(wrong)?;
    let mut section = |name: &str| match file.remove(name) {
        Some(toml::Value::Table(table)) => table,
        _ => toml::Table::new(),
    };
    let mut ready = section("all");
    ready.extend(section(kind));
    let is_given = |table: &toml::Table, key: &str| {
        table.contains_key(key) || own.iter().any(|it| it.key == key)
    };
    let of_layers = || OF_PLAIN.iter().chain(&["layers"]);
    if of_layers().any(|key| is_given(table, key)) {
        ready.remove("layers");
    }
    ready.retain(|key, _| !is_given(table, key));
    if is_given(table, "optimizer") {
        // Its settings may stand in its parentheses.
        OF_OPTIMIZER.iter().for_each(|key| _ = ready.remove(*key));
    }
    // Variables of settings that were given have nothing to stand in.
    let Some(toml::Value::Table(mut variables)) = ready.remove("variables") else {
        return take_ranges(&mut ready, &shown).inspect(|_| table.extend(ready.clone()));
    };
    loop {
        let is_used = |name: &String| {
            let mark = format!("{{{name}}}");
            let texts = ready.values().chain(variables.values());
            texts.map(ToString::to_string).any(|text| text.contains(&mark))
        };
        let unused: Vec<String> = variables.keys().filter(|it| !is_used(it)).cloned().collect();
        if unused.is_empty() {
            break;
        }
        unused.iter().for_each(|name| _ = variables.remove(name));
    }
    if !variables.is_empty() {
        ready.insert("variables".to_string(), variables.into());
    }
    let space = take_ranges(&mut ready, &shown)?;
    table.extend(ready);
    Ok(space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_leave_out_what_is_given() {
        // auto takes the space of the recipe that it takes.
        for recipe in Recipe::ALL.into_iter().filter(|it| it.name != "auto") {
            for kind in ["classes", "numbers", "labels", ""] {
                let mut table = toml::Table::new();
                let space = ready_space(recipe, kind, &mut table, &[]).unwrap();
                assert!(space.iter().any(|it| it.key == "lr"), "{}", recipe.name);
                assert!(table.contains_key("layers"), "{}", recipe.name);
                let mut table: toml::Table = "lr = 0.1\nhidden = [8]".parse().unwrap();
                let space = ready_space(recipe, kind, &mut table, &[]).unwrap();
                let keys: Vec<&str> = space.iter().map(|it| it.key.as_str()).collect();
                for gone in ["lr", "layers", "rate", "body"] {
                    assert!(!keys.contains(&gone), "{}: {keys:?}", recipe.name);
                }
                assert!(keys.contains(&"weight-decay"), "{}: {keys:?}", recipe.name);
                assert!(!table.contains_key("layers"));
            }
        }
    }
}
