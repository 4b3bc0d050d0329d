//! Curves and areas in a plane of two numbers.

use super::epochs::Line;
use super::frame::{Captions, Frame, Key, fill, stroke};
use super::scale::Scale;
use super::svg::Picture;

/// Name, title and axes of a picture in a plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlaneTexts {
    /// Name for a file, such as `sine`.
    pub name: String,
    /// Title of the picture.
    pub title: String,
    /// Line below the title; an empty one takes no room.
    pub below: String,
    /// Name of the horizontal axis.
    pub x: String,
    /// Name of the vertical axis.
    pub y: String,
}

impl PlaneTexts {
    /// Texts of a picture, without a line below the title.
    pub fn new(name: &str, title: &str, x: &str, y: &str) -> Self {
        let [name, title, x, y] = [name, title, x, y].map(str::to_string);
        Self { name, title, below: String::new(), x, y }
    }

    /// Adds a line below the title.
    #[must_use]
    pub fn below(self, below: impl Into<String>) -> Self {
        Self { below: below.into(), ..self }
    }

    fn captions(&self, about: String) -> Captions {
        let below = [&self.below].into_iter().filter(|it| !it.is_empty()).cloned().collect();
        Captions { name: self.name.clone(), title: self.title.clone(), below, about }
    }
}

/// An area between two curves, such as an interval of predictions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Band {
    /// Name for the legend.
    pub name: String,
    /// Points of the band from left to right: x, lower end, upper end. All are finite.
    pub points: Vec<(f64, f64, f64)>,
}

/// Number of dots up to which they are marks on the curves.
const MARKS: usize = 12;

/// Draws curves, with bands below them, and dots: many of them behind the curves, a few on top. Each has its own colour and a place in
/// the legend, bands first. Both scales are linear.
///
/// ```
/// use wgrad::picture::{Line, PlaneTexts, curves};
///
/// let points = (0..50).map(|i| f64::from(i) / 10.0).map(|x| (x, x.sin())).collect();
/// let texts = PlaneTexts::new("sine", "Sine", "x", "sin x");
/// let picture = curves(&texts, &[Line::new("sin x", points)], &[], &[]);
/// assert!(picture.svg().starts_with("<?xml"));
/// ```
pub fn curves(texts: &PlaneTexts, lines: &[Line], dots: &[Line], bands: &[Band]) -> Picture {
    let points = || lines.iter().chain(dots).flat_map(|line| line.points.iter().copied());
    let ends = || bands.iter().flat_map(|band| &band.points);
    let x = Scale::around(points().map(|it| it.0).chain(ends().map(|it| it.0)));
    let all: Vec<f64> = points().map(|it| it.1).chain(ends().flat_map(|it| [it.1, it.2])).collect();
    let y = Scale::around(all.iter().copied());
    let names: Vec<&str> = bands
        .iter()
        .map(|it| it.name.as_str())
        .chain(lines.iter().chain(dots).map(|it| it.name.as_str()))
        .collect();
    let about = format!("{}: {} by {} ({}).", texts.title, texts.y, texts.x, names.join(", "));
    let (first_line, first_dot) = (bands.len(), bands.len() + lines.len());
    let mut legend: Vec<(Key, String)> = Vec::new();
    legend.extend(bands.iter().enumerate().map(|(at, it)| (Key::Line(at), it.name.clone())));
    legend.extend(
        lines.iter().enumerate().map(|(at, it)| (Key::Line(first_line + at), it.name.clone())),
    );
    legend.extend(
        dots.iter().enumerate().map(|(at, it)| (Key::Dot(first_dot + at), it.name.clone())),
    );
    legend.retain(|(_, name)| !name.is_empty());
    let mut frame = Frame::new(texts.captions(about), &legend, (x, &texts.x), (y, &texts.y));
    for (colour, band) in bands.iter().enumerate() {
        draw_band(&mut frame, colour, band);
    }
    // Many dots are a cloud behind the curves; a few are marks on them.
    let is_cloud = |line: &Line| line.points.len() > MARKS;
    for (at, line) in dots.iter().enumerate().filter(|(_, line)| is_cloud(line)) {
        draw_dots(&mut frame, first_dot + at, line, (2.6, 0.7));
    }
    for (at, line) in lines.iter().enumerate() {
        frame.curve(&stroke(first_line + at), &line.points);
    }
    for (at, line) in dots.iter().enumerate().filter(|(_, line)| !is_cloud(line)) {
        draw_dots(&mut frame, first_dot + at, line, (4.5, 1.0));
    }
    frame.finish()
}

/// Draws dots of a radius and an opacity; a point that is not finite has none.
fn draw_dots(frame: &mut Frame, colour: usize, line: &Line, (radius, opacity): (f64, f64)) {
    for &point in &line.points {
        if let Some(place) = frame.point(point) {
            frame.svg.circle(&fill(colour), place, radius, opacity);
        }
    }
}

/// Fills the area of a band.
fn draw_band(frame: &mut Frame, colour: usize, band: &Band) {
    let upper = band.points.iter().map(|it| (it.0, it.2));
    let lower = band.points.iter().rev().map(|it| (it.0, it.1));
    let outline: Vec<(f64, f64)> =
        upper.chain(lower).filter_map(|point| frame.point(point)).collect();
    frame.svg.area(&fill(colour), &outline, 0.25);
}

/// A class at each cell of a grid over a rectangle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassGrid {
    /// Left and right end of the rectangle.
    pub x: (f64, f64),
    /// Lower and upper end of the rectangle.
    pub y: (f64, f64),
    /// Rows of cells from below, each from the left: the class from 0, and its probability.
    pub cells: Vec<Vec<(usize, f64)>>,
}

impl ClassGrid {
    /// Returns the middles of all cells of a grid over a rectangle, `columns` by `rows` of them, in the order of [`Self::cells`].
    pub fn middles(x: (f64, f64), y: (f64, f64), (columns, rows): (usize, usize)) -> Vec<[f64; 2]> {
        let middle = |(low, high): (f64, f64), at: usize, cells: usize| {
            low + (high - low) * (at as f64 + 0.5) / cells as f64
        };
        let row = |row| {
            (0..columns).map(move |column| [middle(x, column, columns), middle(y, row, rows)])
        };
        (0..rows).flat_map(row).collect()
    }
}

/// Number of shades by which probabilities are told apart.
const SHADES: f64 = 5.0;

/// Draws which class a network gives to each point of a plane, the paler the less sure it is, with the points of each class as dots.
/// `classes[k]` has the name and the points of class k.
pub fn class_regions(texts: &PlaneTexts, grid: &ClassGrid, classes: &[Line]) -> Picture {
    let x = Scale::between(grid.x.0, grid.x.1);
    let y = Scale::between(grid.y.0, grid.y.1);
    let names: Vec<&str> = classes.iter().map(|it| it.name.as_str()).collect();
    let about =
        format!("{}: regions of {} classes ({}).", texts.title, names.len(), names.join(", "));
    let legend: Vec<(Key, String)> =
        classes.iter().enumerate().map(|(at, it)| (Key::Dot(at), it.name.clone())).collect();
    let axes = ((x, texts.x.as_str()), (y, texts.y.as_str()));
    let mut frame = Frame::of_height(texts.captions(about), &legend, axes.0, axes.1, 300.0);
    let [left, top, right, bottom] = frame.field;
    let height = (bottom - top) / grid.cells.len().max(1) as f64;
    // A shade for probabilities from that of a guess to 1.
    let least = 1.0 / classes.len().max(2) as f64;
    let shade = |probability: f64| {
        let sure = ((probability - least) / (1.0 - least)).clamp(0.0, 1.0);
        (sure * SHADES).floor().min(SHADES - 1.0)
    };
    for (row, cells) in grid.cells.iter().enumerate() {
        let width = (right - left) / cells.len().max(1) as f64;
        let from_top = top + (grid.cells.len() - 1 - row) as f64 * height;
        let alike = |a: &(usize, f64), b: &(usize, f64)| a.0 == b.0 && shade(a.1) == shade(b.1);
        let mut column = 0;
        // Cells of one class and shade are one rectangle, which keeps the file small.
        for run in cells.chunk_by(alike) {
            let at = (left + column as f64 * width, from_top);
            let size = (run.len() as f64 * width, height);
            let opacity = 0.1 + 0.35 * shade(run[0].1) / (SHADES - 1.0);
            frame.svg.rect(&fill(run[0].0), at, size, opacity);
            column += run.len();
        }
    }
    for (class, line) in classes.iter().enumerate() {
        for &point in &line.points {
            if let Some(place) = frame.point(point) {
                frame.svg.circle(&fill(class), place, 2.8, 1.0);
            }
        }
    }
    frame.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> PlaneTexts {
        PlaneTexts::new("plane", "A < B", "x", "y").below("below")
    }

    #[test]
    fn curves_show_lines_dots_and_bands() {
        let line = Line::new("line", vec![(0.0, 1.0), (1.0, 2.0)]);
        let dots = Line::new("dots", vec![(0.5, 1.5), (0.7, f64::NAN)]);
        let band = Band { name: "band".into(), points: vec![(0.0, 0.5, 1.5), (1.0, 1.5, 2.5)] };
        let svg = curves(&texts(), &[line], &[dots], &[band]).svg();
        assert_eq!(svg.matches("<polygon class=\"f1\"").count(), 1, "{svg}");
        assert_eq!(svg.matches("<path class=\"line l2\"").count(), 1, "{svg}");
        // One in the legend, one in the field; a number that is not finite has no dot.
        assert_eq!(svg.matches("<circle class=\"f3\"").count(), 2, "{svg}");
        assert!(svg.contains("<title>A &lt; B</title>") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn cells_of_one_class_and_shade_are_one_rectangle() {
        let row = vec![(0, 0.99), (0, 1.0), (0, 0.55), (1, 0.99)];
        let grid = ClassGrid { x: (0.0, 4.0), y: (0.0, 1.0), cells: vec![row] };
        let classes = [Line::new("a", vec![(1.0, 0.5)]), Line::new("b", vec![(9.0, 0.5)])];
        let svg = class_regions(&texts(), &grid, &classes).svg();
        assert_eq!(svg.matches("<rect class=\"f1\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("<rect class=\"f2\"").count(), 1, "{svg}");
        // The point of class b is outside of the field: its dot is that of the legend.
        assert_eq!(svg.matches("<circle class=\"f2\"").count(), 1, "{svg}");
    }

    #[test]
    fn the_first_cell_is_at_the_lower_left() {
        let middles = ClassGrid::middles((0.0, 2.0), (10.0, 20.0), (2, 5));
        assert_eq!((middles[0], middles[1], middles[9]), ([0.5, 11.0], [1.5, 11.0], [1.5, 19.0]));
    }
}
