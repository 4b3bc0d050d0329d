//! `wgrad plot`: pictures of a run as SVG files.

use std::path::PathBuf;

use serde::Serialize;

use super::fold_rows::{FoldRows, fold_rows};
use super::run_files::{RunFiles, rows_for};
use super::sweep_files::{SweepFiles, has_model, is_sweep};
use super::{ASKED_WORK, PICTURE, check_replaceable};
use crate::cli::args::PlotArgs;
use crate::cli::open_run::{REPORT, open_run};
use crate::cli::output::{Output, failed};
use crate::cli::tables::SomeRows;
use crate::cli::wording::quoted;
use crate::cli::{Exit, next};
use crate::data::list;
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::picture::Picture;
use crate::report::{
    Console, JsonLines, column_pictures, network_picture, prediction_pictures, scored_pictures,
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
/// The picture of a sweep.
const OF_SWEEPS: [&str; 1] = ["trials"];

#[derive(Serialize)]
struct Plotted {
    event: &'static str,
    /// Rows that pictures of predictions show, in words.
    rows: Option<String>,
    files: Vec<String>,
}

pub(crate) fn plot(args: &PlotArgs) -> Result<Exit> {
    let wanted = wanted(args.what.as_deref())?;
    let is_of_sweeps = |name: &String| OF_SWEEPS.contains(&name.as_str());
    // A search has a model, too, with pictures of its predictions.
    let of_model = has_model(&args.run)
        && (args.table.is_some() || !wanted.is_empty())
        && !wanted.iter().any(is_of_sweeps);
    if is_sweep(&args.run) && !of_model {
        return plot_sweep(args, &wanted);
    }
    let format = args.format.read_for(args.table.as_deref())?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let trained = open_run(&args.run, None, &mut console)?;
    let files = RunFiles::read(&args.run)?;
    let predictor = Predictor::new(trained)?;
    let asks =
        |names: &[&str]| wanted.is_empty() || wanted.iter().any(|it| names.contains(&it.as_str()));
    let asks_only =
        |names: &[&str]| !wanted.is_empty() && wanted.iter().all(|it| names.contains(&it.as_str()));
    let mut pictures = Vec::new();
    if asks(&OF_HISTORY) {
        pictures.extend(files.history_pictures());
    }
    let mut rows_told = None;
    if asks(&OF_PREDICTIONS) || asks(&OF_COLUMNS) || asks(&OTHERS[1..]) {
        let place = (args.run.as_path(), args.table.as_deref());
        let rows = rows_for(place, &format, &predictor, (&files, &mut console))?;
        if let Some(SomeRows { rows, told, .. }) = rows {
            console.say("rows", &told);
            pictures.extend(prediction_pictures(&predictor, &rows)?);
            if asks(&OF_COLUMNS) {
                let columns = column_pictures(&predictor, &rows, ASKED_WORK)?;
                pictures.extend(columns.pictures);
                columns.remarks.iter().for_each(|remark| console.line(remark));
            }
            rows_told = Some(told);
        } else if let Some(FoldRows { rows, told }) =
            fold_rows(&args.run, predictor.trained(), &files)?.filter(|_| !asks_only(&OF_COLUMNS))
        {
            console.say("rows", &told);
            pictures.extend(scored_pictures(predictor.trained(), &rows));
            if asks(&OF_COLUMNS) {
                console.line("pictures of columns need rows that the networks were not trained on; give a TABLE");
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
    write_all(args, &chosen(pictures, &wanted)?, rows_told)?;
    let report = args.run.join(REPORT);
    if args.run.is_dir() && !report.exists() {
        next::show(&mut console, &[format!("wgrad report {}", quoted(&args.run))]);
    }
    Ok(Exit::Done)
}

/// Draws the trials of a sweep.
fn plot_sweep(args: &PlotArgs, wanted: &[String]) -> Result<Exit> {
    if let Some(other) = wanted.iter().find(|it| !OF_SWEEPS.contains(&it.as_str())) {
        let problem = format!(
            "a sweep has no picture {}, it has: trials; give the folder of one of its trials as RUN",
            list(&[other])
        );
        return Err(Error::setting("--what", problem));
    }
    if args.table.is_some() {
        let problem = "a sweep's picture is of its trials; leave the table out, or give the folder of a trial as RUN";
        return Err(Error::setting("TABLE", problem));
    }
    args.format.read_for(None)?;
    write_all(args, &SweepFiles::read(&args.run)?.pictures(), None)
}

/// Writes pictures and tells their places.
fn write_all(args: &PlotArgs, pictures: &[Picture], rows: Option<String>) -> Result<Exit> {
    let written = write(args, pictures)?;
    let mut out = Output::new();
    if args.json {
        let line = Plotted { event: "plotted", rows, files: written };
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
    let known = || {
        OF_HISTORY.iter().chain(&OF_PREDICTIONS).chain(&OF_COLUMNS).chain(&OTHERS).chain(&OF_SWEEPS)
    };
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
    // Of several networks the losses of training and validation have a picture each.
    let known = |name: &str| if name == "valid-loss" { Some("loss") } else { known(name) };
    let is_wanted =
        |it: &Picture| wanted.iter().any(|name| name == known(it.name()).unwrap_or("metrics"));
    let there: Vec<&str> =
        pictures.iter().map(|it| known(it.name()).unwrap_or("metrics")).collect();
    if let Some(missing) = wanted.iter().find(|name| !there.contains(&name.as_str())) {
        let mut could: Vec<&str> = there;
        could.dedup();
        let missing = list(&[missing]);
        let problem = match could.is_empty() {
            true => format!("this run has no picture {missing}"),
            false => format!("this run has no picture {missing}; it has: {}", could.join(", ")),
        };
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
    places.iter().try_for_each(|place| check_replaceable(place, PICTURE, "--out"))?;
    std::fs::create_dir_all(&folder).map_err(|source| Error::file("create", &folder, source))?;
    for (place, picture) in places.iter().zip(pictures) {
        write_file(place, picture.svg().as_bytes())?;
    }
    Ok(places.iter().map(|place| place.display().to_string()).collect())
}
