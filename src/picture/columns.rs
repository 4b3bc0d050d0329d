//! Pictures of columns: importance, dependence, a map of categories, small histograms.

use super::frame::{Captions, Frame, Key, fill, head, stroke};
use super::scale::{Scale, few_digits};
use super::svg::{Anchor, Picture, Svg, TEXT, WIDTH, coordinate, escape, fit, text_width};

/// Columns whose importance is drawn.
const IMPORTANT: usize = 25;

/// How much worse the loss is when a column's values are shuffled among the rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Importance {
    /// Name of the column.
    pub column: String,
    /// Loss with the column shuffled less the loss as it is, for each repeat.
    pub rises: Vec<f64>,
}

impl Importance {
    /// Mean over the repeats.
    pub fn mean(&self) -> f64 {
        self.rises.iter().sum::<f64>() / self.rises.len().max(1) as f64
    }

    /// Least and largest of the repeats.
    fn ends(&self) -> (f64, f64) {
        super::scale::range(self.rises.iter().copied()).unwrap_or((0.0, 0.0))
    }
}

/// Draws how important columns are, the most important ones first: at most 25. A thin line spans the repeats.
pub fn importance(columns: &[Importance], loss: f64) -> Picture {
    let mut means: Vec<(f64, &Importance)> = columns.iter().map(|it| (it.mean(), it)).collect();
    means.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut order: Vec<&Importance> = means.into_iter().map(|it| it.1).collect();
    order.truncate(IMPORTANT);
    let repeats = columns.first().map_or(0, |it| it.rises.len());
    let mut below = vec![
        format!("rise of the loss, now {}, when a column is shuffled", few_digits(loss)),
        format!("bar: mean of {repeats} shuffles; line: from the least to the largest"),
    ];
    if columns.len() > IMPORTANT {
        below.push(format!("the first {IMPORTANT} of {} columns", columns.len()));
    }
    let named: Vec<&str> = order.iter().take(3).map(|it| it.column.as_str()).collect();
    let about =
        format!("Importance of columns by permutation; most important: {}.", named.join(", "));
    let (name, title) = ("importance".into(), "Importance of columns".into());
    let texts = Captions { name, title, below, about };
    let mut svg = Svg::default();
    let top = head(&mut svg, &texts, &[]) + 4.0;
    let widest = order.iter().map(|it| text_width(&it.column, TEXT)).fold(0.0, f64::max).min(190.0);
    let (left, right) = (12.0 + widest + 8.0, WIDTH - 26.0);
    let ends = order.iter().flat_map(|it| [it.ends().0, it.ends().1]);
    let (low, high) = super::scale::range(ends.chain([0.0])).unwrap_or((0.0, 1.0));
    let high = if high > low { high } else { low + 1.0 };
    let scale = Scale::between(low, high).to(left, right);
    let step = 20.0;
    let bottom = top + step * order.len() as f64;
    for (value, text) in scale.ticks(5) {
        let Some(x) = scale.at(value) else { continue };
        svg.line("grid", (x, top), (x, bottom));
        svg.text("soft", (x, bottom + 16.0), (TEXT, Anchor::Middle), &text);
    }
    let zero = scale.at(0.0).unwrap_or(left);
    for (at, column) in order.iter().enumerate() {
        let y = top + at as f64 * step;
        svg.text(
            "",
            (left - 6.0, y + 14.0),
            (TEXT, Anchor::End),
            &fit(&column.column, TEXT, widest),
        );
        let (mean, ends) = (scale.at(column.mean()).unwrap_or(zero), column.ends());
        let from = zero.min(mean);
        svg.rect(&fill(0), (from, y + 4.0), ((mean - zero).abs().max(1.0), step - 7.0), 1.0);
        if let (Some(low), Some(high)) = (scale.at(ends.0), scale.at(ends.1)) {
            svg.line("axis", (low, y + step / 2.0 + 0.5), (high, y + step / 2.0 + 0.5));
        }
    }
    svg.line("axis", (zero, top), (zero, bottom));
    svg.finish("importance", &texts.title, texts.about, bottom + 28.0)
}

/// Values of a column at which the mean prediction is known.
#[derive(Clone, Debug, PartialEq)]
pub enum DependenceValues {
    /// Numbers, in rising order.
    Numbers(Vec<f64>),
    /// Captions: categories, or dates in their order.
    Texts(Vec<String>),
}

/// Mean prediction by a column's value, over rows whose other columns stay as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependence {
    /// Name of the column.
    pub column: String,
    /// Values of the column.
    pub values: DependenceValues,
    /// Name of each predicted column, with its mean prediction at each value.
    pub lines: Vec<(String, Vec<f64>)>,
}

/// Draws the mean prediction by the value of a column (partial dependence).
pub fn dependence(of: &Dependence, predicted: &str) -> Picture {
    let about = format!("Mean {predicted} by the value of {}.", of.column);
    let texts = Captions {
        name: "dependence".into(),
        title: format!("{} by {}", first_letter_up(predicted), of.column),
        below: vec!["mean over rows whose other columns stay as they are".to_string()],
        about,
    };
    let legend: Vec<(Key, String)> = match of.lines.len() {
        0 | 1 => vec![],
        _ => of.lines.iter().enumerate().map(|(at, it)| (Key::Dot(at), it.0.clone())).collect(),
    };
    let y = Scale::around(of.lines.iter().flat_map(|line| line.1.iter().copied()));
    match &of.values {
        DependenceValues::Numbers(values) => {
            let x = Scale::around(values.iter().copied());
            let mut frame = Frame::new(texts, &legend, (x, &of.column), (y, predicted));
            for (colour, (_, means)) in of.lines.iter().enumerate() {
                let points: Vec<_> = values.iter().copied().zip(means.iter().copied()).collect();
                frame.curve(&stroke(colour), &points);
                for &point in &points {
                    if let Some(at) = frame.point(point) {
                        frame.svg.circle(&fill(colour), at, 2.0, 1.0);
                    }
                }
            }
            frame.finish()
        }
        DependenceValues::Texts(values) => of_texts(texts, &legend, values, of),
    }
}

/// A row for each text, with a dot for each prediction.
fn of_texts(
    texts: Captions,
    legend: &[(Key, String)],
    values: &[String],
    of: &Dependence,
) -> Picture {
    let mut svg = Svg::default();
    let top = head(&mut svg, &texts, legend) + 4.0;
    let widest = values.iter().map(|it| text_width(it, TEXT)).fold(0.0, f64::max).min(190.0);
    let (left, right) = (12.0 + widest + 8.0, WIDTH - 26.0);
    let all = of.lines.iter().flat_map(|line| line.1.iter().copied());
    let scale = Scale::around(all).to(left + 6.0, right);
    let step = 21.0;
    let bottom = top + step * values.len() as f64;
    for (value, text) in scale.ticks(4) {
        let Some(x) = scale.at(value) else { continue };
        svg.line("grid", (x, top), (x, bottom));
        svg.text("soft", (x, bottom + 16.0), (TEXT, Anchor::Middle), &text);
    }
    for (row, value) in values.iter().enumerate() {
        let y = top + (row as f64 + 0.5) * step;
        svg.line("grid", (left, y), (right, y));
        svg.text("", (left - 6.0, y + 4.0), (TEXT, Anchor::End), &fit(value, TEXT, widest));
        for (colour, (_, means)) in of.lines.iter().enumerate() {
            if let Some(x) = means.get(row).and_then(|&mean| scale.at(mean)) {
                svg.circle(&fill(colour), (x, y), 4.5, 0.9);
            }
        }
    }
    svg.finish(&texts.name, &texts.title, texts.about, bottom + 28.0)
}

fn first_letter_up(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// A category's place on a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MapPoint {
    /// Text of the category.
    pub text: String,
    /// First principal component.
    pub x: f64,
    /// Second principal component.
    pub y: f64,
}

/// Draws a map of an embedding's categories: neighbours are alike to the network. `explained` is the share of the variance that
/// the two components have. Names that would lie on others are left out, and counted.
pub fn embedding_map(column: &str, places: &[MapPoint], explained: f64) -> Picture {
    let (x, y) =
        (Scale::around(places.iter().map(|it| it.x)), Scale::around(places.iter().map(|it| it.y)));
    let told = format!("two principal components, {:.0} % of the variance", 100.0 * explained);
    let about = format!("Map of {} categories of {column}: {told}.", places.len());
    // The number of names is known only once they are placed, and the field's place only once the texts are.
    let texts = |named: String| Captions {
        name: "embedding".into(),
        title: format!("Categories of {column}"),
        below: vec![told.clone(), named],
        about: about.clone(),
    };
    let frame = |named| {
        let axes = ((x, "first component"), (y, "second component"));
        Frame::of_height(texts(named), &[], axes.0, axes.1, 300.0)
    };
    let trial = frame(String::new());
    let points: Vec<Option<(f64, f64)>> =
        places.iter().map(|it| trial.point((it.x, it.y))).collect();
    let names = placed_names(places, &points, trial.field);
    let named = match names.len() == places.len() {
        true => format!("{} categories; neighbours are alike to the network", places.len()),
        false => {
            format!("{} of {} categories are named, for want of room", names.len(), places.len())
        }
    };
    let mut frame = frame(named);
    for at in points.into_iter().flatten() {
        frame.svg.circle(&fill(0), at, 3.0, 0.9);
    }
    for (at, text) in names {
        frame.svg.text("", at, (NAME, Anchor::Start), &text);
    }
    frame.finish()
}

/// Size of names on a map.
const NAME: f64 = 10.5;

/// Names that lie neither on each other nor on points, with their places.
fn placed_names(
    places: &[MapPoint],
    points: &[Option<(f64, f64)>],
    [left, top, right, bottom]: [f64; 4],
) -> Vec<((f64, f64), String)> {
    type Area = (f64, f64, f64, f64);
    let apart = |a: &Area, b: &Area| a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1;
    let dots: Vec<Area> =
        points.iter().flatten().map(|&(x, y)| (x - 3.0, y - 3.0, x + 3.0, y + 3.0)).collect();
    let mut taken: Vec<Area> = Vec::new();
    let mut names = Vec::new();
    for (place, point) in places.iter().zip(points) {
        let Some((x, y)) = *point else { continue };
        let text = fit(&place.text, NAME, 120.0);
        let width = text_width(&text, NAME);
        let starts = [
            (x + 5.0, y + 3.5),
            (x - 5.0 - width, y + 3.5),
            (x - width / 2.0, y - 6.0),
            (x - width / 2.0, y + 14.0),
        ];
        let found = starts.into_iter().find_map(|(x, y)| {
            let area = (x - 1.0, y - 9.5, x + width + 1.0, y + 3.0);
            let inside = area.0 >= left && area.2 <= right && area.1 >= top && area.3 <= bottom;
            let free = taken.iter().chain(&dots).all(|other| apart(&area, other));
            (inside && free).then_some(((x, y), area))
        });
        if let Some((at, area)) = found {
            taken.push(area);
            names.push((at, text));
        }
    }
    names
}

/// Returns a histogram of a few bars as an SVG for a cell of a table, without texts but for its description.
pub fn small_histogram(counts: &[u64], about: &str) -> String {
    let (width, height) = (120.0, 28.0);
    let most = counts.iter().max().copied().unwrap_or(0).max(1) as f64;
    let bar = width / counts.len().max(1) as f64;
    let mut svg = String::new();
    for (at, &count) in counts.iter().enumerate() {
        // A bar of one row among a million is seen, too.
        let tall = if count == 0 { 0.0 } else { (height * count as f64 / most).max(1.0) };
        let x = coordinate(at as f64 * bar);
        let [y, bar, tall] = [height - tall, (bar - 1.0).max(0.5), tall].map(coordinate);
        svg +=
            &format!("<rect class=\"f1\" x=\"{x}\" y=\"{y}\" width=\"{bar}\" height=\"{tall}\"/>");
    }
    format!(
        "<svg class=\"wgrad small\" viewBox=\"0 0 {width} {height}\" role=\"img\" preserveAspectRatio=\"none\"><title>{}</title>{svg}</svg>",
        escape(about)
    )
}

/// A layer of a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerBox {
    /// Text of the layer, such as `dense(32)`.
    pub name: String,
    /// Width of its output.
    pub width: usize,
    /// Number of its parameters.
    pub parameters: usize,
}

/// Draws a network from its inputs down to its outputs: a box for each layer, as wide as the logarithm of its output, with the
/// shape and the parameters. A long network's inner layers are cut out.
pub fn network(inputs: usize, layers: &[LayerBox], outputs: &str) -> Picture {
    const MOST: usize = 24;
    let all: usize = layers.iter().map(|it| it.parameters).sum();
    let count = |value: usize| super::scale::grouped(value as f64, 0);
    let told = format!("{} layers, {} parameters", layers.len(), count(all));
    let texts = Captions {
        name: "network".into(),
        title: "Network".into(),
        below: vec![told.clone()],
        about: format!("Network of {told}, from {inputs} inputs to {outputs}."),
    };
    let mut svg = Svg::default();
    let mut y = head(&mut svg, &texts, &[]) + 4.0;
    let input = LayerBox { name: "inputs".into(), width: inputs, parameters: 0 };
    let widest = layers.iter().map(|it| it.width).fold(inputs, usize::max).max(2) as f64;
    let half = MOST / 2;
    let shown: Vec<Option<&LayerBox>> = match layers.len() > MOST {
        true => {
            let ends = (layers[..half].iter(), layers[layers.len() - half..].iter());
            ends.0.map(Some).chain([None]).chain(ends.1.map(Some)).collect()
        }
        false => layers.iter().map(Some).collect(),
    };
    for (place, layer) in std::iter::once(Some(&input)).chain(shown).enumerate() {
        let centre = WIDTH / 2.0 - 60.0;
        if place > 0 {
            svg.line("axis", (centre, y), (centre, y + 10.0));
            svg.area(
                "soft",
                &[(centre - 3.5, y + 8.0), (centre + 3.5, y + 8.0), (centre, y + 13.0)],
                1.0,
            );
            y += 14.0;
        }
        let Some(layer) = layer else {
            let left_out = format!("… {} more layers …", layers.len() - 2 * half);
            svg.text("soft", (centre, y + 14.0), (TEXT, Anchor::Middle), &left_out);
            y += 22.0;
            continue;
        };
        let share = (layer.width.max(1) as f64).ln_1p() / widest.ln_1p();
        let width = 120.0 + 190.0 * share;
        svg.round_box("box", (centre - width / 2.0, y), (width, 26.0));
        let name = fit(&layer.name, TEXT, width - 14.0);
        svg.text("", (centre, y + 17.5), (TEXT, Anchor::Middle), &name);
        let mut text = format!("→ {}", count(layer.width));
        if layer.parameters > 0 {
            text += &format!(", {} p.", count(layer.parameters));
        }
        svg.text("soft", (centre + 160.0, y + 17.5), (TEXT, Anchor::Start), &text);
        y += 26.0;
    }
    let label = fit(&format!("= {outputs}"), TEXT, WIDTH - 150.0);
    svg.text("bold", (WIDTH / 2.0 - 60.0, y + 18.0), (TEXT, Anchor::Middle), &label);
    svg.finish("network", "Network", texts.about, y + 32.0)
}
