//! The settings that a sweep tries: ranges and lists of values, of options and of variables in their texts, and the values of each trial.
//!
//! In: a table of TOML, a number of trials, a seed. Out: the settings of each trial as texts, as they would be typed.
//! Absent on purpose: what the options mean; training.

use serde::{Deserialize, Serialize};

use crate::cli::settings::{option_key, text_of};
use crate::error::{Error, Result};
use crate::random::{Purpose, Random, Seed};
use crate::report::count;
use crate::vocabulary::{name_and_inner, parts, plain};

/// Largest number of trials of a grid.
const MOST: usize = 100_000;
/// Options that a sweep cannot try: they name files, rows or places, not how a network is trained.
const REFUSED: [&str; 18] = [
    "table",
    "target",
    "weight",
    "group",
    "split-column",
    "valid",
    "out",
    "tensorboard",
    "device",
    "members",
    "folds",
    "folds-repeats",
    "fold",
    "refit",
    "split-seed",
    "positive",
    "keep-checkpoints",
    "stop-metric",
];
/// Options whose value is a list already, so that a plain list is one value.
const LISTS: [&str; 10] = [
    "hidden", "features", "ignore", "columns", "missing", "metrics", "layers", "groups", "freeze",
    "no-decay",
];

/// Options that have names or cells of the table in them, where braces may stand for themselves.
const OF_COLUMNS: [&str; 7] =
    ["features", "ignore", "columns", "missing", "class-weights", "positive", "groups"];

/// The table of a file of settings with ranges that are no options: `{name}` in the text of a setting stands for the value of a trial.
const VARIABLES: &str = "variables";
/// Options whose value may be a table of names, so that such a table is one value.
const TABLES: [&str; 2] = ["columns", "class-weights"];

/// Values that an option may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SearchRange {
    /// Equally likely by its logarithm.
    Log(f64, f64),
    /// Equally likely.
    Linear(f64, f64),
    /// Whole numbers from one to another, with both.
    Integer(i64, i64),
    /// One of several values, as they would be typed.
    List(Vec<String>),
}

impl SearchRange {
    /// Returns whether this text is one of a list's values.
    fn has(&self, text: &str) -> bool {
        matches!(self, Self::List(values) if values.iter().any(|value| value == text))
    }
}

/// An option or a variable, and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SearchDimension {
    pub(super) key: String,
    pub(super) range: SearchRange,
    /// True if it is no option: its values stand where texts have its name in braces.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) variable: bool,
    /// Number of values of a range in a grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) points: Option<usize>,
}

impl SearchDimension {
    /// Returns the range as a file of settings has it.
    pub(super) fn text(&self) -> String {
        let range = match &self.range {
            SearchRange::Log(low, high) => format!("log = [{low}, {high}]"),
            SearchRange::Linear(low, high) => format!("linear = [{low}, {high}]"),
            SearchRange::Integer(low, high) => format!("integer = [{low}, {high}]"),
            SearchRange::List(values) => format!("list = {values:?}"),
        };
        let points = self.points.map_or(String::new(), |points| format!(", points = {points}"));
        format!("{{ {range}{points} }}")
    }
}

/// Returns the ranges of a file of settings, and takes them out of it.
///
/// # Errors
/// If a range is of an unknown kind or empty, or of an option that cannot be tried.
pub(super) fn take_ranges(file: &mut toml::Table, shown: &str) -> Result<Vec<SearchDimension>> {
    let keys: Vec<String> = file.keys().cloned().collect();
    let mut ranges = Vec::new();
    for key in keys.into_iter().filter(|key| key != VARIABLES) {
        let place = format!("{shown}: {key}");
        if key == "layers" {
            check_one_network(&file[&key]).map_err(|it| Error::setting(&place, it))?;
        }
        let Some(dimension) = dimension(&key, &file[&key], &place)? else { continue };
        if REFUSED.contains(&key.as_str()) {
            let problem = "it cannot be tried, since it decides rows or places and not how a network is trained; give it one value";
            return Err(Error::setting(place, problem));
        }
        if key == "gaps" && dimension.range.has("drop") {
            let problem = "drop cannot be one of several values: it leaves rows out, and trials of different rows do not compare; give it alone";
            return Err(Error::setting(place, problem));
        }
        // Names the option that is meant.
        option_key(&key).map_err(|problem| Error::setting(place, problem))?;
        file.remove(&key);
        ranges.push(dimension);
    }
    ranges.extend(take_variables(file, &ranges, shown)?);
    Ok(ranges)
}

/// Refuses a list of layers each of which could be a network of its own: as one value the list would be all of them, one after the
/// other.
fn check_one_network(value: &toml::Value) -> Result<(), String> {
    let Some(values) = value.as_array().filter(|values| values.len() > 1) else { return Ok(()) };
    let texts: Option<Vec<&str>> = values.iter().map(toml::Value::as_str).collect();
    // A network ends with a layer that gives its outputs.
    let ends = |text: &&str| {
        let last = parts(text).ok().and_then(|parts| parts.last().copied()).unwrap_or_default();
        let name = name_and_inner(last).map_or(String::new(), |(name, _)| plain(name));
        name.ends_with("dense") || name.ends_with("batch-ensemble")
    };
    let Some(texts) = texts.filter(|texts| texts.iter().all(ends)) else { return Ok(()) };
    let each: Vec<String> = texts.iter().map(|text| format!("[\"{text}\"]")).collect();
    Err(format!(
        "a list of texts is one network, and each of these may be one by itself; write each network as a list: layers = [{}]; or the \
         one network as one text: layers = \"{}\"",
        each.join(", "),
        texts.join(", ")
    ))
}

/// Returns the ranges of variables, and takes them out of the file.
fn take_variables(
    file: &mut toml::Table,
    options: &[SearchDimension],
    shown: &str,
) -> Result<Vec<SearchDimension>> {
    let place = |name: &str| format!("{shown}: {VARIABLES}.{name}");
    let table = match file.remove(VARIABLES) {
        None => return Ok(Vec::new()),
        Some(toml::Value::Table(table)) => table,
        Some(_) => {
            let problem = "it is no table; write [variables], and below it lines such as width = [64, 128], which {width} in a text stands for";
            return Err(Error::setting(format!("{shown}: {VARIABLES}"), problem));
        }
    };
    let mut variables = Vec::new();
    for (name, value) in &table {
        if name.is_empty() || !name.chars().all(in_name) {
            let problem = "names of variables are letters, digits, - and _";
            return Err(Error::setting(place(name), problem));
        }
        if option_key(name).is_ok() {
            let problem = format!(
                "{name} is an option; give it its range outside of [variables], or take another name"
            );
            return Err(Error::setting(place(name), problem));
        }
        let Some(own) = dimension("", value, &place(name))? else {
            let problem =
                format!("it is one value, and no range; write it where {{{name}}} stands");
            return Err(Error::setting(place(name), problem));
        };
        variables.push(SearchDimension { key: name.clone(), variable: true, ..own });
    }
    let texts: Vec<(&String, Vec<&str>)> = file
        .iter()
        .filter(|(key, _)| !is_refused(key))
        .map(|(key, it)| (key, strings(it)))
        .collect();
    for variable in &variables {
        let mark = format!("{{{}}}", variable.key);
        let in_file = texts.iter().any(|(_, texts)| texts.iter().any(|it| it.contains(&mark)));
        let in_list = |it: &SearchDimension| it.range.texts().iter().any(|it| it.contains(&mark));
        if !in_file && !options.iter().chain(&variables).any(in_list) {
            let problem = format!("no setting has {mark} in its text, so that it changes nothing");
            return Err(Error::setting(place(&variable.key), problem));
        }
        if in_list(variable) {
            return Err(Error::setting(
                place(&variable.key),
                format!("its values have {mark} in them"),
            ));
        }
    }
    let of_file = texts.into_iter().map(|(key, texts)| (format!("{shown}: {key}"), key, texts));
    let of_lists = options.iter().chain(&variables).map(|it| {
        let shown = if it.variable { place(&it.key) } else { format!("{shown}: {}", it.key) };
        (shown, &it.key, it.range.texts().iter().map(String::as_str).collect::<Vec<_>>())
    });
    for (place, key, texts) in of_file.chain(of_lists) {
        if !OF_COLUMNS.contains(&key.as_str()) {
            check_names(&texts, &variables).map_err(|problem| Error::setting(place, problem))?;
        }
    }
    if let Some(circle) = circle(&variables) {
        let problem = format!(
            "its values come back to it: {}; take one of these names out of the others' values",
            circle.join(" has ")
        );
        return Err(Error::setting(place(circle[0].trim_matches(['{', '}'])), problem));
    }
    Ok(variables)
}

/// Returns the texts within a value of TOML.
fn strings(value: &toml::Value) -> Vec<&str> {
    match value {
        toml::Value::String(text) => vec![text.as_str()],
        toml::Value::Array(values) => values.iter().flat_map(strings).collect(),
        toml::Value::Table(table) => table.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Returns true for a letter that may stand in the name of a variable.
fn in_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'
}

/// Returns the names in braces of a text.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let behind = text.split('{').skip(1);
    let names = behind.filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    names.filter(|name| !name.is_empty() && name.chars().all(in_name))
}

/// Finds names in braces that no variable has.
fn check_names(texts: &[&str], variables: &[SearchDimension]) -> Result<(), String> {
    let is_known = |name: &str| variables.iter().any(|it| it.key == name);
    let unknown = texts.iter().flat_map(|text| names_in(text)).find(|name| !is_known(name));
    let Some(name) = unknown else { return Ok(()) };
    let steps = |known: &str| strsim::damerau_levenshtein(name, known);
    let near = variables.iter().map(|it| it.key.as_str()).min_by_key(|known| steps(known));
    let advice = match near.filter(|known| steps(known) <= known.len().max(3) / 3) {
        Some(known) => format!("did you mean {{{known}}}?"),
        None => format!("give it values there, such as {name} = [64, 128]"),
    };
    Err(format!("it has {{{name}}} in its text, and there is no {name} in [{VARIABLES}]; {advice}"))
}

/// Returns names of variables, in braces, each of which has the next one in its values, and the last of which is the first.
fn circle(variables: &[SearchDimension]) -> Option<Vec<String>> {
    let of = |name: &str| variables.iter().find(|it| it.key == name);
    let uses = |it: &SearchDimension, name: &str| {
        it.range.texts().iter().any(|text| names_in(text).any(|used| used == name))
    };
    // Variables whose values lead to no circle, found from the plain ones on.
    let mut plain: Vec<&str> = Vec::new();
    loop {
        let is_plain = |it: &&SearchDimension| {
            let mut others = variables.iter().filter(|other| uses(it, &other.key));
            others.all(|other| plain.contains(&other.key.as_str()))
        };
        let more = variables.iter().filter(|it| !plain.contains(&it.key.as_str())).find(is_plain);
        match more {
            Some(more) => plain.push(&more.key),
            None => break,
        }
    }
    let first = variables.iter().find(|it| !plain.contains(&it.key.as_str()))?;
    // Each that is left has another one that is left in its values, so the way comes back to one of its places.
    let mut way = vec![first.key.as_str()];
    loop {
        let last = of(way[way.len() - 1])?;
        let left = variables.iter().filter(|it| !plain.contains(&it.key.as_str()));
        let next = left.into_iter().find(|it| uses(last, &it.key))?.key.as_str();
        if let Some(at) = way.iter().position(|it| *it == next) {
            let mut circle: Vec<String> = way[at..].iter().map(|it| format!("{{{it}}}")).collect();
            circle.push(format!("{{{next}}}"));
            return Some(circle);
        }
        way.push(next);
    }
}

/// Returns true for an option that names files, rows or places: no part of it is tried.
pub(super) fn is_refused(key: &str) -> bool {
    REFUSED.contains(&key)
}

/// Changes the texts of a setting, also within lists and tables.
pub(super) fn put_values(value: &mut toml::Value, whole: &impl Fn(&str) -> String) {
    match value {
        toml::Value::String(text) => *text = whole(text),
        toml::Value::Array(values) => values.iter_mut().for_each(|it| put_values(it, whole)),
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, it)| put_values(it, whole)),
        _ => {}
    }
}

/// Puts a trial's values into a text, where it has the names of variables in braces. Values may have names of others.
pub(super) fn with_values(text: &str, space: &[SearchDimension], trial: &TrialSettings) -> String {
    let mut text = text.to_string();
    let variables = || space.iter().filter(|it| it.variable);
    // Each pass takes one level of names within values.
    for _ in variables() {
        for SearchDimension { key, .. } in variables() {
            let value = trial.iter().find(|(name, _)| name == key).map_or("", |it| &it.1);
            text = text.replace(&format!("{{{key}}}"), value);
        }
    }
    text
}

/// Returns the range of an option; `None` for one value.
fn dimension(key: &str, value: &toml::Value, place: &str) -> Result<Option<SearchDimension>> {
    let refuse = |problem: String| Err(Error::setting(place, problem));
    let of = |range, points| {
        Ok(Some(SearchDimension { key: key.to_string(), range, variable: false, points }))
    };
    match value {
        toml::Value::Array(values) => {
            let nested = values.iter().any(toml::Value::is_array);
            // Layers and groups are lists of tables.
            if LISTS.contains(&key) && !nested || values.iter().any(toml::Value::is_table) {
                return Ok(None);
            }
            of(list(values, place)?, None)
        }
        // Kinds and weights are texts and numbers, and ranges are lists.
        toml::Value::Table(table)
            if TABLES.contains(&key) && !table.values().any(toml::Value::is_array) =>
        {
            Ok(None)
        }
        toml::Value::Table(table) => {
            let points = match table.get("points") {
                None => None,
                Some(points) => match points.as_integer().map(usize::try_from) {
                    Some(Ok(points)) if points > 1 => Some(points),
                    _ => {
                        return refuse(format!(
                            "points = {points}, but it must be a whole number above 1"
                        ));
                    }
                },
            };
            let mut kinds = table.iter().filter(|(kind, _)| *kind != "points");
            let (Some((kind, ends)), None) = (kinds.next(), kinds.next()) else {
                return refuse(KINDS.to_string());
            };
            let Some(values) = ends.as_array() else { return refuse(KINDS.to_string()) };
            if kind == "list" {
                return of(list(values, place)?, points);
            }
            let [low, high] = values.as_slice() else {
                return refuse(format!("{kind} takes two numbers, the least and the largest"));
            };
            of(range(kind, low, high, place)?, points)
        }
        _ => Ok(None),
    }
}

const KINDS: &str = "a range is { log = [low, high] }, { linear = [low, high] }, { integer = [low, high] } or { list = [values] }";

fn range(kind: &str, low: &toml::Value, high: &toml::Value, place: &str) -> Result<SearchRange> {
    let refuse = |problem: String| Err(Error::setting(place, problem));
    if kind == "integer" {
        let (Some(low), Some(high)) = (low.as_integer(), high.as_integer()) else {
            return refuse("integer takes two whole numbers".to_string());
        };
        let few = high.checked_sub(low).is_some_and(|it| (1..i64::from(u32::MAX)).contains(&it));
        if !few {
            return refuse(format!("{low} to {high} is no range of whole numbers"));
        }
        return Ok(SearchRange::Integer(low, high));
    }
    let number = |value: &toml::Value| value.as_float().or(value.as_integer().map(|it| it as f64));
    let ends = number(low).zip(number(high)).filter(|(low, high)| low.is_finite() && low < high);
    let Some((low, high)) = ends.filter(|(_, high)| high.is_finite()) else {
        return refuse(format!("{kind} takes two finite numbers, the lower one first"));
    };
    match kind {
        "log" if low <= 0.0 => refuse(format!("log takes numbers above 0, and {low} is none")),
        "log" => Ok(SearchRange::Log(low, high)),
        "linear" => Ok(SearchRange::Linear(low, high)),
        _ => refuse(KINDS.to_string()),
    }
}

fn list(values: &[toml::Value], place: &str) -> Result<SearchRange> {
    let texts: Option<Vec<String>> = values.iter().map(text_of).collect();
    match texts {
        Some(texts) if !texts.is_empty() => Ok(SearchRange::List(texts)),
        Some(_) => Err(Error::setting(place, "an empty list; give values to try")),
        None => Err(Error::setting(place, "values of a list are texts, numbers or lists of these")),
    }
}

/// Returns a number with three digits, which is as exact as a drawn one needs to be.
fn rounded(value: f64) -> String {
    let value: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    value.to_string()
}

impl SearchRange {
    /// Draws a value.
    fn draw(&self, random: &mut Random) -> String {
        match self {
            Self::Log(low, high) => {
                rounded(random.uniform(low.ln(), high.ln()).exp().clamp(*low, *high))
            }
            Self::Linear(low, high) => rounded(random.uniform(*low, *high)),
            Self::Integer(low, high) => {
                let count = u32::try_from(high - low + 1).unwrap_or(u32::MAX);
                (low + i64::from(random.below(count))).to_string()
            }
            Self::List(values) => {
                let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
                values[random.below(count) as usize].clone()
            }
        }
    }

    /// Returns the values of a list; none of other ranges.
    fn texts(&self) -> &[String] {
        match self {
            Self::List(values) => values,
            _ => &[],
        }
    }

    /// Returns true if a value says something that no other value of the trial says: if there are several, and those of a variable have
    /// no names of others in them, since the text in which they stand is shown.
    pub(super) fn tells(&self, variable: bool) -> bool {
        match self {
            Self::List(values) => {
                values.len() > 1 && !(variable && values.iter().any(|it| it.contains('{')))
            }
            _ => true,
        }
    }

    /// Returns a value, for what is asked before there are trials.
    pub(super) fn first(&self) -> String {
        match self {
            Self::Log(low, _) | Self::Linear(low, _) => rounded(*low),
            Self::Integer(low, _) => low.to_string(),
            Self::List(values) => values[0].clone(),
        }
    }

    /// Returns the values of a grid; `None` for a range without a number of points.
    fn grid(&self, points: Option<usize>) -> Option<Vec<String>> {
        let spaced = |low: f64, high: f64, points: usize, shape: fn(f64) -> f64| {
            let at = |place: usize| low + (high - low) * place as f64 / (points - 1) as f64;
            (0..points).map(|place| rounded(shape(at(place)))).collect()
        };
        match (self, points) {
            (Self::List(values), _) => Some(values.clone()),
            (Self::Integer(low, high), None) => {
                Some((*low..=*high).map(|it| it.to_string()).collect())
            }
            (Self::Integer(low, high), Some(points)) => {
                let all = spaced(*low as f64, *high as f64, points, f64::round);
                let mut all: Vec<String> = all;
                all.dedup();
                Some(all)
            }
            (Self::Log(low, high), Some(points)) => {
                Some(spaced(low.ln(), high.ln(), points, f64::exp))
            }
            (Self::Linear(low, high), Some(points)) => Some(spaced(*low, *high, points, |it| it)),
            (Self::Log(..) | Self::Linear(..), None) => None,
        }
    }
}

/// Settings of a trial: keys of options and their texts.
pub(super) type TrialSettings = Vec<(String, String)>;

/// Draws the settings of some trials. Trial 7 has the same ones, however many there are.
pub(super) fn random_trials(
    space: &[SearchDimension],
    trials: u32,
    seed: Seed,
) -> Vec<TrialSettings> {
    let trial = |trial: u32| {
        let mut random = seed.stream(Purpose::Trial(trial));
        let drawn = space.iter().map(|it| (it.key.clone(), it.range.draw(&mut random)));
        let drawn: TrialSettings = drawn.collect();
        // Values are recorded as they stand in the end.
        let whole =
            |(key, text): &(String, String)| (key.clone(), with_values(text, space, &drawn));
        drawn.iter().map(whole).collect()
    };
    (0..trials).map(trial).collect()
}

/// Returns all combinations of the values, the last option's changing first.
///
/// # Errors
/// If a range does not say how many values it has, or there are too many combinations.
pub(super) fn grid_trials(space: &[SearchDimension]) -> Result<Vec<TrialSettings>> {
    let mut trials: Vec<TrialSettings> = vec![Vec::new()];
    for SearchDimension { key, range, points, .. } in space {
        let Some(values) = range.grid(*points) else {
            let problem = "a grid needs the number of values of this range, such as { log = [0.001, 0.1], points = 5 }, or a list";
            return Err(Error::setting(key, problem));
        };
        if let Some(at) = (1..values.len()).find(|&at| values[..at].contains(&values[at])) {
            let twice = &values[at];
            let problem = match range {
                SearchRange::List(_) => format!(
                    "{twice} is there twice, and a grid would train the same trials twice; leave one out"
                ),
                _ => format!(
                    "two of its points are {twice} with three digits, and a grid would train the same trials twice; take fewer points"
                ),
            };
            return Err(Error::setting(key, problem));
        }
        if trials.len().saturating_mul(values.len()) > MOST {
            let problem = format!(
                "more than {} combinations; take fewer values, or --search random",
                count(MOST as u64)
            );
            return Err(Error::setting("--search", problem));
        }
        let with = |trial: &TrialSettings, value: &String| {
            let mut trial = trial.clone();
            trial.push((key.clone(), value.clone()));
            trial
        };
        trials =
            trials.iter().flat_map(|it| values.iter().map(move |value| with(it, value))).collect();
    }
    let whole = |trial: &TrialSettings| -> TrialSettings {
        trial.iter().map(|(key, text)| (key.clone(), with_values(text, space, trial))).collect()
    };
    Ok(trials.iter().map(whole).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Result<(Vec<SearchDimension>, toml::Table)> {
        let mut table = text.parse().unwrap();
        Ok((take_ranges(&mut table, "s.toml")?, table))
    }

    #[test]
    fn ranges_are_told_from_values() {
        let text = "epochs = 5\nhidden = [8, 4]\nlr = { log = [1e-4, 0.1] }\ndropout = [0.0, 0.5]\n\
                    batch-size = { integer = [8, 64] }\nmomentum = { linear = [0, 0.9], points = 4 }";
        let (space, rest) = ranges(text).unwrap();
        let keys: Vec<&str> = space.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["batch-size", "dropout", "lr", "momentum"]);
        assert_eq!(rest.keys().collect::<Vec<_>>(), ["epochs", "hidden"]);
        assert_eq!(space[2].range, SearchRange::Log(1e-4, 0.1));
        assert_eq!(
            (space[3].range.clone(), space[3].points),
            (SearchRange::Linear(0.0, 0.9), Some(4))
        );
        // Kinds of columns and weights of classes as a file for --config has them.
        let text = "columns = { list = \"category\", \"a, b\" = \"log\" }\nlr = [0.1, 0.2]\n[class-weights]\nno = 1\nyes = 2.5";
        let (space, rest) = ranges(text).unwrap();
        assert_eq!(space.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["lr"]);
        assert_eq!(rest.keys().collect::<Vec<_>>(), ["class-weights", "columns"]);
        let (space, _) = ranges("columns = { list = [\"a:log\", \"a:robust\"] }").unwrap();
        assert_eq!(space[0].range, SearchRange::List(vec!["a:log".into(), "a:robust".into()]));
        let (space, _) = ranges("hidden = [[8], [16, 8]]").unwrap();
        assert_eq!(space[0].range, SearchRange::List(vec!["8".into(), "16,8".into()]));
    }

    #[test]
    fn wrong_ranges_are_refused_with_their_place() {
        for (text, want) in [
            ("lr = { log = [0, 1] }", "s.toml: lr: log takes numbers above 0"),
            ("lr = { log = [1, 0.1] }", "lr: log takes two finite numbers"),
            ("lr = { normal = [0, 1] }", "a range is { log"),
            ("lr = { log = [0.1, 1], linear = [1, 2] }", "a range is { log"),
            ("dropout = []", "an empty list"),
            ("batch-size = { integer = [1.5, 3] }", "integer takes two whole numbers"),
            ("target = [\"a\", \"b\"]", "s.toml: target: it cannot be tried"),
            ("learning-rate = { log = [0.1, 1] }", "s.toml: learning-rate: "),
            ("lr = { log = [0.1, 1], points = 1 }", "points = 1"),
        ] {
            let said = ranges(text).unwrap_err().to_string();
            assert!(said.contains(want), "{text}: {said}");
        }
    }

    #[test]
    fn variables_stand_in_the_texts_of_settings() {
        let text = "layers = \"{body}dense\"\n[variables]\nbody = [\"dense({width}), {act}, \", \"\"]\n\
                    width = { integer = [8, 9] }\nact = [\"relu\", \"tanh\"]";
        let (space, rest) = ranges(text).unwrap();
        assert_eq!(rest.keys().collect::<Vec<_>>(), ["layers"]);
        assert!(space.iter().all(|it| it.variable) && space.len() == 3);
        let layers = rest["layers"].as_str().unwrap();
        let told: std::collections::BTreeSet<String> = random_trials(&space, 100, Seed(1))
            .iter()
            .map(|it| with_values(layers, &space, it))
            .collect();
        let body = |width: u32, act: &str| format!("dense({width}), {act}, dense");
        let all =
            ["dense".into(), body(8, "relu"), body(8, "tanh"), body(9, "relu"), body(9, "tanh")];
        assert_eq!(told.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn wrong_variables_are_refused_with_their_place() {
        for (variables, want) in [
            ("width = [8, 9]", "variables.width: no setting has {width}"),
            ("body = \"dense\"", "variables.body: it is one value"),
            ("body = [\"{body}\"]", "variables.body: its values have {body}"),
            (
                "body = [\"{a}\"]\na = [\"{b}\"]\nb = [\"dense\", \"{a}\"]",
                "s.toml: variables.a: its values come back to it: {a} has {b} has {a}; take one",
            ),
            (
                "body = [\"dense({widht})\"]\nwidth = [8, 9]\nact = [\"{width}\"]",
                "variables.act: no setting has {act}",
            ),
            (
                "body = [\"dense({widht}), {width}\"]\nwidth = [8, 9]",
                "s.toml: variables.body: it has {widht} in its text, and there is no widht in [variables]; did you mean {width}?",
            ),
            (
                "body = [\"dense({units})\"]",
                "there is no units in [variables]; give it values there, such as units = [64, 128]",
            ),
            ("lr = [0.1, 0.2]", "variables.lr: lr is an option"),
            ("\"a b\" = [1, 2]", "variables.a b: names of variables"),
            ("body = { log = [0, 1] }", "variables.body: log takes numbers above 0"),
        ] {
            let said =
                ranges(&format!("layers = \"{{body}}\"\n[variables]\n{variables}")).unwrap_err();
            assert!(said.to_string().contains(want), "{variables}: {said}");
        }
        let said =
            ranges("layers = \"{body}{tail}\"\n[variables]\nbody = [\"\", \"relu\"]").unwrap_err();
        assert!(
            said.to_string().starts_with("s.toml: layers: it has {tail} in its text"),
            "{said}"
        );
        // Columns may have braces in their names, and layers may be tables.
        let text = "ignore = \"a{b}\"\nlayers = [{ type = \"dense\", units = \"{width}\" }]\n[variables]\nwidth = [8, 9]";
        assert_eq!(ranges(text).unwrap().0.len(), 1);
        let said = ranges("variables = 3").unwrap_err().to_string();
        assert!(said.contains("s.toml: variables: it is no table"), "{said}");
    }

    #[test]
    fn drawn_values_lie_in_their_ranges_and_follow_from_the_seed() {
        let text = "lr = { log = [1e-4, 0.1] }\nbatch-size = { integer = [8, 10] }\noptimizer = [\"sgd\", \"adam\"]";
        let (space, _) = ranges(text).unwrap();
        let trials = random_trials(&space, 200, Seed(1));
        assert_eq!(trials[..50], random_trials(&space, 50, Seed(1)));
        assert_ne!(trials, random_trials(&space, 200, Seed(2)));
        let values = |at: usize| trials.iter().map(move |trial| trial[at].1.as_str());
        let rates: Vec<f64> = values(1).map(|it| it.parse().unwrap()).collect();
        assert!(rates.iter().all(|rate| (1e-4..=0.1).contains(rate)));
        // Each of the three powers of ten has a third of them, within four deviations.
        let low = rates.iter().filter(|rate| **rate < 1e-3).count();
        assert!((40..=94).contains(&low), "{low}");
        for size in ["8", "9", "10"] {
            assert!(values(0).any(|it| it == size), "{size}");
        }
        assert!(values(2).any(|it| it == "sgd") && values(2).any(|it| it == "adam"));
    }

    #[test]
    fn a_grid_has_all_combinations() {
        let text = "lr = { log = [0.001, 0.1], points = 3 }\nbatch-size = { integer = [8, 9] }";
        let trials = grid_trials(&ranges(text).unwrap().0).unwrap();
        let told: Vec<String> =
            trials.iter().map(|it| format!("{} {}", it[0].1, it[1].1)).collect();
        assert_eq!(told, ["8 0.001", "8 0.01", "8 0.1", "9 0.001", "9 0.01", "9 0.1"]);
        let said = grid_trials(&ranges("lr = { log = [0.001, 0.1] }").unwrap().0).unwrap_err();
        assert!(said.to_string().contains("lr: a grid needs the number of values"), "{said}");
    }

    #[test]
    fn a_grid_has_no_trial_twice() {
        let refused = |text: &str| grid_trials(&ranges(text).unwrap().0).unwrap_err().to_string();
        let said = refused("lr = [0.1, 0.01, 1e-1]");
        assert!(said.contains("lr: 0.1 is there twice"), "{said}");
        let said = refused("hidden = [[8, 4], [8], [\"8\", 4]]");
        assert!(said.contains("hidden: 8,4 is there twice"), "{said}");
        let said = refused("lr = { linear = [0.1, 0.1001], points = 3 }");
        assert!(said.contains("lr: two of its points are 0.1 with three digits"), "{said}");
        // Drawn values may be there several times, so that they are likelier.
        let space = ranges("lr = [0.1, 0.1, 0.2]").unwrap().0;
        assert_eq!(random_trials(&space, 5, Seed(1)).len(), 5);
    }
}
