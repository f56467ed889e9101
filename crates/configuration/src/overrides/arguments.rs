//! Binds the arguments of a function call to its parameters, as Python does.

use super::Element;

/// The arguments of a call, by parameter.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// Those without a name that no parameter takes by itself.
    pub(super) rest: Vec<Element>,
    named: Vec<(&'static str, Element)>,
}

/// The parameters of a function.
pub(super) struct Signature {
    /// Takes any number of arguments without a name.
    pub(super) variadic: bool,
    /// Parameters by name; without `variadic`, by position as well.
    pub(super) names: &'static [&'static str],
    /// How many of `names` must be given.
    pub(super) required: usize,
}

impl Signature {
    pub(super) fn bind(&self, given: Vec<(Option<&str>, Element)>) -> Result<Arguments, String> {
        let mut bound = Arguments::default();
        let without_name = given.iter().filter(|(name, _)| name.is_none()).count();
        let mut saw_name = false;
        for (position, (name, element)) in given.into_iter().enumerate() {
            let element = match element {
                Element::Quoted(text, _) => Element::Scalar(text.into()),
                other => other,
            };
            let Some(name) = name else {
                if saw_name {
                    return Err("an argument without a name after one with a name".into());
                }
                if self.variadic {
                    bound.rest.push(element);
                } else {
                    let parameter = self.names.get(position);
                    bound.named.push((*parameter.ok_or("too many arguments")?, element));
                }
                continue;
            };
            saw_name = true;
            let Some(parameter) = self.names.iter().find(|known| **known == name) else {
                return Err(format!("no parameter has the name '{name}'{}", self.listed()));
            };
            let by_position =
                !self.variadic && self.names.iter().take(without_name).any(|known| known == parameter);
            if by_position {
                return Err(format!("'{name}' is given twice"));
            }
            bound.named.retain(|(known, _)| known != parameter);
            bound.named.push((parameter, element));
        }
        match self.names[..self.required].iter().find(|name| bound.get(name).is_none()) {
            Some(missing) => Err(format!("'{missing}' is not given")),
            None => Ok(bound),
        }
    }

    fn listed(&self) -> String {
        if self.names.is_empty() { String::new() } else { format!("; there are {}", self.names.join(", ")) }
    }
}

impl Arguments {
    pub(super) fn get(&self, name: &str) -> Option<&Element> {
        self.named.iter().find(|(known, _)| *known == name).map(|(_, element)| element)
    }

    /// Takes an argument; null counts as not given.
    pub(super) fn take(&mut self, name: &str) -> Option<Element> {
        let index = self.named.iter().position(|(known, _)| *known == name)?;
        let element = self.named.remove(index).1;
        (element != Element::Scalar(crate::value::Value::Null)).then_some(element)
    }
}
