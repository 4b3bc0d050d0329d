//! A small network, neuron by neuron, with its weights and values.

use super::frame::{Captions, head};
use super::scale::few_digits;
use super::svg::{Anchor, Picture, Svg, TEXT, WIDTH, text_width};

/// Radius of a neuron.
const RADIUS: f64 = 25.0;
/// Height that a neuron has for itself.
const ROW: f64 = 92.0;

/// A layer of neurons, or the inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NeuronLayer {
    /// Name above the layer.
    pub name: String,
    /// Text in each neuron, such as its value.
    pub inside: Vec<String>,
    /// Text below each neuron, such as its bias; may be empty.
    pub below: Vec<String>,
    /// Weight from each neuron of the layer before: `weights[neuron][before]`; empty for inputs.
    pub weights: Vec<Vec<f64>>,
}

/// Draws a network of a few neurons: a circle for each, and a line for each weight with its number, blue where it is positive and orange
/// where it is negative.
pub fn neurons(name: &str, title: &str, layers: &[NeuronLayer]) -> Picture {
    let most = layers.iter().map(|layer| layer.inside.len()).max().unwrap_or(0);
    let about = format!("{title}: a network of {} layers with its numbers.", layers.len());
    let texts = Captions { name: name.into(), title: title.into(), below: vec![], about };
    let mut svg = Svg::default();
    let top = head(&mut svg, &texts, &[]) + 24.0;
    let height = most as f64 * ROW;
    let stride = (WIDTH - 2.0 * (RADIUS + 34.0)) / layers.len().saturating_sub(1).max(1) as f64;
    let place = |layer: usize, neuron: usize| {
        let many = layers[layer].inside.len() as f64;
        let x = RADIUS + 34.0 + layer as f64 * stride;
        (x, top + height * (neuron as f64 + 0.5) / many.max(1.0))
    };
    for (at, layer) in layers.iter().enumerate().skip(1) {
        for (neuron, weights) in layer.weights.iter().enumerate() {
            for (before, &weight) in weights.iter().enumerate() {
                draw_weight(&mut svg, place(at - 1, before), place(at, neuron), weight);
            }
        }
    }
    for (at, layer) in layers.iter().enumerate() {
        let x = place(at, 0).0;
        svg.text("soft", (x, top - 8.0), (TEXT, Anchor::Middle), &layer.name);
        for (neuron, inside) in layer.inside.iter().enumerate() {
            let (x, y) = place(at, neuron);
            svg.circle("box", (x, y), RADIUS, 1.0);
            svg.text("bold", (x, y + 4.0), (TEXT, Anchor::Middle), inside);
            if let Some(below) = layer.below.get(neuron) {
                svg.text("soft", (x, y + RADIUS + 14.0), (TEXT, Anchor::Middle), below);
            }
        }
    }
    svg.finish(name, title, texts.about, top + height + 8.0)
}

/// Draws a line between two neurons, with the weight's number near its first third.
fn draw_weight(svg: &mut Svg, from: (f64, f64), to: (f64, f64), weight: f64) {
    let colour = if weight < 0.0 { 2 } else { 1 };
    svg.line(&format!("line l{colour}"), from, to);
    let at = |share: f64| (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
    let (x, y) = at(0.36);
    let text = few_digits(weight);
    let width = text_width(&text, TEXT) + 4.0;
    // Paper below the number, so that no line crosses it.
    svg.rect("paper", (x - width / 2.0, y - 8.0), (width, 16.0), 1.0);
    svg.text(&format!("f{colour}"), (x, y + 4.0), (TEXT, Anchor::Middle), &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_neuron_and_each_weight_is_drawn() {
        let layer = |name: &str, inside: &[&str], weights: Vec<Vec<f64>>| NeuronLayer {
            name: name.into(),
            inside: inside.iter().map(|it| it.to_string()).collect(),
            below: vec!["b".into(); inside.len()],
            weights,
        };
        let input = layer("inputs", &["1", "2"], vec![]);
        let output = layer("output", &["y"], vec![vec![0.5, -0.25]]);
        let svg = neurons("net", "Network", &[input, output]).svg();
        assert_eq!(svg.matches("<circle class=\"box\"").count(), 3, "{svg}");
        assert_eq!(svg.matches("class=\"line l1\"").count(), 1, "{svg}");
        assert_eq!(svg.matches("class=\"line l2\"").count(), 1, "{svg}");
        assert!(svg.contains(">0.5</text>") && svg.contains(">−0.25</text>"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }
}
