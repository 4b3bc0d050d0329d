//! Shared by the examples that draw: a folder for pictures, SVG and PNG files, the regions of a classifier.

#![allow(dead_code, reason = "each example uses some of the helpers only")]
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, Crc, write::ZlibEncoder};
use ndarray::Array2;
use wgrad::picture::{ClassGrid, Line, Picture};
use wgrad::prelude::*;

/// Folder for pictures: the program's first argument, else a folder for temporary files.
pub(crate) fn folder() -> PathBuf {
    std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from)
}

/// Writes a picture as `NAME.svg` and prints its path.
pub(crate) fn save(picture: &Picture) -> Result<()> {
    write(&format!("{}.svg", picture.name()), picture.svg().as_bytes())
}

/// Writes a file into the folder for pictures and prints its path.
fn write(name: &str, bytes: &[u8]) -> Result<()> {
    let folder = folder();
    std::fs::create_dir_all(&folder).map_err(|error| Error::file("create", &folder, error))?;
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|error| Error::file("write", &path, error))?;
    println!("picture  {}", shown(&path));
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Asks a network for the class of each point of a rectangle, `cells` by `cells` of them.
pub(crate) fn grid(
    predictor: &Predictor,
    x: (f64, f64),
    y: (f64, f64),
    cells: usize,
) -> Result<ClassGrid> {
    let middles = ClassGrid::middles(x, y, (cells, cells));
    let flat: Vec<f64> = middles.into_iter().flatten().collect();
    let probabilities = predictor.predict_array(&flat)?;
    let best = |row: usize| {
        let row = probabilities.row(row);
        let likeliest = row.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        likeliest.unwrap_or((0, 0.0))
    };
    let rows = (0..cells).map(|row| (0..cells).map(|column| best(row * cells + column)).collect());
    Ok(ClassGrid { x, y, cells: rows.collect() })
}

/// Returns the points of each class of a table with two columns.
pub(crate) fn points_by_class(data: &Dataset) -> Vec<Line> {
    let Targets::Classes(classes) = data.y() else { return Vec::new() };
    let points = |class: usize| {
        let rows = (0..data.rows()).filter(|&row| classes[row] as usize == class);
        rows.map(|row| (data.row(row).at(0), data.row(row).at(1))).collect()
    };
    (0..data.classes()).map(|class| Line::new(format!("class {class}"), points(class))).collect()
}

/// Writes grey values from 0 (black) to 1 (white) as `NAME.png`, each as a square of `zoom` by `zoom` pixels. A PNG file is a
/// signature and chunks with checksums, around the compressed rows of pixels (W3C, Portable Network Graphics, third edition).
pub(crate) fn save_png(name: &str, grey: &Array2<f64>, zoom: usize) -> Result<()> {
    let (height, width) = (grey.nrows() * zoom, grey.ncols() * zoom);
    let mut rows = Vec::with_capacity(height * (width + 1));
    for y in 0..height {
        // Each row begins with its filter; 0 is none.
        rows.push(0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 255"
        )]
        rows.extend((0..width).map(|x| (grey[[y / zoom, x / zoom]].clamp(0.0, 1.0) * 255.0) as u8));
    }
    let packed = ZlibEncoder::new(Vec::new(), Compression::best());
    let packed = deflate(packed, &rows).map_err(|error| Error::file("write", name, error))?;
    let size = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX).to_be_bytes();
    // Eight bits of grey, in PNG's only compression and filter method, not interlaced.
    let header = [&size(width)[..], &size(height), &[8, 0, 0, 0, 0]].concat();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, body) in [(b"IHDR", &header), (b"IDAT", &packed), (b"IEND", &Vec::new())] {
        let mut checksum = Crc::new();
        checksum.update(kind);
        checksum.update(body);
        file.extend(size(body.len()));
        file.extend(kind);
        file.extend(body);
        file.extend(checksum.sum().to_be_bytes());
    }
    write(&format!("{name}.png"), &file)
}

fn deflate(mut encoder: ZlibEncoder<Vec<u8>>, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    encoder.write_all(bytes)?;
    encoder.finish()
}
