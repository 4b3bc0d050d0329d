//! The settings from which a network is made: sizes of hidden layers with what stands between them, or all layers in one text.
//!
//! In: settings as given. Out: a [`Sequential`] for a table.
//! Absent on purpose: what layers may be, which `model` knows.

use std::str::FromStr;

use super::raw_settings::{RawSetting, text_of};
use crate::data::{Dataset, list};
use crate::error::{Error, Result};
use crate::model::{
    Activation, CustomLayer, Init, Layer, LayerParser, LayerPlace, LayerSpec, Sequential,
    expression,
};

/// A normalisation after each hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Norm {
    #[default]
    None,
    Batch,
    Layer,
    Rms,
}

impl Norm {
    const ALL: [Self; 4] = [Self::None, Self::Batch, Self::Layer, Self::Rms];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Batch => "batch",
            Self::Layer => "layer",
            Self::Rms => "rms",
        }
    }

    fn layer(self) -> Option<Layer> {
        match self {
            Self::None => None,
            Self::Batch => Some(Layer::batch_norm()),
            Self::Layer => Some(Layer::layer_norm()),
            Self::Rms => Some(Layer::rms_norm()),
        }
    }
}

impl FromStr for Norm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|norm| norm.name() == wanted).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::setting("--norm", format!("unknown name \"{name}\"; known: {known}"))
        })
    }
}

/// Settings from which a network is made: those of a plain one, or all layers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Network {
    /// Sizes of hidden layers.
    pub(super) hidden: Vec<usize>,
    /// Stands after each of them, before the activation.
    pub(super) norm: Norm,
    pub(super) activation: Layer,
    /// Share of each hidden layer's outputs that is dropped.
    pub(super) dropout: f64,
    /// All layers, in place of those above.
    pub(super) layers: Option<Layers>,
}

/// All layers as written, with values that stay open until the table is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layers {
    /// The text for `config.toml`.
    pub(super) text: String,
    pub(super) layers: Vec<LayerSpec>,
}

/// Settings of a plain network: they fall with the choice of all layers.
pub(crate) const OF_PLAIN: [&str; 4] = ["hidden", "norm", "activation", "dropout"];

impl Default for Network {
    fn default() -> Self {
        Self {
            hidden: vec![128, 64],
            norm: Norm::None,
            activation: Layer::Activation(Activation::default()),
            dropout: 0.0,
            layers: None,
        }
    }
}

impl Network {
    /// Returns false if no layer is a dropout.
    pub(super) fn may_have_dropout(&self) -> bool {
        self.layers.as_ref().map_or(self.dropout > 0.0, |it| it.text.contains("dropout"))
    }

    /// Returns the settings of a plain network; `None` where all layers were given.
    pub(super) fn plain(&self) -> Option<&Self> {
        self.layers.is_none().then_some(self)
    }

    /// Returns how weights start where nothing else is said: as the activation asks for.
    pub(super) fn init(&self) -> Init {
        match (&self.layers, &self.activation) {
            (None, Layer::Activation(Activation::Siren)) => Init::Siren { omega: 30.0 },
            _ => Init::default(),
        }
    }

    /// Makes the layers for a table, with this number of outputs.
    pub(super) fn model(&self, init: Init, data: &Dataset, outputs: usize) -> Result<Sequential> {
        if let Some(layers) = &self.layers {
            let columns = &data.schema().features;
            return LayerParser { outputs: Some(outputs), columns, init }.build(&layers.layers);
        }
        let dense = |units| Layer::dense_from(units, init);
        let mut model = Sequential::new();
        for &units in &self.hidden {
            model = model.layer(dense(units));
            model = self.norm.layer().into_iter().fold(model, Sequential::layer);
            model = model.layer(self.activation.clone());
            model = if self.dropout > 0.0 { model.dropout(self.dropout) } else { model };
        }
        Ok(model.layer(dense(outputs)))
    }
}

/// Reads the fraction of outputs that is dropped.
pub(super) fn dropout(it: &RawSetting) -> Result<f64> {
    let share = it.plain("a number")?;
    if (0.0..1.0).contains(&share) {
        Ok(share)
    } else {
        Err(it.wrong(format!("{share}, but it must be at least 0 and below 1")))
    }
}

/// Reads an activation by its name, or an expression of x.
pub(super) fn activation(text: &str) -> Result<Layer> {
    let wrong = |problem| Error::setting("--activation", problem);
    if let Some(known) = Layer::activation(text) {
        return known.map_err(wrong);
    }
    match expression(text).and_then(|expr| CustomLayer::of(expr, &[])) {
        Ok(custom) => Ok(Layer::Custom(custom)),
        Err(problem) => {
            // A word is more likely a name with a spelling mistake than an expression.
            let in_name = |c: char| c.is_alphanumeric() || "_- ".contains(c);
            if text.trim() != "x" && text.chars().all(in_name) {
                return text.trim().parse().map(Layer::Activation);
            }
            match problem {
                Error::Setting { problem, .. } => Err(wrong(problem)),
                other => Err(other),
            }
        }
    }
}

/// Returns the text of a plain network's activation.
pub(super) fn activation_text(layer: &Layer) -> String {
    match layer {
        Layer::Custom(custom) => custom.expr().to_string(),
        other => other.to_string(),
    }
}

/// Reads sizes between commas; an empty text and `none` stand for no hidden layer.
pub(super) fn hidden(text: &str) -> Result<Vec<usize>> {
    if matches!(text.trim(), "" | "none") {
        return Ok(vec![]);
    }
    text.split(',')
        .map(|part| {
            let size = part.trim().parse().ok().filter(|&size: &usize| size > 0);
            size.ok_or_else(|| {
                let problem = format!("\"{part}\" in \"{text}\" is not a whole number above 0; write sizes such as 128,64, or none");
                Error::setting("--hidden", problem)
            })
        })
        .collect()
}

/// Reads all layers: a text, or a list of tables and texts.
pub(super) fn layers(it: &RawSetting) -> Result<Layers> {
    layers_of(it.value()).map_err(|problem| it.wrong(problem))
}

fn layers_of(value: &toml::Value) -> Result<Layers, String> {
    let layers = layer_list(value, &LayerPlace::default())?;
    let text = match value {
        toml::Value::String(text) => text.trim().to_string(),
        _ => written(&layers)?,
    };
    Ok(Layers { text, layers })
}

/// Returns the layers of a list as `config.toml` records them. A record that did not read back would be found out only when the run
/// is to be resumed, so it is read here.
fn written(layers: &[LayerSpec]) -> Result<String, String> {
    let reads_back = |layer: &&LayerSpec| {
        LayerSpec::parse_all(layer.text()).is_ok_and(|read| read == std::slice::from_ref(*layer))
    };
    if let Some(layer) = layers.iter().find(|layer| !reads_back(layer)) {
        return Err(format!(
            "{} would not read back from a record: a comma, a bracket, a quote, an equals sign or a blank at an end stands in a \
             name or a value of it; name columns of an embedding by their numbers, from 0",
            list(&[layer.text()])
        ));
    }
    // The whole may still be empty or too long.
    let text = LayerSpec::text_of(layers);
    LayerSpec::parse_all(&text).map(|_| text)
}

/// Reads layers of which the first has this place in the network.
fn layer_list(value: &toml::Value, first: &LayerPlace) -> Result<Vec<LayerSpec>, String> {
    match value {
        toml::Value::String(text) => LayerSpec::parse_at(text.trim(), first),
        toml::Value::Array(items) => {
            let mut layers = Vec::new();
            for item in items {
                layers.extend(layer(item, &first.plus(layers.len()))?);
            }
            Ok(layers)
        }
        _ => Err("it must be a text, or a list of layers".into()),
    }
}

/// Reads a layer: `{ type = "dense", units = 64 }`, or a text, which may contain several.
fn layer(value: &toml::Value, place: &LayerPlace) -> Result<Vec<LayerSpec>, String> {
    let table = match value {
        toml::Value::String(text) => return LayerSpec::parse_at(text, place),
        toml::Value::Table(table) => table,
        other => {
            let named = place.named(&other.to_string());
            return Err(format!(
                "{named}: it must be a table such as {{ type = \"relu\" }}, or a text"
            ));
        }
    };
    let Some(toml::Value::String(name)) = table.get("type") else {
        let named = place.named(&table.to_string().trim().replace('\n', ", "));
        return Err(format!("{named}: it needs a type, such as type = \"dense\""));
    };
    // A table with a type only is the same as the text.
    if table.len() == 1 {
        return LayerSpec::parse_at(name, place);
    }
    let wrong = |problem: &str| format!("{}: {problem}", place.named(name));
    let only = |layer: LayerSpec| alone(table, layer).map_err(|problem| wrong(&problem));
    // Layers that contain others have one argument.
    match (name.as_str(), table.get("layers"), table.get("branches")) {
        ("residual", Some(inside), _) => {
            only(LayerSpec::residual(layer_list(inside, &place.inside(None))?))
        }
        ("batch_ensemble" | "batch-ensemble", Some(inside), _) => {
            let layers = layer_list(inside, &place.inside(None))?;
            let rest = table.iter().filter(|(key, _)| !["type", "layers"].contains(&key.as_str()));
            let named = rest.map(|(key, value)| {
                let text = text_of(value)
                    .ok_or_else(|| wrong(&format!("{key} must be a number, true or false")))?;
                Ok((key.clone(), text))
            });
            Ok(vec![LayerSpec::batch_ensemble(named.collect::<Result<_, String>>()?, layers)])
        }
        ("branches", _, Some(branches)) => {
            let branches = branches.as_array().ok_or_else(|| wrong("branches must be a list"))?;
            let branches = branches.iter().enumerate();
            let branches = branches
                .map(|(index, branch)| layer_list(branch, &place.inside(Some(index))))
                .collect::<Result<_, String>>()?;
            only(LayerSpec::branches(branches))
        }
        _ => {
            let layer = with_arguments(name, table).map_err(|problem| wrong(&problem))?;
            Ok(vec![layer])
        }
    }
}

/// Reads a layer whose arguments are keys of a table.
fn with_arguments(name: &str, table: &toml::Table) -> Result<LayerSpec, String> {
    let (mut unnamed, mut named) = (Vec::new(), Vec::new());
    for (key, value) in table.iter().filter(|(key, _)| *key != "type") {
        match (name, key.as_str()) {
            ("embedding", "tables") => {
                for table in value.as_array().ok_or("tables must be a list")? {
                    let of = |key: &str| table.get(key).and_then(text_of);
                    let (Some(column), Some(rows), Some(columns)) =
                        (of("column"), of("vocabulary"), of("dimension"))
                    else {
                        return Err("a table needs column, vocabulary and dimension".into());
                    };
                    named.push((column, format!("{rows}x{columns}")));
                }
            }
            // The expression stands before the start values.
            ("custom", "f") => unnamed.insert(0, text_of(value).ok_or("f must be a text")?),
            ("custom", "start") => {
                for start in value.as_array().ok_or("start must be a list")? {
                    unnamed.push(text_of(start).ok_or("start must be a list of numbers")?);
                }
            }
            _ => {
                let text = text_of(value)
                    .ok_or_else(|| format!("{key} must be a number, a text, true or false"))?;
                named.push((key.clone(), text));
            }
        }
    }
    Ok(LayerSpec::new(name, unnamed, named))
}

/// Takes a layer with one argument, which contains layers; any other key is a mistake.
fn alone(table: &toml::Table, layer: LayerSpec) -> Result<Vec<LayerSpec>, String> {
    let known = ["type", "layers", "branches"];
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("unknown argument \"{key}\"; known: layers, or branches")),
        None => Ok(vec![layer]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_sizes_are_read_or_refused() {
        assert_eq!(hidden(" 8, 4 ").unwrap(), [8, 4]);
        assert!(hidden("").unwrap().is_empty() && hidden("none").unwrap().is_empty());
        for bad in ["0", "64,-2", "64,", "a", "1.5", "99999999999999999999999"] {
            assert!(hidden(bad).unwrap_err().to_string().starts_with("--hidden: "), "{bad}");
        }
    }

    #[test]
    fn activations_are_names_or_expressions() {
        let texts = ["silu", "x * sigmoid(x)", "if(x < 0, 0.1 * x, x)", "-x", "x - 1", "x"];
        for text in texts {
            assert_eq!(activation_text(&activation(text).unwrap()), text);
        }
        // The text of an expression has no parentheses of its own around it.
        assert_eq!(activation_text(&activation("(-x)").unwrap()), "-x");
        let said = activation("swish7").unwrap_err().to_string();
        assert!(said.starts_with("activation: unknown name \"swish7\"; known: identity"), "{said}");
        for wrong in ["x * x1", "1 + 2", "what(x)"] {
            let said = activation(wrong).unwrap_err().to_string();
            assert!(said.trim_start_matches("--").starts_with("activation: "), "{said}");
        }
    }

    fn read(file: &str) -> Result<Layers, String> {
        layers_of(&file.parse::<toml::Table>().unwrap()["layers"])
    }

    fn text(file: &str) -> Result<String, String> {
        read(file).map(|layers| layers.text)
    }

    #[test]
    fn tables_of_a_file_are_the_same_as_text() {
        let file = r#"
            [[layers]]
            type = "embedding"
            tables = [{ column = "colour", vocabulary = 5, dimension = 2 }]
            [[layers]]
            type = "dense"
            units = 8
            bias = false
            init = "xavier-normal"
            [[layers]]
            type = "residual"
            layers = [{ type = "dense", units = 8 }, "relu"]
            [[layers]]
            type = "branches"
            branches = [[{ type = "dense", units = 3 }], ["identity"]]
            [[layers]]
            type = "custom"
            start = [1, 0.5]
            f = "x * x1 + x2"
            [[layers]]
            type = "dense"
        "#;
        let want = "embedding(colour=5x2), dense(bias=false, init=xavier-normal, units=8), residual(dense(units=8), relu), \
                    branches((dense(units=3)), (identity)), custom(x * x1 + x2, 1, 0.5), dense";
        assert_eq!(text(file).unwrap(), want);
        let columns = ["size".to_string(), "colour".to_string()];
        let reading = LayerParser { outputs: Some(2), columns: &columns, init: Init::default() };
        let model = reading.build(&read(file).unwrap().layers).unwrap();
        assert_eq!(model, reading.layers(want).unwrap());
        assert_eq!(model.outputs(2).unwrap(), 2);
        assert_eq!(text("layers = [\"dense(3)\", \"relu\"]").unwrap(), "dense(3), relu");
        assert_eq!(text("layers = \"dense(3)\"").unwrap(), "dense(3)");
    }

    #[test]
    fn wrong_tables_are_told() {
        for (file, part) in [
            ("layers = 3", "a list of layers"),
            (
                "layers = [\"relu, relu\", 3]",
                "layer 2 (3): it must be a table such as { type = \"relu\" }, or a text",
            ),
            (
                "layers = [{ units = 3 }]",
                "layer 0 (units = 3): it needs a type, such as type = \"dense\"",
            ),
            (
                "layers = [{ type = \"residual\", layers = [\"relu\", \"relu(x) * 2\"] }]",
                "layer 0.1 (relu(x) * 2): it does not end",
            ),
            ("layers = [{ type = \"branches\", branches = 3 }]", "must be a list"),
            (
                "layers = [{ type = \"dense\", units = { a = 1 } }]",
                "layer 0 (dense): units must be a number, a text, true or false",
            ),
            ("layers = [{ type = \"embedding\", tables = [{ column = 1 }] }]", "vocabulary"),
            (
                "layers = [{ type = \"embedding\", tables = [{ column = \"a, b\", vocabulary = 4, dimension = 2 }] }]",
                "`embedding(a, b=4x2)` would not read back",
            ),
            (
                "layers = [{ type = \"dense\", units = \"4, bias=false\" }]",
                "`dense(units=4, bias=false)` would not read back",
            ),
            (&format!("layers = [{}]", "\"relu\", ".repeat(20_000)), "more than 65536 bytes"),
        ] {
            let said = text(file).unwrap_err();
            assert!(said.contains(part), "{file}: {said}");
        }
    }
}
