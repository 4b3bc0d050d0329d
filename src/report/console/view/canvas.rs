//! A field of dots, eight to a letter, as Braille patterns have them.

/// Bits of the dots of a Braille pattern, two columns of four.
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
/// The pattern without dots.
const EMPTY: u32 = 0x2800;

/// Dots of several lines; of dots in one letter, the line drawn last gives the letter its colour.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    dots: Vec<u8>,
    lines: Vec<usize>,
}

impl Canvas {
    /// Makes a field of so many letters.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, dots: vec![0; width * height], lines: vec![0; width * height] }
    }

    /// Draws a line between two points, whose coordinates go from 0 at the left and at the bottom to 1. Points that are not finite, or
    /// outside, are left out.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "coordinates within the field"
    )]
    pub(super) fn line(&mut self, line: usize, from: (f64, f64), to: (f64, f64)) {
        let (columns, rows) = ((2 * self.width) as f64, (4 * self.height) as f64);
        let place = |(x, y): (f64, f64)| (x * (columns - 1.0), (1.0 - y) * (rows - 1.0));
        let ((ax, ay), (bx, by)) = (place(from), place(to));
        let steps = (bx - ax).abs().max((by - ay).abs()).ceil();
        if !steps.is_finite() || steps > 8.0 * (columns + rows) {
            return;
        }
        for step in 0..=steps as usize {
            let share = if steps > 0.0 { step as f64 / steps } else { 0.0 };
            let (x, y) = ((ax + share * (bx - ax)).round(), (ay + share * (by - ay)).round());
            if x >= 0.0 && y >= 0.0 && x < columns && y < rows {
                self.dot(line, (x as usize, y as usize));
            }
        }
    }

    fn dot(&mut self, line: usize, (x, y): (usize, usize)) {
        let at = y / 4 * self.width + x / 2;
        self.dots[at] |= BITS[x % 2][y % 4];
        self.lines[at] = line;
    }

    /// Returns the letters of a row, each with the line that gives it its colour.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (usize, char)> + '_ {
        let letter = |at: usize| {
            let pattern = char::from_u32(EMPTY + u32::from(self.dots[at])).unwrap_or(' ');
            (self.lines[at], if self.dots[at] == 0 { ' ' } else { pattern })
        };
        (row * self.width..(row + 1) * self.width).map(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(canvas: &Canvas) -> Vec<String> {
        (0..canvas.height).map(|row| canvas.row(row).map(|it| it.1).collect()).collect()
    }

    #[test]
    fn lines_go_from_corner_to_corner() {
        let mut canvas = Canvas::new(2, 1);
        canvas.line(0, (0.0, 0.0), (1.0, 1.0));
        assert_eq!(text(&canvas), ["⡠⠊"]);
        let mut canvas = Canvas::new(2, 2);
        canvas.line(1, (0.0, 1.0), (1.0, 1.0));
        assert_eq!(text(&canvas), ["⠉⠉", "  "]);
        assert_eq!(canvas.row(0).next(), Some((1, '⠉')));
    }

    #[test]
    fn what_is_not_there_is_not_drawn() {
        let mut canvas = Canvas::new(3, 1);
        for odd in [f64::NAN, f64::INFINITY, 1e300] {
            canvas.line(0, (0.0, 0.0), (1.0, odd));
            canvas.line(0, (odd, 0.0), (odd, 1.0));
        }
        canvas.line(0, (2.0, 2.0), (2.0, 2.0));
        assert_eq!(text(&canvas), ["   "]);
    }
}
