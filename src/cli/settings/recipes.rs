//! Settings of a recipe below those that were given.
//!
//! In: settings as given. Out: the same with those of the recipe that they name, for the kind of the target and the number of rows.
//! Absent on purpose: the recipes, which are data (`train/recipes`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::{RunConfig, Task, ValidSource};
use super::network::OF_PLAIN;
use super::raw_settings::{RawSettings, SettingSource, TABLE};
use super::resolve::resolve;
use super::sources::{from_table, over};
use crate::checksum::Checksum;
use crate::data::{ReadProgress, TargetKind};
use crate::error::{Error, Result};
use crate::graph::{Loss, RequiredTarget};
use crate::train::Recipe;

/// Sections of a recipe, by the kind of the target.
const KINDS: [&str; 3] = ["classes", "numbers", "labels"];
/// Settings of a recipe that only runs with validation rows take.
const OF_VALIDATION: [&str; 3] = ["stop-metric", "stop-patience", "keep-later"];
/// Settings of a recipe that only runs with weight decay take.
const OF_DECAY: [&str; 1] = ["decay-schedule"];
/// Settings of a recipe that only networks with dropout take.
const OF_DROPOUT: [&str; 1] = ["dropout-schedule"];

/// Settings with which a person decides how a network is made or how it moves: then the recipe is theirs.
const DECISIONS: [&str; 34] = [
    "hidden",
    "layers",
    "norm",
    "activation",
    "dropout",
    "loss",
    "reduction",
    "optimizer",
    "lr",
    "weight-decay",
    "momentum",
    "nesterov",
    "beta1",
    "beta2",
    "eps",
    "clip-norm",
    "clip-value",
    "accumulate",
    "average",
    "no-decay",
    "freeze",
    "groups",
    "schedule",
    "warmup",
    "decay-schedule",
    "dropout-schedule",
    "smoothing-schedule",
    "schedule-epochs",
    "epochs",
    "batch-size",
    "scale",
    "init",
    "precision",
    "keep",
];
/// Largest table, in bytes, that is read beforehand to see how many rows it has. Larger ones have so many rows that `auto` takes
/// plain anyway, or are few and wide.
const LARGEST: u64 = 200 << 20;

/// Note of what a run has taken of a recipe.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TakenRecipe {
    recipe: Recipe,
    /// Why `auto` has taken the recipe, if it has.
    reason: Option<String>,
    /// Kind of the target, whose settings were taken.
    kind: &'static str,
    /// Keys of the settings that were taken.
    taken: Vec<&'static str>,
    /// Keys of those that others were given for.
    given: Vec<&'static str>,
    /// Keys of those that do not go with what was given.
    left_out: Vec<&'static str>,
}

impl TakenRecipe {
    /// Returns the recipe's name.
    pub(crate) fn name(&self) -> &'static str {
        self.recipe.name
    }

    /// Returns the recipe.
    pub(crate) fn recipe(&self) -> Recipe {
        self.recipe
    }

    /// Returns the kind of the target, `classes`, `numbers` or `labels`; empty for a recipe without settings.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns a line on what was taken, and why.
    pub(crate) fn text(&self) -> String {
        let Recipe { name, about, .. } = self.recipe;
        let reason = self.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        if self.taken.is_empty() && self.given.is_empty() {
            return format!("{name}{reason}: {about}");
        }
        let mut text = format!(
            "{name}{reason}, for {}: {about}; it sets {}",
            self.kind,
            self.taken.join(", ")
        );
        if !self.given.is_empty() {
            text += &format!("; as given stay {}", self.given.join(", "));
        }
        if !self.left_out.is_empty() {
            let left_out = self.left_out.join(", ");
            text +=
                &format!("; not taken, since something else is given in place of it: {left_out}");
        }
        text
    }
}

/// Kinds of targets and numbers of training rows that tables were read for, so that each is read once for all trials of a sweep, and
/// not at all where a record has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TargetKinds(BTreeMap<String, String>);

impl TargetKinds {
    /// Returns true if no table was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a run's target is one or several numbers; false for a table that cannot be read, of which others tell.
    pub(crate) fn are_numbers(&mut self, run: &RunConfig) -> bool {
        self.of(run).is_ok_and(|(kind, _)| kind == KINDS[1])
    }

    /// Returns the kind of a run's target and the number of its training rows, from its table if that was not read yet.
    fn of(&mut self, run: &RunConfig) -> Result<(&'static str, usize)> {
        let mut sum = Checksum::default();
        sum.text(&run.reading_key());
        let key = format!("{:016x}", sum.value());
        let known = self.0.get(&key).and_then(|text| {
            let (kind, rows) = text.split_once(' ')?;
            Some((KINDS.into_iter().find(|it| *it == kind)?, rows.parse().ok()?))
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let [classes, numbers, labels] = KINDS;
        let (kind, rows) = run.target_and_rows(ReadProgress::default())?;
        let kind = match kind {
            TargetKind::Classes(_) => classes,
            TargetKind::Labels(_) => labels,
            TargetKind::Number | TargetKind::Numbers(_) => numbers,
        };
        self.0.insert(key, format!("{kind} {rows}"));
        Ok((kind, rows))
    }
}

/// Returns the place of a recipe's settings in messages.
fn shown(recipe: Recipe) -> String {
    format!("recipe {}", recipe.name)
}

/// Returns the settings of a recipe, in its sections.
fn settings_of(recipe: Recipe) -> Result<toml::Table> {
    let wrong = |error: toml::de::Error| Error::setting(shown(recipe), error.to_string());
    recipe.settings.parse().map_err(wrong)
}

/// The recipe that `auto` takes for some rows.
struct AutoChoice {
    recipe: Recipe,
    reason: String,
    /// Settings that win over those of the recipe, with its sections.
    settings: toml::Table,
}

/// Returns what `auto` takes for so many training rows.
fn auto_choice(rows: usize) -> Result<AutoChoice> {
    let shown = "recipe auto";
    let wrong = |what: &str| Error::setting(shown, what);
    let file = settings_of("auto".parse()?)?;
    let sizes = file.get("sizes").and_then(toml::Value::as_array);
    let enough = |entry: &&toml::Value| {
        let most = entry.get("rows").and_then(toml::Value::as_integer);
        most.is_none_or(|most| usize::try_from(most).is_ok_and(|most| rows <= most))
    };
    let entry = sizes.and_then(|sizes| sizes.iter().find(enough));
    let entry = entry.ok_or_else(|| wrong("no entry for so many rows"))?;
    let text = |key: &str| entry.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    let rows = crate::report::count(rows as u64);
    Ok(AutoChoice {
        recipe: text("recipe").parse()?,
        reason: format!("taken by auto for about {rows} training rows: {}", text("why")),
        settings: entry.as_table().cloned().unwrap_or_default(),
    })
}

/// Names the recipe `auto` where nobody has decided how the network is made, and where `auto` takes another one than plain. A table
/// that cannot be read is told of later, by those who need its rows.
pub(super) fn by_default(mut given: RawSettings, known: &mut TargetKinds) -> RawSettings {
    let decided = given.has("recipe") || DECISIONS.iter().any(|key| given.has(key));
    if decided {
        return given;
    }
    let Ok(run) = resolve(given.clone()) else { return given };
    let small = std::fs::metadata(&run.table).is_ok_and(|it| it.is_file() && it.len() <= LARGEST);
    let rows = if small { known.of(&run).ok().map(|it| it.1) } else { None };
    let choice = rows.and_then(|rows| auto_choice(rows).ok());
    // Without settings of its own the recipe is what the program does anyway.
    if choice.is_some_and(|it| settings_of(it.recipe).is_ok_and(|own| !own.is_empty())) {
        given.insert("recipe", "auto", SettingSource::CommandLine);
    }
    given
}

/// Puts the settings of the recipe that is named below those that were given.
///
/// # Errors
/// If there is no such recipe, or the table cannot be read to see what kind its target is of.
pub(super) fn with_recipe(given: RawSettings, known: &mut TargetKinds) -> Result<RawSettings> {
    let Some(setting) = given.get("recipe").cloned() else { return Ok(given) };
    let mut recipe: Recipe = setting.parse().map_err(|error| setting.locate(error))?;
    let (mut reason, mut chosen) = (None, toml::Table::new());
    if recipe.name == "auto" {
        if given.text(TABLE).as_deref() == Some("-") {
            let problem = "auto chooses by the number of rows, and standard input is read once: give plain, realmlp or tabm";
            return Err(setting.wrong(problem));
        }
        let choice = auto_choice(known.of(&resolve(given.clone())?)?.1)?;
        (recipe, reason, chosen) = (choice.recipe, Some(choice.reason), choice.settings);
    }
    let (shown, file) = (shown(recipe), settings_of(recipe)?);
    let section = |file: &toml::Table, name: &str| -> Result<RawSettings> {
        match file.get(name) {
            Some(toml::Value::Table(table)) => from_table(table.clone(), &shown),
            _ => Ok(RawSettings::default()),
        }
    };
    if file.is_empty() {
        let (taken, stay, left_out) = (vec![], vec![], vec![]);
        let note = TakenRecipe { recipe, reason, kind: "", taken, given: stay, left_out };
        return Ok(given.taking(note));
    }
    let mut own = section(&file, "all")?;
    check_network(recipe, &own, &given)?;
    let kind = kind_of_target(&over(own.clone(), given.clone()), known)?;
    for (file, name) in [(&file, kind), (&chosen, "all"), (&chosen, kind)] {
        own.extend(section(file, name)?);
    }
    check_network(recipe, &own, &given)?;
    let whole = over(own.clone(), given.clone());
    let run = resolve(whole)?;
    if run.valid == ValidSource::Share(0.0) {
        own.remove(&OF_VALIDATION);
    }
    if run.told().optimizer.setting("weight-decay").unwrap_or(0.0) == 0.0 {
        own.remove(&OF_DECAY);
    }
    if !run.network.may_have_dropout() {
        own.remove(&OF_DROPOUT);
    }
    let keys: Vec<&'static str> = own.keys().collect();
    let whole = over(own, given.clone());
    let is_own = |key: &&'static str| whole.get(key).is_some_and(|it| it.is_of(&shown));
    let (taken, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(is_own);
    let (stay, left_out) = others.into_iter().partition(|key| given.has(key));
    Ok(whole.taking(TakenRecipe { recipe, reason, kind, taken, given: stay, left_out }))
}

/// Refuses a setting of plain networks beside a recipe that has all layers, since it would replace them by those of a plain network.
/// With the sizes of hidden layers, a person asks for such a network.
fn check_network(recipe: Recipe, own: &RawSettings, given: &RawSettings) -> Result<()> {
    let Some(layers) = own.text("layers") else { return Ok(()) };
    if given.has("layers") || given.has("hidden") {
        return Ok(());
    }
    let Some(key) = OF_PLAIN.iter().find(|key| given.has(key)) else { return Ok(()) };
    let problem = format!(
        "it is for a plain network, and that of the recipe {} is `layers = \"{layers}\"`; give --layers with your change, --hidden for \
         a plain network under the recipe, or --recipe plain",
        recipe.name
    );
    Err(Error::setting(given.place(key), problem))
}

/// Returns the section of a recipe for the target: as task or loss say, else by the table.
fn kind_of_target(settings: &RawSettings, known: &mut TargetKinds) -> Result<&'static str> {
    let [classes, numbers, labels] = KINDS;
    let run = resolve(settings.clone())?;
    let of_loss = |loss: &Loss| match loss.wants() {
        RequiredTarget::Classes => classes,
        RequiredTarget::Labels => labels,
        RequiredTarget::Numbers | RequiredTarget::Counts | RequiredTarget::Shares => numbers,
    };
    match (run.task, &run.loss) {
        (Task::Classify, _) => return Ok(classes),
        (Task::Regress, _) => return Ok(numbers),
        (Task::Labels, _) => return Ok(labels),
        (Task::Auto, Some(loss)) => return Ok(of_loss(loss)),
        (Task::Auto, None) => {}
    }
    if settings.text(TABLE).as_deref() == Some("-") {
        let problem = "it has other settings for classes than for numbers, and standard input is read once: give --task classify, \
                       regress or labels";
        return Err(Error::setting(settings.place("recipe"), problem));
    }
    Ok(known.of(&run)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::arguments::Settings;
    use crate::cli::settings::config::RunConfig;
    use crate::cli::settings::sources::merge;
    use crate::graph::Optimizer;
    use crate::train::ScheduleKind;

    fn run(given: &[(&'static str, &str)]) -> Result<RunConfig> {
        let settings = Settings::default().with("table", "a.csv").with("target", "y");
        let settings = given.iter().fold(settings, |all, (key, text)| all.with(key, *text));
        resolve(with_recipe(merge(&settings)?, &mut TargetKinds::default())?)
    }

    #[test]
    fn recipes_are_files_of_settings_that_can_be_read() {
        for recipe in Recipe::ALL.into_iter().filter(|it| it.name != "auto") {
            for task in ["classify", "regress", "labels"] {
                run(&[("recipe", recipe.name), ("task", task)]).unwrap();
            }
        }
        let names = Recipe::VOCABULARY.iter().map(|entry| entry.name);
        assert!(names.eq(Recipe::ALL.iter().map(|recipe| recipe.name)));
        let said = run(&[("recipe", "real")]).unwrap_err().to_string();
        assert_eq!(said, "--recipe: unknown name \"real\"; known: auto, plain, realmlp, tabm");
    }

    #[test]
    fn classes_and_numbers_have_constants_of_their_own() {
        let options = |task| run(&[("recipe", "realmlp"), ("task", task)]).unwrap().told().clone();
        let (classes, numbers) = (options("classify"), options("regress"));
        assert_eq!((classes.lr, numbers.lr), (0.04, 0.2));
        assert_eq!((classes.clamp, numbers.clamp), (false, true));
        let adamw = Optimizer::by_name("adamw(beta2=0.95, weight-decay=0.02)").unwrap();
        assert_eq!((&classes.optimizer, &numbers.optimizer), (&adamw, &adamw));
        let scale = classes.groups.iter().find(|group| group.matches == "scale?").unwrap();
        assert_eq!((scale.lr, scale.decay), (6.0, 6.0));
    }

    #[test]
    fn without_weight_decay_a_recipe_has_no_schedule_of_it() {
        let schedule = |given: &[(&'static str, &str)]| {
            let realmlp = [("recipe", "realmlp"), ("task", "classify")];
            run(&[&realmlp, given].concat()).unwrap().told().decay_schedule.clone()
        };
        assert_ne!(schedule(&[]), ScheduleKind::Constant);
        assert_eq!(schedule(&[("weight-decay", "0")]), ScheduleKind::Constant);
    }

    #[test]
    fn what_is_given_wins_over_the_recipe() {
        let run =
            run(&[("recipe", "realmlp"), ("task", "classify"), ("lr", "0.01"), ("hidden", "8")]);
        let run = run.unwrap();
        assert_eq!((run.told().lr, run.told().epochs), (0.01, 256));
        let told = run.recipe().unwrap().text();
        assert!(told.starts_with("realmlp, for classes: RealMLP-TD"), "{told}");
        let end =
            "; as given stay lr; not taken, since something else is given in place of it: layers";
        assert!(told.ends_with(end), "{told}");
        assert!(!told.contains("layers, loss"), "{told}");
    }

    #[test]
    fn without_validation_rows_nothing_is_watched() {
        let run = run(&[("recipe", "realmlp"), ("task", "regress"), ("valid", "0")]).unwrap();
        assert_eq!(run.told().stop_metric, crate::train::Metric::Loss);
        assert!(!run.told().keep_later);
        let run =
            super::tests::run(&[("recipe", "tabm"), ("task", "regress"), ("valid", "0")]).unwrap();
        assert_eq!((run.told().stop_patience, run.told().epochs), (None, 500));
    }

    #[test]
    fn rows_are_read_alike_whatever_the_layers() {
        let key = |layers| run(&[("task", "regress"), ("layers", layers)]).unwrap().reading_key();
        assert_eq!(key("dense(8), relu, dense"), key("pbld, scale(bias=false), dense"));
        // Columns of tables have to hold indices, and are kept.
        assert_ne!(key("dense"), key("embedding(0=5x2), dense"));
        assert_ne!(key("embedding(1=5x2), dense"), key("embedding(0=5x2), dense"));
    }

    #[test]
    fn standard_input_needs_the_task() {
        let settings = [("recipe", "realmlp"), ("table", "-")];
        let said = run(&settings).unwrap_err().to_string();
        assert!(said.contains("standard input is read once: give --task"), "{said}");
    }

    #[test]
    fn auto_takes_a_recipe_by_the_number_of_rows() {
        for (rows, name, epochs) in [
            (10, "plain", None),
            (1500, "plain", None),
            (1501, "realmlp", Some(64)),
            (10_000, "realmlp", Some(64)),
            (10_001, "realmlp", Some(24)),
            (100_000, "realmlp", Some(24)),
            (100_001, "plain", None),
        ] {
            let AutoChoice { recipe, reason, settings } = auto_choice(rows).unwrap();
            let all = settings.get("all").and_then(|it| it.get("epochs"));
            assert_eq!(
                (recipe.name, all.and_then(toml::Value::as_integer)),
                (name, epochs),
                "{rows}"
            );
            assert!(reason.contains("training rows: ") && !reason.ends_with(": "), "{reason}");
        }
    }

    /// Settings for a table with so many rows of two numbers and a class.
    fn of_table(
        folder: &std::path::Path,
        rows: usize,
        given: &[(&'static str, &str)],
    ) -> RunConfig {
        let path = folder.join(format!("{rows}.csv"));
        let row = |row: usize| format!("{}.5,{}.25,{}\n", row, row * 7 % 11, ["a", "b"][row % 2]);
        let text: String = (0..rows).map(row).collect();
        std::fs::write(&path, format!("p,q,y\n{text}")).unwrap();
        let settings = Settings::default().with("table", path.display().to_string());
        let settings = settings.with("target", "y");
        let settings = given.iter().fold(settings, |all, (key, text)| all.with(key, *text));
        let known = &mut TargetKinds::default();
        let given = by_default(merge(&settings).unwrap(), known);
        resolve(with_recipe(given, known).unwrap()).unwrap()
    }

    #[test]
    fn auto_is_the_default_unless_a_person_decides() {
        let folder = tempfile::tempdir().unwrap();
        let of = |rows, given: &[_]| of_table(folder.path(), rows, given);
        let large = of(2000, &[]);
        assert_eq!((large.told().epochs, large.told().batch_size), (64, 128));
        let told = large.recipe().unwrap().text();
        assert!(
            told.starts_with("realmlp (taken by auto for about 1,600 training rows: "),
            "{told}"
        );
        // A fifth of the rows is for validation: 1,500 are left of 1,875.
        assert!(of(1875, &[]).recipe().is_none());
        assert!(of(1877, &[]).recipe().is_some());
        // So it is with the last rows, and with folds.
        assert!(of(1875, &[("valid", "last")]).recipe().is_none());
        assert!(of(1877, &[("valid", "last")]).recipe().is_some());
        assert!(of(2250, &[("folds", "3")]).recipe().is_none());
        assert!(of(2253, &[("folds", "3")]).recipe().is_some());
        for key in DECISIONS.map(|key| match key {
            "hidden" | "batch-size" | "epochs" => (key, "8"),
            "lr" => (key, "0.01"),
            "keep" => (key, "last"),
            _ => ("dropout", "0.1"),
        }) {
            assert!(of(2000, &[key]).recipe().is_none(), "{key:?}");
        }
        let members = of(2000, &[("members", "3"), ("valid", "0")]);
        assert_eq!((members.told().epochs, members.members), (64, 3));
        let plain = of(2000, &[("recipe", "plain")]);
        assert_eq!((plain.told().epochs, plain.recipe().unwrap().name()), (30, "plain"));
        let asked = of(100, &[("recipe", "auto")]);
        assert_eq!(asked.told().epochs, 30);
        let told = asked.recipe().unwrap().text();
        assert!(
            told.starts_with("plain (taken by auto for about 80 training rows: on so few"),
            "{told}"
        );
    }

    #[test]
    fn auto_needs_a_table_that_can_be_read_twice() {
        let said = run(&[("recipe", "auto"), ("table", "-")]).unwrap_err().to_string();
        assert!(said.contains("give plain, realmlp or tabm"), "{said}");
    }
}
