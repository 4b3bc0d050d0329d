//! The settings that a sweep tries: ranges and lists of values, and the values of each trial.
//!
//! In: a table of TOML, a number of trials, a seed. Out: the settings of each trial as texts, as they would be typed.
//! Absent on purpose: what the options mean; training.

use serde::{Deserialize, Serialize};

use crate::cli::settings::{option_key, text_of};
use crate::error::{Error, Result};
use crate::random::{Purpose, Random, Seed};

/// Largest number of trials of a grid.
const MOST: usize = 100_000;
/// Options that a sweep cannot try: they name files, rows or places, not how a network is trained.
const REFUSED: [&str; 16] = [
    "table",
    "target",
    "weight",
    "group",
    "split-column",
    "valid",
    "out",
    "device",
    "members",
    "folds",
    "folds-repeats",
    "fold",
    "refit",
    "split-seed",
    "keep-checkpoints",
    "stop-metric",
];
/// Options whose value is a list already, so that a plain list is one value.
const LISTS: [&str; 10] = [
    "hidden", "features", "ignore", "columns", "missing", "metrics", "layers", "groups", "freeze",
    "no-decay",
];

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

/// An option and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SearchDimension {
    pub(super) key: String,
    pub(super) range: SearchRange,
    /// Number of values of a range in a grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) points: Option<usize>,
}

/// Returns the ranges of a file of settings, and takes them out of it.
///
/// # Errors
/// If a range is of an unknown kind or empty, or of an option that cannot be tried.
pub(super) fn take_ranges(file: &mut toml::Table, shown: &str) -> Result<Vec<SearchDimension>> {
    let keys: Vec<String> = file.keys().cloned().collect();
    let mut ranges = Vec::new();
    for key in keys {
        let place = format!("{shown}: {key}");
        let Some(dimension) = dimension(&key, &file[&key], &place)? else { continue };
        if REFUSED.contains(&key.as_str()) {
            let problem = "it cannot be tried, since it decides rows or places and not how a network is trained; give it one value";
            return Err(Error::setting(place, problem));
        }
        // Names the option that is meant.
        option_key(&key).map_err(|problem| Error::setting(place, problem))?;
        file.remove(&key);
        ranges.push(dimension);
    }
    Ok(ranges)
}

/// Returns the range of an option; `None` for one value.
fn dimension(key: &str, value: &toml::Value, place: &str) -> Result<Option<SearchDimension>> {
    let refuse = |problem: String| Err(Error::setting(place, problem));
    let of = |range, points| Ok(Some(SearchDimension { key: key.to_string(), range, points }));
    match value {
        toml::Value::Array(values) => {
            let nested = values.iter().any(toml::Value::is_array);
            // Layers and groups are lists of tables.
            if LISTS.contains(&key) && !nested || values.iter().any(toml::Value::is_table) {
                return Ok(None);
            }
            of(list(values, place)?, None)
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
        space.iter().map(|it| (it.key.clone(), it.range.draw(&mut random))).collect()
    };
    (0..trials).map(trial).collect()
}

/// Returns all combinations of the values, the last option's changing first.
///
/// # Errors
/// If a range does not say how many values it has, or there are too many combinations.
pub(super) fn grid_trials(space: &[SearchDimension]) -> Result<Vec<TrialSettings>> {
    let mut trials: Vec<TrialSettings> = vec![Vec::new()];
    for SearchDimension { key, range, points } in space {
        let Some(values) = range.grid(*points) else {
            let problem = "a grid needs the number of values of this range, such as { log = [0.001, 0.1], points = 5 }, or a list";
            return Err(Error::setting(key, problem));
        };
        if trials.len().saturating_mul(values.len()) > MOST {
            let problem =
                format!("more than {MOST} combinations; take fewer values, or --search random");
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
    Ok(trials)
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
}
