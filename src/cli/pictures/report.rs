//! `wgrad report`, and the reports that `train` and `evaluate` write.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::fold_rows::{FoldRows, fold_rows};
use super::run_files::{RunFiles, rows_for};
use super::sweep_files::{SweepFiles, has_model, is_sweep};
use super::{ASKED_WORK, TRAINING_WORK, check_replaceable};
use crate::cli::args::{EvaluateArgs, ReportArgs};
use crate::cli::next::after_run;
use crate::cli::open_run::{REPORT, open_run};
use crate::cli::output::{Output, failed};
use crate::cli::tables::{TableInput, told_training_rows};
use crate::cli::wording::{quoted, with_options};
use crate::cli::{Exit, next, tables};
use crate::data::LabelledRows;
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::report::{
    Console, JsonLines, NextCommand, RunReport, column_pictures, column_summaries,
    prediction_pictures, scored_pictures,
};
use crate::train::{Ensemble, Evaluation, Predictor, StreamingEvaluator};

/// A mark of a page of this program's making.
const MARK: &str = "name=\"generator\" content=\"wgrad";

#[derive(Serialize)]
struct Reported {
    event: &'static str,
    file: String,
    bytes: usize,
}

pub(crate) fn report(args: &ReportArgs) -> Result<Exit> {
    // Of a search with a table, the report is of its model.
    if is_sweep(&args.run) && !(args.table.is_some() && has_model(&args.run)) {
        return report_sweep(args);
    }
    let out = match &args.out {
        Some(out) => out.clone(),
        None if args.run.is_dir() => args.run.join(REPORT),
        // It says itself that there is no such run.
        None if !args.run.exists() => args.run.join(REPORT),
        None => {
            let problem = "a model file has no folder for a report; name a file";
            return Err(Error::setting("--out", problem));
        }
    };
    check_replaceable(&out, MARK, "--out")?;
    let format = args.format.read_for(args.table.as_deref())?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let trained = open_run(&args.run, None, &mut console)?;
    let files = RunFiles::read(&args.run)?;
    let predictor = Predictor::new(trained)?;
    let place = (args.run.as_path(), args.table.as_deref());
    let rows = rows_for(place, &format, &predictor, (&files, &mut console))?;
    let evaluation = match (&args.table, &rows) {
        (Some(_), Some(rows)) => {
            let mut evaluator = StreamingEvaluator::new(predictor.trained());
            predictor.evaluate_chunk(&rows.rows, &mut evaluator)?;
            Some((rows.told.clone(), evaluator.finish()?))
        }
        _ => None,
    };
    let folds = match &rows {
        None => fold_rows(&args.run, predictor.trained(), &files)?,
        Some(_) => None,
    };
    let mut remarks = Vec::new();
    match (&rows, &folds) {
        (Some(rows), _) => {
            remarks.push(format!("pictures of predictions and columns show {}", rows.told));
            remarks.extend(rows.seen.clone());
        }
        (None, Some(folds)) => remarks.extend(fold_remarks(folds)),
        (None, None) => {
            let lacks =
                "the run has no validation rows, so that there are no pictures of predictions";
            console.warn(&format!("{lacks}; give a TABLE"));
            remarks.push(lacks.to_string());
        }
    }
    remarks.push(
        "this report was made after the training, whose warnings it does not have".to_string(),
    );
    let parts = Parts {
        run: &args.run,
        rows: rows.as_ref().map(|it| (&it.rows, it.told.as_str())),
        folds,
        columns: None,
        remarks,
    };
    let html = page(&predictor, files, parts, (evaluation, vec![]), ASKED_WORK)?;
    write_page(&out, &html, args.json)?;
    let run = quoted(&args.run);
    let plot = match args.table.as_deref().filter(|_| is_sweep(&args.run)) {
        Some(table) => format!("wgrad plot {run} {}", quoted(table)),
        None => format!("wgrad plot {run}"),
    };
    next::show(&mut console, &[plot]);
    Ok(Exit::Done)
}

/// Writes the report of a sweep.
fn report_sweep(args: &ReportArgs) -> Result<Exit> {
    if args.table.is_some() {
        let problem = "a sweep's report is of its trials; leave the table out, or give the folder of a trial as RUN";
        return Err(Error::setting("TABLE", problem));
    }
    args.format.read_for(None)?;
    let out = args.out.clone().unwrap_or_else(|| args.run.join(REPORT));
    check_replaceable(&out, MARK, "--out")?;
    write_page(&out, &SweepFiles::read(&args.run)?.page(Vec::new()), args.json)
}

/// Writes a page and tells its place.
fn write_page(out: &Path, html: &str, json: bool) -> Result<Exit> {
    write_file(out, html.as_bytes())?;
    let mut output = Output::new();
    let file = out.display().to_string();
    if json {
        let line = Reported { event: "reported", file, bytes: html.len() };
        JsonLines::new(&mut output).line(&line).map_err(failed)?;
    } else {
        output.line(&file)?;
    }
    output.end()?;
    Ok(Exit::Done)
}

/// Says which rows the pictures of a cross-validation show.
fn fold_remarks(folds: &FoldRows) -> [String; 2] {
    [
        format!("pictures of predictions show {}", folds.told),
        "the importance of columns needs rows that the networks were not trained on: `wgrad plot RUN TABLE --what importance` draws it"
            .to_string(),
    ]
}

/// Rows that a report shows, and remarks on them.
struct Parts<'a> {
    run: &'a Path,
    /// Rows for pictures of predictions and columns, and which they are.
    rows: Option<(&'a LabelledRows, &'a str)>,
    /// Predictions of a cross-validation, where there are no such rows.
    folds: Option<FoldRows>,
    /// Rows for the summary of columns, if these are others.
    columns: Option<(&'a LabelledRows, &'a str)>,
    remarks: Vec<String>,
}

fn page(
    predictor: &Predictor,
    files: RunFiles,
    parts: Parts<'_>,
    (evaluation, warnings): (Option<(String, Evaluation)>, Vec<String>),
    most: u64,
) -> Result<String> {
    let trained = predictor.trained();
    let (mut pictures, mut remarks) = (Vec::new(), parts.remarks);
    pictures.extend(files.history_pictures());
    if let Some(folds) = &parts.folds {
        pictures.extend(scored_pictures(trained, &folds.rows));
    }
    if let Some((rows, _)) = parts.rows {
        pictures.extend(prediction_pictures(predictor, rows)?);
        let columns = column_pictures(predictor, rows, most)?;
        pictures.extend(columns.pictures);
        remarks.extend(columns.remarks);
    }
    let of_columns = parts.columns.or(parts.rows);
    let columns = of_columns.map(|it| column_summaries(&trained.preparation, it.0));
    let run = parts.run.display().to_string();
    let page = RunReport {
        table: files.table(),
        trained,
        members: predictor.ensemble().members().len(),
        evaluation,
        networks: files.networks,
        pictures,
        remarks,
        columns: columns.unwrap_or_default(),
        columns_of: of_columns.map(|it| it.1.to_string()).unwrap_or_default(),
        outcome: files.outcome,
        settings: files.settings,
        warnings,
        commands: next_commands(parts.run),
        run,
    };
    Ok(page.html())
}

fn next_commands(run: &Path) -> Vec<NextCommand> {
    let command = |purpose: &str, command: String| NextCommand { purpose: purpose.into(), command };
    let mut commands: Vec<NextCommand> =
        after_run(run).into_iter().map(|it| command(it.purpose, it.command)).collect();
    let folder = quoted(run);
    if is_sweep(run) {
        commands.push(command("The report of the search", format!("wgrad report {folder}")));
        return commands;
    }
    commands.push(command(
        "Go on after a stop, or train longer",
        format!("wgrad resume {folder} --epochs COUNT"),
    ));
    commands.push(command("These pictures as files", format!("wgrad plot {folder}")));
    commands
}

/// Rows of a run that has just ended.
#[derive(Default)]
pub(crate) struct TrainingRows<'a> {
    /// Validation rows and which they are.
    pub(crate) valid: Option<(LabelledRows, String)>,
    /// Training rows and which they are.
    pub(crate) train: Option<(&'a LabelledRows, &'a str)>,
}

/// Writes the report of a run that has just ended into its folder.
///
/// # Errors
/// If a picture cannot be computed, or the file cannot be written.
pub(crate) fn training_report(
    run: &Path,
    network: impl Into<Ensemble>,
    rows: &TrainingRows<'_>,
    warnings: Vec<String>,
) -> Result<PathBuf> {
    let (predictor, files) = (Predictor::new(network)?, RunFiles::read(run)?);
    let folds = match &rows.valid {
        None => fold_rows(run, predictor.trained(), &files)?,
        Some(_) => None,
    };
    let mut remarks = Vec::new();
    match (&rows.valid, &folds) {
        (Some((_, told)), _) => remarks
            .push(format!("pictures of predictions and of the importance of columns show {told}")),
        (None, Some(folds)) => remarks.extend(fold_remarks(folds)),
        (None, None) => remarks.push(
            "no rows were held out, so that there are no pictures of predictions".to_string(),
        ),
    }
    let valid = rows.valid.as_ref().map(|(rows, told)| (rows, told.as_str()));
    let parts = Parts { run, rows: valid, folds, columns: rows.train, remarks };
    let html = page(&predictor, files, parts, (None, worded(&warnings)), TRAINING_WORK)?;
    let path = run.join(REPORT);
    write_file(&path, html.as_bytes())?;
    Ok(path)
}

/// Writes the report of a sweep that has just ended into its folder.
///
/// # Errors
/// If the sweep's files cannot be read, or the report cannot be written.
pub(crate) fn sweep_report(sweep: &Path, warnings: Vec<String>) -> Result<()> {
    write_file(sweep.join(REPORT), SweepFiles::read(sweep)?.page(worded(&warnings)).as_bytes())
}

/// Returns warnings with options in them, as the console tells them.
fn worded(warnings: &[String]) -> Vec<String> {
    warnings.iter().map(|text| with_options(text)).collect()
}

/// `wgrad evaluate`, with `--report` a page besides.
pub(crate) fn evaluate(args: &EvaluateArgs) -> Result<Exit> {
    if let Some(out) = &args.report {
        check_replaceable(out, MARK, "--report")?;
    }
    tables::evaluate(args, args.report.is_some().then_some(evaluation_report))
}

/// Writes the report of an evaluation.
fn evaluation_report(
    args: &EvaluateArgs,
    predictor: &Predictor,
    (rows, told): (&LabelledRows, &str),
    evaluation: &Evaluation,
) -> Result<()> {
    let Some(out) = &args.report else { return Ok(()) };
    let table = TableInput::of(&args.table).name();
    let told = format!("{told} of {table}");
    let mut remarks = vec![format!("pictures of predictions and columns show {told}")];
    remarks.extend(told_training_rows(&args.run, rows));
    let rows = Some((rows, told.as_str()));
    let parts = Parts { run: &args.run, rows, folds: None, columns: None, remarks };
    let evaluation = Some((table, evaluation.clone()));
    let files = RunFiles::read(&args.run)?;
    let html = page(predictor, files, parts, (evaluation, vec![]), ASKED_WORK)?;
    write_file(out, html.as_bytes())
}
