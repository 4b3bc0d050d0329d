//! Fuzz target for the program's settings: a `config.toml` of any content is read or refused.
//!
//! Compiled for fuzzing and for tests alone. Absent on purpose: files, which the settings may name but which are not opened.

use super::arguments::Settings;
use super::config_file::config_text;
use super::resolve::resolve;
use super::sources::merge;
use crate::data::{Split, synth};
use crate::device::DeviceInfo;
use crate::error::{Error, Result};
use crate::plan::Precision;
use crate::random::Seed;
use crate::train::RunInfo;

/// Reads settings as those of a file, and checks that what a run would record of them is the same when it is read again.
///
/// # Panics
/// If it is not.
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "shown to fuzzing alone"))]
pub fn check_settings(text: &str) {
    let Ok(data) = synth::sine(8, 0.1, Seed(1)).split(0.25, Seed(1)) else { return };
    let Some(recorded) = recorded(text, &data).ok().flatten() else { return };
    let again = self::recorded(&recorded, &data);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{recorded}"));
    assert_eq!(again, Some(recorded));
}

/// Returns the record of a run with these settings; `None` if the run would end before, for want of a network.
fn recorded(text: &str, data: &Split) -> Result<Option<String>> {
    let path = std::env::temp_dir().join(format!("wgrad-settings-{}.toml", std::process::id()));
    std::fs::write(&path, text).map_err(|source| Error::file("write", &path, source))?;
    // As options they go before the file's, which name files of anywhere.
    let settings = Settings::default().with("table", "table.csv").with("target", "y");
    let given = merge(&settings.with_file(path.clone()));
    let _ = std::fs::remove_file(path);
    let config = resolve(given?)?;
    let (model, options) = (config.model(data)?, config.options(&data.train, None));
    if model.layout(data.train.columns()).is_err() {
        return Ok(None);
    }
    options.check()?;
    options.schedules(3).factors(5);
    config_text(&config, &options, &info()).map(Some)
}

/// Of a run that never was.
fn info() -> RunInfo {
    let text = String::new;
    let device = DeviceInfo { name: text(), kind: text(), backend: text(), driver: text() };
    RunInfo {
        device,
        reason: text(),
        train_rows: 6,
        valid_rows: 2,
        target: text(),
        features: 1,
        positive: vec![],
        parameters: 0,
        epochs: 1,
        steps_per_epoch: 1,
        batch: 6,
        precision: Precision::F32,
        device_bytes: 0,
        target_note: None,
        smoothing_moves: false,
        streaming: None,
        load_seconds: 0.0,
        variants: vec![],
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn kept_inputs_are_read_or_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/config");
        let inputs: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
        assert!(inputs.len() > 10, "{} inputs", inputs.len());
        for path in inputs {
            if let Ok(text) = String::from_utf8(std::fs::read(&path).unwrap()) {
                check_settings(&text);
            }
        }
    }
}
