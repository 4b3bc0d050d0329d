//! Texts of the files in `shaders/`.
//!
//! In: a file's name. Out: its text without comments, indentation and empty lines, for which a page would have to be downloaded longer.

/// The text of a file of `shaders/`, by its name without the ending.
macro_rules! shader_file {
    ($name:literal) => {{
        const TEXT: &str = include_str!(concat!("../../../shaders/", $name, ".wgsl"));
        const LEN: usize = $crate::device::gpu::shader_files::shortened::<{ TEXT.len() }>(TEXT).1;
        const SHORT: [u8; TEXT.len()] = $crate::device::gpu::shader_files::shortened(TEXT).0;
        const PART: [u8; LEN] = *SHORT.first_chunk().unwrap();
        const WGSL: &str = match std::str::from_utf8(&PART) {
            Ok(text) => text,
            Err(_) => panic!("comments end where lines end"),
        };
        WGSL
    }};
}

pub(super) use shader_file;

/// Returns a text without comments, indentation and empty lines, and its length; zeros are behind it.
pub(super) const fn shortened<const N: usize>(text: &str) -> ([u8; N], usize) {
    let text = text.as_bytes();
    let (mut short, mut len) = ([0; N], 0);
    let (mut at, mut begins) = (0, true);
    while at < text.len() {
        if text[at] == b'/' && at + 1 < text.len() && text[at + 1] == b'/' {
            while at < text.len() && text[at] != b'\n' {
                at += 1;
            }
            continue;
        }
        if !(begins && (text[at] == b' ' || text[at] == b'\n')) {
            short[len] = text[at];
            len += 1;
            begins = text[at] == b'\n';
        }
        at += 1;
    }
    (short, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_indentation_and_empty_lines_go() {
        const TEXT: &str = "// Über\n\nfn f() {\n    let a = 6 / 2; // half\n    // no\n}\n// end";
        let (short, len) = shortened::<{ TEXT.len() }>(TEXT);
        assert_eq!(&short[..len], b"fn f() {\nlet a = 6 / 2; \n}\n");
    }
}
