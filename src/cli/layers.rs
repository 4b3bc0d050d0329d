//! The settings from which a network is made: sizes of hidden layers with what stands between them, or all layers in one text.
//!
//! In: texts of a command line, values of a TOML file. Out: a [`Sequential`] for a table.
//! Absent on purpose: what layers may be, which `model` knows.

use std::str::FromStr;

use super::given::{Given, text_of};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::{Activation, Custom, Init, Layer, Reading, Sequential, expression};

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

/// What a network is made from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Network {
    /// Hidden layers of these sizes, each with a norm, an activation and dropout after it, and the output layer.
    Plain { hidden: Vec<usize>, norm: Norm, activation: Layer, dropout: f64 },
    /// All layers, as text.
    Layers(String),
}

/// What belongs to a plain network: it falls with the choice of all layers.
pub(super) const OF_PLAIN: [&str; 4] = ["hidden", "norm", "activation", "dropout"];

impl Network {
    /// From settings, of which those of a plain network and `layers` exclude each other.
    pub(super) fn of(given: &Given) -> Result<Self> {
        if let Some(text) = given.text("layers") {
            if let Some(key) = OF_PLAIN.iter().find(|key| given.text(key).is_some()) {
                let problem = format!(
                    "{} says what all layers are; write it there, or leave one of the two out",
                    given.place("layers")
                );
                return Err(Error::setting(given.place(key), problem));
            }
            return Ok(Self::Layers(text.trim().to_string()));
        }
        let dropout = given.plain("dropout", "a number")?.unwrap_or(0.0);
        if !(0.0..1.0).contains(&dropout) {
            let problem = format!("{dropout}, but it must be at least 0 and below 1");
            return Err(Error::setting(given.place("dropout"), problem));
        }
        Ok(Self::Plain {
            hidden: given.read("hidden", hidden)?.unwrap_or_else(|| vec![128, 64]),
            norm: given.read("norm", FromStr::from_str)?.unwrap_or_default(),
            activation: given
                .read("activation", activation)?
                .unwrap_or_else(|| Layer::Activation(Activation::default())),
            dropout,
        })
    }

    /// How weights start where nothing else is said: as the activation asks for.
    pub(super) fn init(&self) -> Init {
        match self {
            Self::Plain { activation: Layer::Activation(Activation::Siren), .. } => {
                Init::Siren { omega: 30.0 }
            }
            _ => Init::default(),
        }
    }

    /// The layers for a table, with so many outputs.
    pub(super) fn model(&self, init: Init, data: &Dataset, outputs: usize) -> Result<Sequential> {
        match self {
            Self::Layers(text) => {
                let columns = &data.schema().features;
                Reading { outputs: Some(outputs), columns, init }.layers(text)
            }
            Self::Plain { hidden, norm, activation, dropout } => {
                let dense = |units| Layer::dense_from(units, init);
                let mut model = Sequential::new();
                for &units in hidden {
                    model = model.layer(dense(units));
                    model = norm.layer().into_iter().fold(model, Sequential::layer);
                    model = model.layer(activation.clone());
                    model = if *dropout > 0.0 { model.dropout(*dropout) } else { model };
                }
                Ok(model.layer(dense(outputs)))
            }
        }
    }
}

/// An activation by its name, or an expression of x.
fn activation(text: &str) -> Result<Layer> {
    let wrong = |problem| Error::setting("--activation", problem);
    if let Some(known) = Layer::activation(text) {
        return known.map_err(wrong);
    }
    let is_name = |c: char| c.is_alphanumeric() || "_- ".contains(c);
    if text.trim() != "x" && text.chars().all(is_name) {
        return text.trim().parse().map(Layer::Activation);
    }
    match Custom::of(expression(text)?, &[]) {
        Err(Error::Setting { problem, .. }) => Err(wrong(problem)),
        custom => custom.map(Layer::Custom),
    }
}

/// The text of a plain network's activation.
pub(super) fn activation_text(layer: &Layer) -> String {
    match layer {
        Layer::Custom(custom) => custom.expr().to_string(),
        other => other.to_string(),
    }
}

/// Sizes between commas; an empty text and `none` stand for no hidden layer.
fn hidden(text: &str) -> Result<Vec<usize>> {
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

/// Layers of a TOML file as the text that the command line has; what is wrong with them otherwise.
pub(super) fn layers_text(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Array(items) => {
            let items: Result<Vec<_>, String> = items.iter().map(layer_text).collect();
            Ok(items?.join(", "))
        }
        _ => Err("it must be a text, or a list of layers".into()),
    }
}

/// A layer: `{ type = "dense", units = 64 }`, or its text.
fn layer_text(value: &toml::Value) -> Result<String, String> {
    let table = match value {
        toml::Value::String(text) => return Ok(text.clone()),
        toml::Value::Table(table) => table,
        _ => return Err("a layer must be a table such as { type = \"relu\" }, or a text".into()),
    };
    let Some(toml::Value::String(name)) = table.get("type") else {
        return Err("a layer needs a type, such as type = \"dense\"".into());
    };
    let list = |key: &str, value: &toml::Value| match value {
        toml::Value::Array(items) => Ok(items.clone()),
        _ => Err(format!("{key} of {name} must be a list")),
    };
    let mut args = Vec::new();
    for (key, value) in table.iter().filter(|(key, _)| *key != "type") {
        match (name.as_str(), key.as_str()) {
            ("residual", "layers") => args.push(layers_text(value)?),
            ("branches", "branches") => {
                for branch in list(key, value)? {
                    args.push(format!("({})", layers_text(&branch)?));
                }
            }
            ("embedding", "tables") => {
                for table in list(key, value)? {
                    let of = |key: &str| table.get(key).and_then(text_of);
                    let (Some(column), Some(rows), Some(columns)) =
                        (of("column"), of("vocabulary"), of("dimension"))
                    else {
                        return Err(
                            "a table of embedding needs column, vocabulary and dimension".into()
                        );
                    };
                    args.push(format!("{column}={rows}x{columns}"));
                }
            }
            // The expression comes first.
            ("custom", "f") => args.insert(0, text_of(value).ok_or("f of custom must be a text")?),
            ("custom", "start") => {
                for start in list(key, value)? {
                    args.push(text_of(&start).ok_or("start of custom must be a list of numbers")?);
                }
            }
            _ => {
                let text = text_of(value);
                let text = text.ok_or_else(|| {
                    format!("{key} of {name} must be a number, a text, true or false")
                })?;
                args.push(format!("{key}={text}"));
            }
        }
    }
    Ok(if args.is_empty() { name.clone() } else { format!("{name}({})", args.join(", ")) })
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
        for text in ["silu", "x * sigmoid(x)", "if(x < 0, 0.1 * x, x)"] {
            assert_eq!(activation_text(&activation(text).unwrap()), text);
        }
        let said = activation("swish7").unwrap_err().to_string();
        assert!(said.starts_with("activation: unknown name \"swish7\"; known: identity"), "{said}");
        for wrong in ["x * x1", "1 + 2", "what(x)"] {
            let said = activation(wrong).unwrap_err().to_string();
            assert!(said.trim_start_matches("--").starts_with("activation: "), "{said}");
        }
    }

    fn text(file: &str) -> Result<String, String> {
        layers_text(&file.parse::<toml::Table>().unwrap()["layers"])
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
        let reading = Reading { outputs: Some(2), columns: &columns, init: Init::default() };
        assert_eq!(reading.layers(want).unwrap().outputs(2).unwrap(), 2);
        assert_eq!(text("layers = [\"dense(3)\", \"relu\"]").unwrap(), "dense(3), relu");
        assert_eq!(text("layers = \"dense(3)\"").unwrap(), "dense(3)");
    }

    #[test]
    fn wrong_tables_are_told() {
        for (file, part) in [
            ("layers = 3", "a list of layers"),
            ("layers = [3]", "type = \"relu\""),
            ("layers = [{ units = 3 }]", "needs a type"),
            ("layers = [{ type = \"branches\", branches = 3 }]", "must be a list"),
            ("layers = [{ type = \"dense\", units = { a = 1 } }]", "units of dense"),
            ("layers = [{ type = \"embedding\", tables = [{ column = 1 }] }]", "vocabulary"),
        ] {
            let said = text(file).unwrap_err();
            assert!(said.contains(part), "{file}: {said}");
        }
    }
}
