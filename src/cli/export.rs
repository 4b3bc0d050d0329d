//! `wgrad export`: a run's network as a file for other programs.

use std::path::PathBuf;

use serde::Serialize;

use super::Exit;
use super::args::ExportArgs;
use super::open_run::open_run;
use super::output::{Output, check_out, failed};
use super::wording::quoted;
use crate::data::list;
use crate::error::{Error, Result};
use crate::export::{MODEL_FILE, ONNX_OPSET, needs_double, onnx_bytes, renamed_inputs, write_file};
use crate::report::{Console, JsonLines};
use crate::shape::bytes_text;

#[derive(Serialize)]
struct Exported {
    event: &'static str,
    onnx: String,
    opset: i64,
    /// Type of the input's elements, or `columns` if each column is an input of its own.
    input: &'static str,
    bytes: usize,
}

pub(super) fn export(args: &ExportArgs) -> Result<Exit> {
    let model = args.run.join(MODEL_FILE);
    let inputs = [&args.run, &model, args.weights.as_ref().unwrap_or(&model)];
    check_out("--onnx", &args.onnx, &inputs.map(PathBuf::as_path), args.force)?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let ensemble = open_run(&args.run, args.weights.as_deref(), &mut console)?;
    let trained = ensemble.first();
    let needed = needs_double(&ensemble);
    let double = match args.input.as_deref().map(str::trim) {
        None | Some("auto") => needed,
        Some("f32") => false,
        Some("f64") => true,
        Some(other) => {
            let problem = format!("unknown name \"{other}\"; known: auto, f32, f64");
            return Err(Error::setting("--input", problem));
        }
    };
    let columns = list(&trained.preparation.double);
    let several = !trained.preparation.schema.columns.is_empty();
    if several && args.input.as_deref().is_some_and(|it| it.trim() != "auto") {
        let problem = "the model has columns with texts or gaps, so the file has an input for each column, of texts or f64; leave \
                       --input out";
        return Err(Error::setting("--input", problem));
    }
    if several {
        console
            .line("each column is an input of its own: texts, or f64 (double) with NaN for gaps");
        for (column, input) in renamed_inputs(&trained.preparation.schema) {
            let (column, input) = (list(&[column]), list(&[input]));
            console.line(&format!("the input of column {column} is called {input}, since a result of the graph may be called {column}"));
        }
    } else if needed && !double {
        console.warn(&format!(
            "--input f32 cannot tell all values of {columns} apart: predictions will differ from those of `wgrad predict`; leave --input out for f64"
        ));
    } else if needed && args.input.is_none() {
        console.line(&format!("the input is f64 (double), which {columns} needs"));
    }
    let file = onnx_bytes(&ensemble, double)?;
    write_file(&args.onnx, &file)?;
    let input = match (several, double) {
        (true, _) => "columns",
        (false, true) => "f64",
        (false, false) => "f32",
    };
    let (onnx, bytes) = (args.onnx.display().to_string(), file.len());
    console.line(&format!("{onnx}  {}, opset {ONNX_OPSET}", bytes_text(bytes as u64)));
    if args.weights.is_none() {
        let check = format!("wgrad predict {} TABLE --out predicted.csv", quoted(&args.run));
        console.line("to compare another program's predictions with:");
        console.line(&format!("  {check}"));
    }
    if args.json {
        let done = Exported { event: "finished", onnx, opset: ONNX_OPSET, input, bytes };
        JsonLines::new(&mut Output::new()).line(&done).map_err(failed)?;
    }
    Ok(Exit::Done)
}
