//! Texts as cells of a table between commas.
//!
//! In: a text. Out: the cell that reads as this text.
//! Absent on purpose: other signs between cells.

/// Appends a text, in quotes where it has to be or where that is asked.
pub(super) fn write_text(text: &mut Vec<u8>, cell: &str, quoted: bool) {
    let special = |byte: u8| matches!(byte, b',' | b'"' | b'\r' | b'\n');
    if !quoted && !cell.bytes().any(special) {
        text.extend_from_slice(cell.as_bytes());
        return;
    }
    text.push(b'"');
    for byte in cell.bytes() {
        if byte == b'"' {
            text.push(b'"');
        }
        text.push(byte);
    }
    text.push(b'"');
}
