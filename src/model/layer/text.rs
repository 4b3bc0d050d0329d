//! Layers as texts: `dense(64), batch_norm, relu, residual(dense(64), relu), dense`.
//!
//! In: a text, and what it leaves open. Out: a [`Sequential`]; back by `Display`.

use std::fmt;
use std::str::FromStr;

use super::numbers::{columns_text, read_columns};
use super::spec::{Inside, LayerPlace, LayerSpec, check_depth, no_layer};
use super::{
    BatchEnsemble, CustomLayer, EmbeddingTable, Gate, Layer, NumberEmbedding, NumberEmbeddingKind,
    VOCABULARY,
};
use crate::data::list;
use crate::error::{Error, Result};
use crate::model::activation::{ParsedActivation, written};
use crate::model::{Activation, Init, Sequential, expression};
use crate::vocabulary::{Call, WrittenCall};

/// Fills in what a text of layers leaves open.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayerParser<'a> {
    /// Units of a `dense` without any, outside of other layers: what the task needs.
    pub outputs: Option<usize>,
    /// Names of the input's columns, by which embeddings may call them.
    pub columns: &'a [String],
    /// Start of weights where the text does not say.
    pub init: Init,
}

impl LayerParser<'_> {
    /// Reads layers between commas.
    ///
    /// # Errors
    /// If a layer or an argument is unknown or wrong; the message lists the known ones.
    pub fn layers(&self, text: &str) -> Result<Sequential> {
        self.build(&LayerSpec::parse_all(text).map_err(wrong)?)
    }

    /// Makes the layers of a text, and fills in the values that are left open.
    ///
    /// # Errors
    /// As [`Self::layers`].
    pub(crate) fn build(&self, layers: &[LayerSpec]) -> Result<Sequential> {
        self.stack(layers, &LayerPlace::default(), true)
    }

    /// Makes the layers of a stack whose first one has this place; of an `open` one the task may decide a dense layer's units.
    fn stack(&self, layers: &[LayerSpec], first: &LayerPlace, open: bool) -> Result<Sequential> {
        check_depth(first.depth()).map_err(wrong)?;
        if layers.is_empty() {
            return Err(wrong(no_layer()));
        }
        let mut model = Sequential::new();
        // A later layer with sizes of its own would leave the task's number of outputs in the middle of the network.
        let last = layers.iter().rposition(LayerSpec::sets_columns);
        for (index, spec) in layers.iter().enumerate() {
            let open = open && last.is_none_or(|last| index >= last);
            // A gated unit is two layers, so places count those that are made.
            let place = first.plus(model.layers().len());
            // Layers that contain others are read from their parts, and have no arguments.
            let made = match &spec.inside {
                Inside::Residual(layers) => {
                    vec![Layer::Residual(self.stack(layers, &place.inside(None), false)?)]
                }
                Inside::BatchEnsemble(written, layers) => {
                    // The members' last layer is the network's.
                    let layers = self.stack(layers, &place.inside(None), open)?;
                    let made = batch_ensemble(written.clone(), layers);
                    vec![made.map_err(|error| at_place(error, &place, spec))?]
                }
                Inside::Branches(branches) => {
                    let branches = branches.iter().enumerate();
                    let branches = branches
                        .map(|(at, branch)| self.stack(branch, &place.inside(Some(at)), false));
                    vec![Layer::Branches(branches.collect::<Result<_>>()?)]
                }
                Inside::Arguments(written) => self
                    .item(spec, written.clone(), open)
                    .map_err(|error| at_place(error, &place, spec))?,
            };
            model = made.into_iter().fold(model, Sequential::layer);
        }
        Ok(model)
    }

    /// Makes a layer; a gated unit with units becomes two.
    fn item(&self, spec: &LayerSpec, written: WrittenCall, open: bool) -> Result<Vec<Layer>> {
        let name = written.name.replace('-', "_");
        let gate = Gate::ALL.into_iter().find(|gate| gate.name() == name);
        // An unknown name may still be an activation, which has a vocabulary of its own.
        if gate.is_none() && !VOCABULARY.iter().any(|entry| entry.name == name) {
            let activation = Layer::activation(&spec.text);
            let activation = activation.unwrap_or_else(|| Err(unknown()));
            return Ok(vec![activation.map_err(wrong)?]);
        }
        let written = WrittenCall { name: name.clone(), ..written };
        let mut args = match name.as_str() {
            "embedding" => Call::of_data_keys("layers", written),
            _ => Call::of("layers", written)?,
        };
        let mut layers = Vec::new();
        let layer = match name.as_str() {
            "dense" => {
                let units = args.value("units", "a whole number")?;
                // Only the outermost stack has the last layer whose units the task decides.
                let open = self.outputs.filter(|_| open);
                let units = units.or(open).ok_or_else(|| {
                    wrong("it has no units; write how many, such as dense(64): only the network's last dense layer may be without units")
                })?;
                dense(&mut args, units, self.init)?
            }
            "dropout" => Layer::Dropout { rate: args.value("rate", "a number")?.unwrap_or(0.5) },
            "batch_norm" => Layer::BatchNorm {
                eps: args.value("eps", "a number")?.unwrap_or(1e-5),
                momentum: args.value("momentum", "a number")?.unwrap_or(0.1),
                affine: args.value("affine", "true or false")?.unwrap_or(true),
            },
            "layer_norm" => Layer::LayerNorm {
                eps: args.value("eps", "a number")?.unwrap_or(1e-5),
                affine: args.value("affine", "true or false")?.unwrap_or(true),
            },
            "rms_norm" => Layer::RmsNorm {
                eps: args.value("eps", "a number")?,
                affine: args.value("affine", "true or false")?.unwrap_or(true),
            },
            "scale" => Layer::Scale { bias: args.value("bias", "true or false")?.unwrap_or(true) },
            "fourier" => Layer::Fourier {
                frequencies: args.value("frequencies", "a whole number")?.ok_or_else(|| {
                    wrong("it has no frequencies; write how many, such as fourier(16)")
                })?,
                sigma: args.value("sigma", "a number")?.unwrap_or(1.0),
                learned: args.value("learned", "true or false")?.unwrap_or(false),
            },
            "prelu" => Layer::Prelu {
                per_column: args.value("per_column", "true or false")?.unwrap_or(false),
                start: args.value("start", "a number")?.unwrap_or(0.25),
            },
            "softmax" => Layer::Softmax,
            "log_softmax" => Layer::LogSoftmax,
            "parametric" => Layer::Parametric(parametric(&mut args)?),
            "pbld" | "pl" | "plr" | "ple" => Layer::NumberEmbedding(numbers(&mut args, &name)?),
            "embedding" => Layer::Embedding(self.tables(&mut args).map_err(wrong)?),
            "custom" => Layer::Custom(custom(&mut args).map_err(wrong)?),
            _ => match gate {
                Some(gate) => {
                    // A gate halves its columns, so the dense layer before it gets twice the units.
                    let units: Option<usize> = args.value("units", "a whole number")?;
                    let double = units.map(|units| units.saturating_mul(2));
                    layers.extend(double.map(|units| Layer::dense_from(units, self.init)));
                    Layer::Gated(gate)
                }
                None => return Err(wrong(unknown())),
            },
        };
        // Arguments that no layer has read are mistakes.
        end(args)?;
        layers.push(layer);
        Ok(layers)
    }

    fn tables(&self, args: &mut Call<'_>) -> Result<Vec<EmbeddingTable>, String> {
        let table = |(key, value): (String, String)| {
            let column = self.columns.iter().position(|name| *name == key);
            let column = column.or_else(|| key.parse().ok()).ok_or_else(|| {
                let known = match self.columns {
                    [] => String::new(),
                    names => format!(", or a name of {}", list(names)),
                };
                format!("\"{key}\" in embedding is no column; give its number, from 0{known}")
            })?;
            let sizes = value.split_once('x').and_then(|(vocabulary, dimension)| {
                Some((vocabulary.trim().parse().ok()?, dimension.trim().parse().ok()?))
            });
            let (vocabulary, dimension) = sizes.ok_or_else(|| {
                format!(
                    "\"{value}\" for column {key} is no table; write rows and columns such as 12x4"
                )
            })?;
            Ok(EmbeddingTable { column, vocabulary, dimension })
        };
        let (unnamed, named) = args.rest();
        if let Some(text) = unnamed.first() {
            return Err(format!(
                "\"{text}\" in embedding is no table; write a column with the table's rows and columns, such as 0=12x4"
            ));
        }
        named.into_iter().map(table).collect()
    }
}

/// An error of a layer.
fn wrong(problem: impl Into<String>) -> Error {
    Error::setting("layers", problem)
}

/// Puts a layer's place in front of the problem of an error.
fn at_place(error: Error, place: &LayerPlace, spec: &LayerSpec) -> Error {
    match error {
        Error::Setting { problem, .. } => wrong(format!("{}: {problem}", place.named(&spec.text))),
        other => other,
    }
}

/// Reads the arguments of an ensemble of members with these layers.
fn batch_ensemble(written: WrittenCall, layers: Sequential) -> Result<Layer> {
    let mut args = Call::of("layers", written)?;
    let ensemble = BatchEnsemble {
        members: args.value("members", "a whole number")?.unwrap_or(32),
        mini: args.value("mini", "true or false")?.unwrap_or(false),
        layers,
    };
    end(args)?;
    Ok(Layer::BatchEnsemble(ensemble))
}

fn dense(args: &mut Call<'_>, units: usize, init: Init) -> Result<Layer> {
    let bias = args.value("bias", "true or false")?.unwrap_or(true);
    let init = match args.keyed("init") {
        // Its own message names an option.
        Some(text) => text.parse().map_err(|error: Error| match error {
            Error::Setting { problem, .. } => wrong(format!("init: {problem}")),
            other => other,
        })?,
        None => init,
    };
    let ntk = args.value("ntk", "true or false")?.unwrap_or(init.is_ntk());
    Ok(Layer::Dense { units, bias, init, ntk })
}

/// Reads an embedding of numbers.
fn numbers(args: &mut Call<'_>, name: &str) -> Result<NumberEmbedding> {
    let kind = NumberEmbeddingKind::ALL.into_iter().find(|kind| kind.name() == name);
    let usual = kind.ok_or_else(|| wrong(unknown()))?.embedding();
    let piecewise = usual.kind == NumberEmbeddingKind::Ple;
    let parts = if piecewise { "bins" } else { "frequencies" };
    Ok(NumberEmbedding {
        frequencies: args.value(parts, "a whole number")?.unwrap_or(usual.frequencies),
        outputs: args.value("outputs", "a whole number")?.unwrap_or(usual.outputs),
        sigma: match piecewise {
            true => usual.sigma,
            false => args.value("sigma", "a number")?.unwrap_or(usual.sigma),
        },
        columns: match args.keyed("columns") {
            Some(text) => Some(read_columns(&text).map_err(wrong)?),
            None => None,
        },
        ..usual
    })
}

/// Reads the function of a parametric activation.
fn parametric(args: &mut Call<'_>) -> Result<Activation> {
    let text = args
        .value::<String>("f", "the name of an activation")?
        .ok_or_else(|| wrong("it has no function; write one, such as parametric(selu)"))?;
    text.parse().map_err(|error: Error| match error {
        Error::Setting { problem, .. } => wrong(format!("f: {problem}")),
        other => other,
    })
}

fn custom(args: &mut Call<'_>) -> Result<CustomLayer, String> {
    let (texts, named) = args.rest();
    if let Some((key, _)) = named.first() {
        return Err(format!("unknown argument \"{key}\" of custom; it has none"));
    }
    let mut texts = texts.into_iter();
    let f = texts.next().ok_or("custom without an expression; write custom(x * x1, 1)")?;
    let number = |text: String| {
        text.parse().map_err(|_| format!("\"{text}\" in custom is no number to start with"))
    };
    let start: Result<Vec<f64>, String> = texts.map(number).collect();
    CustomLayer::new(&f, &start?).map_err(|error| match error {
        Error::Setting { problem, .. } => problem,
        other => other.to_string(),
    })
}

/// Refuses what was not asked for.
fn end(mut args: Call<'_>) -> Result<()> {
    let (unnamed, named) = args.rest();
    let left = named.into_iter().map(|(key, _)| key).chain(unnamed).next();
    let Some(left) = left else { return Ok(()) };
    let known = match args.asked() {
        [] => "it has none".to_string(),
        asked => format!("known: {}", asked.join(", ")),
    };
    Err(wrong(format!("unknown argument \"{left}\" of {}; {known}", args.name())))
}

fn unknown() -> String {
    let names = VOCABULARY.iter().map(|entry| entry.name);
    let known: Vec<_> = names.chain(Activation::ALL.iter().map(|act| act.name())).collect();
    format!("unknown layer; known: {}", known.join(", "))
}

impl Layer {
    /// An activation by its name, with or without parameters: `elu`, `elu(x, 0.5)` or `elu(alpha=0.5)`; or a call of one, such as
    /// `relu(2 * x)`. `None` where the text does not begin with an activation's name.
    ///
    /// # Errors
    /// If the parameters are not those of the activation.
    pub fn activation(text: &str) -> Option<Result<Self, String>> {
        let custom = |expr| CustomLayer::checked(expr, &[]).map(Self::Custom);
        Some(match written(text)? {
            Ok(ParsedActivation::Parameters(activation, values)) if activation.has(&values) => {
                Ok(Self::Activation(activation))
            }
            Ok(ParsedActivation::Parameters(activation, values)) => {
                custom(activation.expr_with(&values))
            }
            Ok(ParsedActivation::Expression) => match expression(text) {
                Ok(expr) => custom(expr),
                Err(Error::Setting { problem, .. }) => Err(problem),
                Err(other) => Err(other.to_string()),
            },
            Err(problem) => Err(problem),
        })
    }
}

impl FromStr for Layer {
    type Err = Error;

    /// Reads one layer, all of whose sizes must be there.
    fn from_str(text: &str) -> Result<Self> {
        let layers = LayerParser::default().layers(text)?.layers().to_vec();
        <[Self; 1]>::try_from(layers).map(|[layer]| layer).map_err(|layers| {
            let problem = format!("\"{text}\" is {} layers, not one", layers.len());
            Error::setting("layers", problem)
        })
    }
}

impl FromStr for Sequential {
    type Err = Error;

    /// Reads layers between commas; all sizes must be there, and columns are numbers.
    fn from_str(text: &str) -> Result<Self> {
        LayerParser::default().layers(text)
    }
}

impl fmt::Display for Sequential {
    /// Writes the text that [`Sequential::from_str`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, layer) in self.layers().iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{layer}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut args: Vec<String> = Vec::new();
        match self {
            // An activation's own text may have arguments.
            Self::Activation(activation) => return write!(f, "{activation}"),
            // Only arguments that differ from their defaults are written, so that texts stay short.
            Self::Dense { units, bias, init, ntk } => {
                args.push(units.to_string());
                args.extend((!bias).then(|| "bias=false".to_string()));
                args.extend((*init != Init::default()).then(|| format!("init={init}")));
                // With this initialisation the scaling is the default.
                let usual = init.is_ntk();
                args.extend((*ntk != usual).then(|| format!("ntk={ntk}")));
            }
            Self::Dropout { rate } => args.push(rate.to_string()),
            Self::BatchNorm { eps, momentum, affine } => {
                args.extend((*eps != 1e-5).then(|| format!("eps={eps}")));
                args.extend((*momentum != 0.1).then(|| format!("momentum={momentum}")));
                args.extend((!affine).then(|| "affine=false".to_string()));
            }
            Self::LayerNorm { eps, affine } => {
                args.extend((*eps != 1e-5).then(|| format!("eps={eps}")));
                args.extend((!affine).then(|| "affine=false".to_string()));
            }
            Self::RmsNorm { eps, affine } => {
                args.extend(eps.map(|eps| format!("eps={eps}")));
                args.extend((!affine).then(|| "affine=false".to_string()));
            }
            Self::Residual(inner) => args.push(inner.to_string()),
            Self::BatchEnsemble(it) => {
                args.push(it.members.to_string());
                args.extend(it.mini.then(|| "mini=true".to_string()));
                args.push(it.layers.to_string());
            }
            Self::Branches(branches) => {
                // Parentheses separate the branches, since layers have commas between them.
                args.extend(branches.iter().map(|branch| format!("({branch})")));
            }
            Self::Embedding(tables) => {
                let text = |it: &EmbeddingTable| {
                    format!("{}={}x{}", it.column, it.vocabulary, it.dimension)
                };
                args.extend(tables.iter().map(text));
            }
            Self::NumberEmbedding(numbers) => {
                let usual = numbers.kind.embedding();
                let differs = |key: &str, own: usize, usual: usize| {
                    (own != usual).then(|| format!("{key}={own}"))
                };
                let piecewise = numbers.kind == NumberEmbeddingKind::Ple;
                let parts = if piecewise { "bins" } else { "frequencies" };
                args.extend(differs(parts, numbers.frequencies, usual.frequencies));
                args.extend(differs("outputs", numbers.outputs, usual.outputs));
                let sigma = numbers.sigma;
                args.extend((sigma != usual.sigma && !piecewise).then(|| format!("sigma={sigma}")));
                let columns = numbers.columns.as_ref();
                args.extend(columns.map(|it| format!("columns={}", columns_text(it))));
            }
            Self::Parametric(act) => args.push(act.to_string()),
            Self::Scale { bias } => args.extend((!bias).then(|| "bias=false".to_string())),
            Self::Fourier { frequencies, sigma, learned } => {
                args.push(frequencies.to_string());
                args.extend((*sigma != 1.0).then(|| format!("sigma={sigma}")));
                args.extend(learned.then(|| "learned=true".to_string()));
            }
            Self::Prelu { per_column, start } => {
                args.extend(per_column.then(|| "per_column=true".to_string()));
                args.extend((*start != 0.25).then(|| format!("start={start}")));
            }
            Self::Custom(custom) => {
                args.push(custom.expr().to_string());
                args.extend(custom.start().iter().map(f64::to_string));
            }
            Self::Gated(_) | Self::Softmax | Self::LogSoftmax => {}
        }
        f.write_str(self.name())?;
        if args.is_empty() { Ok(()) } else { write!(f, "({})", args.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "embedding(2=7x3, 0=4x2), dense(64, bias=false, init=xavier-normal, ntk=true), batch_norm, \
                       batch_norm(eps=0.001, momentum=0.2, affine=false), relu, dropout(0.1), layer_norm, \
                       layer_norm(eps=0.01, affine=false), rms_norm, rms_norm(eps=0.1, affine=false), \
                       residual(dense(64), gelu), branches((dense(4), tanh), (identity)), scale, scale(bias=false), \
                       fourier(8, sigma=2.5, learned=true), prelu, prelu(per_column=true, start=0.1), glu, swiglu, \
                       geglu, custom(x + sin(x1 * x) / x2, 1, 0.5), dense(4), softmax, log_softmax, \
                       pbld, pl(frequencies=4, outputs=2, columns=0-2 5), plr(sigma=2), parametric(selu), ple, ple(bins=5, outputs=2, columns=0 3), \
                       batch_ensemble(8, mini=true, dense(4), relu, dense(2)), batch_ensemble(3, dense(2))";

    #[test]
    fn what_is_written_is_read_again() {
        let model: Sequential = ALL.parse().unwrap();
        assert_eq!(model.to_string(), ALL);
        let json = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<Sequential>(&json).unwrap(), model);
    }

    #[test]
    fn columns_of_embeddings_keep_their_case_and_hyphens() {
        let columns = ["A_b", "a-b"].map(str::to_string);
        let parser = LayerParser { columns: &columns, ..LayerParser::default() };
        let model = parser.layers("embedding(a-b=3x2, A_b=4x2), dense(1)").unwrap();
        let tables: Vec<_> = model.tables().iter().map(|it| (it.column, it.vocabulary)).collect();
        assert_eq!(tables, [(1, 3), (0, 4)]);
    }

    #[test]
    fn the_vocabulary_lists_just_what_can_be_read() {
        let model: Sequential = ALL.parse().unwrap();
        let layers = model.layers().iter().filter(|it| !matches!(it, Layer::Activation(_)));
        let names: std::collections::BTreeSet<_> = layers.map(Layer::name).collect();
        let listed: std::collections::BTreeSet<_> = VOCABULARY.iter().map(|it| it.name).collect();
        assert_eq!(names, listed);
        assert_eq!(listed.len(), VOCABULARY.len());
    }

    #[test]
    fn arguments_have_names_or_places() {
        let read = |text: &str| text.parse::<Sequential>().unwrap();
        assert_eq!(read("dense(units=3)"), read(" Dense( 3 ) "));
        assert_eq!(read("batch-norm(0.001)"), read("batch_norm(eps=0.001)"));
        assert_eq!(read("swiglu(3)"), Sequential::new().dense_gated(3, Gate::Swiglu));
        assert_eq!(read("dense(units=3, false)"), read("dense(3, bias=false)"));
        assert_eq!(read("dropout"), read("dropout(0.5)"));
    }

    #[test]
    fn what_is_left_open_is_filled_in() {
        let columns = ["size".to_string(), "colour".to_string()];
        let init = Init::XavierUniform { gain: 1.0 };
        let reading = LayerParser { outputs: Some(3), columns: &columns, init };
        let model = reading.layers("embedding(colour=5x2), dense(8), dense").unwrap();
        let want = "embedding(1=5x2), dense(8, init=xavier-uniform), dense(3, init=xavier-uniform)";
        assert_eq!(model.to_string(), want);
        let said = reading.layers("embedding(shape=5x2)").unwrap_err().to_string();
        assert!(said.contains("`size`, `colour`"), "{said}");
        assert!(reading.layers("residual(dense)").is_err());
        // Only the last dense layer may be without units; layers that have none of their own may follow.
        for (text, place) in [
            ("dense(8), dense, relu, dense", "layer 1 (dense)"),
            ("dense, relu, dense(3)", "layer 0 (dense)"),
            ("dense, swiglu(8)", "layer 0 (dense)"),
            ("batch_ensemble(2, dense), relu, dense", "layer 0.0 (dense)"),
            ("batch_ensemble(2, dense, relu, dense)", "layer 0.0 (dense)"),
        ] {
            let said = reading.layers(text).unwrap_err().to_string();
            assert!(said.contains(&format!("layers: {place}: it has no units")), "{text}: {said}");
            assert!(
                said.ends_with("only the network's last dense layer may be without units"),
                "{said}"
            );
        }
        for text in ["dense, sigmoid", "dense, swiglu", "batch_ensemble(2, dense(8), relu, dense)"]
        {
            assert!(reading.layers(text).is_ok(), "{text}");
        }
        let ntk = LayerParser { init: Init::Ntk, ..reading }
            .layers("dense(3), dense(2, ntk=false)")
            .unwrap();
        assert_eq!(ntk.to_string(), "dense(3, init=ntk), dense(2, init=ntk, ntk=false)");
    }

    #[test]
    fn wrong_texts_say_what_is_known() {
        for (text, part) in [
            ("", "no layer is given; write some, such as dense(64), relu, dense"),
            ("dense(3),,relu", "nothing stands at place 1"),
            ("dense(3,,true)", "nothing stands at place 1"),
            ("relu(x) * 2", "layer 0 (relu(x) * 2): it does not end with ')'; is a comma missing"),
            ("relu, residual()", "no layer is given"),
            ("dense(3", "leaves a parenthesis open"),
            ("dense(3))", "closes a parenthesis too many"),
            (
                "relu, dens(3), relu",
                "layers: layer 1 (dens(3)): unknown layer; known: dense, dropout, batch_norm",
            ),
            (
                "residual(dense(3), relu, branches((relu), (dense(2), relus)))",
                "layers: layer 0.2.1.1 (relus): unknown layer; known: ",
            ),
            (
                "dense(3, width=2)",
                "layer 0 (dense(3, width=2)): unknown argument \"width\" of dense; known: units, bias, init, ntk",
            ),
            (
                "dense(-3)",
                "layer 0 (dense(-3)): units of dense is \"-3\", but it must be a whole number",
            ),
            ("dense(3, init=ones)", "layer 0 (dense(3, init=ones)): init: unknown scheme \"ones\""),
            ("softmax(2)", "unknown argument \"2\" of softmax; it has none"),
            ("dense", "layer 0 (dense): it has no units; write how many, such as dense(64)"),
            ("fourier", "fourier(16)"),
            ("branches(dense(3))", "branches((dense(8), relu), (identity))"),
            ("embedding(0=12)", "such as 12x4"),
            ("embedding(5)", "0=12x4"),
            ("custom(x +, 1)", "layers: layer 0 (custom(x +, 1)): expected a number, a name"),
            ("custom", "custom(x * x1, 1)"),
        ] {
            let said = text.parse::<Sequential>().unwrap_err().to_string();
            assert!(said.starts_with("layers: ") && said.contains(part), "{text}: {said}");
        }
        let deep = "residual(".repeat(40) + "relu" + &")".repeat(40);
        assert!(deep.parse::<Sequential>().unwrap_err().to_string().contains("16 deep"));
    }
}
