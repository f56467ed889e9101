//! Text to tree: runs the YAML parser's events through the builder.

use std::borrow::Cow;
use std::io::BufRead;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use libyaml_safer::{Encoding, Event, EventData, Mark, Parser, ScalarStyle};

use super::builder::Builder;
use crate::error::{ConfigError, Result, fail};
use crate::interpolation;
use crate::origin::Origin;
use crate::value::{Key, Map, Node, Value};

/// Containers inside containers; beyond it lies no configuration, only a stack overflow.
pub(super) const MAX_DEPTH: usize = 128;

/// Reads a configuration as `OmegaConf.load` does: an empty text is an empty mapping, a lone string is a key
/// without a value, and anything else must be a mapping or a list.
///
/// # Errors
/// Text that is not YAML, duplicate keys, malformed interpolations, a document that is no container.
pub fn load(text: &str, file: &Arc<str>) -> Result<Node> {
    let start = Origin::File { file: file.clone(), line: 1, column: 1 };
    let node = match document(text, file)? {
        Some(Node { value: Value::Str(inner), .. }) => match document(&inner, file)? {
            Some(Node { value: Value::Str(key), origin, .. }) => {
                let mut map = Map::new();
                map.insert(Key::Str(key), Node::new(Value::Null, origin.clone()));
                Node::new(map.into(), origin)
            }
            other => other.unwrap_or_else(|| Node::empty_map(start.clone())),
        },
        Some(Node { value: Value::Null, origin, .. }) => Node::empty_map(origin),
        other => other.unwrap_or_else(|| Node::empty_map(start.clone())),
    };
    if !node.is_container() {
        return Err(fail!(Io, "expected a mapping or a list, found {}", node.type_name())
            .at(node.origin)
            .with_help("write `key: value` lines"));
    }
    check_interpolations(&node)?;
    Ok(node)
}

/// Reads one YAML document; `None` if there is nothing in the text.
///
/// # Errors
/// Text that is not YAML, more than one document, duplicate keys.
pub fn document(text: &str, file: &Arc<str>) -> Result<Option<Node>> {
    let mut builder = Builder::new(file);
    let mut documents = 0;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (text, open_block) = with_final_break(text);
    let text = &*text;
    let mut input = text.as_bytes();
    let mut parser = Parser::new();
    parser.set_encoding(Encoding::Utf8);
    parser.set_input_string(&mut input);
    let mut with_tabs = text.contains('\t').then(Vec::new);
    let mut reached = Mark::default();
    while let Some(event) = next_event(&mut parser, reached, file)? {
        let mut event = event.map_err(|error| syntax_error(&error, text, file))?;
        reached = event.end_mark;
        if let EventData::Scalar { style: ScalarStyle::Literal | ScalarStyle::Folded, value, .. } =
            &mut event.data
            && open_block.is_some_and(|last_line| event.end_mark.index > last_line)
            && value.ends_with('\n')
        {
            value.pop();
        }
        if let EventData::DocumentStart { .. } = event.data {
            documents += 1;
            if documents > 1 {
                return Err(fail!(Yaml, "expected one document, found a second one")
                    .at(position(file, event.start_mark))
                    .with_help("keep one document in a file: remove the `---` line or split the file"));
            }
        }
        if let (Some(spans), EventData::Scalar { style, .. }) = (&mut with_tabs, &event.data)
            && *style != ScalarStyle::Plain
        {
            spans.push(event.start_mark.index..event.end_mark.index);
        }
        builder.event(event)?;
    }
    if let Some(spans) = with_tabs {
        refuse_tabs(text, &spans, file)?;
    }
    Ok(builder.finish())
}

/// The next event. The parser has a panic left, at a tag before a comma (`[!!str, a]`); it must end here.
fn next_event<R: BufRead>(
    parser: &mut Parser<R>,
    reached: Mark,
    file: &Arc<str>,
) -> Result<Option<libyaml_safer::Result<Event>>> {
    std::panic::catch_unwind(AssertUnwindSafe(|| parser.next())).map_err(|_| {
        fail!(Yaml, "a tag before a comma, or another text that the parser cannot read, after this place")
            .at(position(file, reached))
            .with_help("give the tag a value, or put the text in quotes")
    })
}

/// The text with a line break at its end, which the parser cannot do without. Where the last line had none, a block
/// of text that it belongs to must not gain one: the byte at which the line starts is then told.
fn with_final_break(text: &str) -> (Cow<'_, str>, Option<u64>) {
    if text.ends_with('\n') || text.is_empty() {
        return (text.into(), None);
    }
    let start = text.rfind('\n').map_or(0, |at| at + 1);
    let is_blank = text[start..].trim().is_empty();
    (format!("{text}\n").into(), (!is_blank).then_some(start as u64))
}

/// A tab may stand in quotes, in a block of text and in a comment; elsewhere PyYAML refuses it. `spans` are the
/// quoted texts and blocks.
fn refuse_tabs(text: &str, spans: &[Range<u64>], file: &Arc<str>) -> Result<()> {
    let (mut line, mut column, mut comment, mut previous) = (1, 1, false, ' ');
    let mut spans = spans.iter().peekable();
    for (index, c) in text.char_indices().map(|(index, c)| (index as u64, c)) {
        while spans.peek().is_some_and(|span| span.end <= index) {
            spans.next();
        }
        let quoted = spans.peek().is_some_and(|span| span.contains(&index));
        comment |= c == '#' && previous.is_whitespace() && !quoted;
        if c == '\t' && !quoted && !comment {
            return Err(fail!(Yaml, "a tab between or inside values")
                .at(Origin::File { file: file.clone(), line, column })
                .with_help("use spaces, or put the text in quotes"));
        }
        previous = c;
        column += 1;
        if c == '\n' {
            (line, column, comment) = (line + 1, 1, false);
        }
    }
    Ok(())
}

/// Every `${…}` must be well formed, or the mistake would show only when the value is used.
fn check_interpolations(node: &Node) -> Result<()> {
    match &node.value {
        Value::Str(text) => interpolation::check_syntax(text).map_err(|error| error.or_at(&node.origin)),
        Value::Map(map) => map.values().try_for_each(check_interpolations),
        Value::List(items) => items.iter().try_for_each(check_interpolations),
        _ => Ok(()),
    }
}

pub(super) fn position(file: &Arc<str>, mark: Mark) -> Origin {
    let from_one = |number: u64| u32::try_from(number + 1).unwrap_or(u32::MAX);
    Origin::File { file: file.clone(), line: from_one(mark.line), column: from_one(mark.column) }
}

fn syntax_error(error: &libyaml_safer::Error, text: &str, file: &Arc<str>) -> ConfigError {
    let problem = error.problem();
    let Some(mark) = error.problem_mark() else { return unreadable(problem, text, file) };
    let message = match (error.context(), error.context_mark()) {
        (Some(context), Some(from)) if from.line != mark.line => {
            format!("{problem} {context} (line {})", from.line + 1)
        }
        (Some(context), _) => format!("{problem} {context}"),
        _ => problem.to_owned(),
    };
    let line = text.lines().nth(usize::try_from(mark.line).unwrap_or(usize::MAX)).unwrap_or_default();
    let failure = fail!(Yaml, "{message}").at(position(file, mark));
    match help_for(&message, line) {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

/// A character that no YAML may hold.
fn unreadable(problem: &str, text: &str, file: &Arc<str>) -> ConfigError {
    let bad = |c: char| {
        c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}') || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    let before = text.find(bad).map_or("", |at| &text[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
    fail!(Yaml, "{problem}")
        .at(Origin::File { file: file.clone(), line: number(line), column: number(column) })
        .with_help("remove the character, or write it as an escape in double quotes: \"\\x07\"")
}

/// The way out of the mistakes that are made most.
fn help_for(message: &str, line: &str) -> Option<&'static str> {
    if message.contains("mapping values are not allowed") || message.contains("block mapping") {
        Some("give keys of one mapping the same indentation; put a text that holds ': ' in quotes")
    } else if line.contains('\t') {
        Some("indent with spaces, not with tabs")
    } else if message.contains("expected ':'") {
        Some("end the key with ': ', or put a text over several lines in quotes")
    } else if message.contains("flow") {
        Some("close every bracket, put a comma between the items, and quote a text that holds one of ,[]{}?")
    } else if message.contains("cannot start any token")
        || message.contains("anchor")
        || message.contains("alias")
    {
        Some("put the value in quotes")
    } else if message.contains("quoted scalar") {
        Some("close the quote; a quote inside is doubled ('it''s') or escaped (\"a \\\" b\")")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node> {
        load(text, &"<test>".into())
    }

    fn position_of(error: ConfigError) -> (u32, u32) {
        let (_, line, column) = error.origin().unwrap().file_position().unwrap();
        (line, column)
    }

    #[test]
    fn every_value_knows_its_line_and_column() {
        let root = read("a: 1\nb:\n  c: [x, y]\n").unwrap();
        let at = |key: &str| {
            root.select(key).unwrap().origin().file_position().map(|(_, line, column)| (line, column))
        };
        assert_eq!(at("a"), Some((1, 4)));
        assert_eq!(at("b.c"), Some((3, 6)));
        assert_eq!(at("b.c[1]"), Some((3, 10)));
    }

    #[test]
    fn a_duplicate_key_is_refused_where_it_stands() {
        let error = read("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(error.kind(), "yaml_duplicate_key");
        assert!(error.to_string().contains("line 1"), "{error}");
        assert_eq!(position_of(error), (3, 1));
    }

    #[test]
    fn a_duplicate_anchor_is_refused() {
        assert_eq!(position_of(read("a: &x 1\nb: &x 2\nc: *x\n").unwrap_err()).0, 2);
        assert_eq!(read("a: &x {k: 1}\nb: &y\n  k: 2\nc: &x [1]\n").unwrap_err().kind(), "yaml");
        assert!(read("a: &x 1\nb: &y 2\nc: [*x, *y]\n").is_ok());
    }

    #[test]
    fn merge_keys_yield_to_the_mapping_they_stand_in() {
        let root = read("b: &b {x: 1, y: 2}\nd:\n  <<: *b\n  y: 3\n").unwrap();
        assert_eq!(root.select("d.x").unwrap().value, Value::Int(1));
        assert_eq!(root.select("d.y").unwrap().value, Value::Int(3));
    }

    #[test]
    fn a_block_of_text_at_the_end_gains_no_line_break() {
        for (text, value) in [
            ("a: |\n  x", "x"),
            ("a: |\n  x\n", "x\n"),
            ("a: >+\n  x\n\n  y", "x\ny"),
            ("a: |\n  x\n  ", "x\n"),
        ] {
            assert_eq!(read(text).unwrap().get("a").unwrap().as_str(), Some(value), "{text:?}");
        }
    }

    #[test]
    fn a_closing_bracket_may_stand_at_the_start_of_a_line() {
        assert_eq!(
            read("a:\n  - b: [\n    1\n]\n").unwrap().select("a[0].b[0]").unwrap().value,
            Value::Int(1)
        );
    }

    #[test]
    fn a_tab_stands_only_in_quotes_blocks_and_comments() {
        assert!(read("a: 'é\tö' # c\td\nb: |\n  é\ty\n").is_ok());
        assert_eq!(position_of(read("a: 1\nb:\t2\n").unwrap_err()), (2, 3));
    }

    #[test]
    fn bombs_are_errors() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let inner = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb += &format!("a{i}: &a{i} [{inner}]\n");
        }
        assert_eq!(read(&bomb).unwrap_err().kind(), "yaml");
        assert_eq!(read(&"[".repeat(100_000)).unwrap_err().kind(), "yaml");
        assert_eq!(read("a: &x [*x]\n").unwrap_err().kind(), "yaml");
        assert_eq!(read("a: [!!str, b]\n").unwrap_err().kind(), "yaml");
    }

    #[test]
    fn a_malformed_interpolation_is_refused_where_it_stands() {
        assert_eq!(position_of(read("a: 1\nb: x${c\n").unwrap_err()), (2, 4));
    }
}
