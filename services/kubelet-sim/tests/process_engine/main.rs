//! The process engine as a pod worker drives it: through the runtime's traits, with real processes. Needs root.

#![cfg(test)]

mod guard;
mod life;
mod pod;
mod streams;
mod survival;
mod unprivileged;
