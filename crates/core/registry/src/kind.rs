//! What sort of thing a component is.

/// A sort of component: `model`, `optimizer`, `callback`.
pub trait Kind: 'static {
    /// The word for it in configs, on the command line and in messages.
    const NAME: &'static str;
    /// What its components become.
    type Product;
    /// What they are built with beyond their settings.
    type Context<'context>;
}
