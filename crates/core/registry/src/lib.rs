//! One generic registry of components: names, typed settings, documentation and factories.
