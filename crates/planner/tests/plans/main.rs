//! Applications in, plans out: the crate through its public door.

mod base_images;
mod common;
mod go;
mod hostile;
mod node;
mod of_others;
mod overrides;
mod python;
mod static_site;
