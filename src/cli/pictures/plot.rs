//! `wgrad plot`: pictures of a run as SVG files.

use std::path::PathBuf;

use serde::Serialize;

use super::run_files::{Rows, RunFiles, rows_for};
use super::{ASKED_WORK, check_replaceable};
use crate::cli::Exit;
use crate::cli::args::PlotArgs;
use crate::cli::open_run::open_run;
use crate::cli::output::{Output, failed};
use crate::data::list;
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::picture::Picture;
use crate::report::{
    Console, JsonLines, column_pictures, history_pictures, network_picture, prediction_pictures,
};
use crate::train::Predictor;

/// Pictures that need rows with targets.
const OF_PREDICTIONS: [&str; 8] = [
    "confusion",
    "roc",
    "precision-recall",
    "calibration",
    "predicted-actual",
    "residuals",
    "intervals",
    "quantiles",
];
const OF_COLUMNS: [&str; 3] = ["importance", "dependence", "embedding"];
/// Pictures that need the run's history.
const OF_HISTORY: [&str; 3] = ["loss", "learning-rate", "metrics"];
const OTHERS: [&str; 2] = ["network", "class-figures"];

#[derive(Serialize)]
struct Plotted {
    event: &'static str,
    /// Rows that pictures of predictions show, in words.
    rows: Option<String>,
    files: Vec<String>,
}

pub(crate) fn plot(args: &PlotArgs) -> Result<Exit> {
    let wanted = wanted(args.what.as_deref())?;
    let format = args.format.read_for(args.table.as_deref())?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let trained = open_run(&args.run, None, &mut console)?;
    let files = RunFiles::read(&args.run)?;
    let predictor = Predictor::new(trained)?;
    let asks =
        |names: &[&str]| wanted.is_empty() || wanted.iter().any(|it| names.contains(&it.as_str()));
    let mut pictures = Vec::new();
    if let Some(history) = files.history.as_ref().filter(|_| asks(&OF_HISTORY)) {
        pictures.extend(history_pictures(history, files.kept()));
    }
    let mut rows_told = None;
    if asks(&OF_PREDICTIONS) || asks(&OF_COLUMNS) || asks(&OTHERS[1..]) {
        let place = (args.run.as_path(), args.table.as_deref());
        let rows = rows_for(place, &format, &predictor, (&files, &mut console))?;
        if let Some(Rows { rows, told }) = rows {
            console.say("rows", &told);
            pictures.extend(prediction_pictures(&predictor, &rows)?);
            if asks(&OF_COLUMNS) {
                let columns = column_pictures(&predictor, &rows, ASKED_WORK)?;
                pictures.extend(columns.pictures);
                columns.remarks.iter().for_each(|remark| console.line(remark));
            }
            rows_told = Some(told);
        } else if wanted.is_empty() {
            console.warn("the run has no validation rows, so that there are no pictures of predictions; give a TABLE");
        } else {
            let problem =
                "they need rows with the target, and the run has no validation rows; give a TABLE";
            return Err(Error::setting("--what", format!("{}: {problem}", wanted.join(", "))));
        }
    }
    if asks(&OTHERS[..1]) {
        pictures.push(network_picture(predictor.trained())?);
    }
    let pictures = chosen(pictures, &wanted)?;
    let written = write(args, &pictures)?;
    let mut out = Output::new();
    if args.json {
        let line = Plotted { event: "plotted", rows: rows_told, files: written };
        JsonLines::new(&mut out).line(&line).map_err(failed)?;
    } else {
        written.iter().try_for_each(|file| out.line(file))?;
    }
    out.end()?;
    Ok(Exit::Done)
}

/// Reads the names of pictures; none for all.
fn wanted(what: Option<&str>) -> Result<Vec<String>> {
    let names: Vec<String> = what
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_string())
        .filter(|name| !name.is_empty())
        .collect();
    let known = || OF_HISTORY.iter().chain(&OF_PREDICTIONS).chain(&OF_COLUMNS).chain(&OTHERS);
    match names.iter().find(|name| !known().any(|it| it == name)) {
        Some(unknown) => {
            let all: Vec<&str> = known().copied().collect();
            let problem =
                format!("unknown picture {}; known: {}", list(&[unknown]), all.join(", "));
            Err(Error::setting("--what", problem))
        }
        None => Ok(names),
    }
}

/// Returns the pictures whose names were asked for.
fn chosen(pictures: Vec<Picture>, wanted: &[String]) -> Result<Vec<Picture>> {
    if wanted.is_empty() {
        return Ok(pictures);
    }
    let known = |name: &str| {
        let all = OF_HISTORY[..2].iter().chain(&OF_PREDICTIONS).chain(&OF_COLUMNS).chain(&OTHERS);
        all.copied().find(|it| {
            // Pictures of several targets or columns have numbers: `residuals-2`.
            let rest = name.strip_prefix(it);
            rest.is_some_and(|rest| rest.is_empty() || rest[1..].parse::<u32>().is_ok())
        })
    };
    let is_wanted =
        |it: &Picture| wanted.iter().any(|name| name == known(it.name()).unwrap_or("metrics"));
    let there: Vec<&str> =
        pictures.iter().map(|it| known(it.name()).unwrap_or("metrics")).collect();
    if let Some(missing) = wanted.iter().find(|name| !there.contains(&name.as_str())) {
        let mut could: Vec<&str> = there;
        could.dedup();
        let problem =
            format!("this run has no picture {}; it has: {}", list(&[missing]), could.join(", "));
        return Err(Error::setting("--what", problem));
    }
    Ok(pictures.into_iter().filter(is_wanted).collect())
}

/// Writes the files. Returns their places.
fn write(args: &PlotArgs, pictures: &[Picture]) -> Result<Vec<String>> {
    let folder: PathBuf = match &args.out {
        Some(out) => out.clone(),
        None if args.run.is_dir() => args.run.join("pictures"),
        None => {
            let problem = "a model file has no folder for pictures; name one";
            return Err(Error::setting("--out", problem));
        }
    };
    let places: Vec<PathBuf> =
        pictures.iter().map(|it| folder.join(format!("{}.svg", it.name()))).collect();
    places.iter().try_for_each(|place| check_replaceable(place, "class=\"wgrad\"", "--out"))?;
    std::fs::create_dir_all(&folder).map_err(|source| Error::file("create", &folder, source))?;
    for (place, picture) in places.iter().zip(pictures) {
        write_file(place, picture.svg().as_bytes())?;
    }
    Ok(places.iter().map(|place| place.display().to_string()).collect())
}
