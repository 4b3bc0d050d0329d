//! Text of an SVG: shapes, texts and their widths, one style for light and dark.
//!
//! In: coordinates, class names, texts. Out: a [`Picture`].
//! Absent on purpose: scales, and what is drawn.

use std::fmt::{self, Write as _};

/// Width of a picture in its own units; a page or a viewer scales it.
pub(super) const WIDTH: f64 = 480.0;
/// Size of most texts, in the picture's units.
pub(super) const TEXT: f64 = 12.0;
/// Size of a picture's title.
pub(super) const TITLE: f64 = 14.0;

/// Colours and lines of all pictures, in light and, where the reader prefers it, in dark. The eight colours are those of Okabe and
/// Ito (2008), which people who do not tell red from green tell apart; on dark paper the darkest ones are lighter.
pub const STYLE: &str = "\
.wgrad text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Noto Sans',sans-serif;fill:#1b1f24}\
.wgrad .paper{fill:#fff}.wgrad .soft{fill:#57606a}.wgrad .on{fill:#fff}.wgrad .bold{font-weight:600}\
.wgrad .grid{stroke:#e1e4e8;stroke-width:1}.wgrad .axis{stroke:#868e96;stroke-width:1}\
.wgrad .mark{stroke:#57606a;stroke-width:1;stroke-dasharray:4 3;fill:none}\
.wgrad .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.wgrad .thin{stroke-width:1}.wgrad .faint{opacity:.45}\
.wgrad .dots{fill:none;stroke-width:5;stroke-linecap:round;opacity:.6}\
.wgrad .box{fill:#f3f5f7;stroke:#868e96;stroke-width:1}\
.wgrad .f1{fill:#0072b2}.wgrad .f2{fill:#d55e00}.wgrad .f3{fill:#009e73}.wgrad .f4{fill:#cc79a7}\
.wgrad .f5{fill:#e69f00}.wgrad .f6{fill:#56b4e9}.wgrad .f7{fill:#57606a}.wgrad .f8{fill:#b8a800}\
.wgrad .l1{stroke:#0072b2}.wgrad .l2{stroke:#d55e00}.wgrad .l3{stroke:#009e73}.wgrad .l4{stroke:#cc79a7}\
.wgrad .l5{stroke:#e69f00}.wgrad .l6{stroke:#56b4e9}.wgrad .l7{stroke:#57606a}.wgrad .l8{stroke:#b8a800}\
@media (prefers-color-scheme:dark){\
.wgrad text{fill:#e6e9ed}.wgrad .paper{fill:#15181c}.wgrad .soft{fill:#a3acb6}.wgrad .on{fill:#0b0d10}\
.wgrad .grid{stroke:#2b3138}.wgrad .axis{stroke:#737c86}.wgrad .mark{stroke:#a3acb6}.wgrad .box{fill:#20252b;stroke:#737c86}\
.wgrad .f1{fill:#4ba3dd}.wgrad .f2{fill:#f0813a}.wgrad .f3{fill:#2fc79b}.wgrad .f4{fill:#e09cc2}\
.wgrad .f6{fill:#9bd3f5}.wgrad .f7{fill:#a3acb6}.wgrad .f8{fill:#f0e442}\
.wgrad .l1{stroke:#4ba3dd}.wgrad .l2{stroke:#f0813a}.wgrad .l3{stroke:#2fc79b}.wgrad .l4{stroke:#e09cc2}\
.wgrad .l6{stroke:#9bd3f5}.wgrad .l7{stroke:#a3acb6}.wgrad .l8{stroke:#f0e442}}";

/// A finished picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    name: String,
    title: String,
    about: String,
    size: (f64, f64),
    body: String,
}

impl Picture {
    /// Name for a file, such as `confusion`: small letters, digits and hyphens.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Title of the picture.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Description in a sentence, for readers who do not see the picture.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Width and height in the picture's own units.
    pub fn size(&self) -> (f64, f64) {
        self.size
    }

    /// Gives the picture another name for its file.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Returns the SVG as a file of its own, with [`STYLE`] in it. It needs nothing from elsewhere.
    pub fn svg(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}<style>{STYLE}</style>{}</svg>\n",
            self.head(" xmlns=\"http://www.w3.org/2000/svg\"", true),
            self.body
        )
    }

    /// Returns the SVG as a part of an HTML page that has [`STYLE`] among its own styles.
    pub fn inline(&self) -> String {
        format!("{}{}</svg>", self.head("", false), self.body)
    }

    /// The first tag; a file has a size in pixels, a part of a page the size that the page gives it.
    fn head(&self, space: &str, sized: bool) -> String {
        let (width, height) = (coordinate(self.size.0), coordinate(self.size.1));
        let size = match sized {
            true => format!(" width=\"{width}\" height=\"{height}\""),
            false => String::new(),
        };
        format!(
            "<svg{space} class=\"wgrad\" viewBox=\"0 0 {width} {height}\"{size} role=\"img\"><title>{}</title><desc>{}</desc>",
            escape(&self.title),
            escape(&self.about)
        )
    }
}

/// Replaces the signs that mark up XML and HTML, and characters that neither may contain.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A line end in a name would end the line of its label; XML 1.0 has no other controls and no such non-characters.
            '\t' | '\n' | '\r' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            // Marks that turn the direction of what follows would reach beyond the text.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A coordinate with two places after the point, as few as are needed.
pub(super) fn coordinate(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

/// Width of a text of this size, a little more than common fonts need.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.34,
        'f' | 'r' | 't' | 'I' | '(' | ')' | '[' | ']' | '-' | '/' => 0.4,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.98,
        'A'..='Z' => 0.71,
        '0'..='9' => 0.64,
        c if (c as u32) < 0x2e80 => 0.63,
        _ => 1.05,
    };
    text.chars().map(of).sum::<f64>() * size
}

/// Cuts a text to a width, and marks the cut.
pub(super) fn fit(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_string();
    }
    let room = width - text_width("…", size);
    let (mut cut, mut used) = (String::new(), 0.0);
    for c in text.chars() {
        used += text_width(c.encode_utf8(&mut [0; 4]), size);
        if used > room {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

/// End of a text that stands at its coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Shapes drawn so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    fn push(&mut self, shape: fmt::Arguments<'_>) {
        // Writing into a text does not fail.
        let _ = self.body.write_fmt(shape);
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(coordinate);
        self.push(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), size: (f64, f64), opacity: f64) {
        let [x, y, width, height] = [x, y, size.0.max(0.0), size.1.max(0.0)].map(coordinate);
        let opacity = opacity_text(opacity);
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{opacity}/>"
        ));
    }

    /// A box with round corners.
    pub(super) fn round_box(&mut self, class: &str, (x, y): (f64, f64), size: (f64, f64)) {
        let [x, y, width, height] = [x, y, size.0, size.1].map(coordinate);
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\"/>"
        ));
    }

    pub(super) fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64, opacity: f64) {
        let [x, y, radius] = [x, y, radius].map(coordinate);
        let opacity = opacity_text(opacity);
        self.push(format_args!(
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"{opacity}/>"
        ));
    }

    /// Dots of one kind, which take a few bytes each: lines without length and with round ends.
    pub(super) fn dots(&mut self, class: &str, points: &[(f64, f64)]) {
        let text: String = points
            .iter()
            .map(|&(x, y)| format!("M{} {}h0", coordinate(x), coordinate(y)))
            .collect();
        self.push(format_args!("<path class=\"{class}\" d=\"{text}\"/>"));
    }

    /// A line through points; `None` ends a piece of it.
    pub(super) fn path(&mut self, class: &str, points: impl Iterator<Item = Option<(f64, f64)>>) {
        let (mut text, mut pen_down) = (String::new(), false);
        for point in points {
            match point {
                Some((x, y)) => {
                    text.push(if pen_down { 'L' } else { 'M' });
                    text += &format!("{} {}", coordinate(x), coordinate(y));
                    pen_down = true;
                }
                None => pen_down = false,
            }
        }
        self.push(format_args!("<path class=\"{class}\" d=\"{text}\"/>"));
    }

    /// An area within points.
    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)], opacity: f64) {
        let text: Vec<String> =
            points.iter().map(|&(x, y)| format!("{},{}", coordinate(x), coordinate(y))).collect();
        let opacity = opacity_text(opacity);
        self.push(format_args!(
            "<polygon class=\"{class}\" points=\"{}\"{opacity}/>",
            text.join(" ")
        ));
    }

    pub(super) fn text(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (size, anchor): (f64, Anchor),
        text: &str,
    ) {
        let [x, y, size] = [x, y, size].map(coordinate);
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let text = escape(text);
        self.push(format_args!(
            "<text{class} x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}>{text}</text>"
        ));
    }

    /// Puts the shapes on paper of this height.
    pub(super) fn finish(self, name: &str, title: &str, about: String, height: f64) -> Picture {
        let mut paper = Self::default();
        paper.rect("paper", (0.0, 0.0), (WIDTH, height), 1.0);
        Picture {
            name: name.to_string(),
            title: title.to_string(),
            about,
            size: (WIDTH, height),
            body: paper.body + &self.body,
        }
    }
}

fn opacity_text(opacity: f64) -> String {
    if opacity >= 1.0 { String::new() } else { format!(" opacity=\"{}\"", coordinate(opacity)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_texts_is_escaped() {
        let mut svg = Svg::default();
        svg.text("", (1.0, 2.0), (TEXT, Anchor::End), "<b>&\"'\u{1}\n\u{202e}");
        let picture = svg.finish("name", "a < b", "x & y".into(), 10.0);
        let text = picture.svg();
        assert!(text.contains(">&lt;b&gt;&amp;&quot;&#39;\u{fffd} \u{fffd}</text>"), "{text}");
        assert!(text.contains("<title>a &lt; b</title><desc>x &amp; y</desc>"), "{text}");
        assert!(picture.inline().starts_with("<svg class=\"wgrad\" viewBox=\"0 0 480 10\" role"));
    }

    #[test]
    fn long_texts_are_cut_to_their_room() {
        assert_eq!(fit("short", TEXT, 100.0), "short");
        let cut = fit(&"long ".repeat(20), TEXT, 100.0);
        assert!(cut.ends_with('…') && text_width(&cut, TEXT) <= 100.0, "{cut}");
        assert!(cut.chars().count() > 10, "{cut}");
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!([1.0, -0.001, 2.5, 3.456_7].map(coordinate), ["1", "0", "2.5", "3.46"]);
    }
}
