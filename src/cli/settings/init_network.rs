//! The network of a model whose weights a run begins with, where no other network is given.
//!
//! In: settings as given. Out: the same with the layers of the model that `--init` names.
//! Absent on purpose: the weights, which are read when the table is known.

use super::config::{InitFrom, RunConfig};
use super::network::{Network, OF_PLAIN};
use super::raw_settings::{RawSettings, SettingSource};
use super::values::start;
use crate::export::read_model;
use crate::model::{Layer, Sequential};

/// Place of the layers in messages, and the mark by which they are told.
const SHOWN: &str = "model of --init";

/// Takes the layers of the model whose weights the run begins with, unless a person or a recipe decides how the network is made. A file
/// that cannot be read, or has weights alone, is told of later.
pub(super) fn with_network(mut given: RawSettings) -> RawSettings {
    let decided = ["recipe", "layers"].iter().chain(&OF_PLAIN).any(|key| given.has(key));
    let Some(Ok(InitFrom::File(path))) = given.text("init").map(|text| start(&text)) else {
        return given;
    };
    if decided {
        return given;
    }
    let strict = given.text("init-strict").is_none_or(|text| text.trim() == "true");
    let text = read_model(path).ok().and_then(|trained| layers_text(&trained.model, strict));
    if let Some(text) = text.filter(|text| *text != usual_text()) {
        given.insert("layers", text, SettingSource::File(SHOWN.to_string()));
    }
    given
}

/// Returns the layers as a setting, the last one with as many outputs as the table needs; `None` for tables of texts that other rows
/// may not have, where not all weights have to fit.
fn layers_text(model: &Sequential, strict: bool) -> Option<String> {
    let (last, rest) = model.layers().split_last()?;
    if !strict && !model.tables().is_empty() {
        return None;
    }
    let last = match last {
        Layer::Dense { units, .. } => open_text(&last.to_string(), *units),
        other => other.to_string(),
    };
    let texts = rest.iter().map(ToString::to_string).chain([last]);
    Some(texts.collect::<Vec<_>>().join(", "))
}

/// Returns the text of a dense layer without its number of outputs.
fn open_text(text: &str, units: usize) -> String {
    let rest = text.strip_prefix(&format!("dense({units}")).unwrap_or(")");
    match rest.strip_prefix(", ") {
        Some(arguments) => format!("dense({arguments}"),
        None => "dense".to_string(),
    }
}

/// Returns the layers of the network that a run has anyway.
fn usual_text() -> String {
    let Network { hidden, activation, .. } = Network::default();
    let hidden = hidden.iter().map(|units| format!("dense({units}), {activation}, "));
    format!("{}dense", hidden.collect::<String>())
}

impl RunConfig {
    /// Returns the layers that were taken from the model of `--init`.
    pub(crate) fn layers_of_init(&self) -> Option<String> {
        let layers = self.raw.get("layers").filter(|it| it.is_of(SHOWN))?;
        layers.text().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_a_model_are_a_setting_whose_outputs_the_table_decides() {
        let text = |text: &str, strict| layers_text(&text.parse().unwrap(), strict);
        assert_eq!(text("dense(128), relu, dense(64), relu, dense(3)", true), Some(usual_text()));
        let own = "scale(bias=false), dense(8), residual(dense(8)), dense(3, bias=false)";
        let want = "scale(bias=false), dense(8), residual(dense(8)), dense(bias=false)";
        assert_eq!(text(own, false).as_deref(), Some(want));
        let tables = "embedding(0=5x2), dense(3)";
        assert_eq!(text(tables, true).as_deref(), Some("embedding(0=5x2), dense"));
        assert_eq!(text(tables, false), None);
    }
}
