//! Tensors of a safetensors file, checked against the parameters that they are to fill.
//!
//! In: a file, names and shapes. Out: finite f32 values, or every mismatch at once.
//! Absent on purpose: what the file says of itself; see `safetensors.rs`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::model::{ParamLayout, Params};

/// Mismatches that one message lists.
const LISTED: usize = 20;
/// Prefix of the names of tensors that hold the state of a run instead of weights.
pub(super) const STATE: &str = "state/";
/// Bytes in front of a header: its length.
const LENGTH: usize = 8;

/// Fills parameters from a file with tensors of PyTorch's names: `0.weight [out, in]`, `0.bias [out]` …
/// Half, bfloat16 and double precision are converted.
///
/// # Errors
/// If the file is damaged, or a tensor is missing, unexpected, of another shape or kind, or not finite; the
/// message lists all of them, and the parameters are then as they were.
pub fn read_weights(path: impl AsRef<Path>, params: &mut Params) -> Result<()> {
    let path = path.as_ref();
    let bytes = read_bytes(path)?;
    let tensors = open(path, &bytes)?;
    *params =
        fill(&tensors, params.layout()).map_err(|problem| Error::model_file(path, problem))?;
    Ok(())
}

/// As [`read_weights`], but takes only tensors whose name and shape are those of a parameter, and none of those in `but`; the
/// other parameters stay as they are, for a new head or other inputs. Returns which were not taken, and why.
///
/// # Errors
/// If the file is damaged, or nothing of it fits.
pub fn read_fitting_weights(
    path: impl AsRef<Path>,
    params: &mut Params,
    but: &[String],
) -> Result<Vec<String>> {
    let path = path.as_ref();
    let bytes = read_bytes(path)?;
    let tensors = open(path, &bytes)?;
    let layout = params.layout().clone();
    let (mut found, mut problems) = compared(&tensors, "", &layout);
    found.retain(|(place, _)| {
        let name = &layout.views()[*place].name;
        let left = but.contains(name);
        if left {
            problems.push(format!("`{name}` belongs to columns or classes that do not match"));
        }
        !left
    });
    if found.is_empty() {
        let problem = format!("none of its tensors fits the model: {}", told(problems));
        return Err(Error::model_file(path, problem));
    }
    for (place, values) in found {
        params.put(place, &values);
    }
    Ok(problems)
}

/// The bytes of an ordinary file.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let refuse = |source| Error::file("read", path, source);
    let mut file = File::open(path).map_err(refuse)?;
    // A device may never end.
    if !file.metadata().map_err(refuse)?.is_file() {
        return Err(Error::model_file(path, "this is not an ordinary file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(refuse)?;
    Ok(bytes)
}

/// Where a tensor lies, as a header says.
#[derive(Deserialize)]
struct TensorEntry {
    data_offsets: (u64, u64),
}

/// An entry of a header: a tensor, or the metadata.
#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderEntry {
    Tensor(TensorEntry),
    Other(IgnoredAny),
}

/// Parses a file whose lengths are checked first.
pub(super) fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    let refuse = |problem: String| Error::model_file(path, problem);
    let header =
        bytes.get(..LENGTH).and_then(|length| length.try_into().ok()).map(u64::from_le_bytes);
    let header = header.and_then(|length| usize::try_from(length).ok());
    let Some(text) = header.and_then(|length| bytes.get(LENGTH..)?.get(..length)) else {
        let problem = format!(
            "not a safetensors file, or cut off after {} bytes; give the file that training wrote, or take a copy of it",
            bytes.len()
        );
        return Err(refuse(problem));
    };
    let damaged = |reason: String| {
        refuse(format!("not a safetensors file, or damaged: {reason}; train again or take a copy"))
    };
    let entries: HashMap<String, HeaderEntry> =
        serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
    // Checked here, because the parser's sums of such numbers could overflow.
    let (held, promised) = (
        bytes.len() - LENGTH - text.len(),
        entries.values().map(HeaderEntry::end).max().unwrap_or(0),
    );
    if promised > held as u64 {
        let problem = format!(
            "cut off: it holds {held} bytes of weights, but its header speaks of {promised}; train again or take a copy"
        );
        return Err(refuse(problem));
    }
    SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))
}

impl HeaderEntry {
    fn end(&self) -> u64 {
        match self {
            Self::Tensor(place) => place.data_offsets.0.max(place.data_offsets.1),
            Self::Other(_) => 0,
        }
    }
}

/// Parameters of a layout from a file's tensors. Nothing is allocated before all names and shapes fit.
pub(super) fn fill(tensors: &SafeTensors<'_>, layout: &ParamLayout) -> Result<Params, String> {
    fill_from(tensors, "", layout)
}

/// Parameters of a layout from those of a file's tensors whose names begin with a prefix.
pub(super) fn fill_from(
    tensors: &SafeTensors<'_>,
    prefix: &str,
    layout: &ParamLayout,
) -> Result<Params, String> {
    let (found, problems) = compared(tensors, prefix, layout);
    if !problems.is_empty() {
        return Err(format!("its weights are not those of the model: {}", told(problems)));
    }
    let mut params = Params::zeros(layout.clone());
    for (place, values) in found {
        params.put(place, &values);
    }
    Ok(params)
}

/// Mismatches in one text, not too many of them.
fn told(mut problems: Vec<String>) -> String {
    let more = problems.len().saturating_sub(LISTED);
    problems.truncate(LISTED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    problems.join("; ") + &more
}

/// Parameters that a file has, by their places in the layout, with their values.
type FoundParams = Vec<(usize, Vec<f32>)>;

/// Returns the tensors of a file that fit a layout, and every mismatch.
fn compared(
    tensors: &SafeTensors<'_>,
    prefix: &str,
    layout: &ParamLayout,
) -> (FoundParams, Vec<String>) {
    let mut problems = Vec::new();
    let mut found = Vec::with_capacity(layout.views().len());
    for (place, view) in layout.views().iter().enumerate() {
        match tensors.tensor(&format!("{prefix}{}", view.name)) {
            Err(_) => problems.push(format!("`{}` {:?} is missing", view.name, view.shape)),
            Ok(tensor) if tensor.shape() != view.shape => {
                let (name, got, want) = (&view.name, tensor.shape(), &view.shape);
                problems
                    .push(format!("`{name}` has the shape {got:?}, but the model needs {want:?}"));
            }
            Ok(tensor) => match values(&tensor) {
                Err(problem) => problems.push(format!("`{}` {problem}", view.name)),
                Ok(values) => found.push((place, values)),
            },
        }
    }
    let names: HashSet<&str> = layout.views().iter().map(|view| view.name.as_str()).collect();
    let known = |name: &str| {
        // PyTorch counts batches beside running statistics; nothing here needs that count.
        let statistics = name.strip_suffix("num_batches_tracked");
        let beside = statistics.map(|place| format!("{place}running_mean"));
        name.starts_with(STATE)
            || names.contains(name)
            || beside.is_some_and(|mean| names.contains(mean.as_str()))
    };
    let own = tensors.names().into_iter().filter_map(|name| name.strip_prefix(prefix));
    let mut unexpected: Vec<_> = own.filter(|name| !known(name)).collect();
    unexpected.sort_unstable();
    problems.extend(unexpected.into_iter().map(|name| format!("`{name}` is not in the model")));
    (found, problems)
}

/// A tensor's values as finite f32.
fn values(tensor: &TensorView<'_>) -> Result<Vec<f32>, String> {
    let data = tensor.data();
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F64 => data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
        Dtype::BF16 => data
            .as_chunks()
            .0
            .iter()
            .map(|&b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))
            .collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|&b| half(u16::from_le_bytes(b))).collect(),
        other => return Err(format!("holds {other:?}; known are F32, F64, F16 and BF16")),
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(format!(
            "has {} at element {index}; weights must be finite 32-bit floats",
            values[index]
        )),
        None => Ok(values),
    }
}

/// IEEE half precision: 1 sign bit, 5 of exponent, 10 of fraction.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = ((bits >> 10) & 31, f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f32.powi(i32::from(exponent) - 15),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::serialize;

    use super::*;
    use crate::model::Sequential;

    fn layout() -> ParamLayout {
        Sequential::new().dense(2).relu().dense(1).layout(3).unwrap()
    }

    fn filled(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Result<Params, String> {
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            (*name, TensorView::new(*dtype, shape.to_vec(), data).unwrap())
        });
        let bytes = serialize(views, None).unwrap();
        fill(&open(Path::new("w"), &bytes).unwrap(), &layout())
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn all_known_kinds_of_floats_are_read() {
        let half_bytes = [0x3c00_u16, 0xc000, 0x0001, 0x7bff, 0x8000, 0x3555]
            .iter()
            .flat_map(|b| b.to_le_bytes())
            .collect();
        let params = filled(&[
            ("0.weight", Dtype::F16, &[2, 3], half_bytes),
            (
                "0.bias",
                Dtype::BF16,
                &[2],
                [0x3f80_u16, 0xc0a0].iter().flat_map(|b| b.to_le_bytes()).collect(),
            ),
            (
                "2.weight",
                Dtype::F64,
                &[1, 2],
                [0.1_f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect(),
            ),
            ("2.bias", Dtype::F32, &[1], floats(&[7.0])),
        ])
        .unwrap();
        let got: Vec<Vec<f32>> = params.iter().map(|(_, values)| values.to_vec()).collect();
        // numpy.float16's values of these bits.
        assert_eq!(got[0], [1.0, -2.0, 5.960_464_5e-8, 65504.0, -0.0, 0.333_251_95]);
        assert_eq!((&got[1], &got[2], &got[3]), (&vec![1.0, -5.0], &vec![0.1, -2.0], &vec![7.0]));
    }

    #[test]
    fn every_mismatch_is_told_at_once() {
        let said = filled(&[
            ("0.weight", Dtype::F32, &[3, 2], floats(&[0.0; 6])),
            ("0.bias", Dtype::I64, &[2], vec![0; 16]),
            ("2.bias", Dtype::F32, &[1], floats(&[f32::NAN])),
            ("4.bias", Dtype::F32, &[1], floats(&[1.0])),
        ])
        .unwrap_err();
        for want in [
            "`0.weight` has the shape [3, 2], but the model needs [2, 3]",
            "`0.bias` holds I64",
            "`2.weight` [1, 2] is missing",
            "`2.bias` has NaN at element 0",
            "`4.bias` is not in the model",
        ] {
            assert!(said.contains(want), "{want}: {said}");
        }
        let huge = filled(&[(
            "0.weight",
            Dtype::F64,
            &[2, 3],
            [1e300_f64; 6].iter().flat_map(|v| v.to_le_bytes()).collect(),
        )]);
        assert!(huge.unwrap_err().contains("`0.weight` has inf"));
    }

    #[test]
    fn what_fits_is_taken_for_a_new_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let write = |tensors: &[(&str, &[usize], Vec<u8>)]| {
            let views = tensors.iter().map(|(name, shape, data)| {
                (*name, TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap())
            });
            std::fs::write(&path, serialize(views, None).unwrap()).unwrap();
        };
        let mut params = Params::zeros(layout());
        params.set("2.bias", &[1], &[5.0]).unwrap();
        write(&[
            ("0.weight", &[2, 3], floats(&[1.0; 6])),
            ("0.bias", &[2], floats(&[2.0; 2])),
            ("2.weight", &[4, 2], floats(&[3.0; 8])),
            ("2.bias", &[4], floats(&[4.0; 4])),
        ]);
        let problems = read_fitting_weights(&path, &mut params, &[]).unwrap();
        let want = [
            "`2.weight` has the shape [4, 2], but the model needs [1, 2]",
            "`2.bias` has the shape [4], but the model needs [1]",
        ];
        assert_eq!(problems, want);
        let got: Vec<&[f32]> = params.iter().map(|(_, values)| values).collect();
        assert_eq!(got, [&[1.0; 6][..], &[2.0; 2], &[0.0; 2], &[5.0]]);
        write(&[("encoder.weight", &[2, 3], floats(&[1.0; 6]))]);
        let said = read_fitting_weights(&path, &mut params, &[]).unwrap_err().to_string();
        assert!(
            said.contains("none of its tensors fits the model: `0.weight` [2, 3] is missing"),
            "{said}"
        );
    }

    #[test]
    fn counts_of_batches_are_passed_over() {
        let layout = Sequential::new().batch_norm().layout(2).unwrap();
        let of = |extra: &str| {
            let names = ["0.weight", "0.bias", "0.running_mean", "0.running_var"];
            let two = floats(&[1.0, 2.0]);
            let count = 7_i64.to_le_bytes();
            let mut views: Vec<_> = names
                .iter()
                .map(|&name| (name, TensorView::new(Dtype::F32, vec![2], &two).unwrap()))
                .collect();
            views.push((extra, TensorView::new(Dtype::I64, vec![], &count).unwrap()));
            let bytes = serialize(views, None).unwrap();
            fill(&open(Path::new("w"), &bytes).unwrap(), &layout)
        };
        assert!(of("0.num_batches_tracked").is_ok());
        assert!(of("1.num_batches_tracked").unwrap_err().contains("not in the model"));
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let file = |header: &str, data: usize| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.resize(bytes.len() + data, 0);
            bytes
        };
        let n = (1_u64 << 61) - 1;
        let lies: Vec<String> = (0..8)
            .map(|i| {
                format!(
                    "\"t{i}\":{{\"dtype\":\"U8\",\"shape\":[{n}],\"data_offsets\":[{},{}]}}",
                    i * n,
                    (i + 1) * n
                )
            })
            .collect();
        for (bytes, want) in [
            (vec![], "cut off after 0 bytes"),
            (vec![255; 100], "cut off after 100 bytes"),
            (file("{", 0), "damaged"),
            (file("[1]", 0), "damaged"),
            (
                file("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", 9),
                "holds 9 bytes of weights, but its header speaks of 16",
            ),
            (
                file("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", 17),
                "damaged",
            ),
            (
                file(
                    "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}",
                    0,
                ),
                "damaged",
            ),
            (file(&format!("{{{}}}", lies.join(",")), 8), "cut off"),
        ] {
            let said = open(Path::new("w.safetensors"), &bytes).unwrap_err().to_string();
            assert!(said.starts_with("w.safetensors: ") && said.contains(want), "{want}: {said}");
        }
    }
}
