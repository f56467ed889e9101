//! Writes one text in the style that fits it, folding long lines as PyYAML does.

use super::Writer;
use super::analysis::{analyze, is_break};

/// The column after which a line is folded at the next single space.
const BEST_WIDTH: usize = 80;

/// The style that the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// Any style but plain.
    NotPlain,
    SingleQuoted,
}

/// Where the text stands: keys are never folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Key,
    Value,
}

pub(super) fn write(writer: &mut Writer, text: &str, wanted: Style, place: Place, indent: usize) {
    let analysis = analyze(text);
    let key = place == Place::Key;
    let plain_fits = analysis.block_plain && !(key && (text.is_empty() || analysis.multiline));
    let chars: Vec<char> = text.chars().collect();
    if wanted == Style::Plain && plain_fits {
        plain(writer, &chars, !key, indent);
    } else if analysis.single_quoted && !(key && analysis.multiline) {
        single_quoted(writer, &chars, !key, indent);
    } else {
        double_quoted(writer, &chars, !key, indent);
    }
}

fn push(writer: &mut Writer, chars: &[char]) {
    writer.out.extend(chars);
    writer.column += chars.len();
}

/// A run of equal treatment: blanks, or anything else, from `start`.
fn run_end(chars: &[char], start: usize, same: impl Fn(char) -> bool) -> usize {
    chars[start..].iter().position(|c| !same(*c)).map_or(chars.len(), |i| start + i)
}

fn plain(writer: &mut Writer, chars: &[char], fold: bool, indent: usize) {
    let mut at = 0;
    while at < chars.len() {
        let spaces = chars[at] == ' ';
        let end = run_end(chars, at, |c| (c == ' ') == spaces);
        if spaces && end == at + 1 && writer.column > BEST_WIDTH && fold {
            writer.new_line(indent);
        } else {
            push(writer, &chars[at..end]);
        }
        at = end;
    }
}

fn single_quoted(writer: &mut Writer, chars: &[char], fold: bool, indent: usize) {
    writer.text("'");
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let end;
        if c == ' ' {
            end = run_end(chars, at, |c| c == ' ');
            let inside = at != 0 && end != chars.len();
            if end == at + 1 && writer.column > BEST_WIDTH && fold && inside {
                writer.new_line(indent);
            } else {
                push(writer, &chars[at..end]);
            }
        } else if is_break(c) {
            end = run_end(chars, at, is_break);
            if c == '\n' {
                writer.out.push('\n');
            }
            for b in &chars[at..end] {
                writer.out.push(*b);
            }
            writer.out.extend(std::iter::repeat_n(' ', indent));
            writer.column = indent;
        } else if c == '\'' {
            end = at + 1;
            writer.text("''");
        } else {
            end = run_end(chars, at, |c| c != ' ' && c != '\'' && !is_break(c));
            push(writer, &chars[at..end]);
        }
        at = end;
    }
    writer.text("'");
}

/// Escapes that have a letter of their own.
fn short_escape(c: char) -> Option<char> {
    Some(match c {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => return None,
    })
}

fn stays_in_double_quotes(c: char) -> bool {
    !matches!(c, '"' | '\\' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
        && matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
}

/// PyYAML's `write_double_quoted`, loop for loop: where it folds depends on how it steps.
fn double_quoted(writer: &mut Writer, chars: &[char], fold: bool, indent: usize) {
    writer.text("\"");
    let (mut start, mut end) = (0, 0);
    while end <= chars.len() {
        let c = chars.get(end).copied();
        if c.is_none_or(|c| !stays_in_double_quotes(c)) {
            if start < end {
                push(writer, &chars[start..end]);
                start = end;
            }
            if let Some(c) = c {
                let code = c as u32;
                let escape = match short_escape(c) {
                    Some(letter) => format!("\\{letter}"),
                    None if code <= 0xff => format!("\\x{code:02X}"),
                    None if code <= 0xffff => format!("\\u{code:04X}"),
                    None => format!("\\U{code:08X}"),
                };
                writer.text(&escape);
                start = end + 1;
            }
        }
        // After an escape `start` is one ahead of `end`, and the column counts one less.
        let column = writer.column + end - start;
        let inside = 0 < end && end + 1 < chars.len();
        if inside && (c == Some(' ') || start >= end) && column > BEST_WIDTH && fold {
            if start < end {
                push(writer, &chars[start..end]);
                start = end;
            }
            writer.text("\\");
            writer.new_line(indent);
            if chars.get(start) == Some(&' ') {
                writer.text("\\");
            }
        }
        end += 1;
    }
    writer.text("\"");
}
