//! What holds for every input: nothing panics, what is written reads back, what is canonical stays so.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests may panic")]

use fulmen_configuration::interpolation::{Resolvers, resolve};
use fulmen_configuration::overrides::{Element, Override, Quote};
use fulmen_configuration::value::split_key;
use fulmen_configuration::{Key, Map, Node, Origin, Value, yaml};
use proptest::prelude::*;

/// Text that is likely to look like a number, a boolean, an interpolation or an indicator.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        "[0-9+-._eExob:]{0,8}",
        "(\\$\\{|\\}|\\\\|[a-c.:,'\"\\[\\]{ ]){0,12}",
        "(true|no|null|~|on|y|inf|nan|<<|=|\\?\\?\\?)",
        "[a-z]{1,9}( [a-z]{1,9}){8,30}",
        "[a-z \n\t]{0,20}",
    ]
}

fn node(value: impl Into<Value>) -> Node {
    Node::new(value.into(), Origin::Builtin)
}

fn leaf() -> impl Strategy<Value = Node> {
    prop_oneof![
        Just(node(Value::Null)),
        any::<bool>().prop_map(node),
        any::<i64>().prop_map(node),
        any::<f64>().prop_filter("NaN equals nothing", |x| !x.is_nan()).prop_map(|x| node(Value::Float(x))),
        text().prop_filter("an interpolation must be well formed", |t| !t.contains("${")).prop_map(node),
    ]
}

fn map_of(pairs: Vec<(String, Node)>) -> Node {
    node(pairs.into_iter().map(|(key, child)| (Key::from(key), child)).collect::<Map>())
}

fn tree() -> impl Strategy<Value = Node> {
    let inner = leaf().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(node),
            prop::collection::vec((text(), inner), 0..5).prop_map(map_of),
        ]
    });
    prop::collection::vec((text(), inner), 1..5).prop_map(map_of)
}

fn element() -> impl Strategy<Value = Element> {
    let leaf = prop_oneof![
        Just(Element::Scalar(Value::Null)),
        any::<bool>().prop_map(|b| Element::Scalar(b.into())),
        any::<i64>().prop_map(|i| Element::Scalar(i.into())),
        (-1e12..1e12f64).prop_map(|x| Element::Scalar(Value::Float(x))),
        "[a-z][a-z0-9_/.-]{0,8}( [a-z]{1,3})?"
            .prop_filter("a word of its own meaning", |t| !matches!(
                t.as_str(),
                "null" | "true" | "false" | "inf" | "nan"
            ))
            .prop_map(|t| Element::Scalar(t.into())),
        any::<String>().prop_map(|t| Element::Quoted(t, Quote::Single)),
        any::<String>().prop_map(|t| Element::Quoted(t, Quote::Double)),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Element::List),
            prop::collection::vec(("[a-z][a-z0-9]{1,4}x", inner), 0..4)
                .prop_map(|pairs| Element::Dict(pairs.into_iter().map(|(k, e)| (Key::from(k), e)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_override_panics(text in text()) {
        let _ = Override::parse(&text);
        let _ = Override::parse(&format!("a={text}"));
    }

    #[test]
    fn the_canonical_text_of_a_value_reads_back(element in element()) {
        let text = format!("key={}", element.to_text().unwrap());
        let parsed = Override::parse(&text).unwrap();
        prop_assert_eq!(parsed.value.unwrap(), element, "{}", text);
    }

    #[test]
    fn no_yaml_panics(text in text()) {
        if let Ok(root) = yaml::load(&text, &"<test>".into()) {
            let _ = resolve(&root, &Resolvers::default());
            let _ = yaml::to_yaml(&root);
        }
    }

    #[test]
    fn written_yaml_reads_back(root in tree()) {
        let text = yaml::to_yaml(&root);
        let read = yaml::load(&text, &"<test>".into());
        prop_assert_eq!(read.as_ref().map(|node| &node.value), Ok(&root.value), "{}", text);
    }

    #[test]
    fn no_interpolation_panics(text in text(), other in text()) {
        let root = map_of(vec![("a".into(), node(text)), ("b".into(), node(other)), ("c".into(), node("x${a}${.b}"))]);
        let _ = resolve(&root, &Resolvers::default());
    }

    #[test]
    fn no_key_panics(key in text()) {
        let parts = split_key(&key);
        prop_assert!(!parts.is_empty() || key.starts_with('['));
    }
}
