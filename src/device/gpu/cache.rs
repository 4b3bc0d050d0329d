//! The tuner's choices on disk: a file for each adapter, driver, back end, version and set of kernels.
//!
//! In: a folder that the caller names. Out: choices, or why there are none.
//! Absent on purpose: which folder that is.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::kernels::{KERNELS, Variant};
use super::select::Choices;
use super::shader::PRECISIONS;
use crate::device::DeviceInfo;
use crate::error::{Error, Result};
use crate::files::write_file;

/// Adapter, driver and kernels that choices hold for. With another driver or another shader, a variant may be faster or
/// slower, right or wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    program: String,
    adapter: String,
    driver: String,
    backend: String,
    /// A digest of the table of kernels with all shaders.
    kernels: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChoicesFile {
    identity: Identity,
    choices: Choices,
}

impl Identity {
    pub(super) fn of(info: &DeviceInfo, offered: &[Variant]) -> Self {
        Self {
            program: concat!("wgrad ", env!("CARGO_PKG_VERSION")).to_string(),
            adapter: info.name.clone(),
            driver: info.driver.clone(),
            backend: info.backend.clone(),
            kernels: format!("{:016x}", digest(&kernels(offered))),
        }
    }

    /// Returns the file's name: the recognisable part of the adapter's name, and a digest of the whole identity.
    pub(super) fn file_name(&self) -> String {
        let Self { program, adapter, driver, backend, kernels } = self;
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let words: String = adapter.chars().take(40).map(plain).collect();
        let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
        let whole = [program, adapter, driver, backend, kernels].map(String::as_str).join("\n");
        format!("{}-{:016x}.json", words.join("-"), digest(&whole))
    }
}

/// Returns the table of kernels as a text, without the addresses of its functions, which differ from process to process.
fn kernels(offered: &[Variant]) -> String {
    let rows: Vec<_> =
        KERNELS.iter().map(|row| (row.name, row.source, row.params, row.variants)).collect();
    format!("{rows:?}{PRECISIONS:?}{offered:?}")
}

/// Returns the FNV-1a hash: the same on every machine and in every version of Rust.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Reads the choices in a folder for this identity; `None` if there is no file yet.
///
/// # Errors
/// If the file cannot be read, is damaged, or is another adapter's.
pub(super) fn read(folder: &Path, identity: &Identity) -> Result<Option<Choices>> {
    let path = folder.join(identity.file_name());
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        // No file is the usual case of a first run, not an error.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", &path, error)),
    };
    let problem = match serde_json::from_str::<ChoicesFile>(&text) {
        // The name holds a digest only, so the identity in the file is compared in full.
        Ok(file) if file.identity == *identity => return Ok(Some(file.choices)),
        Ok(_) => "it was made for another adapter, driver or version".to_string(),
        Err(error) => format!("it is damaged ({error})"),
    };
    Err(Error::model_file(path, problem))
}

/// Writes choices to a folder, which is created if it is missing; the file is whole or absent.
///
/// # Errors
/// If the system refuses; an earlier file is then unchanged.
pub(super) fn write(folder: &Path, identity: &Identity, choices: &Choices) -> Result<()> {
    let path = folder.join(identity.file_name());
    let file = ChoicesFile { identity: identity.clone(), choices: choices.clone() };
    let put = || -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(&file)?;
        text.push(b'\n');
        fs::create_dir_all(folder)?;
        Ok(text)
    };
    let text = put().map_err(|error| Error::file("write", &path, error))?;
    write_file(path, &text)
}

#[cfg(test)]
mod tests {
    use super::super::select::Choice;
    use super::*;
    use crate::device::Tune;

    fn identity(driver: &str) -> Identity {
        let info = DeviceInfo {
            name: "llvmpipe (LLVM 15, 256 bits)".into(),
            kind: "software adapter".into(),
            backend: "Vulkan".into(),
            driver: driver.into(),
        };
        Identity::of(&info, &[])
    }

    fn choices() -> Choices {
        let micros = [("tile_16x16".to_string(), 12.5)].into();
        let choice = Choice { variant: "tile_16x16".into(), by: Tune::Full, micros };
        Choices {
            products: [("matmul_nn 1x2x3".to_string(), choice)].into(),
            wrong: ["tile_64x64".to_string()].into(),
        }
    }

    #[test]
    fn choices_come_back_for_the_same_identity_only() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("not/there/yet");
        let (mine, other) = (identity("Mesa 22"), identity("Mesa 25"));
        assert_eq!(read(&inner, &mine).unwrap(), None);
        write(&inner, &mine, &choices()).unwrap();
        assert_eq!(read(&inner, &mine).unwrap(), Some(choices()));
        assert_eq!(read(&inner, &other).unwrap(), None);
        assert!(mine.file_name().starts_with("llvmpipe-llvm-15-256-bits-"), "{}", mine.file_name());
        // Nothing but the file is left.
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    }

    #[test]
    fn damaged_and_foreign_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (mine, other) = (identity("Mesa 22"), identity("Mesa 25"));
        write(folder.path(), &other, &choices()).unwrap();
        let path = folder.path().join(mine.file_name());
        fs::rename(folder.path().join(other.file_name()), &path).unwrap();
        let said = read(folder.path(), &mine).unwrap_err().to_string();
        assert!(said.contains(&mine.file_name()) && said.contains("another adapter"), "{said}");
        let whole = fs::read(&path).unwrap();
        for cut in [0, 1, whole.len() / 2, whole.len() - 3] {
            fs::write(&path, &whole[..cut]).unwrap();
            let said = read(folder.path(), &mine).unwrap_err().to_string();
            assert!(said.contains("damaged"), "{cut}: {said}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read(folder.path(), &mine).is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        let said = write(&folder.path().join("file/inside"), &identity("a"), &choices());
        assert!(said.unwrap_err().to_string().starts_with("cannot write "));
    }
}
