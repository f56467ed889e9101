//! Which styles a text may be written in. The rules are those of PyYAML's emitter (`analyze_scalar`).

/// What a text allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Analysis {
    pub(super) multiline: bool,
    pub(super) block_plain: bool,
    pub(super) single_quoted: bool,
}

/// PyYAML counts 128 characters with the `!!str` that it does not write.
const LONGEST_KEY: usize = 123;

/// Whether the text is short enough, and of one line, to be a key before a `:`.
pub(super) fn is_simple_key(text: &str) -> bool {
    text.chars().count() < LONGEST_KEY && !text.is_empty() && !text.contains(is_break)
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Characters that go into a text as they are; others need an escape.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10fffe}')
        && c != '\u{feff}'
}

pub(super) fn analyze(text: &str) -> Analysis {
    if text.is_empty() {
        return Analysis { multiline: false, block_plain: true, single_quoted: true };
    }
    let blank = |c: Option<char>| c.is_none_or(|c| matches!(c, '\0' | ' ' | '\t' | '\r') || is_break(c));
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let (mut multiline, mut special, mut break_space, mut space_break) = (false, false, false, false);
    let mut previous: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next_is_blank = blank(chars.peek().copied());
        indicators |= match previous {
            None => "#,[]{}&*!|>'\"%@`".contains(c) || ("?:-".contains(c) && next_is_blank),
            Some(_) => (c == ':' && next_is_blank) || (c == '#' && blank(previous)),
        };
        multiline |= is_break(c);
        special |= !is_printable(c);
        break_space |= c == ' ' && previous.is_some_and(is_break);
        space_break |= is_break(c) && previous == Some(' ');
        previous = Some(c);
    }
    let outer_blank = |c: Option<char>| c.is_some_and(|c| c == ' ' || is_break(c));
    let outer = outer_blank(text.chars().next()) || outer_blank(previous);
    let quotable = !break_space && !space_break && !special;
    Analysis {
        multiline,
        block_plain: quotable && !outer && !multiline && !indicators,
        single_quoted: quotable,
    }
}
