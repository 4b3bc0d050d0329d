//! `wgrad export`: a run's network as a file for other programs.

use std::path::PathBuf;

use serde::Serialize;

use super::Exit;
use super::args::ExportArgs;
use super::folder::open_run;
use super::output::{Output, check_out, failed};
use crate::error::Result;
use crate::export::{MODEL_FILE, ONNX_OPSET, onnx_bytes, write_file};
use crate::report::{Console, JsonLines};
use crate::shape::bytes_text;

#[derive(Serialize)]
struct Exported {
    event: &'static str,
    onnx: String,
    opset: i64,
    bytes: usize,
}

pub(super) fn export(args: &ExportArgs) -> Result<Exit> {
    let model = args.run.join(MODEL_FILE);
    let inputs = [&args.run, &model, args.weights.as_ref().unwrap_or(&model)];
    check_out("--onnx", &args.onnx, &inputs.map(PathBuf::as_path), args.force)?;
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let trained = open_run(&args.run, args.weights.as_deref(), &mut console)?;
    let file = onnx_bytes(&trained)?;
    write_file(&args.onnx, &file)?;
    let (onnx, bytes) = (args.onnx.display().to_string(), file.len());
    console.line(&format!("{onnx}  {}, opset {ONNX_OPSET}", bytes_text(bytes as u64)));
    if args.json {
        let done = Exported { event: "finished", onnx, opset: ONNX_OPSET, bytes };
        JsonLines::new(&mut Output::new()).line(&done).map_err(failed)?;
    }
    Ok(Exit::Done)
}
