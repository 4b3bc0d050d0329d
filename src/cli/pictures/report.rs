//! `wgrad report`, and the reports that `train` and `evaluate` write.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::run_files::{RunFiles, rows_for};
use super::{ASKED_WORK, TRAINING_WORK, check_replaceable};
use crate::cli::Exit;
use crate::cli::args::{EvaluateArgs, ReportArgs};
use crate::cli::open_run::{REPORT, open_run};
use crate::cli::output::{Output, failed};
use crate::cli::tables;
use crate::cli::tables::TableInput;
use crate::cli::wording::quoted;
use crate::data::LabelledRows;
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::report::{
    Console, JsonLines, NextCommand, RunReport, column_pictures, column_summaries,
    history_pictures, prediction_pictures,
};
use crate::train::{Evaluation, Predictor, StreamingEvaluator, TrainedModel};

/// A mark of a page of this program's making.
const MARK: &str = "name=\"generator\" content=\"wgrad";

#[derive(Serialize)]
struct Reported {
    event: &'static str,
    file: String,
    bytes: usize,
}

pub(crate) fn report(args: &ReportArgs) -> Result<Exit> {
    let out = match &args.out {
        Some(out) => out.clone(),
        None if args.run.is_dir() => args.run.join(REPORT),
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
    let mut remarks = Vec::new();
    match &rows {
        Some(rows) => {
            remarks.push(format!("pictures of predictions and columns show {}", rows.told))
        }
        None => {
            let lacks = "the run has no validation rows, so that there are no pictures of predictions; give a TABLE";
            console.warn(lacks);
            remarks.push(
                "the run has no validation rows, so that there are no pictures of predictions"
                    .to_string(),
            );
        }
    }
    remarks.push(
        "this report was made after the training, whose warnings it does not have".to_string(),
    );
    let parts = Parts {
        run: &args.run,
        rows: rows.as_ref().map(|it| (&it.rows, it.told.as_str())),
        columns: None,
        remarks,
    };
    let html = page(&predictor, files, parts, (evaluation, vec![]), ASKED_WORK)?;
    write_file(&out, html.as_bytes())?;
    let mut output = Output::new();
    let file = out.display().to_string();
    if args.json {
        let line = Reported { event: "reported", file, bytes: html.len() };
        JsonLines::new(&mut output).line(&line).map_err(failed)?;
    } else {
        output.line(&file)?;
    }
    output.end()?;
    Ok(Exit::Done)
}

/// Rows that a report shows, and remarks on them.
struct Parts<'a> {
    run: &'a Path,
    /// Rows for pictures of predictions and columns, and which they are.
    rows: Option<(&'a LabelledRows, &'a str)>,
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
    if let Some(history) = &files.history {
        pictures.extend(history_pictures(history, files.kept()));
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
        evaluation,
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
    let run = quoted(run);
    let command = |purpose: &str, command: String| NextCommand { purpose: purpose.into(), command };
    vec![
        command(
            "Predict the rows of another table",
            format!("wgrad predict {run} TABLE --out predicted.csv"),
        ),
        command(
            "Figures on other rows that have the target",
            format!("wgrad evaluate {run} TABLE"),
        ),
        command(
            "Go on after a stop, or train longer",
            format!("wgrad resume {run} --epochs COUNT"),
        ),
        command("The network for other programs", format!("wgrad export {run} --onnx model.onnx")),
        command("These pictures as files", format!("wgrad plot {run}")),
    ]
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
    trained: TrainedModel,
    rows: &TrainingRows<'_>,
    warnings: Vec<String>,
) -> Result<PathBuf> {
    let predictor = Predictor::new(trained)?;
    let mut remarks = Vec::new();
    match &rows.valid {
        Some((_, told)) => remarks
            .push(format!("pictures of predictions and of the importance of columns show {told}")),
        None => remarks.push(
            "no rows were held out, so that there are no pictures of predictions".to_string(),
        ),
    }
    let valid = rows.valid.as_ref().map(|(rows, told)| (rows, told.as_str()));
    let parts = Parts { run, rows: valid, columns: rows.train, remarks };
    let html = page(&predictor, RunFiles::read(run)?, parts, (None, warnings), TRAINING_WORK)?;
    let path = run.join(REPORT);
    write_file(&path, html.as_bytes())?;
    Ok(path)
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
    let remarks = vec![format!("pictures of predictions and columns show {told}")];
    let parts = Parts { run: &args.run, rows: Some((rows, &told)), columns: None, remarks };
    let evaluation = Some((table, evaluation.clone()));
    let files = RunFiles::read(&args.run)?;
    let html = page(predictor, files, parts, (evaluation, vec![]), ASKED_WORK)?;
    write_file(out, html.as_bytes())
}
