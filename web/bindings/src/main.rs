//! Writes the JavaScript between a page and its WebAssembly: `wgrad-web-bindings FILE.wasm FOLDER`.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, folder] = &arguments[..] else {
        eprintln!("usage: wgrad-web-bindings FILE.wasm FOLDER");
        return ExitCode::from(2);
    };
    let mut bindings = Bindgen::new();
    let written = bindings.input_path(input).web(true).and_then(|bindings| {
        let bindings = bindings.typescript(false).remove_name_section(true);
        bindings.remove_producers_section(true).out_name("wgrad").generate(folder)
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
