//! Title, legend and axes around a field in which a picture draws.
//!
//! In: texts and scales. Out: the shapes so far, and scales that know where the field is.
//! Absent on purpose: what is drawn in the field.

use super::scale::{Scale, Tick};
use super::svg::{Anchor, Picture, Svg, TEXT, TITLE, WIDTH, fit, text_width};

/// Room at the edges of a picture.
const EDGE: f64 = 12.0;
/// Height of a line of text.
const LEADING: f64 = 17.0;
/// Height of the field.
pub(super) const FIELD: f64 = 210.0;

/// Title and texts of a picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Captions {
    /// Name for a file.
    pub(super) name: String,
    pub(super) title: String,
    /// Lines below the title; cut to the width.
    pub(super) below: Vec<String>,
    /// Description for readers who do not see the picture.
    pub(super) about: String,
}

/// Sign that a legend shows beside a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Line(usize),
    Dot(usize),
    /// A dashed line.
    Mark,
}

/// A picture with a field in it.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) svg: Svg,
    texts: Captions,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// Left, top, right and bottom of the field.
    pub(super) field: [f64; 4],
    height: f64,
}

/// Class of the fill of a colour, from 0; after eight colours they begin again.
pub(super) fn fill(colour: usize) -> String {
    format!("f{}", colour % 8 + 1)
}

/// Class of a line of a colour.
pub(super) fn stroke(colour: usize) -> String {
    format!("line l{}", colour % 8 + 1)
}

/// Draws title, lines below it and legend. Returns the height that they take.
pub(super) fn head(svg: &mut Svg, texts: &Captions, legend: &[(Key, String)]) -> f64 {
    let room = WIDTH - 2.0 * EDGE;
    let mut y = EDGE + TITLE;
    svg.text("bold", (EDGE, y), (TITLE, Anchor::Start), &fit(&texts.title, TITLE, room));
    for line in &texts.below {
        y += LEADING;
        svg.text("soft", (EDGE, y), (TEXT, Anchor::Start), &fit(line, TEXT, room));
    }
    if !legend.is_empty() {
        y += LEADING + 2.0;
        let mut x = EDGE;
        for (key, text) in legend {
            let text = fit(text, TEXT, room - 24.0);
            let width = 24.0 + text_width(&text, TEXT);
            if x > EDGE && x + width > WIDTH - EDGE {
                (x, y) = (EDGE, y + LEADING);
            }
            draw_key(svg, *key, (x, y - 4.0));
            svg.text("", (x + 22.0, y), (TEXT, Anchor::Start), &text);
            x += width + 12.0;
        }
    }
    y + 8.0
}

fn draw_key(svg: &mut Svg, key: Key, (x, y): (f64, f64)) {
    match key {
        Key::Line(colour) => svg.line(&stroke(colour), (x, y), (x + 17.0, y)),
        Key::Dot(colour) => svg.circle(&fill(colour), (x + 8.0, y), 4.0, 1.0),
        Key::Mark => svg.line("mark", (x, y), (x + 17.0, y)),
    }
}

impl Frame {
    /// Draws title, legend, grid and axes; both scales get the coordinates of the field.
    pub(super) fn new(
        texts: Captions,
        legend: &[(Key, String)],
        (x, x_label): (Scale, &str),
        (y, y_label): (Scale, &str),
    ) -> Self {
        Self::of_height(texts, legend, (x, x_label), (y, y_label), FIELD)
    }

    /// Does the same, with another height of the field.
    pub(super) fn of_height(
        texts: Captions,
        legend: &[(Key, String)],
        (x, x_label): (Scale, &str),
        (y, y_label): (Scale, &str),
        height: f64,
    ) -> Self {
        let mut svg = Svg::default();
        let mut top = head(&mut svg, &texts, legend);
        // The vertical axis is named above it, where a name has room.
        if !y_label.is_empty() {
            top += LEADING - 3.0;
            let label = fit(y_label, TEXT, 0.55 * WIDTH);
            svg.text("soft", (EDGE, top - 1.0), (TEXT, Anchor::Start), &label);
            top += 9.0;
        }
        let bottom = top + height;
        let y_ticks = y.ticks(6);
        let widest = y_ticks.iter().map(|(_, text)| text_width(text, TEXT)).fold(0.0, f64::max);
        let (left, right) = (EDGE + widest + 6.0, WIDTH - EDGE - 6.0);
        let (x, y) = (x.to(left, right), y.to(bottom, top));
        for (value, text) in &y_ticks {
            let Some(at) = y.at(*value) else { continue };
            svg.line("grid", (left, at), (right, at));
            svg.text("soft", (left - 5.0, at + 4.0), (TEXT, Anchor::End), text);
        }
        for (value, text) in fitting_ticks(&x) {
            let Some(at) = x.at(value) else { continue };
            svg.line("axis", (at, bottom), (at, bottom + 4.0));
            svg.text("soft", (at, bottom + 17.0), (TEXT, Anchor::Middle), &text);
        }
        svg.line("axis", (left, bottom), (right, bottom));
        let label = fit(x_label, TEXT, right - left);
        svg.text("soft", ((left + right) / 2.0, bottom + 34.0), (TEXT, Anchor::Middle), &label);
        let field = [left, top, right, bottom];
        Self { svg, texts, x, y, field, height: bottom + 34.0 + EDGE }
    }

    /// The coordinates of a point; `None` for one that is not finite or outside of the field.
    pub(super) fn point(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let inside = self.x.holds(x) && self.y.holds(y);
        let (x, y) = (self.x.at(x)?, self.y.at(y)?);
        inside.then_some((x, y))
    }

    /// Draws a line through points; those without coordinates leave a gap.
    pub(super) fn curve(&mut self, class: &str, points: &[(f64, f64)]) {
        let path: Vec<_> = points.iter().map(|&point| self.point(point)).collect();
        self.svg.path(class, path.into_iter());
    }

    /// Draws a straight line between two points that may lie on the field's edge.
    pub(super) fn segment(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        if let (Some(from), Some(to)) = (self.point(from), self.point(to)) {
            self.svg.line(class, from, to);
        }
    }

    pub(super) fn finish(self) -> Picture {
        let Captions { name, title, about, .. } = self.texts;
        self.svg.finish(&name, &title, about, self.height)
    }
}

/// Returns as many ticks as have room for their texts below the field.
pub(super) fn fitting_ticks(x: &Scale) -> Vec<Tick> {
    let (start, end) = x.ends();
    for most in (1..=9).rev() {
        let ticks = x.ticks(most);
        let ends: Vec<(f64, f64)> = ticks
            .iter()
            .filter_map(|(value, text)| {
                let (at, half) = (x.at(*value)?, text_width(text, TEXT) / 2.0);
                Some((at - half, at + half))
            })
            .collect();
        let apart = ends.windows(2).all(|pair| pair[0].1 + 8.0 <= pair[1].0);
        let inside = ends.iter().all(|it| it.0 >= start - 40.0 && it.1 <= end + EDGE + 4.0);
        if apart && inside {
            return ticks;
        }
    }
    Vec::new()
}
