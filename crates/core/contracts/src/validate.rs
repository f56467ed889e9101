//! Holds a composed configuration against the schemas of the components that it names, before anything is built.
//!
//! Reads the part of JSON Schema (draft 2020-12) that `schemars` writes for settings: types, properties, required and
//! unknown fields, enumerations, alternatives, ranges, items, `$ref` to `$defs`. All problems are found, not the first alone.

use serde_json::{Map, Value};

use crate::catalog::{COMPONENT_KEYWORD, Catalog, TARGET};
use fulmen_utils::nearest;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key it is about: `model.depth`, `callbacks.early_stopping`, `dataset.transforms[1].size`.
    pub key: String,
    /// What is wrong, what was expected, and the near name.
    pub message: String,
}

/// Everything that is wrong with `config`, in the order in which it stands there.
pub fn validate(config: &Value, catalog: &Catalog) -> Vec<Problem> {
    let mut check = Check { catalog, problems: Vec::new() };
    check.value(config, catalog.root.as_value(), catalog.root.as_value(), "");
    check.strangers(config);
    check.problems
}

struct Check<'a> {
    catalog: &'a Catalog,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    /// `root` is the document in which `$ref` is looked up.
    fn value(&mut self, value: &Value, schema: &'a Value, root: &'a Value, key: &str) {
        let schema = resolve(schema, root);
        if let Some(kind) = schema.get(COMPONENT_KEYWORD).and_then(Value::as_str) {
            let left_out = value.is_null() && is_nullable(schema);
            if !left_out {
                self.component(value, kind, key);
            }
            return;
        }
        if let Some(wanted) = schema.get("const") {
            if value != wanted {
                self.problem(key, format!("{} is not {wanted}", shown(value)));
            }
            return;
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            return self.choice(value, choices, key);
        }
        if let Some(alternatives) =
            schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array)
        {
            return self.alternatives(value, alternatives, root, key);
        }
        if let Some(wanted) = wrong_type(value, schema) {
            return self.problem(key, format!("expected {wanted}, found {}", shown(value)));
        }
        match value {
            Value::Number(number) => self.range(number.as_f64().unwrap_or_default(), schema, key),
            Value::Object(fields) => self.object(fields, schema, root, key, false),
            Value::Array(items) => {
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.value(item, inner, root, &format!("{key}[{index}]"));
                    }
                }
            }
            _ => {}
        }
    }

    fn component(&mut self, value: &Value, kind: &str, key: &str) {
        let Some(fields) = value.as_object() else {
            return self.problem(
                key,
                format!("expected a {kind} (a mapping with '{TARGET}'), found {}", shown(value)),
            );
        };
        let name = match fields.get(TARGET) {
            Some(Value::String(name)) => name,
            Some(other) => {
                return self.problem(
                    &join(key, TARGET),
                    format!("expected the name of a {kind}, found {}", shown(other)),
                );
            }
            None => {
                return self.problem(
                    key,
                    format!("'{TARGET}' is missing: it names the {kind}; one of {}", self.names(kind)),
                );
            }
        };
        match self.catalog.get(kind, name) {
            Some(component) => {
                let schema = component.schema.as_value();
                self.object(fields, schema, schema, key, true);
            }
            None => {
                let known = self.catalog.of_kind(kind).map(|component| component.name.as_str());
                let hint = nearest::hint(name, known);
                self.problem(
                    &join(key, TARGET),
                    format!("no {kind} is called '{name}'{hint}; there are {}", self.names(kind)),
                );
            }
        }
    }

    fn object(
        &mut self,
        fields: &Map<String, Value>,
        schema: &'a Value,
        root: &'a Value,
        key: &str,
        component: bool,
    ) {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let rest = schema.get("additionalProperties");
        for (name, value) in fields {
            if component && name == TARGET {
                continue;
            }
            let below = join(key, name);
            if let Some(inner) = properties.and_then(|properties| properties.get(name)) {
                self.value(value, inner, root, &below);
            } else if rest == Some(&Value::Bool(false)) {
                let known = || properties.unwrap_or(&none).keys().map(String::as_str);
                let hint = nearest::hint(name, known());
                let all = if known().next().is_none() {
                    "none".to_owned()
                } else {
                    known().collect::<Vec<_>>().join(", ")
                };
                self.problem(&below, format!("there is no field '{name}' here{hint}; the fields are {all}"));
            } else if let Some(inner) = rest.filter(|rest| rest.is_object()) {
                self.value(value, inner, root, &below);
            }
        }
        for name in
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            let named = component && name == TARGET;
            if !named && !fields.contains_key(name) {
                self.problem(key, format!("the field '{name}' is missing"));
            }
        }
    }

    fn choice(&mut self, value: &Value, choices: &[Value], key: &str) {
        if choices.contains(value) {
            return;
        }
        let hint = value
            .as_str()
            .map(|name| nearest::hint(name, choices.iter().filter_map(Value::as_str)))
            .unwrap_or_default();
        let all: Vec<_> = choices
            .iter()
            .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
            .collect();
        self.problem(key, format!("expected one of {}, found {}{hint}", all.join(", "), shown(value)));
    }

    /// One fitting alternative is enough. Where none fits, the one of the value's own type says why.
    fn alternatives(&mut self, value: &Value, alternatives: &'a [Value], root: &'a Value, key: &str) {
        let constants: Vec<Value> = alternatives
            .iter()
            .flat_map(|schema| {
                let schema = resolve(schema, root);
                schema
                    .get("const")
                    .cloned()
                    .into_iter()
                    .chain(schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default())
            })
            .collect();
        let mut nearest: Option<Vec<Problem>> = None;
        for schema in alternatives {
            let mut trial = Check { catalog: self.catalog, problems: Vec::new() };
            trial.value(value, schema, root, key);
            if trial.problems.is_empty() {
                return;
            }
            let same_type = wrong_type(value, resolve(schema, root)).is_none();
            if same_type && nearest.as_ref().is_none_or(|best| trial.problems.len() < best.len()) {
                nearest = Some(trial.problems);
            }
        }
        if !constants.is_empty() && !value.is_object() && !value.is_array() {
            return self.choice(value, &constants, key);
        }
        match nearest {
            Some(problems) => self.problems.extend(problems),
            None => {
                let wanted: Vec<_> =
                    alternatives.iter().map(|schema| type_name(resolve(schema, root))).collect();
                self.problem(key, format!("expected {}, found {}", wanted.join(" or "), shown(value)));
            }
        }
    }

    fn range(&mut self, number: f64, schema: &Value, key: &str) {
        type Holds = fn(f64, f64) -> bool;
        let bounds: [(&str, &str, Holds); 4] = [
            ("minimum", "at least", |number, bound| number >= bound),
            ("exclusiveMinimum", "more than", |number, bound| number > bound),
            ("maximum", "at most", |number, bound| number <= bound),
            ("exclusiveMaximum", "less than", |number, bound| number < bound),
        ];
        for (keyword, words, holds) in bounds {
            if let Some(bound) = schema.get(keyword).and_then(Value::as_f64)
                && !holds(number, bound)
            {
                self.problem(key, format!("{number} is out of range: it must be {words} {bound}"));
            }
        }
    }

    /// A key of the user's own at the top is welcome, for interpolation; a slip of a known one is not.
    fn strangers(&mut self, config: &Value) {
        let (Some(fields), Some(known)) =
            (config.as_object(), self.catalog.root.get("properties").and_then(Value::as_object))
        else {
            return;
        };
        for name in fields.keys().filter(|name| !known.contains_key(*name)) {
            if let Some(near) = nearest::nearest(name, known.keys().map(String::as_str)) {
                self.problem(name, format!("there is no section '{name}' (did you mean '{near}'?)"));
            }
        }
    }

    fn names(&self, kind: &str) -> String {
        self.catalog.of_kind(kind).map(|component| component.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn problem(&mut self, key: &str, message: String) {
        self.problems.push(Problem { key: key.to_owned(), message });
    }
}

/// Follows `$ref: "#/$defs/Name"`.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut schema = schema;
    // A chain of references is short; the bound keeps a circle from hanging.
    for _ in 0..16 {
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { break };
        let Some(found) = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) else {
            break;
        };
        schema = found;
    }
    schema
}

/// Whether null stands for leaving the value out.
fn is_nullable(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_array).is_some_and(|types| types.iter().any(|name| name == "null"))
}

/// What was expected, where the value is of another type.
fn wrong_type(value: &Value, schema: &Value) -> Option<String> {
    let fits = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        // 3.0 is a whole number to serde_json's readers as to people only where it was written as one.
        "integer" => value.is_i64() || value.is_u64(),
        "number" => {
            value.is_number() || value.as_str().is_some_and(|text| matches!(text, "inf" | "-inf" | "nan"))
        }
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    let fitting = match schema.get("type") {
        Some(Value::String(name)) => fits(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(fits),
        _ => true,
    };
    (!fitting).then(|| type_name(schema))
}

fn type_name(schema: &Value) -> String {
    let word = |name: &str| match name {
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "string" => "a text",
        "array" => "a list",
        "object" => "a mapping",
        "null" => "null",
        _ => "something else",
    };
    match schema.get("type") {
        Some(Value::String(name)) => word(name).to_owned(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).map(word).collect::<Vec<_>>().join(" or ")
        }
        _ => schema
            .get(COMPONENT_KEYWORD)
            .and_then(Value::as_str)
            .map_or("something else".to_owned(), |kind| format!("a {kind}")),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text '{text}'"),
        Value::Object(_) => "a mapping".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    }
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

#[cfg(test)]
mod tests {
    use schemars::{JsonSchema, schema_for};
    use serde_json::json;

    use super::*;
    use crate::ComponentInfo;

    #[derive(JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct ResNet {
        depth: Depth,
        num_classes: Option<i64>,
        #[serde(default)]
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
        dropout: f64,
        #[serde(default)]
        stages: Vec<Stage>,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Depth {
        /// Eighteen layers.
        Shallow,
        /// Fifty.
        Deep,
    }

    #[derive(JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Stage {
        width: i64,
    }

    fn problems(model: Value) -> Vec<String> {
        let catalog = Catalog {
            contract_version: crate::CONTRACT_VERSION,
            root: json!({"type": "object", "properties": {"model": {"x-component": "model"}, "teacher": {"type": ["object", "null"], "x-component": "model"}, "seed": {"type": "integer"}}, "required": ["model"]})
                .try_into()
                .unwrap(),
            components: vec![ComponentInfo {
                kind: "model".into(),
                name: "vision.resnet".into(),
                provider: "fulmen-vision".into(),
                description: String::new(),
                schema: schema_for!(ResNet),
            }],
        };
        validate(&model, &catalog)
            .into_iter()
            .map(|problem| format!("{}: {}", problem.key, problem.message))
            .collect()
    }

    #[test]
    fn a_fitting_config_has_no_problem() {
        let model = json!({"_target_": "vision.resnet", "depth": "deep", "num_classes": null, "dropout": 0.5, "stages": [{"width": 8}]});
        assert_eq!(problems(json!({"model": model, "my_own": 1})), Vec::<String>::new());
    }

    #[test]
    fn all_problems_are_found_with_their_keys_and_near_names() {
        let model = json!({"_target_": "vision.resnet", "depth": "deap", "num_clases": 3, "dropout": 1.0, "stages": [{"width": "x"}]});
        let found = problems(json!({"model": model, "sed": 1}));
        assert_eq!(found.len(), 5, "{found:#?}");
        assert!(
            found[0].contains(
                "model.depth: expected one of shallow, deep, found the text 'deap' (did you mean 'deep'?)"
            ),
            "{found:#?}"
        );
        assert!(
            found[1].contains(
                "model.num_clases: there is no field 'num_clases' here (did you mean 'num_classes'?)"
            ),
            "{found:#?}"
        );
        assert!(found[2].contains("less than 1"), "{found:#?}");
        assert!(found[3].starts_with("model.stages[0].width: expected a whole number"), "{found:#?}");
        assert!(found[4].contains("did you mean 'seed'"), "{found:#?}");
    }

    #[test]
    fn null_leaves_out_a_component_that_may_be_left_out_and_no_other() {
        let model = json!({"_target_": "vision.resnet", "depth": "deep"});
        assert_eq!(problems(json!({"model": model, "teacher": null})), Vec::<String>::new());
        assert_eq!(problems(json!({"model": null})).len(), 1);
        assert_eq!(problems(json!({"model": model, "teacher": 3})).len(), 1);
    }

    #[test]
    fn an_unknown_component_names_the_near_one() {
        let found = problems(json!({"model": {"_target_": "vision.resent"}}));
        assert!(
            found[0].starts_with(
                "model._target_: no model is called 'vision.resent' (did you mean 'vision.resnet'?)"
            ),
            "{found:#?}"
        );
        assert!(problems(json!({})) == ["the field 'model' is missing"].map(|text| format!(": {text}")));
    }
}
