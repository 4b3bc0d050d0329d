//! The program `wgrad`: arguments in, an exit code out.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match wgrad::cli::run(wgrad::cli::Cli::from_args(std::env::args_os())) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            // With stderr closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
