//! What a model is made of: parts by the names of their parameters, and what a forward pass of one sample does in each.

use fulmen_contracts::Event;
use fulmen_contracts::event::{Level, ModelPart};
use fulmen_torch::flops::{FlopCounter, Flops};
use fulmen_torch::tch::Tensor;

use super::fit::Fit;
use crate::Result;

impl Fit<'_, '_> {
    /// Tells what the model is made of, where a callback asked for it.
    pub(super) fn summarise(&mut self) -> Result<()> {
        let Some(depth) = self.session.requests.model_summary.take() else { return Ok(()) };
        if !self.session.trainer.config.enable_model_summary {
            return Ok(());
        }
        let flops = self.flops_of_a_sample();
        let trainer = &self.session.trainer;
        if let Err(error) = &flops {
            let message = format!("shapes and operations of the model's parts could not be had: {error}");
            trainer.events.log(Level::Debug, message);
        }
        let flops = flops.ok();
        let whole = parts(&self.session.variables, None, 0);
        let sum = |of: fn(&ModelPart) -> u64| whole.iter().map(of).sum();
        trainer.events.send(Event::ModelSummary {
            name: trainer.run_config["model"]["_target_"].as_str().unwrap_or("model").to_owned(),
            trainable: sum(|part| part.trainable),
            frozen: sum(|part| part.frozen),
            bytes: sum(|part| part.bytes),
            flops: flops.as_ref().map(|flops| flops.total),
            parts: match usize::try_from(depth) {
                Ok(0) => Vec::new(),
                Ok(depth) => parts(&self.session.variables, flops.as_ref(), depth),
                Err(_) => parts(&self.session.variables, flops.as_ref(), usize::MAX),
            },
        });
        Ok(())
    }

    /// What an evaluation step of one sample does, its loss included.
    fn flops_of_a_sample(&mut self) -> Result<Flops> {
        let batch = self.session.trainer.sample_batch(self.data, 1)?;
        let params: Vec<_> =
            self.session.variables.iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
        let counter = FlopCounter::begin(&params)?;
        self.session.trainer.try_forward(self.model, &batch)?;
        Ok(counter.end())
    }
}

/// The parts of a model by the first `depth` words of its parameters' names, the last word left out; in the order in which
/// they are used, where that is known.
fn parts(variables: &[(String, Tensor)], flops: Option<&Flops>, depth: usize) -> Vec<ModelPart> {
    let owner = |name: &str| {
        let layer = name.rsplit_once('.').map_or(name, |(layer, _)| layer);
        layer.split('.').take(depth).collect::<Vec<_>>().join(".")
    };
    let mut parts: Vec<ModelPart> = Vec::new();
    for (name, tensor) in variables {
        let (owner, count) = (owner(name), tensor.numel() as u64);
        let place = parts.iter().position(|part| part.name == owner).unwrap_or_else(|| {
            parts.push(ModelPart { name: owner, flops: flops.map(|_| 0), ..ModelPart::default() });
            parts.len() - 1
        });
        let part = &mut parts[place];
        *(if tensor.requires_grad() { &mut part.trainable } else { &mut part.frozen }) += count;
        part.bytes += count * tensor.kind().elt_size_in_bytes() as u64;
    }
    let mut used = Vec::new();
    for layer in flops.iter().flat_map(|flops| &flops.uses) {
        let owner = owner(&variables[layer.param].0);
        let Some(place) = parts.iter().position(|part| part.name == owner) else { continue };
        let part = &mut parts[place];
        part.flops = Some(part.flops.unwrap_or(0) + layer.flops);
        part.input.get_or_insert_with(|| layer.input.clone());
        part.output = Some(layer.output.clone());
        if !used.contains(&place) {
            used.push(place);
        }
    }
    // A stable sort: parts that no operator was seen to use stay in the order of their names, at the end.
    let mut numbered: Vec<_> = parts.into_iter().enumerate().collect();
    numbered.sort_by_key(|(place, _)| used.iter().position(|one| one == place).unwrap_or(usize::MAX));
    numbered.into_iter().map(|(_, part)| part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fulmen_torch::flops::LayerUse;
    use fulmen_torch::tch::{Device, Kind};

    fn zeros(sizes: &[i64], trained: bool) -> Tensor {
        Tensor::zeros(sizes, (Kind::Float, Device::Cpu)).set_requires_grad(trained)
    }

    #[test]
    fn parts_come_in_the_order_of_their_use_with_sums_of_all_that_is_below() {
        let variables = [
            ("fc.weight".to_owned(), zeros(&[2, 3], true)),
            ("layer.0.conv.weight".to_owned(), zeros(&[3, 1, 3, 3], true)),
            ("layer.0.norm.running_mean".to_owned(), zeros(&[3], false)),
            ("layer.1.conv.weight".to_owned(), zeros(&[3, 3, 3, 3], true)),
        ];
        let used = |param, flops, input: &[i64], output: &[i64]| LayerUse {
            param,
            flops,
            input: input.to_vec(),
            output: output.to_vec(),
        };
        let flops = Flops {
            total: 111,
            uses: vec![
                used(1, 10, &[1, 1, 8, 8], &[1, 3, 8, 8]),
                used(3, 100, &[1, 3, 8, 8], &[1, 3, 4, 4]),
                used(0, 1, &[1, 3], &[1, 2]),
            ],
        };
        let shown = parts(&variables, Some(&flops), 1);
        assert_eq!(shown.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["layer", "fc"]);
        let layer = &shown[0];
        assert_eq!((layer.trainable, layer.frozen, layer.bytes, layer.flops), (108, 3, 444, Some(110)));
        assert_eq!(layer.input.as_deref(), Some([1, 1, 8, 8].as_slice()));
        assert_eq!(layer.output.as_deref(), Some([1, 3, 4, 4].as_slice()));
        assert_eq!(parts(&variables, Some(&flops), usize::MAX).len(), 4);
    }
}
